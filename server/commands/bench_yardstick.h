#ifndef ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H
#define ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H

/* The peak speed of one thread of this processor: multiply-adds in registers, and
 * OpenBLAS's product of two matrices. They are measured between the runs of `bench`,
 * so that a slowdown of the machine affects both and the ratios stay meaningful. */

#include <stddef.h>

#include "base/error.h"
#include "kernels/kernel.h"

struct adl_bench_times {
    double *ms;
    size_t count;
};

/* The median of at least one time; sorts `times`. */
double adl_bench_median(struct adl_bench_times times);

struct adl_bench_yardstick {
    const struct adl_kernels *kernels;
    struct adl_bench_times fma;
    struct adl_bench_times sgemm;
    size_t most; /* capacity of both */
    float *matrices;
};

/* Makes room for `most` measurements of each kind, and warms up. */
int adl_bench_yardstick_create(struct adl_bench_yardstick *yardstick,
                               const struct adl_kernels *kernels, size_t most,
                               struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_yardstick_free(struct adl_bench_yardstick *yardstick);

/* Measures both once, unless there is no more room; returns the milliseconds spent. */
double adl_bench_yardstick_measure(struct adl_bench_yardstick *yardstick);

/* GFLOP/s at the median. */
double adl_bench_fma_gflops(const struct adl_bench_yardstick *yardstick);
double adl_bench_sgemm_gflops(const struct adl_bench_yardstick *yardstick);

#endif
