#ifndef ADL_KERNELS_KERNEL_H
#define ADL_KERNELS_KERNEL_H

/* The inner loops, one table of them per instruction set. A kernel sees plain
 * pointers and strides; it allocates nothing and knows no tensor. What each
 * computes is said here; the plain-C op in ops/ is the oracle.
 *
 * Every map is NHWC with `ld` floats from one pixel to the next (a slice of a
 * joined map has an ld larger than its channels). Each output is computed by
 * one fixed sequence of operations, whatever tile or thread it falls into, so
 * results do not depend on how the work is split.
 *
 * This header is included by files that are compiled for wider instruction
 * sets: it must not define any function. */

#include <stddef.h>

/* --- matrix product on packed panels ----------------------------------------- */

/* Depth done at a time, and the floats between the rows of a copied A tile: some
 * more, so that rows fall into different cache sets. */
#define ADL_GEMM_KC 256
#define ADL_GEMM_LDA 272

/* c[i][j] = clamp(init + sum over l of a[i][l] * b[l][j] + residual[i][j]),
 * where init is c[i][j] (accumulate) or bias[j]. residual and clamp belong to
 * the last chunk of the depth. */
struct adl_gemm_tile {
    const float *a; /* m rows; 1 <= m <= mr */
    size_t lda;
    const float *b; /* depth rows of nr floats, 64-byte aligned, zero beyond n */
    /* What will be used as b after that, to fetch it into a cache meanwhile: a line
     * each time that the depth advances, next_step floats apart. NULL: nothing. */
    const float *next;
    size_t next_step;
    size_t depth;
    /* Where the depth falls into several stretches of the rows of a, each `depth`
     * long: how many, and the floats skipped between them. 0: one. */
    size_t segments, segment_skip;
    float *c;
    size_t ldc;
    int m;
    int n;             /* 1..nr columns that exist */
    const float *bias; /* nr floats; used unless accumulate */
    int accumulate;
    const float *residual; /* NULL: none */
    size_t ldr;
    float lo, hi; /* -INFINITY, INFINITY: no clamp */
};

/* --- depthwise convolution: one or two rows of the output ------------------------ */

struct adl_depthwise_rows {
    const float *const *rows; /* r + (lines - 1) * stride input rows; NULL where padding */
    int lines;                /* 1 or 2: two that follow each other share input rows */
    int r, s, stride, pad_left;
    int w; /* columns of the input */
    size_t ldx;
    size_t channels;
    const float *weight; /* r*s x channels */
    const float *bias;   /* channels */
    float *out;
    int q; /* columns of the output */
    size_t ldo;
    size_t line; /* floats from one row of the output to the next */
    float lo, hi;
};

/* --- pooling: one row of the output --------------------------------------------- */

struct adl_pool_row {
    const float *const *rows; /* `size` input rows; NULL where padding */
    int size, stride, pad_left;
    int w;
    size_t ldx;
    size_t channels;
    float *out;
    int q;
    size_t ldo;
};

/* --- element by element ------------------------------------------------------------ */

/* out = clamp(x * scale[c] + shift[c] + residual); scale, shift and residual
 * may be NULL. out may be x or residual. */
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

struct adl_strassen_kernels; /* strassen.h */
struct adl_winograd_kernels; /* winograd.h */

/* --- training: y = clamp(x * scale[c] + shift[c]) ----------------------------------- */

struct adl_norm {
    const float *scale, *shift, *mean; /* by channel; the mean of x */
    float lo, hi;                      /* -INFINITY, INFINITY: no clamp */
};

/* The factors of its input's gradient. */
struct adl_norm_back {
    const float *kx, *kdy, *k; /* by channel */
};

/* --- training: weights of a 3x3 depthwise convolution --------------------------------- */

struct adl_depthwise_grad {
    const float *x;  /* one image, h x w x channels */
    const float *dy; /* p x q x channels */
    int h, w, p, q;
    int stride, pad_top, pad_left;
    size_t channels; /* at least `lanes` */
    float *work;     /* 9 x (channels + lanes) floats, lost */
    float *sums;     /* 9 x channels */
};

/* --- training: maximum over one window ------------------------------------------------ */

struct adl_maxpool_back {
    const float *x; /* the window's first pixel inside the map */
    int rows, columns;
    size_t line;         /* floats from one row of the map to the next; pixels follow each other */
    const float *y, *dy; /* the output's pixel */
    float *dx;           /* as x */
    size_t channels;
};

struct adl_kernels {
    const char *name;
    /* The tile of `gemm`; 0 and NULL: convolutions go through OpenBLAS. */
    int mr;
    int nr;
    void (*gemm)(const struct adl_gemm_tile *tile);
    const struct adl_strassen_kernels *strassen; /* NULL: none */
    const struct adl_winograd_kernels *winograd; /* NULL: none */
    void (*depthwise)(const struct adl_depthwise_rows *rows);
    /* Maximum over the window; average with the padding counted. */
    void (*maxpool)(const struct adl_pool_row *row);
    void (*avgpool)(const struct adl_pool_row *row);
    void (*pointwise)(const struct adl_pointwise *job);
    /* out[c] = mean over the pixels of x[pixel*ldx + c]. */
    void (*mean)(const float *x, size_t ldx, size_t pixels, size_t channels, float *out);
    /* y[k] = bias[k] + sum over c of weight[k*c + ...] * x[...]; bias may be NULL. */
    void (*linear)(const float *weight, const float *x, const float *bias, size_t rows, size_t c,
                   float *y);
    /* Does nothing but rounds * fma_flops additions and multiplications in
     * registers, for `bench`: what the processor could do at most. */
    float (*fma)(size_t rounds, float x);
    int fma_flops;

    /* --- training (train_loops.h): maps are pixels x channels ---------------------- */

    /* dx (+)= dy where 0 < y < hi, else 0; dx may be dy. */
    void (*relu_back)(const float *y, float hi, size_t count, const float *dy, float *dx, int add);
    /* sums[c] = sum over the pixels of x; mean[c] = that by the pixels, rounded;
     * squares[c] = sum of (x - mean[c])^2. */
    void (*moments)(const float *x, size_t pixels, size_t channels, double *sums, double *squares,
                    float *mean);
    /* Sums over the pixels of g, and of g (x - mean[c]), where g = dy if y was not
     * clamped, else 0. */
    void (*products)(const float *x, const float *dy, const struct adl_norm *norm, size_t pixels,
                     size_t channels, double *dy_sums, double *product_sums);
    /* dx (+)= kdy[c] g + kx[c] x + k[c]; dx may be dy. */
    void (*affine2)(const float *x, const float *dy, const struct adl_norm *norm,
                    const struct adl_norm_back *back, size_t pixels, size_t channels, float *dx,
                    int add);
    /* sums[c] += sum over the pixels of a * b. */
    void (*dot_rows)(const float *a, size_t lda, const float *b, size_t ldb, size_t pixels,
                     size_t channels, float *sums);
    int lanes; /* floats of a vector */
    /* sums[tap][c] = sum over the pixels of dy * x at the tap. */
    void (*depthwise_grad)(const struct adl_depthwise_grad *job);
    /* dx += dy at the first pixel of the window, in row order, where x = y. */
    void (*maxpool_back)(const struct adl_maxpool_back *job);
    /* out += x * w[c]. */
    void (*spread)(const float *x, const float *w, size_t ldx, size_t pixels, size_t channels,
                   float *out, size_t ldo);
    /* F(4x4, 3x3), along at least `lanes` channels. z[i * step] = element i of
     * A dy A' of a tile of 4x4 pixels; grad[tap] = element `tap` of G' m G, with
     * m[i * step] and g as G, 6 x 3 (winograd.h). */
    void (*winograd_spread)(const float *const *pixels, size_t channels, float *z, size_t step);
    void (*winograd_fold)(const float *m, size_t step, const float *g, size_t channels,
                          float *grad);
};

extern const struct adl_kernels adl_kernels_generic;
#if defined(__x86_64__)
extern const struct adl_kernels adl_kernels_avx2;
extern const struct adl_kernels adl_kernels_avx512;
extern const struct adl_strassen_kernels adl_strassen_avx2;
extern const struct adl_strassen_kernels adl_strassen_avx512;
extern const struct adl_winograd_kernels adl_winograd_avx2;
extern const struct adl_winograd_kernels adl_winograd_avx512;
#endif

#endif
