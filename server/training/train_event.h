#ifndef ADL_SERVER_TRAINING_TRAIN_EVENT_H
#define ADL_SERVER_TRAINING_TRAIN_EVENT_H

/* The function that a training run calls when the files in its directory are up to date, so that
 * the caller can make a report. The code of the run does not depend on that of reports. */

#include <signal.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "eval/evaluate.h"
#include "models/model.h"

enum adl_train_event_kind {
    ADL_TRAIN_EPOCH_DONE, /* an epoch was saved and more follow */
    ADL_TRAIN_STOPPED,    /* the run was interrupted and saved */
    ADL_TRAIN_DONE,       /* the last epoch was saved */
    ADL_TRAIN_RATE_FOUND  /* --find-lr has come to an end; the directory has no files of a run */
};

/* The steps of --find-lr. */
struct adl_train_rates {
    size_t count;     /* steps that were taken */
    double *rates;    /* [count] learning rates, rising */
    double *losses;   /* [count] of each step */
    double *smoothed; /* [count] a running average of them */
    double suggested; /* the rate to train with */
    double lowest;    /* the rate at which the smoothed loss is lowest */
};

/* The event and everything that it points to belong to the run and are valid during the call
 * only. */
struct adl_train_event {
    enum adl_train_event_kind kind;
    const char *dir; /* the run's directory; its files are up to date */
    /* The best epoch's evaluation on val; NULL if there is no val split, no best epoch yet, or if
     * that epoch was evaluated before a resume. */
    const struct adl_evaluate_report *evaluation;
    int epoch, epochs; /* epochs that are done, and those of the whole run */
    /* The model with the weights of the last epoch that is done. Its layer for maps may be kept
     * anew. NULL if these weights are not there: the run was stopped within the next epoch, or it
     * was resumed and has not done an epoch since. */
    struct adl_model *model;
    const struct adl_dataset *val;       /* NULL: there is no val split */
    const struct adl_train_rates *rates; /* of ADL_TRAIN_RATE_FOUND, otherwise NULL */
    struct adl_pool *pool;               /* not used by the run during the call */
    const volatile sig_atomic_t *stop;   /* nonzero once the run has to end */
};

/* Called on the thread of the run. A failure does not end the run: the function has to report it
 * itself. */
typedef void adl_train_event_fn(const struct adl_train_event *event);

#endif
