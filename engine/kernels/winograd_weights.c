/* Packs and transforms the weights of a Winograd convolution, in one of two layouts.
 *
 * Transformed: G g G' of each kernel, n n' values instead of R S (for a 3x3 kernel 36
 * or 64 instead of 9), in the order in which conv_winograd.c reads them:
 *
 *     [slice of panels][position][chunk of the depth][panel][channel of the chunk][nr]
 *
 * Compact: the weights of the model, [panel][input channel][tap][nr]. They are transformed
 * chunk by chunk each time they are used. In bfloat16 they take half of the space, and the factors
 * of a folded batch norm are applied when they are widened.
 *
 * A panel is nr output channels, zero beyond the last one. In both layouts the biases,
 * padded to whole panels, follow, and in bfloat16 the factors after them. */

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/bf16.h"
#include "kernels/winograd_parts.h"

/* Floats of the buffer on the stack in which taps are gathered before the transform. */
#define GATHER_FLOATS 4608

static size_t winograd_taps(const struct adl_winograd_blocking *b)
{
    return (size_t)(b->rows.r * b->columns.r);
}

size_t adl_winograd_weight_floats(const struct adl_winograd_blocking *b)
{
    return b->compact ? adl_winograd_compact_offset(b, b->panels, 0)
                      : b->positions * b->panels * b->channels * b->nr;
}

size_t adl_winograd_packed_floats(const struct adl_winograd_blocking *b)
{
    return adl_winograd_weight_floats(b) + (b->bf16 ? 2 : 1) * b->panels * b->nr;
}

size_t adl_winograd_weight_offset(const struct adl_winograd_blocking *b, size_t position,
                                  size_t panel, size_t channel)
{
    size_t first = panel / b->slice_panels * b->slice_panels;
    size_t slice_panels = ADL_MIN(b->slice_panels, b->panels - first);
    size_t chunk = channel / b->chunk * b->chunk;
    size_t depth = ADL_MIN(b->chunk, b->channels - chunk);
    size_t rows = first * b->positions * b->channels; /* rows of the earlier slices */
    rows += position * slice_panels * b->channels;
    rows += chunk * slice_panels + (panel - first) * depth + (channel - chunk);
    return rows * b->nr;
}

size_t adl_winograd_compact_offset(const struct adl_winograd_blocking *b, size_t panel,
                                   size_t channel)
{
    size_t values = (panel * b->channels + channel) * winograd_taps(b) * b->nr;
    return b->bf16 ? values / 2 : values;
}

static struct adl_winograd_weights winograd_weights_job(const struct adl_winograd_blocking *b)
{
    return (struct adl_winograd_weights){
        .row_points = b->rows.whole.points,
        .column_points = b->columns.whole.points,
        .r = b->rows.r,
        .s = b->columns.r,
    };
}

/* Copies the taps of one panel and `depth` input channels from PyTorch's layout into
 * that of compact weights, [input channel][tap][nr], multiplied by their scale (NULL: 1). */
static void winograd_gather(const struct adl_winograd_blocking *b, const struct adl_conv *conv,
                            const float *weights, const float *scale, size_t panel, size_t channel,
                            size_t depth, float *to)
{
    size_t taps = winograd_taps(b), first = panel * b->nr, count = depth * taps;
    size_t lanes = ADL_MIN(b->nr, (size_t)conv->k - first);

    if (lanes < b->nr)
        memset(to, 0, count * b->nr * sizeof *to);
    for (size_t k = 0; k < lanes; k++) {
        const float *from = weights + ((first + k) * b->channels + channel) * taps;
        for (size_t i = 0; i < count; i++)
            to[i * b->nr + k] = scale ? from[i] * scale[first + k] : from[i];
    }
}

/* Returns the input channels of a piece. */
static size_t winograd_piece_depth(const struct adl_winograd_blocking *b)
{
    size_t channel = winograd_taps(b) * b->nr;

    assert(channel > 0);
    return ADL_MAX(GATHER_FLOATS / channel, 1);
}

/* Gathers and transforms one panel piece by piece; no piece crosses the border of a
 * chunk, since the layout changes there. */
static void winograd_transform_panel(const struct adl_winograd_blocking *b,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels,
                                     const float *weights, const float *scale, size_t panel,
                                     float *packed)
{
    float piece[GATHER_FLOATS];
    size_t most = winograd_piece_depth(b);
    struct adl_winograd_weights job = winograd_weights_job(b);

    job.w = piece;
    job.step =
        adl_winograd_weight_offset(b, 1, panel, 0) - adl_winograd_weight_offset(b, 0, panel, 0);
    for (size_t chunk = 0; chunk < b->channels; chunk += b->chunk) {
        size_t end = ADL_MIN(chunk + b->chunk, b->channels);
        for (size_t c = chunk; c < end; c += job.depth) {
            job.depth = ADL_MIN(most, end - c);
            job.u = packed + adl_winograd_weight_offset(b, 0, panel, c);
            winograd_gather(b, conv, weights, scale, panel, c, job.depth, piece);
            kernels->winograd->weights(&job);
        }
    }
}

/* Gathers and rounds one panel piece by piece. */
static void winograd_round_panel(const struct adl_winograd_blocking *b, const struct adl_conv *conv,
                                 const struct adl_kernels *kernels, const float *weights,
                                 size_t panel, float *packed)
{
    float piece[GATHER_FLOATS];
    size_t depth;

    for (size_t c = 0; c < b->channels; c += depth) {
        depth = ADL_MIN(winograd_piece_depth(b), b->channels - c);
        winograd_gather(b, conv, weights, NULL, panel, c, depth, piece);
        kernels->bf16->round(
            piece, depth * winograd_taps(b), b->nr,
            (uint32_t *)(void *)(packed + adl_winograd_compact_offset(b, panel, c)));
    }
}

void adl_winograd_pack(const struct adl_winograd_blocking *b, const struct adl_conv *conv,
                       const struct adl_kernels *kernels, const float *weights, const float *scale,
                       const float *bias, float *packed)
{
    float *biases = packed + adl_winograd_weight_floats(b);
    size_t k = (size_t)conv->k;

    for (size_t panel = 0; panel < b->panels; panel++)
        if (b->bf16)
            winograd_round_panel(b, conv, kernels, weights, panel, packed);
        else if (b->compact)
            winograd_gather(b, conv, weights, scale, panel, 0, b->channels,
                            packed + adl_winograd_compact_offset(b, panel, 0));
        else
            winograd_transform_panel(b, conv, kernels, weights, scale, panel, packed);
    memset(biases, 0, b->panels * b->nr * sizeof *biases);
    memcpy(biases, bias, k * sizeof *biases);
    if (b->bf16) {
        float *factors = biases + b->panels * b->nr;
        memset(factors, 0, b->panels * b->nr * sizeof *factors);
        memcpy(factors, scale, k * sizeof *factors);
    }
}

size_t adl_winograd_chunk_step(const struct adl_winograd_blocking *b)
{
    /* A cache line apart, so that the positions fall into different cache sets. */
    return b->chunk * b->nr + ADL_LINE_FLOATS;
}

size_t adl_winograd_chunk_floats(const struct adl_winograd_blocking *b)
{
    return b->positions * adl_winograd_chunk_step(b);
}

void adl_winograd_transform_chunk(const struct adl_winograd_blocking *b,
                                  const struct adl_kernels *kernels, const float *packed,
                                  const float *factors, size_t depth, float *to)
{
    struct adl_winograd_weights job = winograd_weights_job(b);
    float piece[GATHER_FLOATS];

    job.w = packed;
    job.depth = depth;
    job.u = to;
    job.step = adl_winograd_chunk_step(b);
    if (!b->bf16) {
        kernels->winograd->weights(&job);
        return;
    }
    job.w = piece;
    for (size_t c = 0; c < depth; c += job.depth) {
        job.depth = ADL_MIN(winograd_piece_depth(b), depth - c);
        job.u = to + c * b->nr;
        kernels->bf16->widen(
            (const uint32_t *)(const void *)(packed + adl_winograd_compact_offset(b, 0, c)),
            factors, job.depth * winograd_taps(b), b->nr, piece);
        kernels->winograd->weights(&job);
    }
}
