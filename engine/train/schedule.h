#ifndef ADL_TRAIN_SCHEDULE_H
#define ADL_TRAIN_SCHEDULE_H

/* The learning rate of each step. It depends only on the schedule and on the position in the
 * run, so a resumed run continues with the rates of an uninterrupted one. */

#include <stddef.h>

enum adl_schedule_kind {
    /* The rate is multiplied by `decay` at the start of every epoch whose number, counted
     * from 1, is a multiple of `every`: the rule of the reference implementation. */
    ADL_SCHEDULE_STEP,
    /* After the warm-up, the rate falls along half a cosine from the base rate to 0 over all
     * remaining epochs (Loshchilov & Hutter 2017, without restarts). */
    ADL_SCHEDULE_COSINE
};

/* Their names by enum adl_schedule_kind, ended by NULL: step, cosine. */
extern const char *const adl_schedule_names[];

struct adl_schedule {
    enum adl_schedule_kind kind;
    double lr;            /* base rate */
    double decay;         /* STEP: the factor, usually 0.1 */
    int every;            /* STEP: epochs between decays; 0: the rate does not decay */
    int epochs;           /* COSINE: length of the run */
    double warmup_epochs; /* first epochs, in which the rate grows linearly, step by step */
};

/* Returns the rate for batch `batch` of `batches` in epoch `epoch`; `batch` and `epoch` count
 * from 0. */
double adl_schedule_lr(const struct adl_schedule *schedule, int epoch, size_t batch,
                       size_t batches);

#endif
