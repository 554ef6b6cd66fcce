/* Pooling over the channels, H x W x C to H x W x 2: the two descriptions of a pixel from which
 * CBAM computes its weight (Woo et al., "CBAM", ECCV 2018), the maximum first.
 *
 *     y[i,j,0] = max over c of x[i,j,c],   y[i,j,1] = 1 / C sum over c of x[i,j,c]
 *
 *     dx[i,j,c] (+)= dy[i,j,1] / C + (dy[i,j,0] where c is the first channel with the maximum, else
 * 0)
 *
 * as torch.max and torch.mean over dimension 1. A NaN is the maximum. */

#include <math.h>

#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

/* Values that are summed side by side, so that the compiler can use vectors; the lanes are then
 * added in order. */
#define LANES ((size_t)16)
/* Floats of the input of one task: 256 KiB. */
#define PIECE_FLOATS ((size_t)65536)

static int pool_channels_infer(const struct adl_node *node, const struct adl_shape *in,
                               struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){in->h, in->w, 2};
    return 0;
}

static void pool_channels_forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->in_shape->c;
    size_t pixels = (size_t)call->batch * adl_shape_count(*call->in_shape) / channels;
    for (size_t i = 0; i < pixels; i++) {
        const float *x = call->in[0] + i * channels;
        float most = x[0];
        double sum = 0;
        for (size_t c = 0; c < channels; c++) {
            sum += (double)x[c];
            most = x[c] > most || isnan(x[c]) ? x[c] : most;
        }
        call->out[2 * i] = most;
        call->out[2 * i + 1] = (float)(sum / (double)channels);
    }
}

static float pool_channels_mean(const float *x, size_t channels)
{
    float lanes[LANES] = {0};
    double sum = 0;
    size_t c = 0;
    for (; c + LANES <= channels; c += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += x[c + lane];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += (double)lanes[lane];
    for (; c < channels; c++)
        sum += (double)x[c];
    return (float)(sum / (double)channels);
}

static float pool_channels_max(const float *x, size_t channels)
{
    float lanes[LANES], most = x[0];
    size_t c = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        lanes[lane] = x[0];
    for (; c + LANES <= channels; c += LANES)
        for (size_t lane = 0; lane < LANES; lane++) {
            float v = x[c + lane];
            lanes[lane] = v > lanes[lane] || v != v ? v : lanes[lane];
        }
    for (size_t lane = 0; lane < LANES; lane++)
        most = lanes[lane] > most || lanes[lane] != lanes[lane] ? lanes[lane] : most;
    for (; c < channels; c++)
        most = x[c] > most || x[c] != x[c] ? x[c] : most;
    return most;
}

/* Returns the first channel that has the value `most`. */
static size_t pool_channels_find(const float *x, size_t channels, float most)
{
    for (size_t c = 0; c < channels; c++)
        if (x[c] == most || (most != most && x[c] != x[c]))
            return c;
    return 0;
}

void adl_pool_channels_of(const float *x, size_t ldx, size_t pixels, size_t channels, float *y,
                          size_t ldy, float *where)
{
    for (size_t i = 0; i < pixels; i++, x += ldx, y += ldy) {
        y[0] = pool_channels_max(x, channels);
        y[1] = pool_channels_mean(x, channels);
        if (where)
            where[i] = (float)pool_channels_find(x, channels, y[0]);
    }
}

/* --- training: the numbers of the channels with the maxima are saved as floats ------------- */

static size_t pool_channels_saved(const struct adl_node *node, int batch,
                                  const struct adl_shape *in, struct adl_shape out)
{
    (void)node;
    (void)in;
    return (size_t)batch * (size_t)out.h * (size_t)out.w;
}

static void pool_channels_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->in_shape->c;
    adl_pool_channels_of(call->in[0] + first * channels, channels, last - first, channels,
                         call->out + 2 * first, 2, call->saved + first);
}

static void pool_channels_piece_back(const struct adl_train_call *call, size_t piece, size_t first,
                                     size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->in_shape->c;
    for (size_t i = first; i < last; i++) {
        float *dx = call->grad_in[0] + i * channels;
        float share = call->grad_out[2 * i + 1] / (float)channels;
        for (size_t c = 0; c < channels; c++)
            dx[c] = (call->add_in[0] ? dx[c] : 0) + share;
        dx[(size_t)call->saved[i]] += call->grad_out[2 * i];
    }
}

static void pool_channels_for_pieces(const struct adl_train_call *call, adl_train_body *body)
{
    size_t channels = (size_t)call->in_shape->c;
    adl_train_pieces(call, (size_t)call->batch * adl_shape_count(*call->in_shape) / channels,
                     PIECE_FLOATS / channels + 1, body);
}

static void pool_channels_train(const struct adl_train_call *call)
{
    pool_channels_for_pieces(call, pool_channels_piece);
}

static void pool_channels_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        pool_channels_for_pieces(call, pool_channels_piece_back);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = pool_channels_saved,
                                             .forward = pool_channels_train,
                                             .backward = pool_channels_backward};

const struct adl_op_def adl_op_channelpool = {.name = "channelpool",
                                              .infer = pool_channels_infer,
                                              .forward = pool_channels_forward,
                                              .train = &training};

int adl_channelpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_channelpool, NULL, 0, &input, 1, NULL, 0);
}
