#ifndef ADL_KERNELS_CONV_H
#define ADL_KERNELS_CONV_H

/* Convolutions of one image, built from the kernels of kernel.h. There are several
 * algorithms in the files conv_*.c, which define how the weights of an algorithm are
 * packed and how its work is divided into tasks. The division depends only on the shape,
 * never on the number of threads, and each output is computed by one task, so that
 * results are bit-identical for any number of threads.
 *
 * Shape letters: the input map is H x W x C, the output map P x Q x K, the kernel
 * R x S. All maps are NHWC; a pointer and a leading dimension ("ld", the floats from
 * one pixel to the next) describe a map that may be a slice of a wider one. */

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernel.h"

/* How the weights are held. The maps of the algorithms below are always float32, and so are their
 * sums; those of ADL_PRECISION_BF16 round the weights to bfloat16 (bf16.h), one also what it reads
 * of a map, and a plan chooses them only if its options ask for just that precision. Maps of bytes
 * are for conv_int8.h. */
enum adl_precision { ADL_PRECISION_F32, ADL_PRECISION_BF16, ADL_PRECISION_INT8 };

/* One convolution: out = activation(clamp(conv(x) + bias + residual, lo, hi)). */
struct adl_conv {
    int h, w, c; /* input map; channels of all groups */
    int p, q, k; /* output map; channels of all groups */
    int r, s, stride;
    int pad_top, pad_left; /* padding at the bottom and right follows from p, q */
    int groups;
    int gap; /* pixels left out between the taps of a kernel: the dilation less 1; with one group */
    /* The output map that the weights were packed for, whose layout may depend on it; 0: P x Q. */
    int packed_p, packed_q;
    size_t ldx, ldo, ldr;         /* leading dimensions: input, output, residual */
    float lo, hi;                 /* -INFINITY, INFINITY: no clamp */
    enum adl_precision precision; /* of the plan */
    bool accumulate;              /* out += conv(x), without bias and residual */
    enum adl_curve curve;         /* the activation; algorithms that do not say `activates` leave it
                                   * to the caller */
    float curve_a, curve_b;
};

/* Data of an algorithm of conv_winograd.c. */
struct adl_winograd_variant {
    int points;   /* interpolation points per side of a tile, n = m + r - 1: 6 or 8 */
    bool compact; /* weights are transformed whenever they are used, else once in `pack` */
    bool bf16;    /* compact weights are in bfloat16 */
};

/* One algorithm. Every function takes the algorithm that it is called through as
 * `self`; the two data fields distinguish algorithms that share their functions. All
 * functions but `supports` may be called only for a convolution that is supported.
 *
 * To run a convolution: `pack` once; then for each image the tasks of `prepare`, if
 * there are any, in any order and on any thread, and after all of them those of
 * `run`. */
struct adl_conv_algorithm {
    const char *name;
    enum adl_precision precision;
    bool rounds_map;                      /* conv_dot.c: rounds the map as it does the weights */
    bool activates;                       /* applies adl_conv.curve to what is still in the cache */
    int strassen_levels;                  /* conv_strassen.c: 1 or 2 */
    struct adl_winograd_variant winograd; /* conv_winograd.c */

    bool (*supports)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                     const struct adl_kernels *kernels);
    /* Returns the estimated time of one image, in the unit of conv_cost.h. */
    double (*cost)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                   const struct adl_kernels *kernels);
    /* Returns the size of the packed weights and biases. */
    size_t (*packed_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    /* Packs `weights` (K x C/groups x R x S, as in PyTorch) and `bias` (K) into
     * `packed` (packed_floats, 64-byte aligned). The weights of output channel k are
     * multiplied by scale[k], the factor of a folded batch norm. */
    void (*pack)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed);
    /* Return the number of tasks of `run`, and the size of the scratch memory of one task of
     * `prepare` or `run`. */
    size_t (*tasks)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                    const struct adl_kernels *kernels);
    size_t (*scratch_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels);
    /* Some algorithms first compute data that all tasks of `run` read, such as a transform of
     * the whole input. The tasks 0 .. prepare_tasks-1 of `prepare` write it to `shared`
     * (shared_floats, 64-byte aligned), and `run` is then given `shared` instead of the input
     * as its x. In other algorithms the three functions are NULL or prepare_tasks returns 0. */
    size_t (*shared_floats)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    size_t (*prepare_tasks)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels);
    void (*prepare)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, const float *x, float *shared, size_t task,
                    float *scratch);
    /* Runs one of the tasks 0 .. tasks-1. x, residual (NULL: none) and out point to
     * the whole maps. scratch (scratch_floats, 64-byte aligned) belongs to the calling
     * thread; its contents are lost. */
    void (*run)(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch);
};

/* All algorithms; ROW(name) stands for adl_conv_NAME. To add one, write a file that
 * defines it and add a row here. Ties between estimated costs go to the earlier row.
 *
 *     depthwise                groups = C = K
 *     grouped                  groups of few channels
 *     gemm                     packed matrix product with our own kernels; any shape
 *     winograd6, winograd8     stride 1, tiles of 6 or 8 points per side: F(4x4, 3x3) or
 *                              F(6x6, 3x3) for a 3x3 kernel
 *     winograd6c, winograd8c   as winograd6 and winograd8, but "compact": packed weights have
 *                              their original size and are transformed when they are used
 *     gemm_bf16, winograd6_bf16, winograd8_bf16
 *                              as gemm, winograd6c and winograd8c, with weights in bfloat16
 *     dot_bf16                 products of bfloat16 numbers, where the processor has them
 *     strassen, strassen2      dense 1x1 in one or two levels: 7/8 or 49/64 of the
 *                              multiplications
 *     lines                    few input channels, as in the first layer
 *     blas                     OpenBLAS; any shape, on any machine */
#define ADL_CONV_ALGORITHMS(ROW)                                                                   \
    ROW(depthwise)                                                                                 \
    ROW(grouped)                                                                                   \
    ROW(gemm)                                                                                      \
    ROW(winograd6)                                                                                 \
    ROW(winograd8)                                                                                 \
    ROW(winograd6c)                                                                                \
    ROW(winograd8c)                                                                                \
    ROW(gemm_bf16)                                                                                 \
    ROW(winograd6_bf16)                                                                            \
    ROW(winograd8_bf16)                                                                            \
    ROW(dot_bf16)                                                                                  \
    ROW(strassen)                                                                                  \
    ROW(strassen2)                                                                                 \
    ROW(lines)                                                                                     \
    ROW(blas)

#define ADL_CONV_DECLARE(name) extern const struct adl_conv_algorithm adl_conv_##name;
ADL_CONV_ALGORITHMS(ADL_CONV_DECLARE)

#define ADL_CONV_COUNT(name) +1
enum { ADL_CONV_ALGORITHM_COUNT = 0 ADL_CONV_ALGORITHMS(ADL_CONV_COUNT) };
extern const struct adl_conv_algorithm *const adl_conv_algorithms[ADL_CONV_ALGORITHM_COUNT];

/* Computes the rows line0 .. line0+lines-1 of a depthwise convolution's output.
 * `packed` is as adl_conv_depthwise packs it; x is the whole input map, out the first
 * of these rows, with ldo floats from pixel to pixel. */
void adl_depthwise_lines(const struct adl_conv *conv, const struct adl_kernels *kernels,
                         const float *packed, const float *x, int line0, int lines, float *out,
                         size_t ldo, float lo, float hi);

/* Computes the output pixels row0 .. row0+rows-1 of a dense 1x1 convolution whose
 * weights `self`, adl_conv_gemm or adl_conv_gemm_bf16, packed. a: the inputs of these pixels, lda
 * floats apart; residual (NULL: none) and out: the whole maps. */
void adl_gemm_rows(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                   const struct adl_kernels *kernels, const float *packed, const float *a,
                   size_t lda, size_t row0, size_t rows, const float *residual, float *out);

/* Compute a depthwise convolution and the 1x1 convolution ("pointwise") of its output in one
 * step, without the map between them in memory (conv_separable.c). The two weights are
 * packed by adl_conv_depthwise and `product`, which is adl_conv_gemm or adl_conv_gemm_bf16; tasks
 * and scratch are as for adl_conv_algorithm. */
bool adl_separable_supports(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                            const struct adl_kernels *kernels);
size_t adl_separable_tasks(const struct adl_conv *depthwise);
size_t adl_separable_scratch_floats(const struct adl_conv *depthwise);
void adl_separable_run(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                       const struct adl_conv_algorithm *product, const struct adl_kernels *kernels,
                       const float *packed_depthwise, const float *packed_pointwise, const float *x,
                       const float *residual, float *out, size_t task, float *scratch);

/* The left factor of a convolution written as a matrix product ("im2col"): row m is
 * output pixel m = pQ + q, column l = (rS + s) C/groups + c is an input value, zero in
 * the padding; a gap between the taps of the kernel counts. Copies the rows row0 .. row0+rows-1 and
 * of these the columns column0 .. column0+count-1 of one group to dst, with ldd floats from row to
 * row. */
void adl_conv_copy_rows(const struct adl_conv *conv, const float *x, int group, size_t row0,
                        size_t rows, size_t column0, size_t count, float *dst, size_t ldd);

/* Applies the activation of a convolution, if it has one, to some channels of some pixels, with ldo
 * floats from pixel to pixel. */
void adl_conv_activate(const struct adl_conv *conv, const struct adl_kernels *kernels, float *out,
                       size_t ldo, size_t pixels, size_t channels);

/* Returns how many of `tiles` row tiles a block of them has, about `wanted`, so that all blocks are
 * of about the same size: a last one of a single tile would read all weights for it. */
size_t adl_conv_block_tiles(size_t tiles, size_t wanted);
/* Returns the depth of that matrix product, R S C/groups. */
size_t adl_conv_depth(const struct adl_conv *conv);
/* Returns whether the input map is the left factor, one row for each pixel: a 1x1 kernel
 * at stride 1 without padding. */
bool adl_conv_is_product(const struct adl_conv *conv);

/* Returns a leading dimension for rows of `floats` values in scratch memory: whole cache
 * lines plus one, so that the values of a column in successive rows fall into different cache
 * sets even if the length is a power of two. */
size_t adl_conv_padded_row(size_t floats);

#endif
