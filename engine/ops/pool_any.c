/* Maximum and average over windows of any form: R x S pixels, steps of their own in rows and
 * columns, padding of its own on each side. pool_window.c has fast kernels for square windows with
 * equal padding; this is for the rest, in plain loops.
 *
 *     max:  over the pixels of the window that lie in the map
 *     avg:  their sum divided by their number, or, with count_padding, by the number of pixels of
 *           the window that lie in the padded map
 *
 * In ceil mode the last window may reach beyond the padding at the bottom and on the right; what is
 * beyond counts nowhere. Backward, each pixel of a window gets
 * dy / divisor, or the first maximum gets dy, row by row. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "ops/ops.h"
#include "ops/train.h"

static int pool_any_infer(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape *out, struct adl_error *err)
{
    const struct adl_pool_any_attr *a = node->attr;
    int h = in->h + a->top + a->bottom, w = in->w + a->left + a->right;
    int p = h - a->r, q = w - a->s;
    if (p < 0 || q < 0)
        return adl_fail(err, ADL_ERR_ARG, "a %dx%d window does not fit a %dx%d map", a->r, a->s,
                        in->h, in->w);
    p = (a->ceil_mode ? p + a->stride_h - 1 : p) / a->stride_h + 1;
    q = (a->ceil_mode ? q + a->stride_w - 1 : q) / a->stride_w + 1;
    /* The last window has to start in the map or the padding before it. */
    p -= a->ceil_mode && (p - 1) * a->stride_h >= in->h + a->top;
    q -= a->ceil_mode && (q - 1) * a->stride_w >= in->w + a->left;
    *out = (struct adl_shape){p, q, in->c};
    return 0;
}

struct pool_any_window {
    int row0, row1, column0, column1; /* in the map */
    float divisor;
};

static struct pool_any_window pool_any_at(const struct adl_pool_any_attr *a, struct adl_shape in,
                                          int p, int q)
{
    int row = p * a->stride_h - a->top, column = q * a->stride_w - a->left;
    struct pool_any_window w = {ADL_MAX(row, 0), ADL_MIN(row + a->r, in.h), ADL_MAX(column, 0),
                                ADL_MIN(column + a->s, in.w), 1};
    int rows = ADL_MIN(row + a->r, in.h + a->bottom) - row;
    int columns = ADL_MIN(column + a->s, in.w + a->right) - column;
    w.row1 = ADL_MAX(w.row1, w.row0);
    w.column1 = ADL_MAX(w.column1, w.column0);
    w.divisor = a->count_padding ? (float)rows * (float)columns
                                 : (float)(w.row1 - w.row0) * (float)(w.column1 - w.column0);
    return w;
}

static size_t pool_any_offset(struct adl_shape in, int i, int j)
{
    return ((size_t)i * (size_t)in.w + (size_t)j) * (size_t)in.c;
}

static float pool_any_value(const struct adl_pool_any_attr *a, const float *x, struct adl_shape in,
                            struct pool_any_window w)
{
    float best = -INFINITY;
    double sum = 0;
    for (int i = w.row0; i < w.row1; i++)
        for (int j = w.column0; j < w.column1; j++) {
            float v = x[pool_any_offset(in, i, j)];
            best = v > best || isnan(v) ? v : best;
            sum += (double)v;
        }
    return a->average ? (float)(sum / (double)w.divisor) : best;
}

static void pool_any_image(const struct adl_node *node, const float *x, struct adl_shape in,
                           float *y, struct adl_shape out)
{
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++) {
            struct pool_any_window w = pool_any_at(node->attr, in, p, q);
            for (int c = 0; c < out.c; c++)
                *y++ = pool_any_value(node->attr, x + c, in, w);
        }
}

static void pool_any_forward(const struct adl_op_call *call)
{
    for (size_t n = 0; n < (size_t)call->batch; n++)
        pool_any_image(call->node, call->in[0] + n * adl_shape_count(*call->in_shape),
                       *call->in_shape, call->out + n * adl_shape_count(call->out_shape),
                       call->out_shape);
}

static void pool_any_train_image(const struct adl_train_call *call, size_t n)
{
    pool_any_image(call->node, call->in[0] + n * adl_shape_count(*call->in_shape), *call->in_shape,
                   call->out + n * adl_shape_count(call->out_shape), call->out_shape);
}

static void pool_any_back(const struct adl_pool_any_attr *a, const float *x, struct adl_shape in,
                          struct pool_any_window w, float y, float dy, float *dx)
{
    for (int i = w.row0; i < w.row1; i++)
        for (int j = w.column0; j < w.column1; j++) {
            size_t at = pool_any_offset(in, i, j);
            if (a->average)
                dx[at] += dy / w.divisor;
            else if (x[at] == y || isnan(x[at])) {
                dx[at] += dy;
                return;
            }
        }
}

static void pool_any_image_back(const struct adl_train_call *call, size_t n)
{
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *x = call->in[0] + n * adl_shape_count(in);
    const float *y = call->out + n * adl_shape_count(out);
    const float *dy = call->grad_out + n * adl_shape_count(out);
    float *dx = call->grad_in[0] + n * adl_shape_count(in);

    if (!call->add_in[0])
        memset(dx, 0, adl_shape_count(in) * sizeof *dx);
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++) {
            struct pool_any_window w = pool_any_at(call->node->attr, in, p, q);
            for (int c = 0; c < out.c; c++)
                pool_any_back(call->node->attr, x + c, in, w, *y++, *dy++, dx + c);
        }
}

static void pool_any_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_any_train_image);
}

static void pool_any_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, pool_any_image_back);
}

static void pool_any_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_pool_any_attr *a = node->attr;
    snprintf(text, size, "%s %dx%d", a->average ? "avg" : "max", a->r, a->s);
}

static const struct adl_op_train training = {
    .reads_out = true, .forward = pool_any_train, .backward = pool_any_backward};
const struct adl_op_def adl_op_pool_any = {.name = "pool",
                                           .infer = pool_any_infer,
                                           .forward = pool_any_forward,
                                           .train = &training,
                                           .describe = pool_any_describe};

int adl_pool_any(struct adl_graph *graph, int input, const char *name,
                 struct adl_pool_any_attr attr)
{
    if (attr.r < 1 || attr.s < 1 || attr.stride_h < 1 || attr.stride_w < 1 || attr.top < 0 ||
        attr.left < 0 || attr.bottom < 0 || attr.right < 0 || attr.top >= attr.r ||
        attr.bottom >= attr.r || attr.left >= attr.s || attr.right >= attr.s)
        return adl_graph_fail(graph, "%s: a %dx%d window cannot have that padding or stride", name,
                              attr.r, attr.s);
    return adl_graph_add(graph, name, &adl_op_pool_any, &attr, sizeof attr, &input, 1, NULL, 0);
}
