/* Maps of one size joined along the channels (the branches of an Inception block):
 *
 *     y[n,p,q, o_i + c] = x_i[n,p,q,c],   o_i = C_0 + .. + C_(i-1)
 *
 * and backward each input takes its own channels of dy. In NHWC this is a copy of C_i floats
 * for each pixel. Inference avoids even that: plan/concat.c lets the branches write into
 * slices of the joined map. */

#include <string.h>

#include "ops/ops.h"
#include "ops/train.h"

static int concat_infer(const struct adl_node *node, const struct adl_shape *in,
                        struct adl_shape *out, struct adl_error *err)
{
    *out = in[0];
    for (int i = 1; i < node->input_count; i++) {
        if (in[i].h != in[0].h || in[i].w != in[0].w)
            return adl_fail(err, ADL_ERR_ARG, "cannot join a %dx%d and a %dx%d map", in[0].h,
                            in[0].w, in[i].h, in[i].w);
        out->c += in[i].c;
    }
    return 0;
}

/* Copies `pixels` pixels of `count` inputs, from pixel `first` of the batch on, into the
 * joined map. */
static void concat_pixels(const float *const *in, const struct adl_shape *in_shape, int count,
                          size_t first, size_t pixels, float *out, size_t joined)
{
    float *to = out + first * joined;
    for (int i = 0; i < count; i++) {
        size_t c = (size_t)in_shape[i].c;
        const float *from = in[i] + first * c;
        for (size_t pixel = 0; pixel < pixels; pixel++)
            memcpy(to + pixel * joined, from + pixel * c, c * sizeof *to);
        to += c;
    }
}

static void concat_forward(const struct adl_op_call *call)
{
    size_t pixels = (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    concat_pixels(call->in, call->in_shape, call->node->input_count, 0, pixels, call->out,
                  (size_t)call->out_shape.c);
}

/* --- training: a piece is an image -------------------------------------------------- */

static void concat_image(const struct adl_train_call *call, size_t piece, size_t image, size_t last)
{
    (void)last;
    (void)piece;
    size_t pixels = (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    concat_pixels(call->in, call->in_shape, call->node->input_count, image * pixels, pixels,
                  call->out, (size_t)call->out_shape.c);
}

static void concat_image_back(const struct adl_train_call *call, size_t piece, size_t image,
                              size_t last)
{
    (void)last;
    (void)piece;
    size_t pixels = (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    size_t joined = (size_t)call->out_shape.c;
    const float *dy = call->grad_out + image * pixels * joined;
    for (int i = 0; i < call->node->input_count; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        const float *from = dy;
        float *to = call->grad_in[i] ? call->grad_in[i] + image * pixels * c : NULL;
        for (size_t pixel = 0; to && pixel < pixels; pixel++, to += c, from += joined)
            for (size_t j = 0; j < c; j++)
                to[j] = call->add_in[i] ? to[j] + from[j] : from[j];
        dy += c;
    }
}

static void concat_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, concat_image);
}

static void concat_backward(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, concat_image_back);
}

static const struct adl_op_train training = {
    .drops_in = true, .by_image = true, .forward = concat_train, .backward = concat_backward};

const struct adl_op_def adl_op_concat = {
    .name = "concat", .infer = concat_infer, .forward = concat_forward, .train = &training};

int adl_concat(struct adl_graph *graph, const int *inputs, int count, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_concat, NULL, 0, inputs, count, NULL, 0);
}
