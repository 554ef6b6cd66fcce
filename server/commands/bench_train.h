#ifndef ADL_SERVER_COMMANDS_BENCH_TRAIN_H
#define ADL_SERVER_COMMANDS_BENCH_TRAIN_H

/* `bench --train`: a training step in its parts, and what the ADL layers add. */

#include "models/model.h"

struct adl_bench_train {
    const struct adl_model *model;
    int size; /* sides of the input */
    int batch;
    int threads;
    int runs; /* 0: as many as fit into `seconds` */
    double seconds;
    bool json;
};

/* Measures and prints. */
int adl_bench_train(const struct adl_bench_train *bench, struct adl_error *err) ADL_MUST_CHECK;

#endif
