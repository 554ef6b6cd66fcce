/* The sum of two maps of the same shape, as in residual connections:
 *
 *     y = clamp(a + b, lo, hi)
 *
 * In inference a clamp after an addition belongs to the plan's epilogues; the plain forward
 * below has none. In a training step, a ReLU that is the only reader of the sum is computed
 * in the same pass (`clamps` in ops/train.h), so that the map goes through memory once:
 *
 *     da = db = dy where lo < y < hi, else 0;   without a clamp, dy itself */

#include <math.h>

#include "ops/ops.h"
#include "ops/train.h"

static int add_infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                     struct adl_error *err)
{
    (void)node;
    if (in[0].h != in[1].h || in[0].w != in[1].w || in[0].c != in[1].c)
        return adl_fail(err, ADL_ERR_ARG, "cannot add a %dx%dx%d and a %dx%dx%d map", in[0].h,
                        in[0].w, in[0].c, in[1].h, in[1].w, in[1].c);
    *out = in[0];
    return 0;
}

static void add_forward(const struct adl_op_call *call)
{
    size_t count = (size_t)call->batch * adl_shape_count(call->out_shape);
    for (size_t i = 0; i < count; i++)
        call->out[i] = call->in[0][i] + call->in[1][i];
}

/* --- training ----------------------------------------------------------------------- */

/* Elements of a task: 256 KiB. */
#define PIECE_FLOATS ((size_t)65536)

static void add_for_pieces(const struct adl_train_call *call, adl_train_body *body)
{
    size_t count = (size_t)call->batch * adl_shape_count(call->out_shape);
    adl_train_pieces(call, count, PIECE_FLOATS, body);
}

static void add_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    call->kernels->pointwise(&(struct adl_pointwise){.x = call->in[0] + first,
                                                     .residual = call->in[1] + first,
                                                     .out = call->out + first,
                                                     .pixels = 1,
                                                     .channels = last - first,
                                                     .lo = call->lo,
                                                     .hi = call->hi});
}

/* The only clamps are those of ReLU and ReLU6, whose lower bound is 0, as relu_back assumes. */
static void add_piece_back(const struct adl_train_call *call, size_t piece, size_t first,
                           size_t last)
{
    (void)piece;
    for (int i = 0; i < 2; i++)
        if (call->grad_in[i])
            call->kernels->relu_back(call->out + first, call->hi, last - first,
                                     call->grad_out + first, call->grad_in[i] + first,
                                     call->add_in[i]);
}

static void add_train(const struct adl_train_call *call)
{
    add_for_pieces(call, add_piece);
}

static void add_backward(const struct adl_train_call *call)
{
    if (!isinf(call->lo)) {
        add_for_pieces(call, add_piece_back);
        return;
    }
    adl_train_pass_on(call, 0, call->grad_out);
    adl_train_pass_on(call, 1, call->grad_out);
}

static const struct adl_op_train training = {.in_place = true,
                                             .reads_out = true,
                                             .drops_in = true,
                                             .clamps = true,
                                             .by_image = true,
                                             .forward = add_train,
                                             .backward = add_backward};

const struct adl_op_def adl_op_add = {
    .name = "add", .infer = add_infer, .forward = add_forward, .train = &training};

int adl_add(struct adl_graph *graph, int a, int b, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_add, NULL, 0, (int[]){a, b}, 2, NULL, 0);
}
