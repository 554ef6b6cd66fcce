#ifndef ADL_WSOL_EVALUATOR_H
#define ADL_WSOL_EVALUATOR_H

/* Computes the localization metrics of the reference evaluation code (clovaai/wsolevaluation; J.
 * Choe et al., "Evaluating weakly supervised object localization methods right", CVPR 2020), and
 * the classical metrics (Top-1, Top-5 and GT-known localization) at the model's threshold. Only
 * counts of images are kept, so evaluating parts of a data set separately and merging them does not
 * change the figures. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wsol/boxes.h"

/* The overlap at which a predicted box counts as correct: IoU >= 0.3, 0.5 or 0.7. */
enum adl_eval_iou { ADL_EVAL_IOU_30, ADL_EVAL_IOU_50, ADL_EVAL_IOU_70, ADL_EVAL_IOUS };

/* Number of sizes of the centred square that is predicted without looking at the image, from the
 * whole map to a third of its sides. */
#define ADL_EVAL_SQUARES 20

struct adl_evaluator {
    double interval;        /* between the thresholds 0, interval, ... < 1 */
    size_t steps;           /* number of thresholds */
    double model_threshold; /* of the classical figures, 0..1 */

    /* Counts of images. */
    uint64_t classified; /* with logits */
    uint64_t top1, top5; /* of these: the label is first, or among the first five */
    uint64_t localized;  /* with a map */
    uint64_t gt_known;   /* of these: correct at the model's threshold */
    uint64_t both;       /* with logits and a map */
    uint64_t top1_loc;   /* of these: gt_known and top1 */
    uint64_t top5_loc;   /* of these: gt_known and top5 */

    /* Correct images by IoU and threshold, [iou * steps + step]: judged by the box of the
     * largest contour, and by the best box of all contours. Owned. */
    uint64_t *largest;
    uint64_t *all;
    /* Correct images at IoU 0.5 by threshold if the largest contour's box is moved to the
     * middle of the map: what the size of the box achieves without its position. Owned. */
    uint64_t *centred;
    /* Correct images if the box is always the middle of the map with a margin of i / 56 of each
     * side, truncated. */
    uint64_t squares[ADL_EVAL_IOUS][ADL_EVAL_SQUARES];
    /* Images of `largest` at IoU 0.5 that are also top1, or top5. Owned. */
    uint64_t *largest_top1, *largest_top5;

    struct adl_box_finder finder;
    struct adl_boxes boxes;
};

/* Prepares an evaluator with all counts 0. `interval` in (0, 1] is the reference's
 * cam_curve_interval. Fails with ADL_ERR_ARG, ADL_ERR_LIMIT (too many thresholds) or ADL_ERR_NOMEM.
 * An evaluator is for one thread at a time; several threads use one each and merge them at the
 * end. */
int adl_evaluator_init(struct adl_evaluator *evaluator, double interval, double model_threshold,
                       struct adl_error *err) ADL_MUST_CHECK;

void adl_evaluator_release(struct adl_evaluator *evaluator);

/* One image. Without `map` it counts for classification only, without `logits` for localization
 * only. All pointers are borrowed. */
struct adl_eval_image {
    const double *map; /* of the true class, normalised to 0..1, height x width */
    int height, width;
    const struct adl_box *truth; /* in pixels of the map; see adl_box_resize_truth() */
    size_t truth_count;          /* at least one when there is a map */
    const float *logits;
    size_t classes;
    size_t label;
    const double *threshold; /* of the label's class, in place of the model's; NULL: the model's */
};

/* Counts the image. Fails with ADL_ERR_ARG for a label, a map value or a true box out of range or a
 * map without a true box, and with ADL_ERR_NOMEM; then nothing is counted. */
int adl_evaluator_add(struct adl_evaluator *evaluator, const struct adl_eval_image *image,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Adds the counts of `from`. Fails with ADL_ERR_INTERNAL if the two have different thresholds. */
int adl_evaluator_merge(struct adl_evaluator *into, const struct adl_evaluator *from,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Percentages, 0 without images; thresholds are 0..1. See evaluator.c for the formulas. */
struct adl_evaluation {
    double top1_cls, top5_cls;
    double gt_known_loc, top1_loc, top5_loc;  /* at the model's threshold, IoU 0.5 */
    double max_box_acc;                       /* largest contour, IoU 0.5 */
    double best_threshold;                    /* ties go to the lowest */
    double centred_box_acc;                   /* the same boxes, each moved to the middle */
    double centred_square_acc;                /* one centred square for all, IoU 0.5 */
    double centred_square_acc_v2;             /* the mean over the IoUs, each at its best size */
    double best_top1_loc, best_top5_loc;      /* at best_threshold, where GT-known localization
                                               * equals max_box_acc */
    double max_box_acc_v2;                    /* all contours: the mean of the next three */
    double max_box_acc_v2_iou[ADL_EVAL_IOUS]; /* each at its best_threshold_v2 */
    double best_threshold_v2[ADL_EVAL_IOUS];
};

/* Computes the figures from the counts. */
struct adl_evaluation adl_evaluator_result(const struct adl_evaluator *evaluator);

/* Scales a true box from an image to a map as the reference does: coordinates are multiplied
 * and truncated, neither rounded nor clipped. Sizes must be positive. */
struct adl_box adl_box_resize_truth(struct adl_box box, int image_width, int image_height,
                                    int map_width, int map_height);

#endif
