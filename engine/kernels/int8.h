#ifndef ADL_KERNELS_INT8_H
#define ADL_KERNELS_INT8_H

/* Declares the inner loops of 8-bit inference, one table of them for each instruction set. As
 * kernel.h, this header defines what each kernel computes, and must not define a function.
 *
 * A map is unsigned bytes: byte x of a map with scale s and zero point z stands for the real number
 * s (x - z). Weights are signed bytes, -127..127, times a scale of their output channel. Products
 * are summed in 32-bit integers without rounding and without saturation, so a sum is the same
 * whatever its order (docs/decisions/020).
 *
 * How a sum becomes an output (the "epilogue") is defined to the last bit:
 *
 *     v = (float)sum * scale[k] + shift[k] + residual_scale * (float)residual
 *     v = v > lo ? v : lo;  v = v < hi ? v : hi
 *
 * from left to right, every conversion, product and sum rounded to float32 by itself, to nearest
 * even; the files are compiled without contraction to FMA. An output in bytes is v rounded to
 * nearest even; lo and hi are within 0..255 then. A v that is NaN becomes lo. So all instruction
 * sets give the same bytes as plain C. */

#include <stddef.h>
#include <stdint.h>

/* The epilogue of one kernel call. Exactly one of `bytes` and `floats` is not NULL. */
struct adl_int8_out {
    const float *scale, *shift; /* by channel; whole vectors may be read beyond the last channel */
    const uint8_t *residual;    /* NULL: none */
    size_t ldr;
    float residual_scale;
    float lo, hi;
    uint8_t *bytes;
    float *floats;
    size_t ldo; /* elements from one output pixel to the next */
};

/* One register tile of a matrix product, m x n: sum[i][j] = sum over l of a[i][l] b[l][j].
 *
 * The depth is divided into steps of `group` values (a property of the instruction set), zero
 * beyond its end. With a group of 2, both factors are 16-bit: for VPMADDWD, whose sums of two
 * products fit 32 bits for any bytes. With a group of 4, they are 8-bit, a unsigned and b signed:
 * for instructions that add four products without saturation (VNNI). */
struct adl_int8_tile {
    const void *a; /* m rows */
    size_t lda;    /* bytes from row to row */
    /* A panel: for each step nr groups, a group for each column; then the sums of the columns if
     * `column_sums` is set; 64-byte aligned. */
    const void *b;
    size_t steps;
    int m, n; /* rows, 1..mr; columns that exist, 1..nr */
    struct adl_int8_out out;
};

/* One row of the output of a depthwise convolution with a kernel of R x S. Tap (r, s) of output
 * column q lies in input column x = q stride + s - pad_left, whose bytes begin at rows[r] + x
 * steps[r] if 0 <= x < w, else at `pad`. A row in the padding is `pad` with a step of 0. */
struct adl_int8_depthwise {
    const uint8_t *const *rows; /* R of them */
    const size_t *steps;
    const uint8_t *pad; /* `channels` bytes with the value of the zero point */
    int r, s, stride, pad_left;
    int w, q;
    size_t channels;
    /* With a `depthwise_group` of 2: for each pair of taps (2i, 2i + 1) of the kernel in row order,
     * and each channel, the weights of both, as 16-bit numbers; zero for a tap beyond the last.
     * With 4: for each 64 channels, each column of the kernel, and each four of its rows, a group
     * of four 8-bit weights for each channel, zero for a row beyond the last. Channel 16a + 4b + i
     * of the 64 has group 16b + 4a + i (avx512_int8.c). */
    const void *weights;
    struct adl_int8_out out; /* without a residual */
};

/* The most taps, R S, that `depthwise` takes. */
#define ADL_INT8_MAX_TAPS 49

/* One row of the output of a pooling op over windows of size x size pixels; rows, steps and
 * columns are as in the depthwise convolution, `pad` being zeros for a maximum. The sum in the
 * epilogue is the maximum, or the sum of the window. scale and shift have one value each. */
struct adl_int8_pool {
    const uint8_t *const *rows;
    const size_t *steps;
    const uint8_t *pad;
    int size, stride, pad_left;
    int w, q;
    size_t channels;
    float scale, shift;
    uint8_t *out;
    size_t ldo;
};

/* Conversions between floats and bytes: bytes = x * factor + zero, clamped to 0..255 and rounded to
 * nearest even (NaN becomes 0); floats = ((float)byte - zero) * factor. */
struct adl_int8_convert {
    float *floats;
    uint8_t *bytes;
    size_t ld_floats, ld_bytes; /* elements from pixel to pixel */
    size_t pixels, channels;
    float factor, zero;
};

struct adl_int8_kernels {
    int mr, nr; /* rows and columns of the largest tile */
    int group;  /* 2 or 4 */
    /* 1: after the groups of the last step, b has nr 32-bit sums of the weights of its columns. For
     * instructions that multiply signed bytes only (neon_dot_int8.c). */
    int column_sums;
    int depthwise_group; /* of the weights of depthwise convolutions, 2 or 4 */
    /* How many times as fast as the float kernels of the same instruction set the products are,
     * for the cost model. */
    double speed;
    double depthwise_speed; /* the same of depthwise convolutions */
    void (*gemm)(const struct adl_int8_tile *tile);
    void (*depthwise)(const struct adl_int8_depthwise *job);
    void (*maxpool)(const struct adl_int8_pool *job);
    void (*avgpool)(const struct adl_int8_pool *job);
    /* Writes n bytes as 16-bit numbers. */
    void (*widen)(const uint8_t *x, size_t n, int16_t *out);
    void (*to_bytes)(const struct adl_int8_convert *job);
    void (*to_floats)(const struct adl_int8_convert *job);
};

#endif
