#ifndef ADL_KERNELS_WINOGRAD_LOOPS_H
#define ADL_KERNELS_WINOGRAD_LOOPS_H

/* Computes the transforms of Winograd convolution, written for a vector type: each instruction
 * set's file includes this header after it has defined
 *
 *     ISA(name)     the name with the instruction set as prefix
 *     vec, VEC      the type, to which GCC's operators apply, and the number of its floats
 *     INLINE        static, always inlined
 *     vec_load(p), vec_store(p, v)               whole vectors
 *     vec_load_part(p, n), vec_store_part(p, n, v)  the first n < VEC floats
 *     vec_clamp(v, lo, hi)
 *     NR            columns of a panel of weights, a multiple of VEC
 *
 * Everything here is static, so that no wide instruction can leak into another file
 * through the linker. The formulas are in winograd.h.
 *
 * One transform of two dimensions is the transform of one dimension applied to the
 * columns of a tile and then to its rows. All channels of a vector are transformed at
 * once, so there are no shuffles. */

#include "kernels/winograd.h"

/* The compiler is meant to evaluate most of the following functions. The number of points,
 * the subset and the outputs are constants at each call, and loops over them are unrolled, so
 * that only the multiplications by the coefficients of a transform remain at run time.
 *
 * The n points of a side are 0, the pairs +-p, and infinity, in this order; pair i has
 * the positions 1 + 2i and 2 + 2i. A subset of `size` points leaves out some pairs. */

#define UNROLL _Pragma("GCC unroll 8")

INLINE float pair_point(const int n, const int i)
{
    const float six[] = ADL_WINOGRAD_PAIRS6, eight[] = ADL_WINOGRAD_PAIRS8;
    return n == 6 ? six[i] : eight[i];
}

/* Returns the index of the subset's i-th pair. */
INLINE int subset_pair(const int n, const int size, const int i)
{
    if (n == 8 && size == 6)
        return 2 * i;
    return n == 8 && size == 4 ? 1 : i;
}

/* Returns the subset's i-th position. */
INLINE int subset_position(const int n, const int size, const int i)
{
    if (i == 0)
        return 0;
    if (i == size - 1)
        return n - 1;
    return 1 + 2 * subset_pair(n, size, (i - 1) / 2) + (i - 1) % 2;
}

/* Computes the coefficients c of the product of (z - p^2) over the subset's pairs except
 * `skip` (-1: none). With z the square of a point this is the part of M that the pairs
 * contribute. Returns the number of coefficients. */
INLINE int even_polynomial(const int n, const int size, const int skip, float *c)
{
    int degree = 0;
    c[0] = 1;
    UNROLL for (int i = 0; i < (size - 2) / 2; i++)
    {
        const float p = pair_point(n, subset_pair(n, size, i));
        if (i == skip)
            continue;
        c[degree + 1] = c[degree];
        UNROLL for (int k = degree; k > 0; k--) c[k] = c[k - 1] - p * p * c[k];
        c[0] = -p * p * c[0];
        degree++;
    }
    return degree + 1;
}

/* Returns the product of the factors that the denominators of G contain, at the point with
 * this square, for the points that a subset leaves out. The weights are transformed for all n
 * points, so the input is multiplied by this product to make up for them. */
INLINE float omitted_factor(const int n, const int size, const float square)
{
    float product = 1;
    UNROLL for (int pair = 0; pair < (n - 2) / 2; pair++)
    {
        int kept = 0;
        UNROLL for (int i = 0; i < (size - 2) / 2; i++) kept |= subset_pair(n, size, i) == pair;
        const float p = pair_point(n, pair);
        if (!kept)
            product *= square - p * p;
    }
    return product;
}

/* Computes y = B' x for the subset, from `size` vectors to as many. The coefficients of
 * M(z) / (z - p) and M(z) / (z + p) agree but for the signs of the odd ones: `even` and
 * `odd` are computed once for both. */
INLINE void forward(const int n, const int size, const vec *x, vec *y)
{
    float c[4];
    if (size == 1) {
        y[0] = x[0];
        return;
    }
    const int terms = even_polynomial(n, size, -1, c);
    const float scale = omitted_factor(n, size, 0);
    y[0] = x[0] * (c[0] * scale);
    y[size - 1] = x[1] * c[0];
    UNROLL for (int k = 1; k < terms; k++)
    {
        y[0] += x[2 * k] * (c[k] * scale);
        y[size - 1] += x[2 * k + 1] * c[k];
    }
    UNROLL for (int i = 0; i < (size - 2) / 2; i++)
    {
        const float p = pair_point(n, subset_pair(n, size, i));
        const float pair_scale = omitted_factor(n, size, p * p);
        const int pair_terms = even_polynomial(n, size, i, c);
        vec even = x[2] * (c[0] * pair_scale), odd = x[1] * (c[0] * pair_scale);
        UNROLL for (int k = 1; k < pair_terms; k++)
        {
            even += x[2 * k + 2] * (c[k] * pair_scale);
            odd += x[2 * k + 1] * (c[k] * pair_scale);
        }
        y[1 + 2 * i] = even + odd * p;
        y[2 + 2 * i] = even - odd * p;
    }
}

/* Computes y = A' x for the subset, from `size` vectors to `m`. Even powers of the points of a pair
 * are equal and odd ones opposite, so sums and differences are taken first. */
INLINE void inverse(const int n, const int size, const int m, const vec *x, vec *y)
{
    vec sums[3], differences[3];
    if (size == 1) {
        y[0] = x[0];
        return;
    }
    UNROLL for (int i = 0; i < (size - 2) / 2; i++)
    {
        sums[i] = x[1 + 2 * i] + x[2 + 2 * i];
        differences[i] = x[1 + 2 * i] - x[2 + 2 * i];
    }
    UNROLL for (int k = 0; k < m; k++)
    {
        vec sum = x[0];
        UNROLL for (int i = 0; i < (size - 2) / 2; i++)
        {
            const float p = pair_point(n, subset_pair(n, size, i));
            float power = 1;
            UNROLL for (int j = 0; j < k; j++) power *= p;
            vec term = (k % 2 ? differences[i] : sums[i]);
            if (i == 0 && k > 0)
                sum = term * power;
            else
                sum += term * power;
        }
        if (k == m - 1)
            sum += x[size - 1];
        y[k] = sum;
    }
}

/* --- a tile of the input: its columns, then its rows --------------------------------- */

INLINE void input_columns(const struct adl_winograd_input *t, size_t c, size_t part, const int n,
                          const int size, vec *half)
{
    const float *const *pixels = t->pixels;
    for (int j = 0; j < t->columns; j++) {
        vec x[8], y[8];
        UNROLL for (int i = 0; i < size; i++)
        {
            const float *from = pixels[i * t->columns + j] + c;
            x[i] = part ? vec_load_part(from, part) : vec_load(from);
        }
        forward(n, size, x, y);
        UNROLL for (int i = 0; i < size; i++) half[i * 8 + j] = y[i];
    }
}

INLINE void input_rows(const struct adl_winograd_input *t, size_t c, const int n, const int size,
                       const vec *half)
{
    for (int i = 0; i < t->rows; i++) {
        vec y[8];
        float *to = t->v + (size_t)(t->row_positions[i] * n) * t->step + c;
        forward(n, size, half + i * 8, y);
        UNROLL for (int j = 0; j < size; j++)
            vec_store(to + (size_t)subset_position(n, size, j) * t->step, y[j]);
    }
}

INLINE void input_vector(const struct adl_winograd_input *t, size_t c, size_t part)
{
    vec half[64];

    switch (t->row_points * 16 + t->rows) {
    case 1 * 16 + 1: input_columns(t, c, part, 1, 1, half); break;
    case 6 * 16 + 6: input_columns(t, c, part, 6, 6, half); break;
    case 6 * 16 + 4: input_columns(t, c, part, 6, 4, half); break;
    case 8 * 16 + 8: input_columns(t, c, part, 8, 8, half); break;
    case 8 * 16 + 6: input_columns(t, c, part, 8, 6, half); break;
    case 8 * 16 + 4: input_columns(t, c, part, 8, 4, half); break;
    }
    switch (t->column_points * 16 + t->columns) {
    case 1 * 16 + 1: input_rows(t, c, 1, 1, half); break;
    case 6 * 16 + 6: input_rows(t, c, 6, 6, half); break;
    case 6 * 16 + 4: input_rows(t, c, 6, 4, half); break;
    case 8 * 16 + 8: input_rows(t, c, 8, 8, half); break;
    case 8 * 16 + 6: input_rows(t, c, 8, 6, half); break;
    case 8 * 16 + 4: input_rows(t, c, 8, 4, half); break;
    }
}

static void ISA(winograd_input)(const struct adl_winograd_input *t)
{
    size_t c = 0;
    for (; c + VEC <= t->channels; c += VEC)
        input_vector(t, c, 0);
    if (c < t->channels)
        input_vector(t, c, t->channels - c);
}

/* --- a tile of the output: its columns, then its rows ------------------------------- */

INLINE void output_columns(const struct adl_winograd_output *t, size_t c, const int n,
                           const int size, const int m, vec *half)
{
    for (int j = 0; j < t->columns; j++) {
        vec x[8], y[8];
        const float *from = t->m + t->column_positions[j] * t->step + c;
        UNROLL for (int i = 0; i < size; i++) x[i] =
            vec_load(from + (size_t)(subset_position(n, size, i) * t->column_points) * t->step);
        inverse(n, size, m, x, y);
        UNROLL for (int i = 0; i < m; i++) half[i * 8 + j] = y[i];
    }
}

/* Sets y[j] to zero if bit j of `zeros` is set; values that are not finite become NaN. */
INLINE void clear(vec *y, const int m, uint64_t zeros)
{
    UNROLL for (int j = 0; j < m; j++) if (zeros >> j & 1) y[j] -= y[j];
}

INLINE void output_rows(const struct adl_winograd_output *t, size_t c, size_t part, const int n,
                        const int size, const int m, const int clears, const vec *half)
{
    vec bias = vec_load(t->bias + c);
    uint64_t zeros = t->zeros;

    for (int i = 0; i < t->height; i++) {
        vec y[8];
        float *out = t->out + (size_t)i * t->out_row + c;
        const float *residual = t->residual ? t->residual + (size_t)i * t->residual_row + c : 0;
        inverse(n, size, m, half + i * 8, y);
        if (clears)
            clear(y, m, zeros);
        zeros >>= 8;
        UNROLL for (int j = 0; j < m; j++)
        {
            if (j >= t->width)
                break;
            vec value = y[j] + bias;
            if (residual) {
                const float *from = residual + (size_t)j * t->ldr;
                value += part ? vec_load_part(from, part) : vec_load(from);
            }
            value = vec_clamp(value, t->lo, t->hi);
            if (part)
                vec_store_part(out + (size_t)j * t->ldo, part, value);
            else
                vec_store(out + (size_t)j * t->ldo, value);
        }
    }
}

/* All sides that occur: points, points of the subset, outputs (the subset's points
 * minus taps plus 1). */
#define SIDES(SIDE)                                                                                \
    SIDE(1, 1, 1)                                                                                  \
    SIDE(6, 6, 4)                                                                                  \
    SIDE(6, 6, 2)                                                                                  \
    SIDE(6, 4, 2)                                                                                  \
    SIDE(8, 8, 6)                                                                                  \
    SIDE(8, 6, 4)                                                                                  \
    SIDE(8, 4, 2)                                                                                  \
    SIDE(8, 8, 4)                                                                                  \
    SIDE(8, 6, 2)                                                                                  \
    SIDE(8, 8, 2)
#define SIDE_KEY(n, size, m) ((n)*256 + (size)*16 + (m))

/* Transforms a vector of channels of a tile. `clears`, a constant at each call, says whether
 * t->zeros has any bits. */
INLINE void output_vector(const struct adl_winograd_output *t, size_t c, size_t part,
                          const int clears)
{
    vec half[64];

#define SIDE(n, size, m)                                                                           \
    case SIDE_KEY(n, size, m): output_columns(t, c, n, size, m, half); break;
    switch (SIDE_KEY(t->row_points, t->rows, t->row_outputs)) {
        SIDES(SIDE)
    }
#undef SIDE
#define SIDE(n, size, m)                                                                           \
    case SIDE_KEY(n, size, m): output_rows(t, c, part, n, size, m, clears, half); break;
    switch (SIDE_KEY(t->column_points, t->columns, t->column_outputs)) {
        SIDES(SIDE)
    }
#undef SIDE
}

/* Handles tiles with outputs that see only zeros: a separate function, so that it takes no
 * registers from the frequent case. */
static __attribute__((noinline)) void ISA(winograd_output_zeros)(
    const struct adl_winograd_output *t)
{
    for (size_t c = 0; c < t->channels; c += VEC)
        output_vector(t, c, c + VEC <= t->channels ? 0 : t->channels - c, 1);
}

static void ISA(winograd_output)(const struct adl_winograd_output *t)
{
    size_t c = 0;
    if (t->zeros) {
        ISA(winograd_output_zeros)(t);
        return;
    }
    for (; c + VEC <= t->channels; c += VEC)
        output_vector(t, c, 0, 0);
    if (c < t->channels)
        output_vector(t, c, t->channels - c, 0);
}

/* --- weights: the columns of a kernel, then its rows -------------------------------- */

/* In double, so that transformed weights are rounded only once. */
typedef double wide __attribute__((vector_size(VEC * sizeof(double))));

/* Returns the inverse of a denominator of G, the product of the differences between a point
 * and all others: of the point 0 (pair -1), or of a point of a pair, for which both points give
 * one value. */
INLINE double denominator_inverse(const int n, const int pair)
{
    const float p = pair < 0 ? 0 : pair_point(n, pair);
    float product = pair < 0 ? 1 : 2 * p * p;
    UNROLL for (int i = 0; i < (n - 2) / 2; i++)
    {
        const float q = pair_point(n, i);
        if (i != pair)
            product *= p * p - q * q;
    }
    return 1 / (double)product;
}

/* Computes y = G x, from r vectors to n. */
INLINE void kernel_side(const int n, const int r, const wide *x, wide *y)
{
    if (n == 1) {
        y[0] = x[0];
        return;
    }
    y[0] = x[0] * denominator_inverse(n, -1);
    y[n - 1] = x[r - 1];
    UNROLL for (int i = 0; i < (n - 2) / 2; i++)
    {
        const double p = (double)pair_point(n, i), inverse_product = denominator_inverse(n, i);
        wide even = x[0], odd = x[1] * p;
        double power = p;
        UNROLL for (int j = 2; j < r; j++)
        {
            power *= p;
            if (j % 2)
                odd += x[j] * power;
            else
                even += x[j] * power;
        }
        even *= inverse_product;
        y[1 + 2 * i] = even + odd * inverse_product;
        y[2 + 2 * i] = even - odd * inverse_product;
    }
}

/* Transforms the columns of a kernel of r x s taps. */
INLINE void kernel_columns(const float *w, const int n, const int r, const int s, wide *half)
{
    UNROLL for (int j = 0; j < s; j++)
    {
        wide x[8], y[8];
        UNROLL for (int i = 0; i < r; i++) x[i] =
            __builtin_convertvector(vec_load(w + (i * s + j) * NR), wide);
        kernel_side(n, r, x, y);
        UNROLL for (int i = 0; i < n; i++) half[i * 8 + j] = y[i];
    }
}

INLINE void kernel_rows(const int rows, const int n, const int s, const wide *half, float *u,
                        size_t step)
{
    UNROLL for (int i = 0; i < rows; i++)
    {
        wide y[8];
        kernel_side(n, s, half + i * 8, y);
        UNROLL for (int j = 0; j < n; j++, u += step)
            vec_store(u, __builtin_convertvector(y[j], vec));
    }
}

/* All sides that occur: points, taps. */
#define KERNEL_SIDES(SIDE)                                                                         \
    SIDE(1, 1)                                                                                     \
    SIDE(6, 3)                                                                                     \
    SIDE(6, 5)                                                                                     \
    SIDE(8, 3)                                                                                     \
    SIDE(8, 5)                                                                                     \
    SIDE(8, 7)
#define KERNEL_KEY(n, r) ((n)*16 + (r))

INLINE void weights_vector(const struct adl_winograd_weights *t, const float *w, float *u)
{
    wide half[64];

#define SIDE(n, r)                                                                                 \
    case KERNEL_KEY(n, r): kernel_columns(w, n, r, t->s, half); break;
    switch (KERNEL_KEY(t->row_points, t->r)) {
        KERNEL_SIDES(SIDE)
    }
#undef SIDE
#define SIDE(n, s)                                                                                 \
    case KERNEL_KEY(n, s): kernel_rows(t->row_points, n, s, half, u, t->step); break;
    switch (KERNEL_KEY(t->column_points, t->s)) {
        KERNEL_SIDES(SIDE)
    }
#undef SIDE
}

/* Transforms 3x3 kernels: the most frequent case, in which every size is a constant. */
INLINE void weights_3x3(const struct adl_winograd_weights *t, const int n)
{
    for (size_t l = 0; l < t->depth; l++)
        for (size_t v = 0; v < NR; v += VEC) {
            wide half[64];
            kernel_columns(t->w + l * 9 * NR + v, n, 3, 3, half);
            kernel_rows(n, n, 3, half, t->u + l * NR + v, t->step);
        }
}

static void ISA(winograd_weights)(const struct adl_winograd_weights *t)
{
    size_t taps = (size_t)(t->r * t->s);

    if (taps == 9 && t->row_points == 6) {
        weights_3x3(t, 6);
    } else if (taps == 9 && t->row_points == 8) {
        weights_3x3(t, 8);
    } else {
        for (size_t l = 0; l < t->depth; l++)
            for (size_t v = 0; v < NR; v += VEC)
                weights_vector(t, t->w + l * taps * NR + v, t->u + l * NR + v);
    }
}

#endif
