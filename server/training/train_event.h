#ifndef ADL_SERVER_TRAINING_TRAIN_EVENT_H
#define ADL_SERVER_TRAINING_TRAIN_EVENT_H

/* How a training run tells its caller that there is something new in its
 * directory. The run knows nothing of reports: the caller hands in a function. */

#include <signal.h>

#include "base/pool.h"
#include "eval/evaluate.h"

enum adl_train_event_kind {
    ADL_TRAIN_EPOCH_DONE, /* an epoch was saved and more follow */
    ADL_TRAIN_STOPPED,    /* the run was interrupted and saved */
    ADL_TRAIN_DONE        /* the last epoch was saved */
};

/* All of it belongs to the run and is valid during the call only. */
struct adl_train_event {
    enum adl_train_event_kind kind;
    const char *dir; /* the run's directory; its files are up to date */
    /* The best epoch's evaluation on val; NULL when there is no val split or
     * that epoch was trained before a resume. */
    const struct adl_evaluate_report *evaluation;
    struct adl_pool *pool;             /* idle meanwhile */
    const volatile sig_atomic_t *stop; /* nonzero once the user wants the run to end */
};

/* Called on the run's own thread. A failure is not the run's: the function
 * reports it by itself. */
typedef void adl_train_event_fn(const struct adl_train_event *event);

#endif
