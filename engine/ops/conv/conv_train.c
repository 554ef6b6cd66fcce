/* A convolution in a training step: the forward pass and the three gradients that PyTorch's
 * autograd would give. With stride t, padding (top, left) and G groups,
 *
 *     y[n,p,q,k]    = b[k] + sum over r,s,c of w[k,c,r,s] x[n, p t + r - top, q t + s - left, c]
 *     dw[k,c,r,s]  += sum over n,p,q of dy[n,p,q,k] x[n, p t + r - top, q t + s - left, c]
 *     db[k]        += sum over n,p,q of dy[n,p,q,k]
 *     dx[n,i,j,c] (+)= sum of dy[n,p,q,k] w[k,c,r,s] over all k and all p,r and q,s
 *                      for which p t + r - top = i and q t + s - left = j
 *
 * where x is N x H x W x C, y and dy N x P x Q x K, and w K x C/G x R x S.
 *
 * (With a dilation d, r and s are r d and s d wherever they stand beside p t and q t.)
 *
 * At stride 1 the last line is itself a convolution, of dy with padding R - 1 - top and with
 * kernels whose channels are exchanged and whose two axes are reversed. It and the forward
 * pass therefore run on the same kernels as inference ("convolve" below); only the packing of
 * the weights, which an inference plan does once, is done again in each pass. The other
 * products have files of their own: conv_grad_weights.c and conv_grad_winograd.c for dw,
 * conv_grad_input.c for dx at larger strides. conv_choice.c chooses the algorithm.
 *
 * Sums over the batch are computed in pieces that the shape determines, and joined in order,
 * so that the result does not depend on the number of threads. */

#include "ops/conv/conv_train.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/conv/conv_batch_winograd.h"
#include "ops/conv/conv_choice.h"
#include "ops/conv/conv_grad_input.h"
#include "ops/conv/conv_grad_weights.h"
#include "ops/conv/conv_grad_winograd.h"

/* --- the convolutions of a step ----------------------------------------------------- */

static struct adl_conv conv_train_forward_conv(const struct adl_train_call *call)
{
    return adl_conv_describe(call->node->attr, *call->in_shape, call->out_shape);
}

/* The same convolution, of which the backward pass computes the gradients. */
static struct adl_conv conv_train_described_back(const struct adl_train_call *call)
{
    struct adl_conv conv = conv_train_forward_conv(call);
    conv.precision = call->bf16_backward ? ADL_PRECISION_BF16 : ADL_PRECISION_F32;
    return conv;
}

/* Returns the pixels from the first tap of a side to the last, for `taps` taps. */
static int conv_train_reach(const struct adl_conv *conv, int taps)
{
    return (taps - 1) * (1 + conv->gap);
}

/* Returns whether the input's gradient is a convolution. If the padding is as large as the
 * kernel or larger, that convolution would need a negative padding. */
static bool conv_train_is_plain(const struct adl_conv *conv)
{
    return conv->stride == 1 && conv->pad_top <= conv_train_reach(conv, conv->r) &&
           conv->pad_left <= conv_train_reach(conv, conv->s);
}

/* Returns the convolution that computes the input's gradient, if conv_train_is_plain. */
static struct adl_conv conv_train_backward_conv(const struct adl_conv *conv, bool add)
{
    struct adl_conv back = *conv;
    back.h = conv->p;
    back.w = conv->q;
    back.c = conv->k;
    back.p = conv->h;
    back.q = conv->w;
    back.k = conv->c;
    back.pad_top = conv_train_reach(conv, conv->r) - conv->pad_top;
    back.pad_left = conv_train_reach(conv, conv->s) - conv->pad_left;
    back.ldx = conv->ldo;
    back.ldo = conv->ldx;
    back.accumulate = add;
    return back;
}

/* Joins the maps of a batch into one map of N H rows, if the convolution is dense and 1x1 and
 * so computes each pixel by itself; *batch becomes 1. The matrix product is then longer and
 * has one remainder of rows instead of one for each image. */
static struct adl_conv conv_train_join_batch(const struct adl_conv *conv, int *batch)
{
    struct adl_conv whole = *conv;
    if (adl_conv_is_product(conv)) {
        whole.h = whole.p = conv->h * *batch;
        *batch = 1;
    }
    return whole;
}

/* --- a convolution by an algorithm that takes one image at a time --------------------- */

/* Rounds up to whole cache lines. */
static size_t conv_train_lines(size_t floats)
{
    return adl_ceil_div(floats, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
}

/* Scratch of a pass, as offsets in floats:
 *
 *     K ones | K biases or zeros | packed weights | scratch of worker 0 | of worker 1 | ...
 *
 * The ones are the scale of each output channel that packing asks for: nothing is
 * folded into the weights while they are trained. */
struct layout {
    const struct adl_conv_algorithm *algorithm;
    size_t ones, bias, packed, workers, per_worker, total;
};

static struct layout conv_train_lay_out(const struct adl_conv *conv,
                                        const struct adl_kernels *kernels, int batch, int threads)
{
    struct layout layout = {.algorithm = adl_conv_choose_algorithm(conv, kernels, batch)};
    size_t channels = conv_train_lines((size_t)conv->k);
    layout.ones = 0;
    layout.bias = channels;
    layout.packed = layout.bias + channels;
    layout.workers =
        layout.packed +
        conv_train_lines(layout.algorithm->packed_floats(layout.algorithm, conv, kernels));
    layout.per_worker =
        conv_train_lines(layout.algorithm->scratch_floats(layout.algorithm, conv, kernels));
    layout.total = layout.workers + layout.per_worker * (size_t)threads;
    return layout;
}

struct image_pass {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const struct layout *layout;
    const float *x;
    bool out_is_residual;
    float *out;
    float *scratch;
    size_t tasks; /* of one image */
};

static void conv_train_task(void *context, size_t i, int worker)
{
    const struct image_pass *pass = context;
    const struct adl_conv *conv = pass->conv;
    size_t image = i / pass->tasks;
    float *out = pass->out + image * (size_t)conv->p * (size_t)conv->q * conv->ldo;
    pass->layout->algorithm->run(
        pass->layout->algorithm, conv, pass->kernels, pass->scratch + pass->layout->packed,
        pass->x + image * (size_t)conv->h * (size_t)conv->w * conv->ldx,
        pass->out_is_residual ? out : NULL, out, i % pass->tasks,
        pass->scratch + pass->layout->workers + (size_t)worker * pass->layout->per_worker);
}

static void conv_train_images(const struct adl_train_call *call, const struct adl_conv *conv,
                              const float *weights, const float *bias, const float *x, float *out,
                              float *scratch)
{
    int batch = call->batch;
    struct adl_conv whole = conv_train_join_batch(conv, &batch);
    struct layout layout =
        conv_train_lay_out(&whole, call->kernels, batch, adl_pool_threads(call->pool));
    struct image_pass pass = {&whole, call->kernels, &layout, x, false, out, scratch, 0};

    for (int k = 0; k < whole.k; k++) {
        scratch[layout.ones + (size_t)k] = 1;
        scratch[layout.bias + (size_t)k] = bias ? bias[k] : 0;
    }
    /* Strassen's algorithm cannot accumulate, but it can add a residual. */
    if (layout.algorithm == &adl_conv_strassen && whole.accumulate) {
        pass.out_is_residual = true;
        whole.accumulate = false;
        whole.ldr = whole.ldo;
    }
    layout.algorithm->pack(layout.algorithm, &whole, call->kernels, weights, scratch + layout.ones,
                           scratch + layout.bias, scratch + layout.packed);
    pass.tasks = layout.algorithm->tasks(layout.algorithm, &whole, call->kernels);
    adl_pool_for(call->pool, pass.tasks * (size_t)batch, conv_train_task, &pass);
}

/* --- a convolution by whichever algorithm was chosen ------------------------------------ */

struct turn {
    const struct adl_conv *conv;
    const float *weights;
    float *turned;
};

/* Writes the weights of output channel k of a backward convolution, which are those
 * of the forward one with the channels exchanged and the axes reversed:
 * turned[k][c][r][s] = w[c][k][R-1-r][S-1-s], group by group. */
static void conv_train_turn_channel(void *context, size_t k, int worker)
{
    (void)worker;
    const struct turn *job = context;
    const struct adl_conv *conv = job->conv;
    size_t taps = (size_t)conv->r * (size_t)conv->s;
    size_t group_c = (size_t)(conv->c / conv->groups), group_k = (size_t)(conv->k / conv->groups);
    float *to = job->turned + k * group_c * taps;
    for (size_t c = 0; c < group_c; c++, to += taps) {
        const float *from =
            job->weights + ((k / group_k * group_c + c) * group_k + k % group_k) * taps;
        for (size_t tap = 0; tap < taps; tap++)
            to[taps - 1 - tap] = from[tap];
    }
}

static struct adl_conv_pass conv_train_pass(const struct adl_train_call *call,
                                            const struct adl_conv *conv, float *scratch)
{
    return (struct adl_conv_pass){conv,       call->kernels, call->batch,
                                  call->pool, scratch,       call->frugal};
}

/* Computes out = conv(x) + bias over the batch, or adds that to `out` if conv->accumulate is
 * set. The weights are in PyTorch's layout; `turned` says that they are those of a forward
 * convolution and that `conv` computes the gradient of its input. bias may be NULL. */
static void conv_train_convolve(const struct adl_train_call *call, const struct adl_conv *conv,
                                const float *weights, bool turned, const float *bias,
                                const float *x, float *out)
{
    float *scratch = call->scratch;
    int points = adl_conv_choose_batch_winograd(conv, call->kernels, call->batch);
    if (points) {
        struct adl_conv_pass pass = conv_train_pass(call, conv, scratch);
        adl_conv_batch_winograd(&pass, points, weights, turned, bias, x, out);
        return;
    }
    if (turned) {
        struct turn turn = {conv, weights, scratch};
        adl_pool_for(call->pool, (size_t)conv->k, conv_train_turn_channel, &turn);
        weights = scratch;
        scratch += conv_train_lines(adl_conv_weight_count(conv));
    }
    conv_train_images(call, conv, weights, bias, x, out, scratch);
}

/* Returns the scratch floats of conv_train_convolve without those of turned weights. */
static size_t conv_train_convolve_floats(const struct adl_train_call *call,
                                         const struct adl_conv *conv)
{
    int batch = call->batch;
    int points = adl_conv_choose_batch_winograd(conv, call->kernels, batch);
    if (points)
        return adl_conv_batch_winograd_scratch(conv, call->kernels, batch, points, call->frugal);
    struct adl_conv whole = conv_train_join_batch(conv, &batch);
    return conv_train_lay_out(&whole, call->kernels, batch, adl_pool_threads(call->pool)).total;
}

static void conv_train_forward(const struct adl_train_call *call)
{
    const struct adl_conv_attr *attr = call->node->attr;
    struct adl_conv conv = conv_train_forward_conv(call);
    conv_train_convolve(call, &conv, call->params[0], false, attr->bias ? call->params[1] : NULL,
                        call->in[0], call->out);
}

/* --- gradient of the bias ------------------------------------------------------------------ */

#define BIAS_CHANNELS ((size_t)64)

/* Sums dy by channel over one image: in float along a row, then in double. A block of
 * channels is summed at a time, so that the sums stay in registers. */
static void conv_train_bias_image(const struct adl_train_call *call, size_t image)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t row = (size_t)call->out_shape.w * channels;
    const float *dy = call->grad_out + image * adl_shape_count(call->out_shape);
    double *sums = (double *)(void *)call->scratch + image * channels;
    memset(sums, 0, channels * sizeof *sums);
    for (size_t c0 = 0; c0 < channels; c0 += BIAS_CHANNELS) {
        size_t block = ADL_MIN(BIAS_CHANNELS, channels - c0);
        for (int p = 0; p < call->out_shape.h; p++) {
            float run[BIAS_CHANNELS] = {0};
            for (size_t i = 0; i < row; i += channels)
                for (size_t c = 0; c < block; c++)
                    run[c] += dy[(size_t)p * row + i + c0 + c];
            for (size_t c = 0; c < block; c++)
                sums[c0 + c] += (double)run[c];
        }
    }
}

static void conv_train_bias_grad(const struct adl_train_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    const double *sums = (const double *)(const void *)call->scratch;
    adl_train_images(call, conv_train_bias_image);
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t n = 0; n < (size_t)call->batch; n++)
            sum += sums[n * channels + c];
        call->grad_params[1][c] += (float)sum;
    }
}

/* --- gradient of the weights ---------------------------------------------------------------- */

/* Adds output channel k of a gradient in the products' layout, (R, S, C/G), to
 * PyTorch's, C/G x R x S. */
static void conv_train_add_weights(const struct adl_train_call *call, size_t piece, size_t k,
                                   size_t last)
{
    (void)piece;
    (void)last;
    const struct adl_conv_attr *attr = call->node->attr;
    size_t taps = (size_t)attr->r * (size_t)attr->s;
    size_t channels = (size_t)(call->in_shape->c / attr->groups);
    const float *grad = call->scratch + k * taps * channels;
    float *to = call->grad_params[0] + k * taps * channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++)
            to[c * taps + tap] += grad[tap * channels + c];
}

static void conv_train_weights_grad(const struct adl_train_call *call, const struct adl_conv *conv)
{
    float *grad = call->scratch;
    struct adl_conv_pass pass =
        conv_train_pass(call, conv, call->scratch + conv_train_lines(adl_conv_weight_count(conv)));
    if (adl_conv_choose_grad_winograd(conv, call->kernels, call->batch))
        adl_conv_grad_winograd(&pass, call->in[0], call->grad_out, grad);
    else
        adl_conv_grad_weights(&pass, call->in[0], call->grad_out, grad);
    adl_train_pieces(call, (size_t)conv->k, 1, conv_train_add_weights);
}

/* --- backward ---------------------------------------------------------------------------- */

static void conv_train_backward(const struct adl_train_call *call)
{
    const struct adl_conv_attr *attr = call->node->attr;
    struct adl_conv conv = conv_train_described_back(call);

    if (call->grad_params[0])
        conv_train_weights_grad(call, &conv);
    if (attr->bias && call->grad_params[1])
        conv_train_bias_grad(call);
    if (!call->grad_in[0])
        return;
    if (!conv_train_is_plain(&conv)) {
        struct adl_conv_pass pass = conv_train_pass(call, &conv, call->scratch);
        adl_conv_grad_input(&pass, call->params[0], call->grad_out, call->grad_in[0],
                            call->add_in[0]);
        return;
    }
    struct adl_conv back = conv_train_backward_conv(&conv, call->add_in[0]);
    conv_train_convolve(call, &back, call->params[0], true, NULL, call->grad_out, call->grad_in[0]);
}

/* Returns the most scratch floats that any pass needs: the passes use the same scratch one
 * after another. */
static size_t conv_train_scratch(const struct adl_train_call *call)
{
    struct adl_conv conv = conv_train_forward_conv(call);
    int threads = adl_pool_threads(call->pool);
    size_t weights = conv_train_lines(adl_conv_weight_count(&conv));
    size_t most = conv_train_convolve_floats(call, &conv);
    conv = conv_train_described_back(call);
    size_t grad = adl_conv_grad_weights_scratch(&conv, call->batch, threads);
    if (adl_conv_choose_grad_winograd(&conv, call->kernels, call->batch))
        grad = ADL_MAX(grad, adl_conv_grad_winograd_scratch(&conv, call->batch, call->frugal));
    most = ADL_MAX(most, weights + grad);
    most = ADL_MAX(most, 2 * (size_t)call->batch * (size_t)conv.k); /* bias sums in double */
    if (!conv_train_is_plain(&conv))
        return ADL_MAX(most, adl_conv_grad_input_scratch(&conv, threads));
    /* The algorithm of the input's gradient may depend on whether it is added. */
    struct adl_conv add = conv_train_backward_conv(&conv, true);
    struct adl_conv write = conv_train_backward_conv(&conv, false);
    size_t input =
        ADL_MAX(conv_train_convolve_floats(call, &add), conv_train_convolve_floats(call, &write));
    return ADL_MAX(most, weights + input);
}

const struct adl_op_train adl_conv_training = {.by_image = true,
                                               .scratch_floats = conv_train_scratch,
                                               .forward = conv_train_forward,
                                               .backward = conv_train_backward};
