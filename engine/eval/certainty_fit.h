#ifndef ADL_EVAL_CERTAINTY_FIT_H
#define ADL_EVAL_CERTAINTY_FIT_H

/* Fits the temperature of class scores, and the presence of classes, to images with known classes
 * (wsol/certainty.h applies them). Both fits are deterministic and take milliseconds for a few
 * hundred images. */

#include <stddef.h>

#include "wsol/certainty.h"

/* Logits of images and their true classes; borrowed. */
struct adl_scored {
    const float *const *logits; /* [images], each of them [classes], finite */
    const int *labels;          /* [images], 0 .. classes - 1 */
    size_t images, classes;
};

struct adl_temperature_fit {
    double estimate;       /* the temperature of the greatest likelihood */
    double standard_error; /* of its natural logarithm; infinite for a single class of image */
    double temperature;    /* to be used: the estimate, or 1 if that is within 2 standard errors */
    double loss_before;    /* mean negative log likelihood of the true classes as trained */
    double loss;           /* the same at `temperature` */
};

/* Fails with ADL_ERR_ARG without images or with fewer than two classes, and with ADL_ERR_NOMEM. */
int adl_temperature_fit(const struct adl_scored *scored, struct adl_temperature_fit *fit,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Fits the presence to probabilities at the temperature. Fails with ADL_ERR_ARG without images or
 * with fewer than two classes, and with ADL_ERR_NOMEM. */
int adl_presence_fit(const struct adl_scored *scored, double temperature,
                     struct adl_presence *presence, struct adl_error *err) ADL_MUST_CHECK;

#endif
