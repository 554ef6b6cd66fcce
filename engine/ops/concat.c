/* Maps of one size joined along the channels. */

#include <string.h>

#include "ops/ops.h"
#include "ops/train.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
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

static void forward(const struct adl_op_call *call)
{
    size_t pixels = (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    size_t at = 0;
    for (int i = 0; i < call->node->input_count; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        for (size_t pixel = 0; pixel < pixels; pixel++)
            memcpy(call->out + pixel * (size_t)call->out_shape.c + at, call->in[i] + pixel * c,
                   c * sizeof(float));
        at += c;
    }
}

/* A piece is one image: its pixels' channels are copied out of or into the
 * joined map. */
static void join_image(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)last;
    (void)piece;
    size_t pixels = (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    size_t joined = (size_t)call->out_shape.c, at = 0;
    float *out = call->out + first * pixels * joined;
    for (int i = 0; i < call->node->input_count; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        const float *in = call->in[i] + first * pixels * c;
        for (size_t pixel = 0; pixel < pixels; pixel++)
            memcpy(out + pixel * joined + at, in + pixel * c, c * sizeof(float));
        at += c;
    }
}

static void split_image(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)last;
    (void)piece;
    size_t pixels = (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    size_t joined = (size_t)call->out_shape.c, at = 0;
    for (int i = 0; i < call->node->input_count; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        const float *from = call->grad_out + first * pixels * joined + at;
        float *to = call->grad_in[i] ? call->grad_in[i] + first * pixels * c : NULL;
        for (size_t pixel = 0; to && pixel < pixels; pixel++, to += c, from += joined)
            for (size_t j = 0; j < c; j++)
                to[j] = call->add_in[i] ? to[j] + from[j] : from[j];
        at += c;
    }
}

static void train_forward(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, join_image);
}

static void train_backward(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, split_image);
}

static const struct adl_op_train training = {
    .drops_in = true, .forward = train_forward, .backward = train_backward};

const struct adl_op_def adl_op_concat = {
    .name = "concat", .infer = infer, .forward = forward, .train = &training};

int adl_concat(struct adl_graph *graph, const int *inputs, int count, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_concat, NULL, 0, inputs, count, NULL, 0);
}
