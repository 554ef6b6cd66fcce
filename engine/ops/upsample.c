/* Bilinear enlargement of a map to the height and width of another one, as PyTorch's
 * UpsamplingBilinear2d, that is, with align_corners: the outermost pixels of both maps lie on each
 * other. From h to P rows, output row p lies at p (h - 1) / (P - 1) (at 0 if P = 1), between the
 * input rows i = floor of that and i + 1, and gets
 *
 *     y[p] = (1 - t) x[i] + t x[i + 1],   t = p (h - 1) / (P - 1) - i
 *
 * and likewise for the columns. Positions are computed as exact fractions of integers. Backward,
 * each output pixel gives its four neighbours its gradient times their weights. The second input is
 * needed for its shape alone. */

#include <string.h>

#include "ops/between.h"
#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

static int upsample_infer(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){in[1].h, in[1].w, in[0].c};
    return 0;
}

static void upsample_forward(const struct adl_op_call *call)
{
    struct adl_shape in = call->in_shape[0], out = call->out_shape;
    size_t channels = (size_t)in.c;
    float *y = call->out;
    for (size_t n = 0; n < (size_t)call->batch; n++) {
        const float *x = call->in[0] + n * adl_shape_count(in);
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++) {
                struct adl_between v = adl_between_corners(p, in.h, out.h),
                                   h = adl_between_corners(q, in.w, out.w);
                const int rows[2] = {v.first, v.second}, columns[2] = {h.first, h.second};
                const double a[2] = {1 - (double)v.t, (double)v.t},
                             b[2] = {1 - (double)h.t, (double)h.t};
                for (size_t c = 0; c < channels; c++) {
                    double sum = 0;
                    for (int i = 0; i < 4; i++)
                        sum += a[i / 2] * b[i % 2] *
                               (double)
                                   x[((size_t)rows[i / 2] * (size_t)in.w + (size_t)columns[i % 2]) *
                                         channels +
                                     c];
                    *y++ = (float)sum;
                }
            }
    }
}

void adl_upsample_row(const float *x, size_t ldx, struct adl_shape in, struct adl_shape out, int p,
                      float *row, size_t ldo)
{
    struct adl_between v = adl_between_corners(p, in.h, out.h);
    const float *above = x + (size_t)v.first * (size_t)in.w * ldx;
    const float *below = x + (size_t)v.second * (size_t)in.w * ldx;
    for (int q = 0; q < out.w; q++, row += ldo) {
        struct adl_between h = adl_between_corners(q, in.w, out.w);
        size_t left = (size_t)h.first * ldx, right = (size_t)h.second * ldx;
        for (size_t c = 0; c < (size_t)in.c; c++)
            row[c] = adl_between_four(above, below, left + c, right + c, v.t, h.t);
    }
}

static void upsample_image(const struct adl_train_call *call, size_t n)
{
    struct adl_shape in = call->in_shape[0], out = call->out_shape;
    size_t channels = (size_t)in.c;
    for (int p = 0; p < out.h; p++)
        adl_upsample_row(
            call->in[0] + n * adl_shape_count(in), channels, in, out, p,
            call->out + n * adl_shape_count(out) + (size_t)p * (size_t)out.w * channels, channels);
}

static void upsample_image_back(const struct adl_train_call *call, size_t n)
{
    struct adl_shape in = call->in_shape[0], out = call->out_shape;
    size_t channels = (size_t)in.c, row = (size_t)in.w * channels;
    const float *dy = call->grad_out + n * adl_shape_count(out);
    float *dx = call->grad_in[0] + n * adl_shape_count(in);

    if (!call->add_in[0])
        memset(dx, 0, adl_shape_count(in) * sizeof *dx);
    for (int p = 0; p < out.h; p++) {
        struct adl_between v = adl_between_corners(p, in.h, out.h);
        for (int q = 0; q < out.w; q++, dy += channels) {
            struct adl_between h = adl_between_corners(q, in.w, out.w);
            const size_t to[4] = {(size_t)v.first * row + (size_t)h.first * channels,
                                  (size_t)v.first * row + (size_t)h.second * channels,
                                  (size_t)v.second * row + (size_t)h.first * channels,
                                  (size_t)v.second * row + (size_t)h.second * channels};
            const float weights[4] = {(1 - v.t) * (1 - h.t), (1 - v.t) * h.t, v.t * (1 - h.t),
                                      v.t * h.t};
            for (int i = 0; i < 4; i++)
                for (size_t c = 0; c < channels; c++)
                    dx[to[i] + c] += weights[i] * dy[c];
        }
    }
}

static void upsample_train(const struct adl_train_call *call)
{
    adl_train_images(call, upsample_image);
}

static void upsample_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, upsample_image_back);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .detached = 1u << 1,
                                             .forward = upsample_train,
                                             .backward = upsample_backward};

const struct adl_op_def adl_op_upsample = {
    .name = "upsample", .infer = upsample_infer, .forward = upsample_forward, .train = &training};

int adl_upsample(struct adl_graph *graph, int input, int like, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_upsample, NULL, 0, (int[]){input, like}, 2, NULL, 0);
}
