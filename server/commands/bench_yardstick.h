#ifndef ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H
#define ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H

/* Measures the peak speed of one thread of this processor: of multiply-adds in registers, and of
 * OpenBLAS's product of two matrices. This is done between the runs of `bench`, so that a
 * slowdown of the machine affects all of them and the ratios stay meaningful. */

#include <stddef.h>

#include "base/error.h"
#include "kernels/kernel.h"

struct adl_bench_times {
    double *ms;
    size_t count;
};

/* Returns the median of at least one time; sorts `times`. */
double adl_bench_median(struct adl_bench_times times);

struct adl_bench_yardstick {
    const struct adl_kernels *kernels;
    struct adl_bench_times fma;
    struct adl_bench_times sgemm;
    size_t most; /* capacity of both */
    float *matrices;
};

/* Allocates space for `most` measurements of each kind, and measures once without recording. */
int adl_bench_yardstick_create(struct adl_bench_yardstick *yardstick,
                               const struct adl_kernels *kernels, size_t most,
                               struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_yardstick_free(struct adl_bench_yardstick *yardstick);

/* Measures both once, unless the space is used up; returns the milliseconds that this took. */
double adl_bench_yardstick_measure(struct adl_bench_yardstick *yardstick);

/* Return GFLOP/s at the median. */
double adl_bench_fma_gflops(const struct adl_bench_yardstick *yardstick);
double adl_bench_sgemm_gflops(const struct adl_bench_yardstick *yardstick);

#endif
