/* Ops on the channels of each pixel by itself:
 *
 *     channel_affine  y[c] = w[c] x[c] + b[c], with parameters w and b; a missing w is 1, a missing
 *                     b is 0. dx = w dy; dw = sum of x dy, db = sum of dy over all pixels
 *     layernorm       y[c] = (x[c] - m) s, s = 1 / sqrt(v + eps), m and v the mean and variance
 *                     (divided by C) over the channels of the pixel (Ba et al. 2016; its weight and
 *                     bias are a channel_affine after it)
 *                     dx[c] = s (dy[c] - mean(dy) - y[c] mean(dy y))
 *     shuffle         y[k G + g] = x[g C/G + k] for G groups (Zhang et al., "ShuffleNet", 2017)
 *     slice           y[c] = x[first + c]
 *
 * Gradients (+)= as everywhere (train.h). */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

static size_t channels_pixels(int batch, struct adl_shape shape)
{
    return (size_t)batch * (size_t)shape.h * (size_t)shape.w;
}

static void channels_put(float *to, float value, bool add)
{
    *to = add ? *to + value : value;
}

/* --- channel_affine -------------------------------------------------------------------------- */

/* The parameters of a node, in this order; only those that it has. */
struct channels_affine_attr {
    bool weight, bias;
};

static const float *channels_weight(const struct adl_node *node, const float *const *params)
{
    const struct channels_affine_attr *attr = node->attr;
    return attr->weight ? params[0] : NULL;
}

static const float *channels_bias(const struct adl_node *node, const float *const *params)
{
    const struct channels_affine_attr *attr = node->attr;
    return attr->bias ? params[attr->weight ? 1 : 0] : NULL;
}

static void channels_affine(const struct adl_node *node, const float *const *params, const float *x,
                            float *y, size_t pixels, size_t channels)
{
    const float *w = channels_weight(node, params), *b = channels_bias(node, params);
    for (size_t i = 0; i < pixels; i++, x += channels, y += channels)
        for (size_t c = 0; c < channels; c++)
            y[c] = x[c] * (w ? w[c] : 1) + (b ? b[c] : 0);
}

static void channels_affine_forward(const struct adl_op_call *call)
{
    channels_affine(call->node, call->params, call->in[0], call->out,
                    channels_pixels(call->batch, call->out_shape), (size_t)call->out_shape.c);
}

static void channels_affine_train(const struct adl_train_call *call)
{
    channels_affine(call->node, (const float *const *)call->params, call->in[0], call->out,
                    channels_pixels(call->batch, call->out_shape), (size_t)call->out_shape.c);
}

static void channels_affine_backward(const struct adl_train_call *call)
{
    const struct channels_affine_attr *attr = call->node->attr;
    const float *w = channels_weight(call->node, (const float *const *)call->params);
    size_t channels = (size_t)call->out_shape.c, bias = attr->weight ? 1 : 0;
    size_t pixels = channels_pixels(call->batch, call->out_shape);
    float *dw = attr->weight ? call->grad_params[0] : NULL;
    float *db = attr->bias ? call->grad_params[bias] : NULL, *dx = call->grad_in[0];

    for (size_t c = 0; c < channels; c++) {
        double sum_w = 0, sum_b = 0;
        for (size_t i = c; i < pixels * channels; i += channels) {
            sum_w += (double)(call->grad_out[i] * call->in[0][i]);
            sum_b += (double)call->grad_out[i];
            if (dx)
                channels_put(&dx[i], call->grad_out[i] * (w ? w[c] : 1), call->add_in[0]);
        }
        if (dw)
            dw[c] += (float)sum_w;
        if (db)
            db[c] += (float)sum_b;
    }
}

static const struct adl_op_train affine_training = {.forward = channels_affine_train,
                                                    .backward = channels_affine_backward};
const struct adl_op_def adl_op_channel_affine = {.name = "channel_affine",
                                                 .infer = adl_infer_same,
                                                 .forward = channels_affine_forward,
                                                 .train = &affine_training};

int adl_channel_affine(struct adl_graph *graph, int input, const char *name, const char *weight,
                       const char *bias)
{
    struct channels_affine_attr attr = {weight != NULL, bias != NULL};
    int params[2], count = 0;
    if (input < 0)
        return -1;
    size_t channels = (size_t)adl_graph_value(graph, input)->shape.c;
    if (weight)
        params[count++] = adl_graph_add_param(graph, weight, ADL_PARAM_BN_WEIGHT, 1, &channels);
    if (bias)
        params[count++] = adl_graph_add_param(graph, bias, ADL_PARAM_BN_BIAS, 1, &channels);
    return adl_graph_add(graph, name, &adl_op_channel_affine, &attr, sizeof attr, &input, 1, params,
                         count);
}

int adl_channel_scale(struct adl_graph *graph, int input, const char *name, int param)
{
    struct channels_affine_attr attr = {.weight = true};
    if (input < 0 || param < 0)
        return -1;
    if (adl_graph_param(graph, param)->count != (size_t)adl_graph_value(graph, input)->shape.c)
        return adl_graph_fail(graph, "%s: one weight for each channel is needed", name);
    return adl_graph_add(graph, name, &adl_op_channel_affine, &attr, sizeof attr, &input, 1, &param,
                         1);
}

/* --- layernorm -------------------------------------------------------------------------------- */

/* Normalises one pixel; returns s. */
static double channels_normalise(const float *x, float *y, size_t channels, double eps)
{
    double mean = 0, square = 0;
    for (size_t c = 0; c < channels; c++)
        mean += (double)x[c];
    mean /= (double)channels;
    for (size_t c = 0; c < channels; c++)
        square += ((double)x[c] - mean) * ((double)x[c] - mean);
    double s = 1 / sqrt(square / (double)channels + eps);
    for (size_t c = 0; y && c < channels; c++)
        y[c] = (float)(((double)x[c] - mean) * s);
    return s;
}

static void channels_layernorm_forward(const struct adl_op_call *call)
{
    const struct adl_layernorm_attr *attr = call->node->attr;
    size_t channels = (size_t)call->out_shape.c;
    for (size_t i = 0; i < channels_pixels(call->batch, call->out_shape); i++)
        channels_normalise(call->in[0] + i * channels, call->out + i * channels, channels,
                           attr->eps);
}

static void channels_layernorm_image(const struct adl_train_call *call, size_t image)
{
    const struct adl_layernorm_attr *attr = call->node->attr;
    size_t channels = (size_t)call->out_shape.c, pixels = channels_pixels(1, call->out_shape);
    for (size_t i = image * pixels; i < (image + 1) * pixels; i++)
        channels_normalise(call->in[0] + i * channels, call->out + i * channels, channels,
                           attr->eps);
}

static void channels_layernorm_image_back(const struct adl_train_call *call, size_t image)
{
    const struct adl_layernorm_attr *attr = call->node->attr;
    size_t channels = (size_t)call->out_shape.c, pixels = channels_pixels(1, call->out_shape);
    for (size_t i = image * pixels; i < (image + 1) * pixels; i++) {
        const float *y = call->out + i * channels, *dy = call->grad_out + i * channels;
        float *dx = call->grad_in[0] + i * channels;
        double s = channels_normalise(call->in[0] + i * channels, NULL, channels, attr->eps);
        double mean = 0, along = 0;
        for (size_t c = 0; c < channels; c++) {
            mean += (double)dy[c];
            along += (double)dy[c] * (double)y[c];
        }
        mean /= (double)channels;
        along /= (double)channels;
        for (size_t c = 0; c < channels; c++)
            channels_put(&dx[c], (float)(s * ((double)dy[c] - mean - (double)y[c] * along)),
                         call->add_in[0]);
    }
}

static void channels_layernorm_train(const struct adl_train_call *call)
{
    adl_train_images(call, channels_layernorm_image);
}

static void channels_layernorm_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, channels_layernorm_image_back);
}

static const struct adl_op_train layernorm_training = {.reads_out = true,
                                                       .forward = channels_layernorm_train,
                                                       .backward = channels_layernorm_backward};
const struct adl_op_def adl_op_layernorm = {.name = "layernorm",
                                            .infer = adl_infer_same,
                                            .forward = channels_layernorm_forward,
                                            .train = &layernorm_training};

int adl_layernorm(struct adl_graph *graph, int input, const char *name, double eps)
{
    struct adl_layernorm_attr attr = {eps};
    return adl_graph_add(graph, name, &adl_op_layernorm, &attr, sizeof attr, &input, 1, NULL, 0);
}

/* --- layernorm_slope
 * ------------------------------------------------------------------------------ */

static int channels_slope_infer(const struct adl_node *node, const struct adl_shape *in,
                                struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    if (in[1].h != 1 || in[1].w != 1 || in[1].c != in[0].c)
        return adl_fail(err, ADL_ERR_ARG, "a vector of %dx%dx%d does not fit %d channels", in[1].h,
                        in[1].w, in[1].c, in[0].c);
    *out = in[0];
    return 0;
}

/* For one image: x is the vector, d the map of changes. */
static void channels_slope(const float *d, const float *x, float *out, size_t pixels,
                           size_t channels, double eps)
{
    double mean = 0, s = channels_normalise(x, NULL, channels, eps);
    for (size_t c = 0; c < channels; c++)
        mean += (double)x[c];
    mean /= (double)channels;
    for (size_t i = 0; i < pixels; i++, d += channels, out += channels) {
        double shift = 0, along = 0;
        for (size_t c = 0; c < channels; c++) {
            shift += (double)d[c];
            along += (double)d[c] * ((double)x[c] - mean) * s;
        }
        shift /= (double)channels;
        along /= (double)channels;
        for (size_t c = 0; c < channels; c++)
            out[c] = (float)(s * ((double)d[c] - shift - ((double)x[c] - mean) * s * along));
    }
}

static void channels_slope_batch(const struct adl_node *node, const float *const *in,
                                 struct adl_shape shape, float *out, int batch)
{
    const struct adl_layernorm_attr *attr = node->attr;
    size_t channels = (size_t)shape.c, count = adl_shape_count(shape);
    for (size_t n = 0; n < (size_t)batch; n++)
        channels_slope(in[0] + n * count, in[1] + n * channels, out + n * count, count / channels,
                       channels, attr->eps);
}

static void channels_slope_forward(const struct adl_op_call *call)
{
    channels_slope_batch(call->node, call->in, call->out_shape, call->out, call->batch);
}

static void channels_slope_train(const struct adl_train_call *call)
{
    channels_slope_batch(call->node, call->in, call->out_shape, call->out, call->batch);
}

static void channels_no_gradient(const struct adl_train_call *call)
{
    (void)call;
}

static const struct adl_op_train slope_training = {
    .detached = 3, .forward = channels_slope_train, .backward = channels_no_gradient};
const struct adl_op_def adl_op_layernorm_slope = {.name = "layernorm_slope",
                                                  .infer = channels_slope_infer,
                                                  .forward = channels_slope_forward,
                                                  .train = &slope_training};

int adl_layernorm_slope(struct adl_graph *graph, int map, int vector, const char *name, double eps)
{
    struct adl_layernorm_attr attr = {eps};
    return adl_graph_add(graph, name, &adl_op_layernorm_slope, &attr, sizeof attr,
                         (int[]){map, vector}, 2, NULL, 0);
}

/* --- shuffle and slice: a channel of the output is one of the input ----------------------------
 */

static size_t channels_shuffled(const struct adl_node *node, size_t c, size_t channels)
{
    const struct adl_shuffle_attr *attr = node->attr;
    size_t groups = (size_t)attr->groups;
    return c % groups * (channels / groups) + c / groups;
}

static size_t channels_source(const struct adl_node *node, size_t c, size_t channels)
{
    const struct adl_slice_attr *attr = node->attr;
    return node->def == &adl_op_shuffle ? channels_shuffled(node, c, channels)
                                        : (size_t)attr->first + c;
}

static void channels_pick(const struct adl_node *node, const float *x, size_t from, float *y,
                          size_t to, size_t pixels)
{
    for (size_t c = 0; c < to; c++) {
        size_t source = channels_source(node, c, from);
        for (size_t i = 0; i < pixels; i++)
            y[i * to + c] = x[i * from + source];
    }
}

static void channels_pick_forward(const struct adl_op_call *call)
{
    channels_pick(call->node, call->in[0], (size_t)call->in_shape->c, call->out,
                  (size_t)call->out_shape.c, channels_pixels(call->batch, call->out_shape));
}

static void channels_pick_train(const struct adl_train_call *call)
{
    channels_pick(call->node, call->in[0], (size_t)call->in_shape->c, call->out,
                  (size_t)call->out_shape.c, channels_pixels(call->batch, call->out_shape));
}

static void channels_pick_backward(const struct adl_train_call *call)
{
    size_t from = (size_t)call->in_shape->c, to = (size_t)call->out_shape.c;
    size_t pixels = channels_pixels(call->batch, call->out_shape);
    float *dx = call->grad_in[0];

    if (!dx)
        return;
    if (!call->add_in[0])
        memset(dx, 0, pixels * from * sizeof *dx);
    for (size_t c = 0; c < to; c++) {
        size_t source = channels_source(call->node, c, from);
        for (size_t i = 0; i < pixels; i++)
            dx[i * from + source] += call->grad_out[i * to + c];
    }
}

static int channels_shuffle_infer(const struct adl_node *node, const struct adl_shape *in,
                                  struct adl_shape *out, struct adl_error *err)
{
    const struct adl_shuffle_attr *attr = node->attr;
    if (attr->groups < 1 || in->c % attr->groups)
        return adl_fail(err, ADL_ERR_ARG, "%d channels cannot be shuffled in %d groups", in->c,
                        attr->groups);
    *out = *in;
    return 0;
}

static int channels_slice_infer(const struct adl_node *node, const struct adl_shape *in,
                                struct adl_shape *out, struct adl_error *err)
{
    const struct adl_slice_attr *attr = node->attr;
    if (attr->first < 0 || attr->count < 1 || attr->count > in->c ||
        attr->first > in->c - attr->count)
        return adl_fail(err, ADL_ERR_ARG, "channels %d to %d are not among %d", attr->first,
                        attr->first + attr->count - 1, in->c);
    *out = (struct adl_shape){in->h, in->w, attr->count};
    return 0;
}

static void channels_slice_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_slice_attr *attr = node->attr;
    snprintf(text, size, "%d+%d", attr->first, attr->count);
}

static const struct adl_op_train pick_training = {
    .drops_in = true, .forward = channels_pick_train, .backward = channels_pick_backward};
const struct adl_op_def adl_op_shuffle = {.name = "shuffle",
                                          .infer = channels_shuffle_infer,
                                          .forward = channels_pick_forward,
                                          .train = &pick_training};
const struct adl_op_def adl_op_slice = {.name = "slice",
                                        .infer = channels_slice_infer,
                                        .forward = channels_pick_forward,
                                        .train = &pick_training,
                                        .describe = channels_slice_describe};

int adl_shuffle(struct adl_graph *graph, int input, const char *name, int groups)
{
    struct adl_shuffle_attr attr = {groups};
    return adl_graph_add(graph, name, &adl_op_shuffle, &attr, sizeof attr, &input, 1, NULL, 0);
}

int adl_slice(struct adl_graph *graph, int input, const char *name, int first, int count)
{
    struct adl_slice_attr attr = {first, count};
    return adl_graph_add(graph, name, &adl_op_slice, &attr, sizeof attr, &input, 1, NULL, 0);
}
