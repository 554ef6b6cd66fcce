/* Maximum and average over a sliding window.
 *
 * A window of size x size pixels moves in steps of `stride` over a map of H x W x C that is
 * padded by `pad` on all sides; output pixel (p, q) is computed from the pixels
 *
 *     W(p, q) = { (i, j) : p stride - pad <= i < p stride - pad + size, j likewise, in the map }
 *
 *     max:  y[p,q,c] = max over W(p,q) of x[i,j,c]
 *     avg:  y[p,q,c] = sum over W(p,q) of x[i,j,c] / size^2
 *
 * so padding never wins a maximum, and counts as zeros in an average (PyTorch's
 * count_include_pad). A maximum of values of which one is NaN is NaN. Backward,
 *
 *     max:  dx[i,j,c] (+)= sum of dy[p,q,c] over the windows whose first maximum, row by
 *                          row, is x[i,j,c]; where y is NaN, whose last NaN it is
 *     avg:  dx[i,j,c] (+)= sum of dy[p,q,c] / size^2 over the windows that hold (i, j)
 *
 * The backward pass of max finds the maximum again by comparing with y, instead of keeping
 * its index from the forward pass, which would take as much memory as y. */

#include "ops/pool_window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "ops/train.h"

/* Returns the output rows or columns of a map with `side` rows or columns. PyTorch's rule: in
 * ceil mode the last window may reach over the edge, but has to start inside the map or its
 * padding on the left. */
static int pool_window_outputs(int side, const struct adl_pool_attr *attr)
{
    int span = side + 2 * attr->pad - attr->size;
    if (span < 0)
        return 0;
    int n = span / attr->stride + 1;
    if (attr->ceil_mode) {
        n = (span + attr->stride - 1) / attr->stride + 1;
        if ((n - 1) * attr->stride >= side + attr->pad)
            n--;
    }
    return n;
}

static int pool_window_infer(const struct adl_node *node, const struct adl_shape *in,
                             struct adl_shape *out, struct adl_error *err)
{
    const struct adl_pool_attr *attr = node->attr;
    *out = (struct adl_shape){pool_window_outputs(in->h, attr), pool_window_outputs(in->w, attr),
                              in->c};
    if (out->h < 1 || out->w < 1)
        return adl_fail(err, ADL_ERR_ARG, "a %dx%d window does not fit a %dx%d map", attr->size,
                        attr->size, in->h, in->w);
    return 0;
}

/* The part of a window that lies inside the map: rows row0 .. row1-1 and columns column0 ..
 * column1-1. */
struct window {
    int row0, row1, column0, column1;
};

static struct window pool_window_at(const struct adl_pool_attr *attr, struct adl_shape in, int p,
                                    int q)
{
    int row = p * attr->stride - attr->pad, column = q * attr->stride - attr->pad;
    return (struct window){ADL_MAX(row, 0), ADL_MIN(row + attr->size, in.h), ADL_MAX(column, 0),
                           ADL_MIN(column + attr->size, in.w)};
}

/* Reduces one channel of a window to one value. The channel of the map starts at x. */
typedef float window_reduction(const struct adl_pool_attr *attr, const float *x,
                               struct adl_shape in, struct window window);

static void pool_window_forward(const struct adl_op_call *call, window_reduction *reduce)
{
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    float *y = call->out;
    for (int n = 0; n < call->batch; n++) {
        const float *x = call->in[0] + (size_t)n * adl_shape_count(in);
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++) {
                struct window window = pool_window_at(call->node->attr, in, p, q);
                for (int c = 0; c < out.c; c++)
                    *y++ = reduce(call->node->attr, x + c, in, window);
            }
    }
}

static float pool_window_larger(float a, float b)
{
    return b > a || isnan(b) ? b : a;
}

static float pool_window_max(const struct adl_pool_attr *attr, const float *x, struct adl_shape in,
                             struct window window)
{
    (void)attr;
    float best = -INFINITY;
    for (int i = window.row0; i < window.row1; i++)
        for (int j = window.column0; j < window.column1; j++)
            best = pool_window_larger(best, x[(i * in.w + j) * in.c]);
    return best;
}

static float pool_window_avg(const struct adl_pool_attr *attr, const float *x, struct adl_shape in,
                             struct window window)
{
    double sum = 0;
    for (int i = window.row0; i < window.row1; i++)
        for (int j = window.column0; j < window.column1; j++)
            sum += (double)x[(i * in.w + j) * in.c];
    return (float)(sum / (attr->size * attr->size));
}

static void pool_window_max_forward(const struct adl_op_call *call)
{
    pool_window_forward(call, pool_window_max);
}

static void pool_window_avg_forward(const struct adl_op_call *call)
{
    pool_window_forward(call, pool_window_avg);
}

static void pool_window_describe(const struct adl_node *node, char *text, size_t size)
{
    const struct adl_pool_attr *attr = node->attr;
    snprintf(text, size, "%dx%d s%d%s", attr->size, attr->size, attr->stride,
             attr->ceil_mode ? " ceil" : "");
}

struct adl_pool_row adl_pool_row_at(const struct adl_pool_attr *attr, const float *x,
                                    struct adl_shape in, size_t ldx, int p, int q,
                                    const float *rows[ADL_LIMIT_WINDOW])
{
    int top = p * attr->stride - attr->pad;
    for (int r = 0; r < attr->size; r++)
        rows[r] =
            top + r < 0 || top + r >= in.h ? NULL : x + (size_t)(top + r) * (size_t)in.w * ldx;
    return (struct adl_pool_row){
        .rows = rows,
        .size = attr->size,
        .stride = attr->stride,
        .pad_left = attr->pad,
        .w = in.w,
        .ldx = ldx,
        .channels = (size_t)in.c,
        .q = q,
    };
}

/* --- training: a piece is an image -------------------------------------------------- */

typedef void row_kernel(const struct adl_pool_row *row);

static void pool_window_image(const struct adl_train_call *call, size_t image, row_kernel *kernel)
{
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *x = call->in[0] + image * adl_shape_count(in), *rows[ADL_LIMIT_WINDOW];
    float *y = call->out + image * adl_shape_count(out);
    for (int p = 0; p < out.h; p++, y += (size_t)out.w * (size_t)out.c) {
        struct adl_pool_row row =
            adl_pool_row_at(call->node->attr, x, in, (size_t)in.c, p, out.w, rows);
        row.out = y;
        row.ldo = (size_t)out.c;
        kernel(&row);
    }
}

static void pool_window_max_image(const struct adl_train_call *call, size_t first)
{
    pool_window_image(call, first, call->kernels->maxpool);
}

static void pool_window_avg_image(const struct adl_train_call *call, size_t first)
{
    pool_window_image(call, first, call->kernels->avgpool);
}

static void pool_window_max_image_back(const struct adl_train_call *call, size_t piece,
                                       size_t first, size_t last)
{
    (void)piece;
    (void)last;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    size_t line = (size_t)in.w * (size_t)in.c, image = first * adl_shape_count(in);
    struct adl_maxpool_back job = {
        .line = line,
        .y = call->out + first * adl_shape_count(out),
        .dy = call->grad_out + first * adl_shape_count(out),
        .channels = (size_t)in.c,
    };
    if (!call->add_in[0])
        memset(call->grad_in[0] + image, 0, adl_shape_count(in) * sizeof(float));
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, job.y += out.c, job.dy += out.c) {
            struct window window = pool_window_at(call->node->attr, in, p, q);
            size_t offset =
                image + (size_t)window.row0 * line + (size_t)window.column0 * (size_t)in.c;
            job.x = call->in[0] + offset;
            job.dx = call->grad_in[0] + offset;
            job.rows = window.row1 - window.row0;
            job.columns = window.column1 - window.column0;
            call->kernels->maxpool_back(&job);
        }
}

/* Returns C floats: kernels->spread takes a factor for each channel, here always 1 / size^2. */
static size_t pool_window_avg_scratch(const struct adl_train_call *call)
{
    return (size_t)call->in_shape->c;
}

static void pool_window_avg_image_back(const struct adl_train_call *call, size_t piece,
                                       size_t first, size_t last)
{
    (void)piece;
    (void)last;
    struct adl_shape in = *call->in_shape, out = call->out_shape;
    const float *dy = call->grad_out + first * adl_shape_count(out), *factors = call->scratch;
    float *dx = call->grad_in[0] + first * adl_shape_count(in);
    size_t c = (size_t)in.c;
    if (!call->add_in[0])
        memset(dx, 0, adl_shape_count(in) * sizeof *dx);
    for (int p = 0; p < out.h; p++)
        for (int q = 0; q < out.w; q++, dy += c) {
            struct window window = pool_window_at(call->node->attr, in, p, q);
            /* Every column of the window gets the same dy, hence a stride of 0. */
            for (int i = window.row0; i < window.row1; i++)
                call->kernels->spread(dy, factors, 0, (size_t)(window.column1 - window.column0), c,
                                      dx + ((size_t)i * (size_t)in.w + (size_t)window.column0) * c,
                                      c);
        }
}

static void pool_window_max_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_window_max_image);
}

static void pool_window_max_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, (size_t)call->batch, 1, pool_window_max_image_back);
}

static void pool_window_avg_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_window_avg_image);
}

static void pool_window_avg_backward(const struct adl_train_call *call)
{
    const struct adl_pool_attr *attr = call->node->attr;
    if (!call->grad_in[0])
        return;
    for (int c = 0; c < call->in_shape->c; c++)
        call->scratch[c] = 1 / (float)(attr->size * attr->size);
    adl_train_pieces(call, (size_t)call->batch, 1, pool_window_avg_image_back);
}

static const struct adl_op_train max_training = {.reads_out = true,
                                                 .by_image = true,
                                                 .forward = pool_window_max_train,
                                                 .backward = pool_window_max_backward};
static const struct adl_op_train avg_training = {.drops_in = true,
                                                 .by_image = true,
                                                 .scratch_floats = pool_window_avg_scratch,
                                                 .forward = pool_window_avg_train,
                                                 .backward = pool_window_avg_backward};

const struct adl_op_def adl_op_maxpool = {.name = "maxpool",
                                          .infer = pool_window_infer,
                                          .forward = pool_window_max_forward,
                                          .train = &max_training,
                                          .describe = pool_window_describe};
const struct adl_op_def adl_op_avgpool = {.name = "avgpool",
                                          .infer = pool_window_infer,
                                          .forward = pool_window_avg_forward,
                                          .train = &avg_training,
                                          .describe = pool_window_describe};

static int pool_window_add(struct adl_graph *graph, int input, const char *name,
                           const struct adl_op_def *def, struct adl_pool_attr attr)
{
    if (attr.size < 1 || attr.stride < 1 || attr.pad < 0 || attr.pad >= attr.size ||
        attr.size > ADL_LIMIT_WINDOW)
        return adl_graph_fail(graph,
                              "%s: a pooling window cannot have size %d, stride %d and padding %d",
                              name, attr.size, attr.stride, attr.pad);
    return adl_graph_add(graph, name, def, &attr, sizeof attr, &input, 1, NULL, 0);
}

int adl_maxpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr)
{
    return pool_window_add(graph, input, name, &adl_op_maxpool, attr);
}

int adl_avgpool(struct adl_graph *graph, int input, const char *name, struct adl_pool_attr attr)
{
    /* PyTorch divides a ceil-mode window that reaches over the padding by fewer pixels;
     * no network here has such a window, so the case is refused. */
    if (attr.ceil_mode)
        return adl_graph_fail(graph, "%s: average pooling has no ceil mode", name);
    return pool_window_add(graph, input, name, &adl_op_avgpool, attr);
}
