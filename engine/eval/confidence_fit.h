#ifndef ADL_EVAL_CONFIDENCE_FIT_H
#define ADL_EVAL_CONFIDENCE_FIT_H

/* Fits the confidence of boxes, the chance that a box is right at IoU 0.5, to boxes of images with
 * true boxes (wsol/certainty.h applies it). */

#include <stddef.h>

#include "eval/reliability.h"
#include "wsol/certainty.h"

/* A box of the largest region of an image's map. */
struct adl_judged_box {
    double evidence[ADL_EVIDENCES];
    double iou; /* with the best true box, 0..1 */
};

/* Fewer boxes than these give no confidence. */
#define ADL_CONFIDENCE_BOXES 20

struct adl_confidence_fit {
    struct adl_confidence confidence;
    size_t boxes, right;             /* right: IoU of at least 0.5 */
    double loss;                     /* mean negative log likelihood, cross-validated */
    double loss_alone;               /* the same if every box has the mean confidence */
    struct adl_reliability held_out; /* of boxes judged without their fold */
};

/* Fits the confidence. Box i is in fold i % folds. Fails with ADL_ERR_ARG for fewer than
 * ADL_CONFIDENCE_BOXES boxes. */
int adl_confidence_fit(const struct adl_judged_box *boxes, size_t count, int folds,
                       struct adl_confidence_fit *fit, struct adl_error *err) ADL_MUST_CHECK;

#endif
