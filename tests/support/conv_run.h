#ifndef ADL_TESTS_SUPPORT_CONV_RUN_H
#define ADL_TESTS_SUPPORT_CONV_RUN_H

/* Runs one convolution by one algorithm on dense maps, and computes it by its definition in
 * double. */

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

/* Returns a convolution of dense maps with `pad` on all sides, without operands and clamp. */
struct adl_conv conv_run_shape(int h, int w, int c, int k, int r, int s, int stride, int pad,
                               int groups);
/* Returns a convolution with `pad` on all sides and random operands. A residual is added only if
 * with_residual is set; no clamp is applied. */
struct conv_run conv_run_open(int h, int w, int c, int k, int r, int s, int stride, int pad,
                              int groups);
void conv_run_close(struct conv_run *run);
/* Rounds to bfloat16 what the algorithm rounds: nothing, the weights, or the input as well. */
void conv_run_round(struct conv_run *run, const struct adl_conv_algorithm *algorithm);

/* Fills run->out; returns false if the algorithm does not support the convolution. */
bool conv_run_by(struct conv_run *run, const struct adl_conv_algorithm *algorithm,
                 const struct adl_kernels *kernels, bool with_residual);
/* Computes the outputs by the definition, without the clamp, to want[out_count]. Padding counts as
 * zeros, so a NaN weight makes the output NaN there too, as in PyTorch. */
void conv_run_define(const struct conv_run *run, bool with_residual, double *want);
/* Returns whether every input of an output pixel is zero; of a convolution with one group. */
bool conv_run_sees_zeros(const struct conv_run *run, size_t pixel);

#endif
