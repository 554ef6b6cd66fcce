/* Maximum and average over a sliding window. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/size.h"
#include "ops/ops.h"
#include "ops/train.h"

/* PyTorch's rule: in ceil mode the last window may hang over the edge, but
 * has to start inside the map or its left padding. */
static int pooled(int side, const struct adl_pool_attr *a)
{
    int span = side + 2 * a->pad - a->size;
    if (span < 0)
        return 0;
    int n = span / a->stride + 1;
    if (a->ceil_mode) {
        n = (span + a->stride - 1) / a->stride + 1;
        if ((n - 1) * a->stride >= side + a->pad)
            n--;
    }
    return n;
}

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    const struct adl_pool_attr *a = node->attr;
    *out = (struct adl_shape){pooled(in->h, a), pooled(in->w, a), in->c};
    if (out->h < 1 || out->w < 1)
        return adl_fail(err, ADL_ERR_ARG, "a %dx%d window does not fit a %dx%d map", a->size,
                        a->size, in->h, in->w);
    return 0;
}

/* One window: the rows and columns of it that lie inside the map. */
struct window {
    int row0, row1, column0, column1;
};

static struct window window_at(const struct adl_pool_attr *a, struct adl_shape in, int p, int q)
{
    int row = p * a->stride - a->pad, column = q * a->stride - a->pad;
    return (struct window){ADL_MAX(row, 0), ADL_MIN(row + a->size, in.h), ADL_MAX(column, 0),
                           ADL_MIN(column + a->size, in.w)};
}

static void max_forward(const struct adl_op_call *call)
{
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    float *y = call->out;
    for (int n = 0; n < call->batch; n++) {
        const float *x = call->in[0] + (size_t)n * adl_shape_count(in);
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++) {
                struct window win = window_at(call->node->attr, in, p, q);
                for (int c = 0; c < out.c; c++) {
                    float best = -INFINITY;
                    for (int i = win.row0; i < win.row1; i++)
                        for (int j = win.column0; j < win.column1; j++)
                            best = fmaxf(best, x[(i * in.w + j) * in.c + c]);
                    *y++ = best;
                }
            }
    }
}

static void avg_forward(const struct adl_op_call *call)
{
    const struct adl_pool_attr *a = call->node->attr;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    float *y = call->out;
    for (int n = 0; n < call->batch; n++) {
        const float *x = call->in[0] + (size_t)n * adl_shape_count(in);
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++) {
                struct window win = window_at(a, in, p, q);
                for (int c = 0; c < out.c; c++) {
                    double sum = 0;
                    for (int i = win.row0; i < win.row1; i++)
                        for (int j = win.column0; j < win.column1; j++)
                            sum += (double)x[(i * in.w + j) * in.c + c];
                    *y++ = (float)(sum / (a->size * a->size));
                }
            }
    }
}

static void describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_pool_attr *a = node->attr;
    snprintf(text, size, "%dx%d s%d%s", a->size, a->size, a->stride, a->ceil_mode ? " ceil" : "");
}

/* --- training: one piece is one image --------------------------------------------- */

typedef void row_kernel(const struct adl_pool_row *row);

static void pool_image(const struct adl_train_call *call, size_t image, row_kernel *kernel)
{
    const struct adl_pool_attr *a = call->node->attr;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    size_t line = (size_t)in.w * (size_t)in.c;
    const float *x = call->in[0] + image * adl_shape_count(in), *rows[ADL_LIMIT_WINDOW];
    struct adl_pool_row row = {
        .rows = rows,
        .size = a->size,
        .stride = a->stride,
        .pad_left = a->pad,
        .w = in.w,
        .ldx = (size_t)in.c,
        .channels = (size_t)in.c,
        .out = call->out + image * adl_shape_count(out),
        .q = out.w,
        .ldo = (size_t)out.c,
    };
    for (int p = 0; p < out.h; p++, row.out += (size_t)out.w * row.ldo) {
        int top = p * a->stride - a->pad;
        for (int r = 0; r < a->size; r++)
            rows[r] = top + r < 0 || top + r >= in.h ? NULL : x + (size_t)(top + r) * line;
        kernel(&row);
    }
}

static void max_image(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    (void)last;
    pool_image(call, first, call->kernels->maxpool);
}

static void avg_image(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    (void)last;
    pool_image(call, first, call->kernels->avgpool);
}

/* The gradient goes to the first maximum of the window, in row order. */
static void max_image_back(const struct adl_train_call *call, size_t piece, size_t first,
                           size_t last)
{
    (void)piece;
    (void)last;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    size_t line = (size_t)in.w * (size_t)in.c, image = first * adl_shape_count(in);
    struct adl_maxpool_back window = {
        .line = line,
        .y = call->out + first * adl_shape_count(out),
        .dy = call->grad_out + first * adl_shape_count(out),
        .channels = (size_t)in.c,
    };
    if (!call->add_in[0])
        memset(call->grad_in[0] + image, 0, adl_shape_count(in) * sizeof(float));
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, window.y += out.c, window.dy += out.c) {
            struct window win = window_at(call->node->attr, in, p, q);
            size_t at = image + (size_t)win.row0 * line + (size_t)win.column0 * (size_t)in.c;
            window.x = call->in[0] + at;
            window.dx = call->grad_in[0] + at;
            window.rows = win.row1 - win.row0;
            window.columns = win.column1 - win.column0;
            call->kernels->maxpool_back(&window);
        }
}

static size_t avg_scratch(const struct adl_train_call *call)
{
    return (size_t)call->in_shape->c;
}

static void avg_image_back(const struct adl_train_call *call, size_t piece, size_t first,
                           size_t last)
{
    (void)piece;
    (void)last;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *dy = call->grad_out + first * adl_shape_count(out), *shares = call->scratch;
    float *dx = call->grad_in[0] + first * adl_shape_count(in);
    size_t c = (size_t)in.c;
    if (!call->add_in[0])
        memset(dx, 0, adl_shape_count(in) * sizeof *dx);
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, dy += c) {
            struct window win = window_at(call->node->attr, in, p, q);
            for (int i = win.row0; i < win.row1; i++)
                call->kernels->spread(dy, shares, 0, (size_t)(win.column1 - win.column0), c,
                                      dx + ((size_t)i * (size_t)in.w + (size_t)win.column0) * c, c);
        }
}

static void max_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, max_image);
}

static void max_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, (size_t)call->batch, 1, max_image_back);
}

static void avg_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, avg_image);
}

static void avg_backward(const struct adl_train_call *call)
{
    const struct adl_pool_attr *a = call->node->attr;
    if (!call->grad_in[0])
        return;
    for (int c = 0; c < call->in_shape->c; c++)
        call->scratch[c] = 1 / (float)(a->size * a->size);
    adl_train_pieces(call, (size_t)call->batch, 1, avg_image_back);
}

static const struct adl_op_train max_training = {
    .reads_out = true, .forward = max_train, .backward = max_backward};
static const struct adl_op_train avg_training = {.drops_in = true,
                                                 .scratch_floats = avg_scratch,
                                                 .forward = avg_train,
                                                 .backward = avg_backward};

const struct adl_op_def adl_op_maxpool = {.name = "maxpool",
                                          .infer = infer,
                                          .forward = max_forward,
                                          .train = &max_training,
                                          .describe = describe};
const struct adl_op_def adl_op_avgpool = {.name = "avgpool",
                                          .infer = infer,
                                          .forward = avg_forward,
                                          .train = &avg_training,
                                          .describe = describe};

static int add_pool(struct adl_graph *graph, int input, const char *name,
                    const struct adl_op_def *def, struct adl_pool_attr attr)
{
    if (attr.size < 1 || attr.stride < 1 || attr.pad < 0 || attr.pad >= attr.size ||
        attr.size > ADL_LIMIT_WINDOW)
        return adl_graph_fail(graph, "%s: window %d, stride %d, padding %d", name, attr.size,
                              attr.stride, attr.pad);
    return adl_graph_add(graph, name, def, &attr, sizeof attr, &input, 1, NULL, 0);
}

int adl_maxpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr)
{
    return add_pool(graph, input, name, &adl_op_maxpool, attr);
}

int adl_avgpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr)
{
    /* A ceil-mode window that hangs over the padding would divide by fewer
     * pixels in PyTorch; no network here has one. */
    if (attr.ceil_mode)
        return adl_graph_fail(graph, "%s: average pooling has no ceil mode", name);
    return add_pool(graph, input, name, &adl_op_avgpool, attr);
}
