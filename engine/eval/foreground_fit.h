#ifndef ADL_EVAL_FOREGROUND_FIT_H
#define ADL_EVAL_FOREGROUND_FIT_H

/* Fits the few-box head: a linear classifier that tells, for each position of the last feature map,
 * object from background. It is fitted to the boxes of a few images (wsol/foreground.h applies
 * it). */

#include <stddef.h>

#include "base/error.h"
#include "base/pool.h"

struct adl_foreground_data {
    float *features;     /* [samples][rows][channels]; the fit changes them in their last bits */
    const float *labels; /* [samples][rows]: the fraction of the position inside a box, 0..1 */
    size_t samples;      /* images */
    size_t rows;         /* positions of an image, those of its mirror image included */
    size_t channels;
};

/* Fits `folds` + 1 heads: head f (0 <= f < folds) to the samples i with i % folds != f, and the
 * last one to all samples. heads: [folds + 1][channels + 1], the weights of the channels and the
 * bias, for features that are not standardised. The result does not depend on the number of
 * threads. Fails with ADL_ERR_ARG without samples, and with ADL_ERR_NOMEM. */
int adl_foreground_fit(const struct adl_foreground_data *data, int folds, struct adl_pool *pool,
                       float *heads, struct adl_error *err) ADL_MUST_CHECK;

#endif
