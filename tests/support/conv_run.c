#include "support/conv_run.h"

#include <math.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "support/isas.h"

struct adl_conv conv_run_shape(int h, int w, int c, int k, int r, int s, int stride, int pad,
                               int groups)
{
    return (struct adl_conv){.h = h,
                             .w = w,
                             .c = c,
                             .p = (h + 2 * pad - r) / stride + 1,
                             .q = (w + 2 * pad - s) / stride + 1,
                             .k = k,
                             .r = r,
                             .s = s,
                             .stride = stride,
                             .pad_top = pad,
                             .pad_left = pad,
                             .groups = groups,
                             .ldx = (size_t)c,
                             .ldo = (size_t)k,
                             .ldr = (size_t)k};
}

struct conv_run conv_run_open(int h, int w, int c, int k, int r, int s, int stride, int pad,
                              int groups)
{
    struct conv_run run = {.conv = conv_run_shape(h, w, c, k, r, s, stride, pad, groups)};
    run.conv.lo = -INFINITY;
    run.conv.hi = INFINITY;
    run.x_count = (size_t)(h * w * c);
    run.weight_count = (size_t)(k * (c / groups) * r * s);
    run.out_count = (size_t)(run.conv.p * run.conv.q * k);
    run.x = random_floats("x", run.x_count);
    run.weights = random_floats("w", run.weight_count);
    run.scale = random_floats("scale", (size_t)k);
    run.bias = random_floats("bias", (size_t)k);
    run.residual = random_floats("residual", run.out_count);
    run.out = adl_malloc(run.out_count, sizeof *run.out);
    return run;
}

void conv_run_close(struct conv_run *run)
{
    adl_free(run->x);
    adl_free(run->weights);
    adl_free(run->scale);
    adl_free(run->bias);
    adl_free(run->residual);
    adl_free(run->out);
}

static void round_to_bf16(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = adl_bf16_to_float(adl_bf16_from_float(values[i]));
}

void conv_run_round(struct conv_run *run, const struct adl_conv_algorithm *algorithm)
{
    if (algorithm->precision == ADL_PRECISION_BF16)
        round_to_bf16(run->weights, run->weight_count);
    if (algorithm->rounds_map)
        round_to_bf16(run->x, run->x_count);
}

bool conv_run_by(struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                 const struct adl_kernels *kernels, bool with_residual)
{
    const struct adl_conv *conv = &run->conv;
    if (!algorithm->supports(algorithm, conv, kernels))
        return false;
    float *packed = adl_malloc(algorithm->packed_floats(algorithm, conv, kernels), sizeof *packed);
    float *scratch =
        adl_malloc(algorithm->scratch_floats(algorithm, conv, kernels), sizeof *scratch);
    float *shared = NULL;
    size_t prepares = algorithm->prepare ? algorithm->prepare_tasks(algorithm, conv, kernels) : 0;

    algorithm->pack(algorithm, conv, kernels, run->weights, run->scale, run->bias, packed);
    if (prepares)
        shared = adl_malloc(algorithm->shared_floats(algorithm, conv, kernels), sizeof *shared);
    for (size_t task = prepares; task-- > 0;)
        algorithm->prepare(algorithm, conv, kernels, run->x, shared, task, scratch);
    for (size_t task = algorithm->tasks(algorithm, conv, kernels); task-- > 0;)
        algorithm->run(algorithm, conv, kernels, packed, shared ? shared : run->x,
                       with_residual ? run->residual : NULL, run->out, task, scratch);
    adl_free(shared);
    adl_free(scratch);
    adl_free(packed);
    return true;
}
