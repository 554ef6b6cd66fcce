#ifndef ADL_KERNELS_KERNEL_H
#define ADL_KERNELS_KERNEL_H

/* Declares the inner loops ("kernels"), one table of them for each instruction set. A kernel
 * works on plain pointers and strides; it allocates no memory and does not use tensors. This
 * header defines what each kernel computes; tests compare them with plain-C computations of the
 * same values.
 *
 * Every map is NHWC. In kernels for inference there are `ld` floats from one pixel to the next; ld
 * is larger than the number of channels if the map is a slice of a concatenated one. Maps of
 * training are dense unless a kernel takes an ld. Each output value
 * is computed by one fixed sequence of operations, whatever tile or thread it falls
 * into, so results do not depend on how the work is divided.
 *
 * NaN is propagated as in PyTorch: a clamp keeps it, a maximum of values of which one is NaN
 * is NaN, and in a backward pass it counts as not clamped. Algorithms that share products
 * between outputs (Strassen, Winograd) may spread values that are not finite to more outputs,
 * but never lose them.
 *
 * Files that are compiled for wider instruction sets include this header. It must not
 * define any function: the linker could keep the wide copy for the whole program,
 * which would then crash on a processor without those instructions. */

#include <stddef.h>

/* --- matrix product on packed panels ----------------------------------------- */

/* The greatest depth that a matrix product processes at a time, since a larger depth is divided
 * into about equal chunks, and the leading dimension of the rows that conv_gemm.c copies: somewhat
 * more, so that rows fall into different cache sets. */
#define ADL_GEMM_KC 256
#define ADL_GEMM_LDA 272

/* One register tile of a matrix product, m x n:
 *
 *     c[i][j] = clamp(init + sum over l of a[i][l] b[l][j] + residual[i][j], lo, hi)
 *
 * where init is c[i][j] (accumulate) or bias[j]. If the depth of a product is divided into
 * chunks, residual and clamp are passed with the last chunk only. */
struct adl_gemm_tile {
    const float *a; /* m rows of the left factor */
    size_t lda;
    const float *b; /* a panel: depth rows of nr floats, 64-byte aligned, zero beyond n */
    /* Memory that is needed after this tile, to be prefetched meanwhile: one cache line
     * for each step along the depth, next_step floats apart. NULL: nothing. */
    const float *next;
    size_t next_step;
    size_t depth;
    /* If a row of the left factor is not contiguous but consists of several segments of
     * `depth` floats each: their number, and the floats from the end of one to the start of
     * the next. 0 segments mean one. The whole depth is then segments * depth, and b has as
     * many rows. */
    size_t segments, segment_skip;
    float *c;
    size_t ldc;
    int m;             /* rows, 1..mr */
    int n;             /* columns that exist, 1..nr */
    const float *bias; /* nr floats; read unless accumulate */
    int accumulate;
    const float *residual; /* NULL: none */
    size_t ldr;
    float lo, hi; /* -INFINITY, INFINITY: no clamp */
};

/* --- depthwise convolution: one or two rows of the output ------------------------ */

/* With a filter of R x S (the fields r and s) and the output column y < q:
 * out[i][y][c] = clamp(bias[c] + sum over a < R, b < S of rows[i stride + a][y stride + b -
 * pad_left][c] weight[a S + b][c], lo, hi), for the output rows i < lines. */
struct adl_depthwise_rows {
    const float *const *rows; /* r + (lines - 1) * stride input rows; NULL: padding */
    int lines;                /* 1 or 2; two successive rows share most of their input */
    int r, s, stride, pad_left;
    int w; /* columns of the input map */
    size_t ldx;
    size_t channels;
    const float *weight; /* R S x channels */
    const float *bias;   /* channels */
    float *out;
    int q; /* columns of the output map */
    size_t ldo;
    size_t line; /* floats from one output row to the next */
    float lo, hi;
};

/* --- convolution in groups: one line of the output, a vector of channels ------------- */

/* With the output column y < q and the channel k < n of a vector of adl_kernels.lanes:
 * out[y][k] = clamp(bias[k] + sum over a < r, c < depth, b < s of x[a row + (y stride + b) ld +
 * first(k) + c] weight[((a depth + c) s + b) lanes + k] + residual[y][k], lo, hi). first(k) is
 * where the group of channel k begins, lanes[k] or 0. With `accumulate` the sum is added to
 * out[y][k], without the bias. */
struct adl_grouped_line {
    const float *x; /* r rows of pixels, zero in the padding */
    size_t ld;      /* floats from pixel to pixel; at least a vector if `lanes` is given */
    size_t row;     /* floats from row to row */
    int r, s, stride;
    size_t depth;        /* input channels of a group */
    const int *lanes;    /* of a vector that holds several groups, if `picks`; NULL: one group */
    const float *weight; /* r x depth x s vectors */
    const float *bias;   /* a vector */
    float *out;
    int q; /* columns of the output map */
    size_t ldo;
    size_t n; /* channels of the vector that exist */
    int accumulate;
    const float *residual; /* NULL: none */
    size_t ldr;
    float lo, hi;
};

/* --- pooling: one row of the output --------------------------------------------- */

/* The maximum over a window of size x size pixels, ignoring the padding, or the average,
 * counting the padding as zeros. */
struct adl_pool_row {
    const float *const *rows; /* `size` input rows; NULL: padding */
    int size, stride, pad_left;
    int w;
    size_t ldx;
    size_t channels;
    float *out;
    int q;
    size_t ldo;
};

/* --- element by element ------------------------------------------------------------ */

/* out = clamp(x scale[c] + shift[c] + residual, lo, hi). scale, shift and residual may
 * each be NULL, which leaves that part out. out may be x or residual. */
struct adl_pointwise {
    const float *x;
    size_t ldx;
    const float *scale;
    const float *shift;
    const float *residual;
    size_t ldr;
    float *out;
    size_t ldo;
    size_t pixels;
    size_t channels;
    float lo, hi;
};

/* out = (x - mean) / sqrt(variance + eps) scale[c] + shift[c], with the mean and the variance over
 * the channels of a pixel. scale and shift may each be NULL. out may be x. */
struct adl_layernorm_rows {
    const float *x;
    size_t ldx;
    const float *scale;
    const float *shift;
    float *out;
    size_t ldo;
    size_t pixels;
    size_t channels;
    float eps;
};

/* Functions of one element, of which some have numbers a and b. */
enum adl_curve {
    ADL_CURVE_NONE,         /* x */
    ADL_CURVE_HARD_SIGMOID, /* min(max(a x + b, 0), 1) */
    ADL_CURVE_HARD_SWISH,   /* x min(max(x / 6 + 1 / 2, 0), 1) */
    ADL_CURVE_SIGMOID,      /* 1 / (1 + exp(-x)) */
    ADL_CURVE_SILU,         /* x sigmoid(x) */
    ADL_CURVE_GELU,         /* x (1 + erf(x / sqrt(2))) / 2 */
    ADL_CURVE_GELU_TANH     /* its approximation by tanh */
};

struct adl_bf16_kernels;     /* bf16.h */
struct adl_int8_kernels;     /* int8.h */
struct adl_strassen_kernels; /* strassen.h */
struct adl_winograd_kernels; /* winograd.h */

/* --- training: batch norm and ReLU, y = clamp(x * scale[c] + shift[c]) --------------- */

struct adl_norm {
    const float *scale, *shift, *mean; /* per channel; mean is that of x */
    float lo, hi;                      /* -INFINITY, INFINITY: no clamp */
};

/* Coefficients of the gradient of x, which is kdy[c] g + kx[c] x + k[c], with g the
 * gradient of y where y was not clamped, else 0. */
struct adl_norm_back {
    const float *kx, *kdy, *k; /* per channel */
};

/* --- training: weights of a 3x3 depthwise convolution --------------------------------- */

struct adl_depthwise_grad {
    const float *x;  /* one image, h x w x channels */
    const float *dy; /* p x q x channels */
    int h, w, p, q;
    int stride, pad_top, pad_left;
    size_t channels; /* at least `lanes` */
    float *work;     /* 9 x (channels + lanes) floats of scratch memory */
    float *sums;     /* 9 x channels */
};

/* --- training: gradient of the maximum over one window --------------------------------- */

struct adl_maxpool_back {
    const float *x;      /* the window's first pixel inside the map */
    int rows, columns;   /* of the window, inside the map */
    size_t line;         /* floats from one row of the map to the next; pixels are contiguous */
    const float *y, *dy; /* the output pixel and its gradient */
    float *dx;           /* gradient of the pixel at x */
    size_t channels;
};

/* Pixels whose sum is added to that of the pixels before them. In one sum over a large map each
 * pixel would be rounded to the last bit of the whole sum, in flat regions always in the same
 * direction. */
#define ADL_SUM_PIXELS ((size_t)256)

struct adl_kernels {
    const char *name;
    /* Rows and columns of the largest tile of `gemm`, as many as fit the registers. 0 and
     * NULL: there is no such kernel, and all convolutions but depthwise ones go through
     * OpenBLAS. */
    int mr;
    int nr;
    void (*gemm)(const struct adl_gemm_tile *tile);
    const struct adl_strassen_kernels *strassen; /* NULL: none */
    const struct adl_winograd_kernels *winograd; /* NULL: none */
    const struct adl_int8_kernels *int8;
    const struct adl_bf16_kernels *bf16;
    void (*depthwise)(const struct adl_depthwise_rows *rows);
    void (*grouped)(const struct adl_grouped_line *line);
    int picks; /* whether `grouped` takes a vector of several groups */
    void (*maxpool)(const struct adl_pool_row *row);
    void (*avgpool)(const struct adl_pool_row *row);
    void (*pointwise)(const struct adl_pointwise *job);
    void (*layernorm)(const struct adl_layernorm_rows *job); /* NULL: there is no such kernel */
    /* out[c] = mean over the pixels of x[pixel ldx + c], summed by ADL_SUM_PIXELS at a time. */
    void (*mean)(const float *x, size_t ldx, size_t pixels, size_t channels, float *out);
    /* y[k] = bias[k] + sum over i < c of weight[k c + i] x[i], for k < rows. bias may be
     * NULL. */
    void (*linear)(const float *weight, const float *x, const float *bias, size_t rows, size_t c,
                   float *y);
    /* Performs rounds * fma_flops additions and multiplications in registers and nothing
     * else, so that `bench` can compare speeds with the peak of the processor. Returns a
     * value that keeps the compiler from removing the loop. */
    float (*fma)(size_t rounds, float x);
    int fma_flops;

    /* --- training (train_loops.h): maps are dense, pixels x channels. dx (+)= means that
     * the value is added to dx if `add` is not 0, else stored. --- */

    /* Computes the gradient of a ReLU: dx (+)= 0 where y <= 0, or where y >= hi if hi is finite;
     * else dy. An infinite hi clamps nothing, not even y = INFINITY. dx may be dy. */
    void (*relu_back)(const float *y, float hi, size_t count, const float *dy, float *dx, int add);
    /* sums[c] = sum over the pixels of x; mean[c] = sums[c] / pixels, rounded to float;
     * squares[c] = sum over the pixels of (x - mean[c])^2. */
    void (*moments)(const float *x, size_t pixels, size_t channels, double *sums, double *squares,
                    float *mean);
    /* Computes the sums over the pixels of g and of g (x - mean[c]), where g = dy if y was not
     * clamped, else 0. */
    void (*products)(const float *x, const float *dy, const struct adl_norm *norm, size_t pixels,
                     size_t channels, double *dy_sums, double *product_sums);
    /* dx (+)= kdy[c] g + kx[c] x + k[c], with g as above. dx may be dy. */
    void (*affine2)(const float *x, const float *dy, const struct adl_norm *norm,
                    const struct adl_norm_back *back, size_t pixels, size_t channels, float *dx,
                    int add);
    /* sums[c] += sum over the pixels of a b. */
    void (*dot_rows)(const float *a, size_t lda, const float *b, size_t ldb, size_t pixels,
                     size_t channels, float *sums);
    int lanes; /* floats of a vector; some kernels below need at least so many channels */
    /* sums[tap][c] = sum over the output pixels of dy times x at that tap. */
    void (*depthwise_grad)(const struct adl_depthwise_grad *job);
    /* dx += dy at the window's first maximum in row order, the first pixel with x = y; if y is
     * NaN, at the window's last NaN. */
    void (*maxpool_back)(const struct adl_maxpool_back *job);
    /* out += x w[c]. */
    void (*spread)(const float *x, const float *w, size_t ldx, size_t pixels, size_t channels,
                   float *out, size_t ldo);
    /* The gradient of a 3x3 kernel by F(4x4, 3x3), along at least `lanes` channels; A and
     * G are those of winograd.h. winograd_spread: z[i * step + c] = element i of A dy A' for
     * a tile of 4x4 output pixels. winograd_fold: grad[tap * channels + c] = element `tap` of
     * G' m G, where m[i * step + c] is element i of the 6x6 matrix m and g points to the
     * elements of G, 6 x 3. */
    void (*winograd_spread)(const float *const *pixels, size_t channels, float *z, size_t step);
    void (*winograd_fold)(const float *m, size_t step, const float *g, size_t channels,
                          float *grad);
    /* --- inference and training --- */

    /* y[i] = curve(x[i]) within 4e-7 of the larger of |x[i]| and 1; y may be x. NULL: there is no
     * such kernel, and the ops' own loops compute it. */
    void (*curve)(enum adl_curve curve, float a, float b, const float *x, float *y, size_t count);
};

extern const struct adl_kernels adl_kernels_generic;
extern const struct adl_int8_kernels adl_int8_generic;
#if defined(__x86_64__)
extern const struct adl_int8_kernels adl_int8_avx2;
extern const struct adl_int8_kernels adl_int8_avx512; /* those of AVX2, with other speeds */
extern const struct adl_int8_kernels adl_int8_avx2_vnni;
extern const struct adl_int8_kernels adl_int8_avx512_vnni;
extern const struct adl_kernels adl_kernels_avx2;
extern const struct adl_kernels adl_kernels_avx2_vnni; /* the same, but for `int8` */
extern const struct adl_kernels adl_kernels_avx512;
extern const struct adl_kernels adl_kernels_avx512_vnni; /* the same, but for `int8` */
extern const struct adl_kernels adl_kernels_avx512_bf16; /* the same as this, but for `bf16` */
extern const struct adl_bf16_kernels adl_bf16_avx512;    /* with products of bfloat16 */
extern const struct adl_strassen_kernels adl_strassen_avx2;
extern const struct adl_strassen_kernels adl_strassen_avx512;
extern const struct adl_winograd_kernels adl_winograd_avx2;
extern const struct adl_winograd_kernels adl_winograd_avx512;
#elif defined(__aarch64__)
extern const struct adl_int8_kernels adl_int8_neon_dot;
extern const struct adl_kernels adl_kernels_neon;     /* 8 bits in plain C */
extern const struct adl_kernels adl_kernels_neon_dot; /* the same, but for `int8` */
extern const struct adl_strassen_kernels adl_strassen_neon;
extern const struct adl_winograd_kernels adl_winograd_neon;
#endif

#endif
