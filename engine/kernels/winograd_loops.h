#ifndef ADL_KERNELS_WINOGRAD_LOOPS_H
#define ADL_KERNELS_WINOGRAD_LOOPS_H

/* The transforms of Winograd convolution in terms of a vector type: included by
 * each instruction set's file, which defines before
 *
 *     vec, VEC      the type, GCC's operators work on it; its floats
 *     INLINE        static inline, always
 *     vec_load(p), vec_store(p, v)               whole vectors
 *     vec_load_part(p, n), vec_store_part(p, n, v)  the first n < VEC floats
 *     vec_clamp(v, lo, hi)
 *
 * Everything here is static, so that no wide instruction can leak into another
 * file through the linker. Formulas: winograd.h. */

#include "kernels/winograd.h"

/* Squares of F(4)'s points 0.625 and 1.5. */
#define A4 0.625f
#define B4 1.5f
#define AA4 (A4 * A4)
#define BB4 (B4 * B4)

/* y = B' x, elements `sx` and `sy` vectors apart. */
INLINE void forward4(const vec *x, const int sx, vec *y, const int sy)
{
    vec x0 = x[0], x1 = x[sx], x2 = x[2 * sx], x3 = x[3 * sx], x4 = x[4 * sx], x5 = x[5 * sx];
    vec even_a = x4 - x2 * BB4, odd_a = x3 - x1 * BB4;
    vec even_b = x4 - x2 * AA4, odd_b = x3 - x1 * AA4;
    y[0] = x4 - x2 * (AA4 + BB4) + x0 * (AA4 * BB4);
    y[sy] = even_a + odd_a * A4;
    y[2 * sy] = even_a - odd_a * A4;
    y[3 * sy] = even_b + odd_b * B4;
    y[4 * sy] = even_b - odd_b * B4;
    y[5 * sy] = x5 - x3 * (AA4 + BB4) + x1 * (AA4 * BB4);
}

/* y = A' x: 6 to 4. */
INLINE void inverse4(const vec *x, const int sx, vec *y, const int sy)
{
    vec sum_a = x[sx] + x[2 * sx], difference_a = x[sx] - x[2 * sx];
    vec sum_b = x[3 * sx] + x[4 * sx], difference_b = x[3 * sx] - x[4 * sx];
    y[0] = x[0] + sum_a + sum_b;
    y[sy] = difference_a * A4 + difference_b * B4;
    y[2 * sy] = sum_a * AA4 + sum_b * BB4;
    y[3 * sy] = difference_a * (A4 * AA4) + difference_b * (B4 * BB4) + x[5 * sx];
}

/* F(6)'s points are 0.5, 1 and 2. */
#define A6 0.5f
#define B6 1.0f
#define C6 2.0f
#define AA6 (A6 * A6)
#define BB6 (B6 * B6)
#define CC6 (C6 * C6)
#define S1_6 (AA6 + BB6 + CC6)
#define S2_6 (AA6 * BB6 + BB6 * CC6 + CC6 * AA6)
#define S3_6 (AA6 * BB6 * CC6)

INLINE void forward6(const vec *x, const int sx, vec *y, const int sy)
{
    vec x0 = x[0], x1 = x[sx], x2 = x[2 * sx], x3 = x[3 * sx], x4 = x[4 * sx], x5 = x[5 * sx],
        x6 = x[6 * sx], x7 = x[7 * sx];
    vec even_a = x6 - x4 * (BB6 + CC6) + x2 * (BB6 * CC6);
    vec odd_a = x5 - x3 * (BB6 + CC6) + x1 * (BB6 * CC6);
    vec even_b = x6 - x4 * (CC6 + AA6) + x2 * (CC6 * AA6);
    vec odd_b = x5 - x3 * (CC6 + AA6) + x1 * (CC6 * AA6);
    vec even_c = x6 - x4 * (AA6 + BB6) + x2 * (AA6 * BB6);
    vec odd_c = x5 - x3 * (AA6 + BB6) + x1 * (AA6 * BB6);
    y[0] = x6 - x4 * S1_6 + x2 * S2_6 - x0 * S3_6;
    y[sy] = even_a + odd_a * A6;
    y[2 * sy] = even_a - odd_a * A6;
    y[3 * sy] = even_b + odd_b * B6;
    y[4 * sy] = even_b - odd_b * B6;
    y[5 * sy] = even_c + odd_c * C6;
    y[6 * sy] = even_c - odd_c * C6;
    y[7 * sy] = x7 - x5 * S1_6 + x3 * S2_6 - x1 * S3_6;
}

/* 8 to 6. */
INLINE void inverse6(const vec *x, const int sx, vec *y, const int sy)
{
    vec sum_a = x[sx] + x[2 * sx], difference_a = x[sx] - x[2 * sx];
    vec sum_b = x[3 * sx] + x[4 * sx], difference_b = x[3 * sx] - x[4 * sx];
    vec sum_c = x[5 * sx] + x[6 * sx], difference_c = x[5 * sx] - x[6 * sx];
    y[0] = x[0] + sum_a + sum_b + sum_c;
    y[sy] = difference_a * A6 + difference_b * B6 + difference_c * C6;
    y[2 * sy] = sum_a * AA6 + sum_b * BB6 + sum_c * CC6;
    y[3 * sy] = difference_a * (A6 * AA6) + difference_b * (B6 * BB6) + difference_c * (C6 * CC6);
    y[4 * sy] = sum_a * (AA6 * AA6) + sum_b * (BB6 * BB6) + sum_c * (CC6 * CC6);
    y[5 * sy] = difference_a * (A6 * AA6 * AA6) + difference_b * (B6 * BB6 * BB6) +
                difference_c * (C6 * CC6 * CC6) + x[7 * sx];
}

/* --- a tile: columns, then rows ------------------------------------------------ */

INLINE void forward(const int m, const vec *x, const int sx, vec *y, const int sy)
{
    if (m == 4)
        forward4(x, sx, y, sy);
    else
        forward6(x, sx, y, sy);
}

INLINE void inverse(const int m, const vec *x, const int sx, vec *y, const int sy)
{
    if (m == 4)
        inverse4(x, sx, y, sy);
    else
        inverse6(x, sx, y, sy);
}

/* `part`: 0, or how many of the vector's channels exist. */
INLINE void input_vector(const struct adl_winograd_input *t, size_t c, const int m, size_t part)
{
    const int n = m + 2;
    vec half[64], line[8];

#pragma GCC unroll 8
    for (int j = 0; j < n; j++) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            const float *from = t->pixels[i * n + j] + c;
            line[i] = part ? vec_load_part(from, part) : vec_load(from);
        }
        forward(m, line, 1, half + j, n);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        forward(m, half + i * n, 1, line, 1);
#pragma GCC unroll 8
        for (int j = 0; j < n; j++)
            vec_store(t->v + (size_t)(i * n + j) * t->step + c, line[j]);
    }
}

INLINE void input_tile(const struct adl_winograd_input *t, const int m)
{
    size_t c = 0;
    for (; c + VEC <= t->channels; c += VEC)
        input_vector(t, c, m, 0);
    if (c < t->channels)
        input_vector(t, c, m, t->channels - c);
}

INLINE void output_vector(const struct adl_winograd_output *t, size_t c, const int m, size_t part)
{
    const int n = m + 2;
    vec half[48], line[8] = {0};
    vec bias = vec_load(t->bias + c);

#pragma GCC unroll 8
    for (int j = 0; j < n; j++) {
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            line[i] = vec_load(t->m + (size_t)(i * n + j) * t->step + c);
        inverse(m, line, 1, half + j, n);
    }
    for (int i = 0; i < t->rows; i++) {
        float *out = t->out + (size_t)i * t->out_row + c;
        const float *residual = t->residual ? t->residual + (size_t)i * t->residual_row + c : 0;
        inverse(m, half + i * n, 1, line, 1);
        for (int j = 0; j < t->columns; j++) {
            vec y = line[j] + bias;
            if (residual) {
                const float *from = residual + (size_t)j * t->ldr;
                y += part ? vec_load_part(from, part) : vec_load(from);
            }
            y = vec_clamp(y, t->lo, t->hi);
            if (part)
                vec_store_part(out + (size_t)j * t->ldo, part, y);
            else
                vec_store(out + (size_t)j * t->ldo, y);
        }
    }
}

INLINE void output_tile(const struct adl_winograd_output *t, const int m)
{
    size_t c = 0;
    for (; c + VEC <= t->channels; c += VEC)
        output_vector(t, c, m, 0);
    if (c < t->channels)
        output_vector(t, c, m, t->channels - c);
}

static void input4(const struct adl_winograd_input *tile)
{
    input_tile(tile, 4);
}

static void output4(const struct adl_winograd_output *tile)
{
    output_tile(tile, 4);
}

static void input6(const struct adl_winograd_input *tile)
{
    input_tile(tile, 6);
}

static void output6(const struct adl_winograd_output *tile)
{
    output_tile(tile, 6);
}

#endif
