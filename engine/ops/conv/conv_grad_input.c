/* Computes the gradient of the input of a convolution with a stride. For each output pixel m
 * = (p, q), the product of its gradient with the weights,
 *
 *     taps[m][(r,s,c)] = sum over k of dy[m][k] w[k][(r,s,c)],
 *
 * is what the pixel sends back to each tap of its window; it is then added to the input
 * pixels on which the taps lie ("col2im"). A block of output pixels is processed at a time,
 * so that the products stay in the cache and the whole col2im matrix, R S times the size of
 * the output, is never in memory. As windows overlap, a task is a whole image: there are no
 * more tasks than images in the batch. */

#include "ops/conv/conv_grad_input.h"

#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"

#define BLOCK_ROWS ((size_t)64)

size_t adl_conv_grad_input_scratch(const struct adl_conv *conv, int threads)
{
    return adl_conv_weight_count(conv) + (size_t)threads * BLOCK_ROWS * adl_conv_depth(conv);
}

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const float *weights; /* K x (R, S, C/G); depthwise: (R, S) x C */
    const float *grad_out;
    float *grad_in;
    bool add;
    float *workers; /* of each worker: BLOCK_ROWS x (R, S, C/G) */
};

/* Adds the R S C/G values that output pixel m sends back through one group to the input's
 * gradient. */
static void conv_grad_input_scatter(const struct adl_conv *conv, size_t m, size_t group,
                                    const float *taps, float *grad_in)
{
    size_t channels = (size_t)(conv->c / conv->groups);
    int top = (int)(m / (size_t)conv->q) * conv->stride - conv->pad_top;
    int left = (int)(m % (size_t)conv->q) * conv->stride - conv->pad_left;
    for (int r = 0; r < conv->r; r++)
        for (int s = 0; s < conv->s; s++, taps += channels) {
            int row = top + r * (1 + conv->gap), column = left + s * (1 + conv->gap);
            if (row < 0 || row >= conv->h || column < 0 || column >= conv->w)
                continue;
            float *to = grad_in + ((size_t)row * (size_t)conv->w + (size_t)column) * conv->ldx +
                        group * channels;
            for (size_t c = 0; c < channels; c++)
                to[c] += taps[c];
        }
}

/* A depthwise convolution needs no product: each tap receives the gradient times its
 * weight, channel by channel, a row of the output at a time. */
static void conv_grad_input_depthwise(const struct job *job, const float *grad_out, float *grad_in)
{
    const struct adl_conv *conv = job->conv;
    size_t channels = (size_t)conv->c, stride = (size_t)conv->stride;
    for (int p = 0; p < conv->p; p++, grad_out += (size_t)conv->q * channels)
        for (int r = 0; r < conv->r; r++) {
            int row = p * conv->stride + r - conv->pad_top;
            if (row < 0 || row >= conv->h)
                continue;
            float *to = grad_in + (size_t)row * (size_t)conv->w * channels;
            for (int s = 0; s < conv->s; s++) {
                struct adl_conv_span span = adl_conv_span(conv, s);
                if (span.count > 0)
                    job->kernels->spread(grad_out + (size_t)span.q * channels,
                                         job->weights + (size_t)(r * conv->s + s) * channels,
                                         channels, (size_t)span.count, channels,
                                         to + (size_t)span.column * channels, stride * channels);
            }
        }
}

static void conv_grad_input_image(void *context, size_t n, int worker)
{
    const struct job *job = context;
    const struct adl_conv *conv = job->conv;
    size_t channels = (size_t)(conv->k / conv->groups), depth = adl_conv_depth(conv);
    size_t pixels = (size_t)conv->p * (size_t)conv->q;
    size_t in_count = (size_t)conv->h * (size_t)conv->w * conv->ldx;
    float *taps = job->workers + (size_t)worker * BLOCK_ROWS * depth;
    float *grad_in = job->grad_in + n * in_count;
    const float *grad_out = job->grad_out + n * pixels * conv->ldo;

    if (!job->add)
        memset(grad_in, 0, in_count * sizeof *grad_in);
    if (adl_conv_is_depthwise(conv)) {
        conv_grad_input_depthwise(job, grad_out, grad_in);
        return;
    }
    for (size_t group = 0; group < (size_t)conv->groups; group++)
        for (size_t m = 0; m < pixels; m += BLOCK_ROWS) {
            size_t count = ADL_MIN(BLOCK_ROWS, pixels - m);
            adl_sgemm(false, false, count, depth, channels,
                      grad_out + m * conv->ldo + group * channels, conv->ldo,
                      job->weights + group * channels * depth, depth, 0, taps, depth);
            for (size_t i = 0; i < count; i++)
                conv_grad_input_scatter(conv, m + i, group, taps + i * depth, grad_in);
        }
}

/* Writes the weights in the order that the loops above read them. */
static void conv_grad_input_reorder(const struct adl_conv *conv, const float *weights, float *to)
{
    size_t taps = (size_t)conv->r * (size_t)conv->s, channels = (size_t)(conv->c / conv->groups);
    bool depthwise = adl_conv_is_depthwise(conv);
    for (size_t k = 0; k < (size_t)conv->k; k++)
        for (size_t c = 0; c < channels; c++)
            for (size_t tap = 0; tap < taps; tap++)
                to[depthwise ? tap * (size_t)conv->k + k : (k * taps + tap) * channels + c] =
                    weights[(k * channels + c) * taps + tap];
}

void adl_conv_grad_input(const struct adl_conv_pass *pass, const float *weights,
                         const float *grad_out, float *grad_in, bool add)
{
    const struct adl_conv *conv = pass->conv;
    struct job job = {.conv = conv,
                      .kernels = pass->kernels,
                      .weights = pass->scratch,
                      .grad_out = grad_out,
                      .grad_in = grad_in,
                      .add = add,
                      .workers = pass->scratch + adl_conv_weight_count(conv)};
    conv_grad_input_reorder(conv, weights, pass->scratch);
    adl_pool_for(pass->pool, (size_t)pass->batch, conv_grad_input_image, &job);
}
