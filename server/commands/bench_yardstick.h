#ifndef ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H
#define ADL_SERVER_COMMANDS_BENCH_YARDSTICK_H

/* What one thread of this processor can do at most, measured between the runs
 * of `bench` so that a slow moment of the machine slows both and the ratios
 * still say something: multiply-adds in registers, and OpenBLAS's product of
 * two matrices. */

#include <stddef.h>

#include "base/error.h"
#include "kernels/kernel.h"

struct adl_bench_times {
    double *ms;
    size_t count;
};

/* Of at least one time; `times` is put in order. */
double adl_bench_median(struct adl_bench_times times);

struct adl_bench_yardstick {
    const struct adl_kernels *kernels;
    struct adl_bench_times fma;
    struct adl_bench_times sgemm;
    size_t most;
    float *matrices;
};

/* Room for `most` measurements of each. */
int adl_bench_yardstick_create(struct adl_bench_yardstick *yardstick,
                               const struct adl_kernels *kernels, size_t most,
                               struct adl_error *err) ADL_MUST_CHECK;
void adl_bench_yardstick_free(struct adl_bench_yardstick *yardstick);

/* Once each, unless there is no more room; the milliseconds it took. */
double adl_bench_yardstick_measure(struct adl_bench_yardstick *yardstick);

/* GFLOP/s, by the median. */
double adl_bench_fma_gflops(const struct adl_bench_yardstick *yardstick);
double adl_bench_sgemm_gflops(const struct adl_bench_yardstick *yardstick);

#endif
