#ifndef ADL_KERNELS_CONV_H
#define ADL_KERNELS_CONV_H

/* Whole convolutions of one image, out of kernels: the ways there are to do
 * one ("algorithms"), each a file that knows how its weights are packed and
 * how the work falls into tasks. Tasks are fixed by the shape alone, so any
 * number of threads gives the same bits. */

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernel.h"

/* Arithmetic of the products; maps are float32 in any case. A lower one is an
 * algorithm of its own, with its own packed weights, in the list below; a plan
 * takes it where its options allow that precision. */
enum adl_precision { ADL_PRECISION_F32 };

/* What is computed: out = clamp(conv(x) + bias + residual). All maps NHWC. */
struct adl_conv {
    int h, w, c; /* input map, all groups */
    int p, q, k; /* output map, all groups */
    int r, s, stride;
    int pad_top, pad_left; /* the other two follow from p and q */
    int groups;
    size_t ldx, ldo, ldr; /* floats from pixel to pixel: input, output, residual */
    float lo, hi;
    enum adl_precision precision; /* the lowest that will do */
    bool accumulate;              /* add to what `out` holds; bias and residual are not used */
};

/* How the weights of a Winograd convolution are used. */
struct adl_winograd_variant {
    int points;   /* of a tile's side: 6 or 8 */
    bool compact; /* transformed each time they are used; else once, when they are packed */
};

/* One way to compute a convolution: functions, each of which takes the row it is
 * called through as `self`, and the data that tells apart algorithms which share
 * functions. */
struct adl_conv_algorithm {
    const char *name;
    enum adl_precision precision;
    int strassen_levels;                  /* conv_strassen.c: 1 or 2 */
    struct adl_winograd_variant winograd; /* conv_winograd.c */

    bool (*supports)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                     const struct adl_kernels *kernels);
    /* Expected time of a convolution that it supports, in the unit of conv_cost.h. */
    double (*cost)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                   const struct adl_kernels *kernels);
    /* Floats of the packed weights and bias. */
    size_t (*packed_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    /* weights: K x C/groups x R x S; each output channel is multiplied by
     * scale[k] on the way (a folded batch norm). packed: 64-byte aligned. */
    void (*pack)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed);
    size_t (*tasks)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                    const struct adl_kernels *kernels);
    size_t (*scratch_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels);
    /* What all tasks of a run have in common, where there is such a thing (else
     * NULL, or 0 tasks): made by the tasks of `prepare` in `shared`, 64-byte
     * aligned, before the first task of `run`, which then takes it as its x. */
    size_t (*shared_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    size_t (*prepare_tasks)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    void (*prepare)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, const float *x, float *shared, size_t task,
                    float *scratch);
    /* Task 0..tasks-1. residual may be NULL; scratch is the worker's own,
     * 64-byte aligned. */
    void (*run)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch);
};

/* All algorithms, a row each; ROW(name) stands for adl_conv_NAME. Where two should
 * take the same time, the earlier row is chosen. A new algorithm is a file that
 * defines it, and a row here.
 *
 *     depthwise              groups = c = k
 *     gemm                   our own tile kernel; any shape
 *     winograd6, winograd8   stride 1: tiles of 6 or 8 points a side, for a 3x3
 *                            kernel F(4x4, 3x3) or F(6x6, 3x3)
 *     winograd6c, winograd8c the same with weights in their original size,
 *                            transformed as they are used
 *     strassen, strassen2    dense 1x1, in one level or two: 7/8 or 49/64 of the
 *                            products
 *     lines                  few input channels
 *     blas                   OpenBLAS; any shape */
#define ADL_CONV_ALGORITHMS(ROW)                                                                   \
    ROW(depthwise)                                                                                 \
    ROW(gemm)                                                                                      \
    ROW(winograd6)                                                                                 \
    ROW(winograd8)                                                                                 \
    ROW(winograd6c)                                                                                \
    ROW(winograd8c)                                                                                \
    ROW(strassen)                                                                                  \
    ROW(strassen2)                                                                                 \
    ROW(lines)                                                                                     \
    ROW(blas)

#define ADL_CONV_DECLARE(name) extern const struct adl_conv_algorithm adl_conv_##name;
ADL_CONV_ALGORITHMS(ADL_CONV_DECLARE)

#define ADL_CONV_COUNT(name) +1
enum { ADL_CONV_ALGORITHM_COUNT = 0 ADL_CONV_ALGORITHMS(ADL_CONV_COUNT) };
extern const struct adl_conv_algorithm *const adl_conv_algorithms[ADL_CONV_ALGORITHM_COUNT];

/* Rows line0 .. line0+lines-1 of a depthwise convolution's output, packed as by
 * adl_conv_depthwise, `ldo` floats from pixel to pixel. */
void adl_depthwise_lines(const struct adl_conv *conv, const struct adl_kernels *kernels,
                         const float *packed, const float *x, int line0, int lines, float *out,
                         size_t ldo, float lo, float hi);

/* The matrix product of a 1x1 convolution, packed as by adl_conv_gemm, for the
 * output pixels row0 .. row0+rows-1, whose inputs lie at `a`, `lda` floats apart. */
void adl_gemm_rows(const struct adl_conv *conv, const struct adl_kernels *kernels,
                   const float *packed, const float *a, size_t lda, size_t row0, size_t rows,
                   const float *residual, float *out);

/* A depthwise convolution and the 1x1 convolution of its output in one step
 * (conv_separable.c), each packed as by its own algorithm; tasks and scratch as
 * for adl_conv_algorithm. */
bool adl_separable_supports(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                            const struct adl_kernels *kernels);
size_t adl_separable_tasks(const struct adl_conv *depthwise);
size_t adl_separable_scratch_floats(const struct adl_conv *depthwise);
void adl_separable_run(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                       const struct adl_kernels *kernels, const float *packed_depthwise,
                       const float *packed_pointwise, const float *x, const float *residual,
                       float *out, size_t task, float *scratch);

/* The product's view of the input: row m is output pixel m = p*Q + q, column l
 * = (r*S + s)*C/groups + c. Copies `rows` rows from row0, `count` columns from
 * column0, to dst with `ldd` floats between rows; padding is zero. */
void adl_conv_copy_rows(const struct adl_conv *conv, const float *x, int group, size_t row0,
                        size_t rows, size_t column0, size_t count, float *dst, size_t ldd);

/* Depth of the matrix product: C/groups R S. */
size_t adl_conv_depth(const struct adl_conv *conv);
/* Whether the input map itself is the left factor of the product, a row for each
 * pixel: 1x1 at stride 1 without padding. */
bool adl_conv_is_product(const struct adl_conv *conv);

/* Floats from row to row of a copy whose rows have `floats` of them: whole cache lines
 * and one more, so that rows fall into different cache sets. */
size_t adl_conv_padded_row(size_t floats);

#endif
