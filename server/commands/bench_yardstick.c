/* Measures the peak speeds with which `bench` compares a network. */

#include "server/commands/bench_yardstick.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/blas.h"

/* The product takes about 20 ms, FMA_FLOPS operations in registers a tenth of that. */
#define SGEMM_SIDE 1024
#define FMA_FLOPS 2e8

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double adl_bench_median(struct adl_bench_times times)
{
    qsort(times.ms, times.count, sizeof *times.ms, by_value);
    return times.count % 2 ? times.ms[times.count / 2]
                           : (times.ms[times.count / 2 - 1] + times.ms[times.count / 2]) / 2;
}

int adl_bench_yardstick_create(struct adl_bench_yardstick *y, const struct adl_kernels *kernels,
                               size_t most, struct adl_error *err)
{
    size_t square = (size_t)SGEMM_SIDE * SGEMM_SIDE;
    uint32_t state = 88172645;

    *y = (struct adl_bench_yardstick){.kernels = kernels, .most = most};
    if (adl_blas_reserve(1, err) < 0)
        return -1;
    y->fma.ms = adl_malloc(most, sizeof *y->fma.ms);
    y->sgemm.ms = adl_malloc(most, sizeof *y->sgemm.ms);
    y->matrices = adl_malloc(3 * square, sizeof *y->matrices);
    if (!y->fma.ms || !y->sgemm.ms || !y->matrices) {
        adl_bench_yardstick_free(y);
        return adl_fail_nomem(err, "measurements");
    }
    for (size_t i = 0; i < 2 * square; i++) {
        state = state * 1664525u + 1013904223u;
        y->matrices[i] = (float)(int32_t)state * 0x1p-31F;
    }
    adl_bench_yardstick_measure(y); /* warm-up */
    y->fma.count = y->sgemm.count = 0;
    return 0;
}

void adl_bench_yardstick_free(struct adl_bench_yardstick *y)
{
    adl_free(y->fma.ms);
    adl_free(y->sgemm.ms);
    adl_free(y->matrices);
    *y = (struct adl_bench_yardstick){0};
}

static size_t fma_rounds(const struct adl_kernels *kernels)
{
    return (size_t)(FMA_FLOPS / kernels->fma_flops);
}

/* `matrices` contains three square matrices; the third becomes the product of the others. */
double adl_bench_yardstick_measure(struct adl_bench_yardstick *y)
{
    size_t n = SGEMM_SIDE;
    float *a = y->matrices, *b = a + n * n, *c = b + n * n;

    if (y->fma.count == y->most)
        return 0;
    uint64_t start = adl_clock_ns();
    c[0] = y->kernels->fma(fma_rounds(y->kernels), a[0]);
    uint64_t middle = adl_clock_ns();
    adl_sgemm(false, false, n, n, n, a, n, b, n, 0, c, n);
    uint64_t end = adl_clock_ns();
    y->fma.ms[y->fma.count++] = adl_clock_ms(start, middle);
    y->sgemm.ms[y->sgemm.count++] = adl_clock_ms(middle, end);
    return adl_clock_ms(start, end);
}

double adl_bench_fma_gflops(const struct adl_bench_yardstick *y)
{
    return (double)fma_rounds(y->kernels) * y->kernels->fma_flops * 1e-6 / adl_bench_median(y->fma);
}

double adl_bench_sgemm_gflops(const struct adl_bench_yardstick *y)
{
    double side = SGEMM_SIDE;
    return 2 * side * side * side * 1e-6 / adl_bench_median(y->sgemm);
}
