#ifndef ADL_TRAIN_SCHEDULE_H
#define ADL_TRAIN_SCHEDULE_H

/* The learning rate of each step. It follows from the schedule and the position in the
 * run alone, so a resumed run continues with the same rates. */

#include <stddef.h>

enum adl_schedule_kind {
    /* The rate is multiplied by `decay` at the start of every epoch whose number, counted
     * from 1, is a multiple of `every`: the rule of the reference implementation. */
    ADL_SCHEDULE_STEP,
    /* After the warm-up, half a cosine from the base rate down to 0 over all remaining
     * steps (Loshchilov & Hutter 2017, without restarts). */
    ADL_SCHEDULE_COSINE
};

struct adl_schedule {
    enum adl_schedule_kind kind;
    double lr;            /* base rate */
    double decay;         /* STEP: 0.1 */
    int every;            /* STEP: epochs; 0: the rate does not decay */
    int epochs;           /* COSINE: length of the run */
    double warmup_epochs; /* the rate grows linearly from 0 during these first epochs */
};

/* The rate of batch `batch` of `batches` in epoch `epoch`, both counted from 0. */
double adl_schedule_lr(const struct adl_schedule *schedule, int epoch, size_t batch,
                       size_t batches);

#endif
