#ifndef ADL_EVAL_RANGE_CHOICE_H
#define ADL_EVAL_RANGE_CHOICE_H

/* Chooses how images are weighed for the ranges of 8 bits (range_fit.h): each way is tried, and the
 * one is taken with which the network in 8 bits computes most nearly what it computes in float32,
 * on some of the images that the ranges come from. */

#include "eval/range_fit.h"

struct adl_range_choice;

/* Prepares for `images` images (at least 1) of the input size of the fit. Fails with
 * ADL_ERR_NOMEM. */
struct adl_range_choice *adl_range_choice_create(const struct adl_range_fit *fit, size_t images,
                                                 struct adl_error *err) ADL_MUST_CHECK;
void adl_range_choice_free(struct adl_range_choice *choice); /* NULL is fine */

/* Notes what the fit, which has just observed image `index`, computes for it. Only some of the
 * images are kept. Done before the weights are rounded. */
void adl_range_choice_note(struct adl_range_choice *choice, const struct adl_range_fit *fit,
                           size_t index);

/* Writes the normalised input of an image; returns false if it cannot be read. */
typedef bool adl_range_choice_load(void *context, size_t index, float *input);

/* Runs the network with the rounded weights and each weight's ranges, and leaves those of the least
 * error in `quantisation`. `params` are the rounded weights, `quantisation` has their scales. Fails
 * as adl_plan_create(). */
int adl_range_choice_run(const struct adl_range_choice *choice, const struct adl_range_fit *fit,
                         const float *const *params, adl_range_choice_load *load, void *context,
                         struct adl_quantisation *quantisation,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
