/* The attention-based dropout layer, ADL (Choe & Shim, "Attention-based Dropout Layer for
 * Weakly Supervised Object Localization", CVPR 2019). A classifier is content with the most
 * discriminative part of an object; by hiding that part in some steps, ADL makes the network
 * learn the rest of the object, which its class map then covers. The layer has no parameters.
 * Its positions in the network are part of the graph; at inference it is the identity.
 *
 * For a map F of H x W x C, image by image:
 *
 *     A[i,j] = mean over c of F[i,j,c]                  the attention
 *     D[i,j] = 1 if A[i,j] < threshold max A, else 0    the drop mask
 *     S[i,j] = sigmoid(A[i,j])                          the importance map
 *     y[i,j,c] = F[i,j,c] M[i,j],  M = D with probability adl_drop_rate, else S
 *
 * M is drawn once for the batch, as in the authors' code, or for each image (adl_per_image).
 * Unlike in dropout, the rest is not rescaled to make up for the dropped part.
 *
 * Backward, with G = dL/dy. D is piecewise constant and passes no gradient, but S does, since
 * A depends on every channel (dA/dF = 1/C, dS/dA = S (1 - S)):
 *
 *     drop mask       dF[i,j,c] = G[i,j,c] D[i,j]
 *     importance map  dF[i,j,c] = G[i,j,c] S + S (1 - S) / C * sum over k of G[i,j,k] F[i,j,k]
 *
 * The forward pass saves A, one float for each pixel: M follows from it and from the draw,
 * which is repeated from the same random number. */

#include "methods/adl.h"

#include <math.h>
#include <string.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* Returns N x H x W: the attention is saved. The report of a run shows it too. */
static size_t adl_layer_saved(const struct adl_node *node, int batch, const struct adl_shape *in,
                              struct adl_shape out)
{
    (void)node;
    (void)in;
    return (size_t)batch * (size_t)out.h * (size_t)out.w;
}

/* Returns whether an image gets the drop mask; without adl_per_image, one draw decides for
 * all images of the batch. The mask is taken if a uniform number u in [0, 1) has u >= 1 -
 * rate: never at rate 0, always at rate 1. */
static bool adl_layer_drops(const struct adl_train_call *call, size_t image)
{
    const struct adl_train_mode *mode = call->mode;
    if (mode->adl_draw != ADL_DRAW_RANDOM)
        return mode->adl_draw == ADL_DRAW_DROP;
    double draw = adl_train_uniform(call, mode->adl_per_image ? image : 0);
    return draw + mode->adl_drop_rate >= 1;
}

/* What the pixels of the map M of one image are computed from. */
struct drawn {
    bool drop;     /* the drop mask D, else the importance map S */
    bool identity; /* 1 everywhere in place of S: an ablation, or ADL is switched off */
    float cut;     /* threshold max A */
};

static struct drawn adl_layer_draw(const struct adl_train_call *call, size_t image,
                                   const float *attention, size_t pixels)
{
    struct drawn drawn = {.drop = adl_layer_drops(call, image)};
    float max = attention[0];
    for (size_t i = 1; i < pixels; i++)
        max = attention[i] > max || isnan(attention[i]) ? attention[i] : max;
    drawn.cut = (float)((double)max * call->mode->adl_threshold);
    drawn.identity = !drawn.drop && call->mode->adl_identity_importance;
    return drawn;
}

/* Returns M at a pixel with this attention. */
static float adl_layer_factor(struct drawn drawn, float attention)
{
    if (drawn.drop)
        return attention < drawn.cut ? 1 : 0;
    return drawn.identity ? 1 : (float)(1 / (1 + exp(-(double)attention)));
}

static void adl_layer_image(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    float *y = call->out + image * pixels * channels;
    float *attention = call->saved + image * pixels;

    if (!call->mode->method_layers) {
        memcpy(y, x, pixels * channels * sizeof *y);
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        double sum = 0;
        for (size_t c = 0; c < channels; c++)
            sum += (double)x[i * channels + c];
        attention[i] = (float)(sum / (double)channels);
    }
    struct drawn drawn = adl_layer_draw(call, image, attention, pixels);
    for (size_t i = 0; i < pixels; i++) {
        float factor = adl_layer_factor(drawn, attention[i]);
        for (size_t c = 0; c < channels; c++)
            y[i * channels + c] = x[i * channels + c] * factor;
    }
}

static void adl_layer_image_back(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    const float *dy = call->grad_out + image * pixels * channels;
    float *dx = call->grad_in[0] + image * pixels * channels;
    const float *attention = call->saved + image * pixels;
    struct drawn drawn = {.identity = true};

    if (call->mode->method_layers)
        drawn = adl_layer_draw(call, image, attention, pixels);
    for (size_t i = 0; i < pixels; i++, x += channels, dy += channels, dx += channels) {
        float factor = call->mode->method_layers ? adl_layer_factor(drawn, attention[i]) : 1,
              shared = 0;
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

static void adl_layer_train(const struct adl_train_call *call)
{
    adl_train_images(call, adl_layer_image);
}

static void adl_layer_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, adl_layer_image_back);
}

static const struct adl_op_train training = {
    .saved_floats = adl_layer_saved, .forward = adl_layer_train, .backward = adl_layer_backward};

const struct adl_op_def adl_op_adl = {.name = "adl",
                                      .training_only = true,
                                      .infer = adl_infer_same,
                                      .forward = adl_forward_copy,
                                      .train = &training};

static const char *const options[] = {"adl-draw",      "adl-drop-rate",     "adl-threshold",
                                      "adl-per-image", "adl-no-importance", NULL};

const struct adl_method adl_method_adl = {.name = "adl", .layer = adl_adl, .options = options};

int adl_adl(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_adl, NULL, 0, &input, 1, NULL, 0);
}
