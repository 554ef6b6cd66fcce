/* Computes a depthwise convolution and the 1x1 convolution of its output in one step: the
 * "depthwise separable" block of MobileNet (Howard et al., 2017).
 *
 * The depthwise convolution does so little arithmetic per value (R S multiply-adds)
 * that, run by itself on a large map, it spends its time writing a map to memory that
 * the 1x1 convolution then reads back. Here a task computes a few rows of that map into
 * scratch memory, and the matrix product reads them there while they are in the cache;
 * the map between the two never exists as a whole. engine/plan/pair.c decides where
 * this is used.
 *
 * The two convolutions use the packed weights of conv_depthwise.c and conv_gemm.c and do the
 * operations of these in the same order, so the result has the same bits as in two steps. */

#include "base/size.h"
#include "kernels/conv.h"

/* Minimum number of output pixels of a task: how often a panel of the 1x1 weights is used from
 * the L1 cache. */
#define TASK_PIXELS 56

/* Returns the rows of a task, an even number, because the depthwise kernel computes two at a
 * time. */
static int separable_task_lines(const struct adl_conv *depthwise)
{
    int pairs = (TASK_PIXELS + 2 * depthwise->q - 1) / (2 * depthwise->q);
    return 2 * pairs;
}

bool adl_separable_supports(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                            const struct adl_kernels *kernels)
{
    return adl_conv_depthwise.supports(&adl_conv_depthwise, depthwise, kernels) &&
           adl_conv_gemm.supports(&adl_conv_gemm, pointwise, kernels) && pointwise->r == 1 &&
           pointwise->s == 1 && pointwise->stride == 1 && pointwise->groups == 1 &&
           pointwise->p == depthwise->p && pointwise->q == depthwise->q &&
           pointwise->c == depthwise->k;
}

size_t adl_separable_tasks(const struct adl_conv *depthwise)
{
    int lines = separable_task_lines(depthwise);
    return (size_t)((depthwise->p + lines - 1) / lines);
}

size_t adl_separable_scratch_floats(const struct adl_conv *depthwise)
{
    return (size_t)separable_task_lines(depthwise) * (size_t)depthwise->q *
           adl_conv_padded_row((size_t)depthwise->k);
}

void adl_separable_run(const struct adl_conv *depthwise, const struct adl_conv *pointwise,
                       const struct adl_conv_algorithm *product, const struct adl_kernels *kernels,
                       const float *packed_depthwise, const float *packed_pointwise, const float *x,
                       const float *residual, float *out, size_t task, float *scratch)
{
    int line0 = (int)task * separable_task_lines(depthwise);
    int lines = ADL_MIN(separable_task_lines(depthwise), depthwise->p - line0);
    size_t q = (size_t)depthwise->q, ld = adl_conv_padded_row((size_t)depthwise->k);

    adl_depthwise_lines(depthwise, kernels, packed_depthwise, x, line0, lines, scratch, ld,
                        depthwise->lo, depthwise->hi);
    adl_conv_activate(depthwise, kernels, scratch, ld, (size_t)lines * q, (size_t)depthwise->k);
    adl_gemm_rows(product, pointwise, kernels, packed_pointwise, scratch, ld, (size_t)line0 * q,
                  (size_t)lines * q, residual, out);
}
