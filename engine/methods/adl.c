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

#include "methods/method.h"

#include <math.h>
#include <string.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* Which of its two maps every layer applies: the choices of --adl-draw. */
enum {
    ADL_DRAW_RANDOM,     /* the drop mask with probability --adl-drop-rate */
    ADL_DRAW_DROP,       /* always the drop mask */
    ADL_DRAW_IMPORTANCE, /* always the importance map */
    ADL_DRAW_NONE        /* neither */
};

/* The options, in the order of the list below. */
enum { DRAW, DROP_RATE, THRESHOLD, PER_IMAGE, NO_IMPORTANCE };

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
static bool adl_layer_drops(const struct adl_train_call *call, const union adl_method_value *values,
                            size_t image)
{
    if (values[DRAW].integer != ADL_DRAW_RANDOM)
        return values[DRAW].integer == ADL_DRAW_DROP;
    double draw = adl_train_uniform(call, values[PER_IMAGE].flag ? image : 0);
    return draw + values[DROP_RATE].number >= 1;
}

/* What the pixels of the map M of one image are computed from. */
struct drawn {
    bool drop;     /* the drop mask D, else the importance map S */
    bool identity; /* 1 everywhere in place of S: an ablation, or ADL is switched off */
    float cut;     /* threshold max A */
};

/* Returns threshold max A. */
static float adl_layer_cut(const union adl_method_value *values, const float *attention,
                           size_t pixels)
{
    float max = attention[0];
    for (size_t i = 1; i < pixels; i++)
        max = attention[i] > max || isnan(attention[i]) ? attention[i] : max;
    return (float)((double)max * values[THRESHOLD].number);
}

static struct drawn adl_layer_draw(const struct adl_train_call *call, size_t image,
                                   const float *attention, size_t pixels)
{
    const union adl_method_value *values = adl_method_call_values(call);
    bool drop = adl_layer_drops(call, values, image);
    return (struct drawn){.drop = drop,
                          .identity = !drop && values[NO_IMPORTANCE].flag,
                          .cut = adl_layer_cut(values, attention, pixels)};
}

/* Returns whether the layer is more than the identity in this call. */
static bool adl_layer_acts(const struct adl_train_call *call)
{
    return call->mode->method_layers && adl_method_call_values(call)[DRAW].integer != ADL_DRAW_NONE;
}

static float adl_layer_importance(float attention)
{
    return (float)(1 / (1 + exp(-(double)attention)));
}

/* Returns M at a pixel with this attention. */
static float adl_layer_factor(struct drawn drawn, float attention)
{
    if (drawn.drop)
        return attention < drawn.cut ? 1 : 0;
    return drawn.identity ? 1 : adl_layer_importance(attention);
}

static void adl_layer_image(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    const float *x = call->in[0] + image * pixels * channels;
    float *y = call->out + image * pixels * channels;
    float *attention = call->saved + image * pixels;

    if (!adl_layer_acts(call)) {
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
    bool acts = adl_layer_acts(call);
    struct drawn drawn = {.identity = true};

    if (acts)
        drawn = adl_layer_draw(call, image, attention, pixels);
    for (size_t i = 0; i < pixels; i++, x += channels, dy += channels, dx += channels) {
        float factor = acts ? adl_layer_factor(drawn, attention[i]) : 1, shared = 0;
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

static const struct adl_op_def op_adl = {.name = "adl",
                                         .training_only = true,
                                         .infer = adl_infer_same,
                                         .forward = adl_forward_copy,
                                         .train = &training};

/* --- the maps of a layer in the report ----------------------------------------------------- */

static void adl_preview(union adl_method_value *values)
{
    values[DRAW].integer = ADL_DRAW_IMPORTANCE;
}

static bool adl_maps(const union adl_method_value *values, const float *attention, size_t pixels,
                     double *hidden_from, float *factors)
{
    *hidden_from = (double)adl_layer_cut(values, attention, pixels);
    for (size_t i = 0; i < pixels; i++)
        factors[i] = adl_layer_importance(attention[i]);
    return !values[NO_IMPORTANCE].flag;
}

static const struct adl_method_attention adl_attention = {
    .preview = adl_preview,
    .maps = adl_maps,
    .note =
        "the attention at each position (the mean over the channels), what the drop mask hides, "
        "and the importance map (the sigmoid of the attention). Where the attention is on the "
        "object, "
        "the mask hides its most discriminative part, so that the network has to learn the "
        "rest of it.",
};

/* --- options ------------------------------------------------------------------------------- */

static const char *const draws[] = {"random", "drop", "importance", "none", NULL};

static const struct adl_method_option options[] = {
    {"adl-draw", ADL_METHOD_CHOICE, .choices = draws, .metavar = "WHICH",
     .help = "which mask every ADL layer applies; none: no layer does anything"},
    {"adl-drop-rate", ADL_METHOD_NUMBER, 0.75, 0, 1, .metavar = "RATE",
     .help = "probability that the drop mask is drawn rather than the importance map"},
    {"adl-threshold", ADL_METHOD_NUMBER, 0.9, 0, 1, .metavar = "SHARE",
     .help = "fraction of each image's maximum attention above which pixels are dropped"},
    {"adl-per-image", ADL_METHOD_FLAG, .help = "draw for each image instead of once per batch"},
    {"adl-no-importance", ADL_METHOD_FLAG,
     .help = "ablation: identity in place of the importance map"},
    {0},
};

static bool adl_takes_part(const union adl_method_value *values, double epochs)
{
    (void)epochs;
    return values[DRAW].integer != ADL_DRAW_NONE;
}

const struct adl_method adl_method_adl = {.name = "adl",
                                          .in_sequence = true,
                                          .layer = &op_adl,
                                          .attention = &adl_attention,
                                          .takes_part = adl_takes_part,
                                          .options = options};
