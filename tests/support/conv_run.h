#ifndef ADL_TESTS_SUPPORT_CONV_RUN_H
#define ADL_TESTS_SUPPORT_CONV_RUN_H

/* One convolution by one algorithm on dense maps, and its definition in double. */

#include "kernels/conv.h"

struct conv_run {
    struct adl_conv conv;
    float *x;            /* H x W x C */
    float *weights;      /* K x C/groups x R x S */
    float *scale, *bias; /* K */
    float *residual;     /* P x Q x K */
    float *out;          /* P x Q x K */
    size_t x_count, weight_count, out_count;
};

/* A convolution with `pad` on all sides and random operands; no residual is added unless
 * with_residual, no clamp is applied. */
struct conv_run conv_run_open(int h, int w, int c, int k, int r, int s, int stride, int pad,
                              int groups);
void conv_run_close(struct conv_run *run);

/* Fills run->out; false where the algorithm does not support the convolution. */
bool conv_run_by(struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                 const struct adl_kernels *kernels, bool with_residual);
/* The definition of output i, without the clamp. Padding counts as zeros, which NaN times 0
 * makes NaN, as in PyTorch. */
double conv_run_definition(const struct conv_run *run, size_t i, bool with_residual);
/* Whether every input of output i is zero. */
bool conv_run_sees_zeros(const struct conv_run *run, size_t i);

#endif
