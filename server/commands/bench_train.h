#ifndef ADL_SERVER_COMMANDS_BENCH_TRAIN_H
#define ADL_SERVER_COMMANDS_BENCH_TRAIN_H

/* Implements `bench --train`: measures the time of a training step and its parts, and what the
 * model's training methods cost beside cam. */

#include "models/model.h"
#include "train/tape.h"

struct adl_bench_train {
    const struct adl_model *model;
    int size; /* side of the square input */
    int batch;
    int threads;
    int runs; /* 0: as many as fit in `seconds`, but at least 3 */
    double seconds;
    bool json;
    enum adl_tape_memory memory; /* ADL_TAPE_SHARED or ADL_TAPE_BF16 */
};

/* Measures, and prints a table or JSON on standard output. */
int adl_bench_train(const struct adl_bench_train *bench, struct adl_error *err) ADL_MUST_CHECK;

#endif
