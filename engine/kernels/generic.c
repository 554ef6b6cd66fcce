/* Defines the kernels in plain C, for any machine. There is no `gemm` here: convolutions other than
 * depthwise ones and those in narrow groups go through OpenBLAS, which has tuned code for many
 * processors. */

#include "kernels/generic_vec.h"
#include "kernels/kernel.h"
#define TRAIN_LANES VEC
#include "kernels/bf16_loops.h"
/* With a weight and a pixel at a time, 16 registers hold these accumulators. */
#define GROUPED_PIXELS 10
#include "kernels/grouped_loops.h"
#include "kernels/train_loops.h"

#include <math.h>
#include <stdbool.h>

/* Clamps v to lo..hi. A NaN compares false with both bounds and stays NaN. */
static float generic_clamp(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* Returns the larger value, NaN if either is NaN. */
static float generic_max(float a, float b)
{
    return b > a || b != b ? b : a;
}

static void generic_depthwise_line(const struct adl_depthwise_rows *j, const float *const *rows,
                                   float *to)
{
    for (int q = 0; q < j->q; q++) {
        float *out = to + (size_t)q * j->ldo;
        int column = q * j->stride - j->pad_left;
        for (size_t c = 0; c < j->channels; c++)
            out[c] = j->bias[c];
        for (int r = 0; r < j->r; r++)
            for (int s = 0; s < j->s; s++) {
                if (!rows[r] || column + s < 0 || column + s >= j->w)
                    continue;
                const float *x = rows[r] + (size_t)(column + s) * j->ldx;
                const float *w = j->weight + (size_t)(r * j->s + s) * j->channels;
                for (size_t c = 0; c < j->channels; c++)
                    out[c] += x[c] * w[c];
            }
        for (size_t c = 0; c < j->channels; c++)
            out[c] = generic_clamp(out[c], j->lo, j->hi);
    }
}

static void generic_depthwise(const struct adl_depthwise_rows *j)
{
    for (int line = 0; line < j->lines; line++)
        generic_depthwise_line(j, j->rows + line * j->stride, j->out + (size_t)line * j->line);
}

static void generic_pool(const struct adl_pool_row *j, bool average)
{
    float weight = 1.0f / (float)(j->size * j->size);
    for (int q = 0; q < j->q; q++) {
        float *out = j->out + (size_t)q * j->ldo;
        int column = q * j->stride - j->pad_left;
        for (size_t c = 0; c < j->channels; c++)
            out[c] = average ? 0 : -INFINITY;
        for (int r = 0; r < j->size; r++)
            for (int s = 0; s < j->size; s++) {
                if (!j->rows[r] || column + s < 0 || column + s >= j->w)
                    continue;
                const float *x = j->rows[r] + (size_t)(column + s) * j->ldx;
                for (size_t c = 0; c < j->channels; c++)
                    out[c] = average ? out[c] + x[c] : generic_max(out[c], x[c]);
            }
        for (size_t c = 0; average && c < j->channels; c++)
            out[c] *= weight;
    }
}

static void generic_maxpool(const struct adl_pool_row *j)
{
    generic_pool(j, false);
}

static void generic_avgpool(const struct adl_pool_row *j)
{
    generic_pool(j, true);
}

static void generic_pointwise(const struct adl_pointwise *j)
{
    for (size_t i = 0; i < j->pixels; i++) {
        const float *x = j->x + i * j->ldx;
        const float *residual = j->residual ? j->residual + i * j->ldr : NULL;
        float *out = j->out + i * j->ldo;
        for (size_t c = 0; c < j->channels; c++) {
            float v = x[c];
            if (j->scale)
                v *= j->scale[c];
            if (j->shift)
                v += j->shift[c];
            if (residual)
                v += residual[c];
            out[c] = generic_clamp(v, j->lo, j->hi);
        }
    }
}

static void generic_mean(const float *x, size_t ldx, size_t pixels, size_t channels, float *out)
{
    for (size_t c = 0; c < channels; c += VEC) {
        const size_t lanes = channels - c < VEC ? channels - c : VEC;
        float sum[VEC] = {0};
        for (size_t i = 0; i < pixels; i += ADL_SUM_PIXELS) {
            const size_t end = pixels - i < ADL_SUM_PIXELS ? pixels : i + ADL_SUM_PIXELS;
            float part[VEC] = {0};
            for (size_t k = i; k < end; k++)
                for (size_t lane = 0; lane < lanes; lane++)
                    part[lane] += x[k * ldx + c + lane];
            for (size_t lane = 0; lane < lanes; lane++)
                sum[lane] += part[lane];
        }
        for (size_t lane = 0; lane < lanes; lane++)
            out[c + lane] = sum[lane] / (float)pixels;
    }
}

static void generic_linear(const float *weight, const float *x, const float *bias, size_t rows,
                           size_t c, float *y)
{
    for (size_t k = 0; k < rows; k++) {
        const float *w = weight + k * c;
        float sums[8] = {0};
        size_t i = 0;
        for (; i + 8 <= c; i += 8)
            for (size_t lane = 0; lane < 8; lane++)
                sums[lane] += w[i + lane] * x[i + lane];
        float sum = ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
                    ((sums[2] + sums[6]) + (sums[3] + sums[7]));
        for (; i < c; i++)
            sum += w[i] * x[i];
        y[k] = sum + (bias ? bias[k] : 0);
    }
}

/* Independent chains of multiply-adds, enough to occupy the registers of any machine. */
#define CHAINS 32

static float generic_fma_burst(size_t rounds, float x)
{
    float acc[CHAINS] = {0};
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * 0.5f + x;
    for (int i = 1; i < CHAINS; i++)
        acc[0] += acc[i];
    return acc[0];
}

static const struct adl_bf16_kernels generic_bf16 = {ADL_BF16_LOOPS};

const struct adl_kernels adl_kernels_generic = {
    .name = "generic",
    .int8 = &adl_int8_generic,
    .bf16 = &generic_bf16,
    .depthwise = generic_depthwise,
    .grouped = generic_grouped,
    .maxpool = generic_maxpool,
    .avgpool = generic_avgpool,
    .pointwise = generic_pointwise,
    .mean = generic_mean,
    .linear = generic_linear,
    .fma = generic_fma_burst,
    .fma_flops = 2 * CHAINS,
    ADL_TRAIN_LOOPS,
};
