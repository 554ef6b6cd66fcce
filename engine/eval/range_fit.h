#ifndef ADL_EVAL_RANGE_FIT_H
#define ADL_EVAL_RANGE_FIT_H

/* Chooses the ranges and scales with which a network runs in 8 bits, from images without labels
 * (plan/quantisation.h). */

#include "graph/graph.h"
#include "plan/quantisation.h"
#include "plan/session.h"

struct adl_range_fit;

/* What the squared errors of an image are weighed by, if the sum of the map's own squares in this
 * image is S. */
enum adl_range_weight {
    ADL_RANGE_ALIKE, /* 1 / S: relative errors, all images alike */
    ADL_RANGE_SMALL, /* 1 / S^2: the images in which the map is small decide */
    ADL_RANGE_WEIGHTS,
};

/* Starts for a network with these weights, which are borrowed. One thread at a time. Fails as
 * adl_plan_create() and with ADL_ERR_NOMEM. */
struct adl_range_fit *adl_range_fit_create(const struct adl_graph *graph,
                                           const float *const *params, int input_h, int input_w,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_range_fit_free(struct adl_range_fit *fit);

/* Returns where the caller writes the input of the next image, as adl_session_input(). */
float *adl_range_fit_input(struct adl_range_fit *fit);
/* Runs the network on that input and takes note of all its maps. Every image is seen twice: all of
 * them once, then adl_range_fit_begin_second() is called, then all again. */
void adl_range_fit_observe(struct adl_range_fit *fit);
/* Returns an output of the network for the image that was observed last, as adl_session_output(),
 * and its shape. */
const float *adl_range_fit_output(const struct adl_range_fit *fit, enum adl_output which);
struct adl_shape adl_range_fit_shape(const struct adl_range_fit *fit, enum adl_output which);
/* Fails with ADL_ERR_NOMEM, and with ADL_ERR_FORMAT if a map was not finite. */
int adl_range_fit_begin_second(struct adl_range_fit *fit, struct adl_error *err) ADL_MUST_CHECK;

/* Returns ranges for all maps (ADL_RANGE_ALIKE), and scales for all weights, which the caller
 * frees. Fails with ADL_ERR_NOMEM. */
struct adl_quantisation *adl_range_fit_finish(struct adl_range_fit *fit,
                                              struct adl_error *err) ADL_MUST_CHECK;
/* Replaces the ranges by those of another weight. */
void adl_range_fit_ranges(const struct adl_range_fit *fit, enum adl_range_weight weight,
                          struct adl_quantisation *quantisation);

/* Rounds the weights to whole multiples of their scales, and corrects what that changes on average:
 * rounding shifts an output channel of a convolution by the sum of its weights' errors times the
 * mean of their inputs, and that shift is added to the mean of the batch norm that follows, or
 * subtracted from the convolution's bias (Nagel et al., "Data-Free Quantization Through Weight
 * Equalization and Bias Correction", ICCV 2019, section 4.2, with means of the images). `params`
 * are the weights that adl_range_fit_create() was given, to be changed. `bits` (by parameter id,
 * 2 to 8) limits the multiples to those of so many bits; NULL: 8 for all. */
void adl_range_fit_round(const struct adl_range_fit *fit,
                         const struct adl_quantisation *quantisation, const unsigned char *bits,
                         float *const *params);

/* Returns a session of the network in 8 bits for one image, with everything in 8 bits that can be,
 * whatever a plan would choose on this processor. `params` are the rounded weights. The caller
 * frees it. Fails as adl_plan_create(). */
struct adl_session *adl_range_fit_session(const struct adl_range_fit *fit,
                                          const float *const *params,
                                          const struct adl_quantisation *quantisation,
                                          struct adl_error *err) ADL_MUST_CHECK;

#endif
