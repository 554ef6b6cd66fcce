/* Computes convolutions in groups of few channels (ResNeXt, Xie et al. 2017; RegNet, Radosavovic et
 * al. 2020), where a matrix product for each group would have too few columns for a panel, and
 * would copy R S values of the input for each of them.
 *
 * The output channels are divided into vectors: a group has one or several, of which the last may
 * be partial; or, where a vector has room for several groups, the same channels in and out, and the
 * instruction set can (`picks` in kernel.h), a vector has as many whole groups as fit. A task is a
 * few lines of the output for the vectors of a group, or one vector of groups. It first copies what
 * it reads of the input, with zeros around it, to scratch memory that stays in the L1 cache, so
 * that the kernel `grouped` needs no test for borders, and the weights of a vector, R S C/groups
 * vectors, stay there too.
 *
 * Packed weights: for each vector R x C/groups x S vectors, then the biases, a vector each. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"

/* The most input channels of a group for which the algorithm is offered; with more, the copied
 * input and the weights would leave the cache. */
#define MAX_CHANNELS 64
/* Floats of the copied input, approximately. */
#define COPY_FLOATS 8192
/* The most floats of a vector. */
#define MAX_LANES 16
/* Fraction of the full speed that the kernel reaches; in plain C, whose vectors are narrower than
 * those of OpenBLAS. */
#define FRACTION 0.8
#define FRACTION_GENERIC 0.35
/* Cost of copying a float of the input, in the unit of conv_cost.h. */
#define COPY 4

/* How a convolution is divided. A block is what has one copy of the input: a group, or the groups
 * of a vector. */
struct grouped_blocking {
    size_t lanes;            /* floats of a vector */
    size_t depth;            /* input channels of a group */
    size_t per_vector;       /* groups of a vector; 0: a group has several vectors, or one */
    size_t vectors;          /* of a block */
    size_t blocks;           /* of the convolution */
    size_t block_c, block_k; /* channels of a block; of the last there may be fewer */
    size_t ld, columns;      /* of the copied input: floats of a pixel, pixels of a row */
    size_t vector_floats;    /* packed weights of a vector */
    int lines;               /* of a task */
    size_t line_blocks;
};

static struct grouped_blocking grouped_blocking(const struct adl_conv *conv,
                                                const struct adl_kernels *kernels)
{
    size_t k = (size_t)(conv->k / conv->groups), groups = (size_t)conv->groups;
    struct grouped_blocking b = {.lanes = (size_t)kernels->lanes,
                                 .depth = (size_t)(conv->c / conv->groups)};

    if (kernels->picks && k == b.depth && k < b.lanes)
        b.per_vector = b.lanes / k;
    b.vectors = b.per_vector ? 1 : adl_ceil_div(k, b.lanes);
    b.blocks = b.per_vector ? adl_ceil_div(groups, b.per_vector) : groups;
    b.block_c = ADL_MAX(b.per_vector, (size_t)1) * b.depth;
    b.block_k = ADL_MAX(b.per_vector, (size_t)1) * k;
    b.ld = b.per_vector ? b.lanes : b.depth;
    b.columns = (size_t)((conv->q - 1) * conv->stride + conv->s);
    b.vector_floats = (size_t)(conv->r * conv->s) * b.depth * b.lanes;
    size_t rows = COPY_FLOATS / (b.columns * b.ld), r = (size_t)conv->r;
    b.lines = rows > r ? 1 + (int)(rows - r) / conv->stride : 1;
    b.lines = (int)adl_conv_block_tiles((size_t)conv->p, (size_t)ADL_MIN(b.lines, conv->p));
    b.line_blocks = adl_ceil_div((size_t)conv->p, (size_t)b.lines);
    return b;
}

static size_t grouped_rows(const struct adl_conv *conv, int lines)
{
    return (size_t)((lines - 1) * conv->stride + conv->r);
}

static bool grouped_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels)
{
    (void)self;
    return kernels->grouped && conv->groups > 1 && conv->gap == 0 &&
           conv->c / conv->groups <= MAX_CHANNELS;
}

static double grouped_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                           const struct adl_kernels *kernels)
{
    (void)self;
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    double pixels = (double)conv->p * conv->q;
    double sums = pixels * (double)(b.vector_floats * b.vectors) /
                  (kernels->gemm ? FRACTION : FRACTION_GENERIC);
    double copied = (double)(grouped_rows(conv, b.lines) * b.line_blocks * b.columns * b.ld);
    return (double)b.blocks * (sums + copied * COPY);
}

static size_t grouped_packed_floats(const struct adl_conv_algorithm *self,
                                    const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    (void)self;
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    return b.blocks * b.vectors * (b.vector_floats + b.lanes);
}

static void grouped_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels, const float *weights,
                         const float *scale, const float *bias, float *packed)
{
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    size_t taps = (size_t)(conv->r * conv->s), s = (size_t)conv->s;
    float *biases = packed + b.blocks * b.vectors * b.vector_floats;

    memset(packed, 0, grouped_packed_floats(self, conv, kernels) * sizeof *packed);
    for (size_t k = 0; k < (size_t)conv->k; k++) {
        size_t in_block = k % b.block_k;
        size_t vector = k / b.block_k * b.vectors + in_block / b.lanes, lane = in_block % b.lanes;
        float *to = packed + vector * b.vector_floats + lane;
        const float *from = weights + k * b.depth * taps;
        for (size_t r = 0; r < (size_t)conv->r; r++)
            for (size_t c = 0; c < b.depth; c++)
                for (size_t tap = 0; tap < s; tap++, to += b.lanes)
                    *to = from[c * taps + r * s + tap] * scale[k];
        biases[vector * b.lanes + lane] = bias[k];
    }
}

static size_t grouped_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels)
{
    (void)self;
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    return b.blocks * b.line_blocks;
}

static size_t grouped_scratch_floats(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    (void)self;
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    return grouped_rows(conv, b.lines) * b.columns * b.ld;
}

/* Copies the first `channels` of the `ld` floats of a pixel, and sets the others to zero. In pieces
 * of a size that is known, because a call would take longer than the copy. */
static void grouped_copy_pixel(const float *x, size_t channels, size_t ld, float *to)
{
    size_t c = 0;

    for (; c + 4 <= channels; c += 4)
        memcpy(to + c, x + c, 4 * sizeof *to);
    for (; c < channels; c++)
        to[c] = x[c];
    for (; c < ld; c++)
        to[c] = 0;
}

/* Copies `channels` channels of the pixels of row `row` from column -pad_left on; zero outside the
 * map and in the rest of each pixel. */
static void grouped_copy_row(const struct adl_conv *conv, const struct grouped_blocking *b,
                             const float *x, size_t channels, int row, float *to)
{
    size_t left = ADL_MIN((size_t)conv->pad_left, b->columns);
    size_t inside = ADL_MIN((size_t)conv->w, b->columns - left);

    if (row < 0 || row >= conv->h) {
        memset(to, 0, b->columns * b->ld * sizeof *to);
        return;
    }
    memset(to, 0, left * b->ld * sizeof *to);
    to += left * b->ld;
    x += (size_t)row * (size_t)conv->w * conv->ldx;
    for (size_t i = 0; i < inside; i++, x += conv->ldx, to += b->ld)
        grouped_copy_pixel(x, channels, b->ld, to);
    memset(to, 0, (b->columns - left - inside) * b->ld * sizeof *to);
}

static void grouped_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                        const struct adl_kernels *kernels, const float *packed, const float *x,
                        const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    struct grouped_blocking b = grouped_blocking(conv, kernels);
    size_t block = task / b.line_blocks, row = b.columns * b.ld, q = (size_t)conv->q;
    int line0 = (int)(task % b.line_blocks) * b.lines, lanes[MAX_LANES];
    int lines = ADL_MIN(b.lines, conv->p - line0);
    size_t channels = ADL_MIN(b.block_c, (size_t)conv->c - block * b.block_c);

    for (size_t i = 0; i < grouped_rows(conv, lines); i++)
        grouped_copy_row(conv, &b, x + block * b.block_c, channels,
                         line0 * conv->stride - conv->pad_top + (int)i, scratch + i * row);
    for (size_t lane = 0; lane < b.lanes; lane++)
        lanes[lane] = (int)(lane / b.depth * b.depth);
    for (size_t v = 0; v < b.vectors; v++) {
        size_t vector = block * b.vectors + v, k = block * b.block_k + v * b.lanes;
        size_t end = ADL_MIN((block + 1) * b.block_k, (size_t)conv->k);
        struct adl_grouped_line line = {
            .ld = b.ld,
            .row = row,
            .r = conv->r,
            .s = conv->s,
            .stride = conv->stride,
            .depth = b.depth,
            .lanes = b.per_vector ? lanes : NULL,
            .weight = packed + vector * b.vector_floats,
            .bias = packed + b.blocks * b.vectors * b.vector_floats + vector * b.lanes,
            .q = conv->q,
            .ldo = conv->ldo,
            .n = ADL_MIN(b.lanes, end - k),
            .accumulate = conv->accumulate,
            .ldr = conv->ldr,
            .lo = conv->lo,
            .hi = conv->hi,
        };
        for (int i = 0; i < lines; i++) {
            size_t pixel = (size_t)(line0 + i) * q;
            line.x = scratch + (size_t)(i * conv->stride) * row;
            line.out = out + pixel * conv->ldo + k;
            line.residual = residual ? residual + pixel * conv->ldr + k : NULL;
            kernels->grouped(&line);
            adl_conv_activate(conv, kernels, line.out, conv->ldo, q, line.n);
        }
    }
}

const struct adl_conv_algorithm adl_conv_grouped = {
    .name = "grouped",
    .activates = true,
    .supports = grouped_supports,
    .cost = grouped_cost,
    .packed_floats = grouped_packed_floats,
    .pack = grouped_pack,
    .tasks = grouped_tasks,
    .scratch_floats = grouped_scratch_floats,
    .run = grouped_run,
};
