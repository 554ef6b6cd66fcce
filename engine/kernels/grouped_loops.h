#ifndef ADL_KERNELS_GROUPED_LOOPS_H
#define ADL_KERNELS_GROUPED_LOOPS_H

/* Convolution in groups of few channels, written for the type `vec` as map_loops.h is. kernel.h
 * specifies the kernel. Beside the names of an instruction set's *_vec.h the including file defines
 *
 *     GROUPED_PIXELS    the most pixels of a tile, as many as there are registers for: 10 or 14
 *
 * A tile is some pixels of a line and one vector of output channels, with an accumulator for each
 * pixel. For each row of the kernel and each input channel of a group the S vectors of weights are
 * loaded once, and each pixel of the input that the tile needs is loaded once and goes, with up to
 * S of them, into as many accumulators: written as a matrix product it would be loaded S times. If
 * the vector is a part of one group, what is loaded is one number for all lanes. If it holds
 * several groups, it is a vector of the input, of which each lane picks the number of its own
 * group (VEC_PICKS in the *_vec.h). */

#include "kernels/kernel.h"

#ifdef ADL_SMALL_TILES /* set by a sanitizer's build, whose checks take long to compile */
#undef GROUPED_PIXELS
#define GROUPED_PIXELS 3
#endif

/* Adds the products of the S taps of one row of the kernel and one input channel; x is the first
 * pixel of the tile. m, picks, s and stride are constants at each call; s and stride are 0 where
 * they are not. */
INLINE void grouped_taps(const struct adl_grouped_line *j, const float *x, const float *weight,
                         const size_t c, vec *acc, const int m, const int picks, const int s,
                         const int stride)
{
#if VEC_PICKS
    const vec_index lanes = picks ? vec_index_at(j->lanes) + (int)c : (vec_index){0};
#define GROUPED_LOAD(p) (picks ? vec_pick(vec_load(p), lanes) : vec_set1((p)[c]))
#else
    (void)picks;
#define GROUPED_LOAD(p) vec_set1((p)[c])
#endif
    if (s == 3) {
        const vec w[3] = {vec_load(weight), vec_load(weight + VEC), vec_load(weight + 2 * VEC)};
#pragma GCC unroll 32
        for (int column = 0; column < (m - 1) * stride + 3; column++) {
            const vec v = GROUPED_LOAD(x + (size_t)column * j->ld);
#pragma GCC unroll 3
            for (int tap = 0; tap < 3; tap++)
                if (column >= tap && (column - tap) % stride == 0 && (column - tap) / stride < m)
                    acc[(column - tap) / stride] =
                        vec_fmadd(v, w[tap], acc[(column - tap) / stride]);
        }
        return;
    }
    const size_t step = (size_t)j->stride * j->ld;
    for (int tap = 0; tap < j->s; tap++, x += j->ld, weight += VEC) {
        const vec w = vec_load(weight);
#pragma GCC unroll 32
        for (int i = 0; i < m; i++)
            acc[i] = vec_fmadd(GROUPED_LOAD(x + (size_t)i * step), w, acc[i]);
    }
#undef GROUPED_LOAD
}

/* Computes the sums of `m` pixels from column `q` on, beginning with `start`. */
INLINE void grouped_tile(const struct adl_grouped_line *j, const int q, vec start, vec *sums,
                         const int m, const int picks, const int s, const int stride)
{
    const float *x = j->x + (size_t)(q * j->stride) * j->ld, *weight = j->weight;
    vec acc[GROUPED_PIXELS];

#pragma GCC unroll 32
    for (int i = 0; i < m; i++)
        acc[i] = start;
    for (int r = 0; r < j->r; r++, x += j->row)
        for (size_t c = 0; c < j->depth; c++, weight += (size_t)j->s * VEC)
            grouped_taps(j, x, weight, c, acc, m, picks, s, stride);
#pragma GCC unroll 32
    for (int i = 0; i < m; i++)
        sums[i] = acc[i];
}

/* Loads and stores whole vectors, or the n channels that exist. */
INLINE vec grouped_load(const float *p, size_t n)
{
    return n < VEC ? vec_load_part(p, n) : vec_load(p);
}

static void ISA(grouped_store)(const struct adl_grouped_line *j, int q, const vec *sums, int m)
{
    for (int i = 0; i < m; i++) {
        float *out = j->out + (size_t)(q + i) * j->ldo;
        vec v = sums[i];
        if (j->accumulate)
            v += grouped_load(out, j->n);
        if (j->residual)
            v += grouped_load(j->residual + (size_t)(q + i) * j->ldr, j->n);
        v = vec_clamp(v, j->lo, j->hi);
        if (j->n < VEC)
            vec_store_part(out, j->n, v);
        else
            vec_store(out, v);
    }
}

/* Divides the line into as few tiles as possible, all of about equal width. */
INLINE void grouped_line(const struct adl_grouped_line *j, const int picks, const int s,
                         const int stride)
{
    int tiles = (j->q + GROUPED_PIXELS - 1) / GROUPED_PIXELS, m;
    const vec start = j->accumulate ? vec_set1(0) : vec_load(j->bias);
    vec sums[GROUPED_PIXELS];

    for (int i = 0, q = 0; i < tiles; i++, q += m) {
        m = (j->q - q) / (tiles - i);
        switch (m) {
#define CASE(n)                                                                                    \
    case n: grouped_tile(j, q, start, sums, n, picks, s, stride); break;
            CASE(1)
            CASE(2)
            CASE(3)
#if GROUPED_PIXELS >= 10
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
#endif
#if GROUPED_PIXELS >= 14
            CASE(11)
            CASE(12)
            CASE(13)
            CASE(14)
#endif
#undef CASE
        }
        ISA(grouped_store)(j, q, sums, m);
    }
}

/* Functions of their own, because each has a tile of every width. */
static __attribute__((noinline)) void ISA(grouped_3_1)(const struct adl_grouped_line *j)
{
    grouped_line(j, 0, 3, 1);
}

static __attribute__((noinline)) void ISA(grouped_3_2)(const struct adl_grouped_line *j)
{
    grouped_line(j, 0, 3, 2);
}

static __attribute__((noinline)) void ISA(grouped_any)(const struct adl_grouped_line *j)
{
    grouped_line(j, 0, 0, 0);
}

#if VEC_PICKS
static __attribute__((noinline)) void ISA(grouped_picks_3_1)(const struct adl_grouped_line *j)
{
    grouped_line(j, 1, 3, 1);
}

static __attribute__((noinline)) void ISA(grouped_picks_3_2)(const struct adl_grouped_line *j)
{
    grouped_line(j, 1, 3, 2);
}

static __attribute__((noinline)) void ISA(grouped_picks_any)(const struct adl_grouped_line *j)
{
    grouped_line(j, 1, 0, 0);
}
#endif

static void ISA(grouped)(const struct adl_grouped_line *j)
{
    const int stride = j->s == 3 && j->stride <= 2 ? j->stride : 0;
#if VEC_PICKS
    if (j->lanes) {
        if (stride == 1)
            ISA(grouped_picks_3_1)(j);
        else if (stride == 2)
            ISA(grouped_picks_3_2)(j);
        else
            ISA(grouped_picks_any)(j);
        return;
    }
#endif
    if (stride == 1)
        ISA(grouped_3_1)(j);
    else if (stride == 2)
        ISA(grouped_3_2)(j);
    else
        ISA(grouped_any)(j);
}

#endif
