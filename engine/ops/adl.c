/* The attention-based dropout layer (Choe & Shim, CVPR 2019). Its place in
 * the network is part of the graph; at inference it is the identity. */

#include <math.h>
#include <string.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* --- training -----------------------------------------------------------------------
 *
 * Per image: A = mean over the channels of F (the attention);
 *   drop mask D = A < threshold * max A, importance map S = sigmoid(A);
 *   out = F * (the map drawn), nothing is rescaled.
 * Backward, with G = dL/dout: through D there is no gradient, so dF = G * D;
 * through S there is: dF[k] = G[k] S + S (1 - S) / C * sum over j of G[j] F[j].
 *
 * Saved: A of every pixel, as the caller's report shows it too. */

static size_t saved_floats(const struct adl_node *node, int batch, const struct adl_shape *in,
                           struct adl_shape out)
{
    (void)node;
    (void)in;
    return (size_t)batch * (size_t)out.h * (size_t)out.w;
}

static bool takes_drop_mask(const struct adl_train_call *call, size_t image)
{
    const struct adl_train_mode *mode = call->mode;
    if (mode->adl_draw != ADL_DRAW_RANDOM)
        return mode->adl_draw == ADL_DRAW_DROP;
    double draw = adl_train_uniform(call, mode->adl_per_image ? image : 0);
    return draw + mode->adl_drop_rate >= 1;
}

/* The map drawn for one image, pixel by pixel, from its attention. */
struct drawn {
    bool drop;
    bool identity;
    float cut; /* attention below it is kept */
};

static struct drawn draw(const struct adl_train_call *call, size_t image, const float *attention,
                         size_t pixels)
{
    struct drawn drawn = {.drop = takes_drop_mask(call, image)};
    float most = attention[0];
    for (size_t i = 1; i < pixels; i++)
        most = attention[i] > most ? attention[i] : most;
    drawn.cut = (float)((double)most * call->mode->adl_threshold);
    drawn.identity = !drawn.drop && call->mode->adl_identity_importance;
    return drawn;
}

static float map_value(struct drawn drawn, float attention)
{
    if (drawn.drop)
        return attention < drawn.cut ? 1 : 0;
    return drawn.identity ? 1 : (float)(1 / (1 + exp(-(double)attention)));
}

static void train_image(const struct adl_train_call *call, size_t piece, size_t image, size_t last)
{
    (void)piece;
    (void)last;
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    float *y = call->out + image * pixels * channels;
    float *attention = call->saved + image * pixels;

    if (!call->mode->adl) {
        memcpy(y, x, pixels * channels * sizeof *y);
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)x[i * channels + c];
        attention[i] = (float)(sum / (double)channels);
    }
    struct drawn drawn = draw(call, image, attention, pixels);
    for (size_t i = 0; i < pixels; i++) {
        float factor = map_value(drawn, attention[i]);
        for (size_t c = 0; c < channels; c++)
            y[i * channels + c] = x[i * channels + c] * factor;
    }
}

static void train_image_back(const struct adl_train_call *call, size_t piece, size_t image,
                             size_t last)
{
    (void)piece;
    (void)last;
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    const float *dy = call->grad_out + image * pixels * channels;
    float *dx = call->grad_in[0] + image * pixels * channels;
    const float *attention = call->saved + image * pixels;
    struct drawn drawn = {.identity = true};

    if (call->mode->adl)
        drawn = draw(call, image, attention, pixels);
    for (size_t i = 0; i < pixels; i++, x += channels, dy += channels, dx += channels) {
        float factor = call->mode->adl ? map_value(drawn, attention[i]) : 1, shared = 0;
        if (!drawn.drop && !drawn.identity) {
            double sum = 0;
            for (size_t c = 0; c < channels; c++)
                sum += (double)dy[c] * (double)x[c];
            shared = (float)((double)factor * (1 - (double)factor) * sum / (double)channels);
        }
        for (size_t c = 0; c < channels; c++)
            dx[c] = (call->add_in[0] ? dx[c] : 0) + dy[c] * factor + shared;
    }
}

static void train_forward(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, train_image);
}

static void train_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, (size_t)call->batch, 1, train_image_back);
}

static const struct adl_op_train training = {
    .saved_floats = saved_floats, .forward = train_forward, .backward = train_backward};

const struct adl_op_def adl_op_adl = {.name = "adl",
                                      .training_only = true,
                                      .infer = adl_infer_same,
                                      .forward = adl_forward_copy,
                                      .train = &training};

int adl_adl(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_adl, NULL, 0, &input, 1, NULL, 0);
}
