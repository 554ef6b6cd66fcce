/* Resizing of a map, as ONNX's Resize defines it: PyTorch's interpolate and TensorFlow's resize, by
 * the nearest pixel or bilinear. With the scale s = outputs / inputs, output p lies at
 *
 *     half_pixel            (p + 1/2) / s - 1/2
 *     pytorch_half_pixel    the same, but at 0 if there is one output
 *     asymmetric            p / s
 *     align_corners         p (inputs - 1) / (outputs - 1)
 *     half_pixel_nn         (p + 1/2) / s, TensorFlow's for nearest pixels
 *
 * in the input, clamped to its pixels. Nearest rounds that; bilinear weights the two pixels around
 * it, in rows and in columns:
 *
 *     y[p] = (1 - t) x[i] + t x[i + 1],   t = position - i
 *
 * Backward, each output pixel gives its gradient to these pixels with the same weights. Positions
 * are computed in float, as ONNX Runtime does, so that the nearest pixel is the same where the
 * quotient is nearly a whole number. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/resize.h"
#include "ops/train.h"

static float round_position(enum adl_resize_round round, float at)
{
    switch (round) {
    case ADL_RESIZE_FLOOR: return floorf(at);
    case ADL_RESIZE_CEIL: return ceilf(at);
    case ADL_RESIZE_PREFER_CEIL: return floorf(at + 0.5F);
    default: return ceilf(at - 0.5F);
    }
}

struct adl_between adl_resize_at(const struct adl_resize_attr *attr, double scale, int position,
                                 int from, int to)
{
    float s = scale > 0 ? (float)scale : (float)to / (float)from, p = (float)position, at;

    switch (attr->place) {
    case ADL_RESIZE_ASYMMETRIC: at = p / s; break;
    case ADL_RESIZE_CORNERS: at = to > 1 ? p * (float)(from - 1) / (float)(to - 1) : 0; break;
    case ADL_RESIZE_HALF_PIXEL_NN: at = (p + 0.5F) / s; break;
    default: at = (p + 0.5F) / s - 0.5F; break;
    }
    if (attr->place == ADL_RESIZE_PYTORCH && to == 1)
        at = 0;
    if (!attr->linear)
        at = round_position(attr->round, at);
    at = fminf(fmaxf(at, 0), (float)(from - 1));
    int first = (int)at;
    return (struct adl_between){first, ADL_MIN(first + 1, from - 1), at - (float)first};
}

/* Returns the outputs of an axis. */
static double side(int size, double scale, int from)
{
    return size > 0 ? size : floor((double)((float)scale * (float)from));
}

static int resize_infer(const struct adl_node *node, const struct adl_shape *in,
                        struct adl_shape *out, struct adl_error *err)
{
    const struct adl_resize_attr *a = node->attr;
    double h = side(a->h, a->scale_h, in->h), w = side(a->w, a->scale_w, in->w);

    if (!(h >= 1 && w >= 1 && h <= ADL_RESIZE_MOST && w <= ADL_RESIZE_MOST))
        return adl_fail(err, ADL_ERR_ARG, "a map of %dx%d cannot be resized to %gx%g", in->h, in->w,
                        h, w);
    *out = (struct adl_shape){(int)h, (int)w, in->c};
    return 0;
}

/* The four pixels around a position, as offsets in the input, and their weights. */
struct four {
    size_t from[4];
    float weights[4];
};

static struct four four_at(const struct adl_resize_attr *a, struct adl_shape in,
                           struct adl_shape out, int p, int q)
{
    struct adl_between v = adl_resize_at(a, a->h ? 0 : a->scale_h, p, in.h, out.h);
    struct adl_between h = adl_resize_at(a, a->w ? 0 : a->scale_w, q, in.w, out.w);
    size_t row = (size_t)in.w * (size_t)in.c, c = (size_t)in.c;
    return (struct four){
        .from = {(size_t)v.first * row + (size_t)h.first * c,
                 (size_t)v.first * row + (size_t)h.second * c,
                 (size_t)v.second * row + (size_t)h.first * c,
                 (size_t)v.second * row + (size_t)h.second * c},
        .weights = {(1 - v.t) * (1 - h.t), (1 - v.t) * h.t, v.t * (1 - h.t), v.t * h.t}};
}

static void resize_map(const struct adl_resize_attr *a, const float *x, struct adl_shape in,
                       float *y, struct adl_shape out)
{
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, y += out.c) {
            struct four f = four_at(a, in, out, p, q);
            for (int c = 0; c < out.c; c++) {
                float sum = 0;
                for (int i = 0; i < 4; i++)
                    sum += f.weights[i] > 0 ? f.weights[i] * x[f.from[i] + (size_t)c] : 0;
                y[c] = sum;
            }
        }
}

static void resize_forward(const struct adl_op_call *call)
{
    for (size_t n = 0; n < (size_t)call->batch; n++)
        resize_map(call->node->attr, call->in[0] + n * adl_shape_count(*call->in_shape),
                   *call->in_shape, call->out + n * adl_shape_count(call->out_shape),
                   call->out_shape);
}

static void resize_image(const struct adl_train_call *call, size_t n)
{
    resize_map(call->node->attr, call->in[0] + n * adl_shape_count(*call->in_shape),
               *call->in_shape, call->out + n * adl_shape_count(call->out_shape), call->out_shape);
}

static void resize_image_back(const struct adl_train_call *call, size_t n)
{
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *dy = call->grad_out + n * adl_shape_count(out);
    float *dx = call->grad_in[0] + n * adl_shape_count(in);

    if (!call->add_in[0])
        memset(dx, 0, adl_shape_count(in) * sizeof *dx);
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, dy += out.c) {
            struct four f = four_at(call->node->attr, in, out, p, q);
            for (int i = 0; i < 4; i++)
                for (int c = 0; f.weights[i] > 0 && c < out.c; c++)
                    dx[f.from[i] + (size_t)c] += f.weights[i] * dy[c];
        }
}

static void resize_train(const struct adl_train_call *call)
{
    adl_train_images(call, resize_image);
}

static void resize_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, resize_image_back);
}

static void resize_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_resize_attr *a = node->attr;
    if (a->h)
        snprintf(text, size, "%s to %dx%d", a->linear ? "linear" : "nearest", a->h, a->w);
    else
        snprintf(text, size, "%s by %gx%g", a->linear ? "linear" : "nearest", a->scale_h,
                 a->scale_w);
}

static const struct adl_op_train training = {
    .drops_in = true, .forward = resize_train, .backward = resize_backward};

const struct adl_op_def adl_op_resize = {.name = "resize",
                                         .infer = resize_infer,
                                         .forward = resize_forward,
                                         .train = &training,
                                         .describe = resize_describe};

int adl_resize(struct adl_graph *graph, int input, const char *name, struct adl_resize_attr attr)
{
    bool scales = attr.scale_h > 0 && attr.scale_w > 0;
    if (attr.h < 0 || attr.w < 0 || (!attr.h && !(attr.scale_h > 0)) ||
        (!attr.w && !(attr.scale_w > 0)) || (!scales && (!attr.h || !attr.w)))
        return adl_graph_fail(graph, "%s: it has neither a size nor a scale", name);
    return adl_graph_add(graph, name, &adl_op_resize, &attr, sizeof attr, &input, 1, NULL, 0);
}
