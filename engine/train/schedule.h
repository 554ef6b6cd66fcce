#ifndef ADL_TRAIN_SCHEDULE_H
#define ADL_TRAIN_SCHEDULE_H

/* The learning rate of each step. */

#include <stddef.h>

enum adl_schedule_kind {
    /* Times `decay` at the start of every epoch whose number, from 1, is a
     * multiple of `every`: the reference's rule. */
    ADL_SCHEDULE_STEP,
    /* Half a cosine from the base rate to 0 over all steps. */
    ADL_SCHEDULE_COSINE
};

struct adl_schedule {
    enum adl_schedule_kind kind;
    double lr;            /* base rate */
    double decay;         /* STEP: 0.1 */
    int every;            /* STEP: epochs; 0: never */
    int epochs;           /* COSINE */
    double warmup_epochs; /* the rate grows linearly from 0 over these first */
};

/* The rate of batch `batch` of `batches` in epoch `epoch`, both from 0. */
double adl_schedule_lr(const struct adl_schedule *schedule, int epoch, size_t batch,
                       size_t batches);

#endif
