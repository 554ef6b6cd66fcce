#ifndef ADL_EVAL_CALIBRATE_CERTAINTY_H
#define ADL_EVAL_CALIBRATE_CERTAINTY_H

/* Calibrates how sure a model is on the images that its map rule was chosen on. */

#include "eval/calibrate.h"
#include "eval/certainty_fit.h"
#include "eval/confidence_fit.h"

struct adl_calibrated_certainty {
    struct adl_certainty certainty;
    struct adl_temperature_fit temperature;
    struct adl_confidence_fit boxes; /* if certainty.has_confidence */
};

/* Fits the temperature, the presence of classes and the confidence of boxes. Boxes are those of the
 * chosen rule, and of heads that were fitted without the image if it uses the new head. With fewer
 * boxes than ADL_CONFIDENCE_BOXES there is no confidence, and for a single class no more than
 * that. Fails with ADL_ERR_NOMEM. */
int adl_calibrate_certainty(const struct adl_calibrate_samples *samples,
                            const struct adl_calibration *calibration,
                            struct adl_calibrated_certainty *out,
                            struct adl_error *err) ADL_MUST_CHECK;

#endif
