#ifndef ADL_SERVER_REPORT_REPORT_H
#define ADL_SERVER_REPORT_REPORT_H

/* Writes report.html of a training run: one file, usable offline, and without scripts but for the
 * pictures over the epochs, that shows what the run did. It is made from the files in the run's
 * directory and the data set that they name, never from live training state, so that it can be made
 * again at any time
 * (`adl-server report DIR`). */

#include <signal.h>

#include "base/pool.h"
#include "eval/evaluate.h"
#include "server/training/train_event.h"

/* How much is computed for the page. */
enum adl_report_depth {
    ADL_REPORT_FIGURES, /* nothing is evaluated: figures from files, no images */
    ADL_REPORT_SAMPLE,  /* images chosen from a sample of val; takes seconds */
    ADL_REPORT_FULL     /* all of val is evaluated with the best weights */
};

struct adl_report_options {
    const char *dir; /* the run's directory */
    enum adl_report_depth depth;
    const char *subcommand; /* for warnings on standard error */
    struct adl_pool *pool;  /* may be NULL */
    /* An evaluation of the best epoch that already exists; ADL_REPORT_FULL makes a better
     * one. May be NULL. */
    const struct adl_evaluate_report *evaluation;
    /* May be NULL. Once it is nonzero, ADL_REPORT_FULL continues as ADL_REPORT_SAMPLE. */
    const volatile sig_atomic_t *stop;
    /* Where the data set is now. If all are NULL, it is where run.json says. `data` replaces
     * all paths of run.json, the others one each. */
    const char *data, *images, *metadata, *masks;
};

/* Replaces DIR/report.html. A data set that cannot be read is not a failure: the page then
 * has no images and says why. Fails as adl_run_record_read does, and if a file of the run is
 * damaged or the page cannot be written. */
int adl_report_write(const struct adl_report_options *options,
                     struct adl_error *err) ADL_MUST_CHECK;

/* The adl_train_event_fn of `train`: keeps the report up to date. A failure is a
 * warning on standard error. */
void adl_report_on_event(const struct adl_train_event *event);

#endif
