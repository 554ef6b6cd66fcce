/* Computes convolutions in 8 bits (int8.h).
 *
 * With input bytes x of scale s and zero point z, weights q of scale w[k] in the file, and the
 * factor f[k] of a folded batch norm, an output in real numbers is
 *
 *     y[k] = s w[k] f[k] (sum of x q - z sum of q) + bias[k] + residual
 *
 * and its byte is y / s' + z'. The padding has the byte z, which stands for 0. Everything but the
 * sum of x q depends on the channel only, so the epilogue is a multiplication and an addition:
 *
 *     scale[k] = s w[k] f[k] / s'
 *     shift[k] = bias[k] / s' + z' - scale[k] z sum of q - z'' s'' / s'
 *
 * where s'' and z'' are those of the residual. Both are computed in double and rounded once.
 *
 * A dense convolution is a matrix product whose left factor is implicit, as in conv_gemm.c. Its
 * rows are widened to what the kernel multiplies while they are copied to scratch memory. The depth
 * is not divided: sums stay in registers, since the output has no room for 32 bits.
 *
 * Packed, dense: for each panel of nr output channels and each step of the depth, nr groups of
 * weights, and the sums of the columns where the kernel needs them; then scale and shift, padded to
 * whole panels. Depthwise: pairs of taps or groups of four rows (int8.h), then scale and shift. */

#include "kernels/conv_int8.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/conv_cost.h"

/* Sums of so many products of 255 and 127 fit 32 bits. */
#define MAX_DEPTH 65536
/* Tiles of a block of rows, and tasks that keep a few threads busy, as in conv_gemm.c. */
#define BLOCK_TILES 4
#define WANTED_TASKS 8
#define TASK_LINES 2

struct int8_blocking {
    size_t depth, steps; /* values, and groups of values, of a row of the left factor */
    size_t panel_steps;  /* of a panel: as many, and one more for the sums of its columns */
    size_t row_bytes;    /* of the left factor in scratch memory */
    size_t panels, rows;
    size_t task_rows, m_blocks, n_blocks, panels_per_block;
};

static bool int8_depthwise_shape(const struct adl_conv *conv)
{
    return conv->groups > 1 && conv->groups == conv->c && conv->groups == conv->k;
}

bool adl_conv_int8_supports(const struct adl_conv *conv, bool has_residual)
{
    if (int8_depthwise_shape(conv))
        return conv->gap == 0 && conv->r * conv->s <= ADL_INT8_MAX_TAPS && !has_residual;
    return conv->groups == 1 && adl_conv_depth(conv) <= MAX_DEPTH;
}

/* Returns whether the rows of the left factor are read where they are in the input: those of a 1x1
 * kernel are, if the kernel multiplies bytes and no group of them goes beyond a row. */
static bool int8_reads_input(const struct adl_conv *conv, const struct adl_int8_kernels *kernels)
{
    return kernels->group == 4 && conv->r == 1 && conv->s == 1 && conv->stride == 1 &&
           conv->pad_top == 0 && conv->pad_left == 0 && conv->p == conv->h && conv->q == conv->w &&
           conv->c % 4 == 0;
}

static struct int8_blocking int8_blocking(const struct adl_conv *conv,
                                          const struct adl_int8_kernels *kernels)
{
    struct int8_blocking b;
    size_t group = (size_t)kernels->group;

    b.depth = adl_conv_depth(conv);
    b.steps = adl_ceil_div(b.depth, group);
    b.panel_steps = b.steps + (size_t)kernels->column_sums;
    /* Four bytes for each step, and a line more than a power of two, so that the rows of a tile do
     * not fall into the same cache sets. */
    b.row_bytes = adl_ceil_div(b.steps * 4, 64) * 64 + 64;
    b.panels = adl_ceil_div((size_t)conv->k, (size_t)kernels->nr);
    b.rows = (size_t)conv->p * (size_t)conv->q;
    b.task_rows = adl_conv_block_tiles(adl_ceil_div(b.rows, (size_t)kernels->mr), BLOCK_TILES) *
                  (size_t)kernels->mr;
    b.m_blocks = adl_ceil_div(b.rows, b.task_rows);
    b.panels_per_block = adl_ceil_div(b.panels, adl_ceil_div(WANTED_TASKS, b.m_blocks));
    b.n_blocks = adl_ceil_div(b.panels, b.panels_per_block);
    return b;
}

double adl_conv_int8_cost(const struct adl_conv *conv, const struct adl_int8_kernels *kernels)
{
    double rows = (double)conv->p * conv->q;

    if (int8_depthwise_shape(conv))
        return adl_cost_depthwise(conv) / kernels->depthwise_speed;
    return fmax(rows, ADL_COST_WEIGHT_LOAD) * (double)adl_conv_depth(conv) *
           adl_cost_padded(conv->k, kernels->nr / 2) / (ADL_COST_PRODUCT_FRACTION * kernels->speed);
}

/* --- packing ---------------------------------------------------------------------------- */

/* Returns the groups of four weights that a channel of a depthwise kernel has. */
static size_t int8_depthwise_groups(const struct adl_conv *conv)
{
    return (size_t)conv->s * adl_ceil_div((size_t)conv->r, 4);
}

/* Returns the floats of the packed weights without scale and shift, whole cache lines. */
static size_t int8_weight_floats(const struct adl_conv *conv,
                                 const struct adl_int8_kernels *kernels)
{
    if (int8_depthwise_shape(conv) && kernels->depthwise_group == 4)
        return adl_ceil_div((size_t)conv->k, 64) * 64 * int8_depthwise_groups(conv);
    if (int8_depthwise_shape(conv))
        return adl_ceil_div(adl_ceil_div((size_t)(conv->r * conv->s), 2) * (size_t)conv->k, 16) *
               16;
    struct int8_blocking b = int8_blocking(conv, kernels);
    return adl_ceil_div(b.panels * b.panel_steps * (size_t)kernels->nr, 16) * 16;
}

/* Returns the length of scale and of shift in floats. */
static size_t int8_channel_floats(const struct adl_conv *conv,
                                  const struct adl_int8_kernels *kernels)
{
    return adl_ceil_div((size_t)conv->k, (size_t)kernels->nr) * (size_t)kernels->nr;
}

size_t adl_conv_int8_packed_floats(const struct adl_conv *conv,
                                   const struct adl_int8_kernels *kernels)
{
    return int8_weight_floats(conv, kernels) + 2 * int8_channel_floats(conv, kernels);
}

static int int8_weight(const struct adl_int8_weights *w, size_t index, size_t k)
{
    double q = nearbyint((double)w->values[index] / (double)w->scale[k]);
    return (int)fmin(fmax(q, -127), 127);
}

/* Packs the weights of output channel k; returns their sum. */
static double int8_pack_dense(const struct adl_conv *conv, const struct adl_int8_kernels *kernels,
                              const struct adl_int8_weights *w, size_t k, void *packed)
{
    struct int8_blocking b = int8_blocking(conv, kernels);
    size_t group = (size_t)kernels->group, nr = (size_t)kernels->nr;
    size_t taps = (size_t)(conv->r * conv->s), channels = (size_t)conv->c;
    size_t first = k / nr * b.panel_steps * nr * group + k % nr * group;
    double sum = 0;

    for (size_t tap = 0; tap < taps; tap++)
        for (size_t c = 0; c < channels; c++) {
            int q = int8_weight(w, (k * channels + c) * taps + tap, k);
            size_t l = tap * channels + c, at = first + l / group * nr * group + l % group;
            if (group == 2)
                ((int16_t *)packed)[at] = (int16_t)q;
            else
                ((int8_t *)packed)[at] = (int8_t)q;
            sum += q;
        }
    if (kernels->column_sums)
        ((int32_t *)packed)[(k / nr * b.panel_steps + b.steps) * nr + k % nr] = (int32_t)sum;
    return sum;
}

static double int8_pack_depthwise(const struct adl_conv *conv,
                                  const struct adl_int8_kernels *kernels,
                                  const struct adl_int8_weights *w, size_t k, void *packed)
{
    size_t columns = (size_t)conv->s, taps = (size_t)conv->r * columns;
    /* Where the group of channel k is among those of 64 channels. */
    size_t place = k / 4 % 4 * 16 + k / 16 % 4 * 4 + k % 4;
    double sum = 0;

    for (size_t tap = 0; tap < taps; tap++) {
        int q = int8_weight(w, k * taps + tap, k);
        size_t r = tap / columns, column = tap % columns;
        size_t group = column * adl_ceil_div((size_t)conv->r, 4) + r / 4;
        if (kernels->depthwise_group == 4)
            ((int8_t *)packed)[((k / 64 * int8_depthwise_groups(conv) + group) * 64 + place) * 4 +
                               r % 4] = (int8_t)q;
        else
            ((int16_t *)packed)[(tap / 2 * (size_t)conv->k + k) * 2 + tap % 2] = (int16_t)q;
        sum += q;
    }
    return sum;
}

void adl_conv_int8_pack(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                        const struct adl_int8_weights *weights, float *packed)
{
    const struct adl_conv *conv = &job->conv;
    float *scales = packed + int8_weight_floats(conv, kernels);
    float *shifts = scales + int8_channel_floats(conv, kernels);
    double out = job->to_floats ? 1 : (double)job->out.scale;
    double zero = job->to_floats ? 0 : job->out.zero;

    if (job->has_residual)
        zero -= (double)job->residual.scale / out * job->residual.zero;
    memset(packed, 0, adl_conv_int8_packed_floats(conv, kernels) * sizeof *packed);
    for (size_t k = 0; k < (size_t)conv->k; k++) {
        double sum = int8_depthwise_shape(conv)
                         ? int8_pack_depthwise(conv, kernels, weights, k, packed)
                         : int8_pack_dense(conv, kernels, weights, k, packed);
        double scale =
            (double)job->in.scale * (double)weights->scale[k] * (double)weights->factor[k] / out;
        scales[k] = (float)scale;
        shifts[k] = (float)((double)weights->bias[k] / out + zero - scale * job->in.zero * sum);
    }
}

/* --- running ------------------------------------------------------------------------------ */

/* Returns the epilogue at the first output element and channel. */
static struct adl_int8_out int8_out(const struct adl_conv_int8 *job,
                                    const struct adl_int8_kernels *kernels, const float *packed,
                                    const uint8_t *residual, void *out)
{
    const struct adl_conv *conv = &job->conv;
    const float *scales = packed + int8_weight_floats(conv, kernels);
    struct adl_int8_out o = {
        .scale = scales,
        .shift = scales + int8_channel_floats(conv, kernels),
        .residual = residual,
        .residual_scale = job->residual.scale,
        .lo = conv->lo,
        .hi = conv->hi,
        .ldo = conv->ldo,
        .ldr = conv->ldr,
    };

    if (job->to_floats) {
        o.floats = out;
        return o;
    }
    o.bytes = out;
    o.lo = (float)fmax(0, (double)conv->lo / (double)job->out.scale + job->out.zero);
    o.hi = (float)fmin(255, (double)conv->hi / (double)job->out.scale + job->out.zero);
    o.residual_scale = (float)((double)job->residual.scale / (double)job->out.scale);
    return o;
}

/* Returns the epilogue at an output pixel and a channel. */
static struct adl_int8_out int8_out_at(struct adl_int8_out o, size_t pixel, size_t k)
{
    o.scale += k;
    o.shift += k;
    if (o.residual)
        o.residual += pixel * o.ldr + k;
    if (o.bytes)
        o.bytes += pixel * o.ldo + k;
    else
        o.floats += pixel * o.ldo + k;
    return o;
}

/* Writes n values of the left factor: input bytes, or the zero point where x is NULL. */
static void *int8_put(const struct adl_int8_kernels *kernels, void *to, const uint8_t *x, size_t n,
                      int zero)
{
    if (kernels->group == 2) {
        int16_t *words = to;
        if (x)
            kernels->widen(x, n, words);
        for (size_t i = 0; !x && i < n; i++)
            words[i] = (int16_t)zero;
        return words + n;
    }
    if (x)
        memcpy(to, x, n);
    else
        memset(to, zero, n);
    return (uint8_t *)to + n;
}

/* Copies a row of kernel taps, whose first is in input row y and column x0. */
static void *int8_copy_taps(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                            const uint8_t *x, int y, int x0, void *to)
{
    const struct adl_conv *conv = &job->conv;
    size_t c = (size_t)conv->c;
    bool inside = y >= 0 && y < conv->h;
    const uint8_t *row = inside ? x + (size_t)y * (size_t)conv->w * conv->ldx : NULL;

    /* In a dense map the pixels of a row of taps are contiguous. */
    if (inside && conv->ldx == c && conv->gap == 0 && x0 >= 0 && x0 + conv->s <= conv->w)
        return int8_put(kernels, to, row + (size_t)x0 * c, c * (size_t)conv->s, 0);
    for (int s = 0; s < conv->s; s++) {
        int column = x0 + s * (1 + conv->gap);
        bool there = inside && column >= 0 && column < conv->w;
        to =
            int8_put(kernels, to, there ? row + (size_t)column * conv->ldx : NULL, c, job->in.zero);
    }
    return to;
}

static void int8_copy_rows(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                           const uint8_t *x, size_t row0, size_t rows, size_t row_bytes, char *to)
{
    const struct adl_conv *conv = &job->conv;
    struct int8_blocking b = int8_blocking(conv, kernels);
    size_t rest = b.steps * (size_t)kernels->group - b.depth;

    for (size_t m = row0; m < row0 + rows; m++, to += row_bytes) {
        int y = (int)(m / (size_t)conv->q) * conv->stride - conv->pad_top;
        int x0 = (int)(m % (size_t)conv->q) * conv->stride - conv->pad_left;
        void *end = to;
        for (int r = 0; r < conv->r; r++)
            end = int8_copy_taps(job, kernels, x, y + r * (1 + conv->gap), x0, end);
        int8_put(kernels, end, NULL, rest, 0);
    }
}

static void int8_run_dense(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                           const float *packed, const uint8_t *x, const uint8_t *residual,
                           void *out, size_t task, char *scratch)
{
    const struct adl_conv *conv = &job->conv;
    struct int8_blocking b = int8_blocking(conv, kernels);
    size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr;
    size_t row0 = task / b.n_blocks * b.task_rows, rows = ADL_MIN(b.task_rows, b.rows - row0);
    size_t panel = task % b.n_blocks * b.panels_per_block;
    size_t last = ADL_MIN(panel + b.panels_per_block, b.panels);

    const struct adl_int8_out first = int8_out(job, kernels, packed, residual, out);
    const char *a = scratch;
    size_t lda = b.row_bytes;

    if (int8_reads_input(conv, kernels)) {
        a = (const char *)(x + row0 * conv->ldx);
        lda = conv->ldx;
    } else {
        int8_copy_rows(job, kernels, x, row0, rows, b.row_bytes, scratch);
    }
    for (; panel < last; panel++)
        for (size_t i = 0; i < rows; i += mr) {
            size_t k = panel * nr;
            struct adl_int8_tile tile = {
                .a = a + i * lda,
                .lda = lda,
                .b = packed + panel * b.panel_steps * nr,
                .steps = b.steps,
                .m = (int)ADL_MIN(mr, rows - i),
                .n = (int)ADL_MIN(nr, (size_t)conv->k - k),
                .out = int8_out_at(first, row0 + i, k),
            };
            kernels->gemm(&tile);
        }
}

static void int8_run_depthwise(const struct adl_conv_int8 *job,
                               const struct adl_int8_kernels *kernels, const float *packed,
                               const uint8_t *x, void *out, size_t task, uint8_t *pad)
{
    const struct adl_conv *conv = &job->conv;
    const uint8_t *rows[ADL_INT8_MAX_TAPS];
    size_t steps[ADL_INT8_MAX_TAPS];
    int line0 = (int)task * TASK_LINES, end = ADL_MIN(line0 + TASK_LINES, conv->p);

    const struct adl_int8_out first = int8_out(job, kernels, packed, NULL, out);
    memset(pad, job->in.zero, (size_t)conv->c);
    for (int line = line0; line < end; line++) {
        for (int r = 0; r < conv->r; r++) {
            int y = line * conv->stride - conv->pad_top + r;
            bool inside = y >= 0 && y < conv->h;
            rows[r] = inside ? x + (size_t)y * (size_t)conv->w * conv->ldx : pad;
            steps[r] = inside ? conv->ldx : 0;
        }
        kernels->depthwise(&(struct adl_int8_depthwise){
            .rows = rows,
            .steps = steps,
            .pad = pad,
            .r = conv->r,
            .s = conv->s,
            .stride = conv->stride,
            .pad_left = conv->pad_left,
            .w = conv->w,
            .q = conv->q,
            .channels = (size_t)conv->c,
            .weights = packed,
            .out = int8_out_at(first, (size_t)line * (size_t)conv->q, 0),
        });
    }
}

size_t adl_conv_int8_tasks(const struct adl_conv *conv, const struct adl_int8_kernels *kernels)
{
    if (int8_depthwise_shape(conv))
        return adl_ceil_div((size_t)conv->p, TASK_LINES);
    struct int8_blocking b = int8_blocking(conv, kernels);
    return b.m_blocks * b.n_blocks;
}

size_t adl_conv_int8_scratch_floats(const struct adl_conv *conv,
                                    const struct adl_int8_kernels *kernels)
{
    if (int8_depthwise_shape(conv))
        return adl_ceil_div((size_t)conv->c, sizeof(float));
    if (int8_reads_input(conv, kernels))
        return 0;
    struct int8_blocking b = int8_blocking(conv, kernels);
    return b.task_rows * b.row_bytes / sizeof(float);
}

void adl_conv_int8_run(const struct adl_conv_int8 *job, const struct adl_int8_kernels *kernels,
                       const float *packed, const uint8_t *x, const uint8_t *residual, void *out,
                       size_t task, float *scratch)
{
    if (int8_depthwise_shape(&job->conv))
        int8_run_depthwise(job, kernels, packed, x, out, task, (uint8_t *)scratch);
    else
        int8_run_dense(job, kernels, packed, x, residual, out, task, (char *)scratch);
}
