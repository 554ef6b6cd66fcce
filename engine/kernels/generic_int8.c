/* Defines the kernels of 8-bit inference in plain C, for any machine: the specification that those
 * of other instruction sets have to give the same bytes as. */

#include "kernels/int8_loops.h"

#define MR 4
#define NR 8

static void generic_int8_gemm(const struct adl_int8_tile *t)
{
    const int16_t *b = t->b;
    int32_t sums[MR][NR] = {{0}};

    for (size_t l = 0; l < t->steps; l++, b += 2 * NR)
        for (int i = 0; i < t->m; i++) {
            const int16_t *a = (const int16_t *)t->a + (size_t)i * (t->lda / 2) + 2 * l;
            for (int j = 0; j < NR; j++)
                sums[i][j] += a[0] * b[2 * j] + a[1] * b[2 * j + 1];
        }
    for (int i = 0; i < t->m; i++)
        for (int j = 0; j < t->n; j++)
            int8_finish(&t->out, sums[i][j], (size_t)i, (size_t)j);
}

static void generic_int8_depthwise(const struct adl_int8_depthwise *j)
{
    for (int q = 0; q < j->q; q++)
        int8_depthwise_channels(j, q, 0);
}

static void generic_int8_maxpool(const struct adl_int8_pool *j)
{
    int8_pool_max(j);
}

static void generic_int8_avgpool(const struct adl_int8_pool *j)
{
    int8_pool_avg(j);
}

static void generic_int8_widen(const uint8_t *x, size_t n, int16_t *out)
{
    int8_widen(x, n, out);
}

static void generic_int8_to_bytes(const struct adl_int8_convert *j)
{
    for (size_t i = 0; i < j->pixels; i++)
        for (size_t c = 0; c < j->channels; c++)
            j->bytes[i * j->ld_bytes + c] =
                int8_to_byte(j->floats[i * j->ld_floats + c], j->factor, j->zero);
}

static void generic_int8_to_floats(const struct adl_int8_convert *j)
{
    for (size_t i = 0; i < j->pixels; i++)
        for (size_t c = 0; c < j->channels; c++)
            j->floats[i * j->ld_floats + c] =
                int8_to_float(j->bytes[i * j->ld_bytes + c], j->factor, j->zero);
}

const struct adl_int8_kernels adl_int8_generic = {
    .mr = MR,
    .nr = NR,
    .group = 2,
    .depthwise_group = 2,
    /* Not vectorised, while float32 is, or is OpenBLAS's: 1.3 against 45 GFLOP/s. */
    .speed = 0.03,
    .depthwise_speed = 0.15,
    .gemm = generic_int8_gemm,
    .depthwise = generic_int8_depthwise,
    .maxpool = generic_int8_maxpool,
    .avgpool = generic_int8_avgpool,
    .widen = generic_int8_widen,
    .to_bytes = generic_int8_to_bytes,
    .to_floats = generic_int8_to_floats,
};
