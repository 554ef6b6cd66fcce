#ifndef ADL_KERNELS_BF16_H
#define ADL_KERNELS_BF16_H

/* Declares the kernels for bfloat16 (base/bf16.h), one table of them for each instruction set. At
 * inference only weights are in bfloat16: a few of them at a time are widened, which is exact, into
 * a buffer in the cache, multiplied there by the factor of a folded batch norm, and used by the
 * kernels of float32. So each algorithm has the same bits as its counterpart in float32 with the
 * rounded weights. In training only maps are (train/tape_run.c).
 *
 * Rows of `columns` weights are packed as columns/2 pairs of 16 bits: pair j holds column j in its
 * lower and column columns/2 + j in its upper half. A vector of pairs thus becomes two vectors of
 * float32, in their order, by a shift and by a mask.
 *
 * As kernel.h, this header is included by files compiled for wider instruction sets. */

#include <stddef.h>
#include <stdint.h>

struct adl_bf16_kernels {
    /* Rounds `rows` rows of `columns` values each, an even number, as adl_bf16_from_float() does,
     * to rows of pairs; with the same bits on every machine. */
    void (*round)(const float *x, size_t rows, size_t columns, uint32_t *pairs);
    /* out[i][j] = x[i][j] scale[j], for `rows` rows of pairs. */
    void (*widen)(const uint32_t *pairs, const float *scale, size_t rows, size_t columns,
                  float *out);
    /* The same for maps, in their order: rounds and widens `count` values. */
    void (*round_map)(const float *x, size_t count, uint16_t *out);
    void (*widen_map)(const uint16_t *x, size_t count, float *out);
};

#endif
