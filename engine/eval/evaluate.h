#ifndef ADL_EVAL_EVALUATE_H
#define ADL_EVAL_EVALUATE_H

/* Measures a network, or a directory of score maps, on a data set, as the reference evaluation code
 * for weakly supervised object localization does (clovaai/wsolevaluation): images (those of lists
 * as they are stored, without regard to EXIF orientation; see adl_dataset.upright) are resized to
 * the input size without regard to their aspect ratio; the class map of the true class is enlarged
 * to the input size in double, normalised by the rule of the options, and compared with the true
 * boxes in pixels of the input, and with the true masks brought to its size.
 *
 * This directory builds on wsol/, which does not read files, and on data/, which does not use
 * maps. */

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "eval/detections.h"
#include "eval/evaluate_options.h"
#include "eval/label_scores.h"
#include "eval/mask_meter.h"
#include "eval/reliability.h"
#include "wsol/evaluator.h"
#include "wsol/views.h"

struct adl_evaluate_report {
    size_t images;   /* including broken ones, which count as wrong in every figure */
    size_t errors;   /* broken images: those that cannot be read */
    bool classified; /* the classification figures are valid: a network was run */
    bool localized;  /* the localization figures are valid: the split has boxes */
    bool masked;     /* the figures of masks are valid: the split has masks */
    bool both;       /* Top-1 and Top-5 localization are valid: classified and localized */
    /* With several labels an image, of the images: the classification figures below are not
     * valid, and those of localization are of the labels. */
    bool several;
    struct adl_label_figures label_figures;
    size_t labels; /* of all images */
    struct adl_evaluation figures;
    struct adl_evaluator counts;        /* what the figures were computed from; owned */
    struct adl_evaluate_class *classes; /* by class id; owned */
    /* Of the readable images: the probability of the most probable class, and whether it is the
     * true one; the confidence of the box of the largest contour at the model's threshold, and
     * whether it reaches IoU 0.5. The latter is empty without a confidence. */
    struct adl_reliability class_scores, box_confidences;
    size_t class_count;
    struct adl_mask_figures masks;    /* owned */
    struct adl_detections detections; /* if the options ask for them; owned */
    size_t total;                     /* images, for struct adl_detection_choice */
    double seconds;
};

void adl_evaluate_report_release(struct adl_evaluate_report *report);

/* Runs the images of the data set through the network of `views`, up to `batch` at a time, which is
 * at most the batch size of the views; `pool` is that of the views and may be NULL. Fails with
 * ADL_ERR_ARG if the data set has no images or more classes than the network, with
 * ADL_ERR_CANCELLED if `stopped` returned true, with ADL_ERR_FORMAT if no image could be read or a
 * score of the network is not finite, and with ADL_ERR_NOMEM. `report` is overwritten and need not
 * be initialised; on failure it is zeroed. */
int adl_evaluate_views(const struct adl_dataset *dataset, struct adl_views *views, int batch,
                       struct adl_pool *pool, const struct adl_evaluate_options *options,
                       struct adl_evaluate_report *report, struct adl_error *err) ADL_MUST_CHECK;

/* Measures the maps DIR/ID.npy instead of those of a network; if one does not exist, it is looked
 * for without the id's extension. Only localization is measured. A missing or malformed map is an
 * error. The data set needs boxes or masks, and with boxes the sizes of the images in its lists or
 * the images. Fails as adl_evaluate_views() does, and with ADL_ERR_NOT_FOUND. */
int adl_evaluate_scoremaps(const struct adl_dataset *dataset, const char *dir,
                           struct adl_pool *pool, const struct adl_evaluate_options *options,
                           struct adl_evaluate_report *report,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
