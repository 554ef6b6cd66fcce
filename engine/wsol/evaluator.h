#ifndef ADL_WSOL_EVALUATOR_H
#define ADL_WSOL_EVALUATOR_H

/* The localization figures of the reference evaluation code
 * (clovaai/wsolevaluation; Choe et al., CVPR 2020), and the classical ones at
 * the model's own threshold. All that is kept are counts of images, so that
 * parts of a data set evaluated apart and merged give the same figures. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wsol/boxes.h"

/* An image is right when a predicted box and a true one overlap this much. */
enum adl_eval_iou { ADL_EVAL_IOU_30, ADL_EVAL_IOU_50, ADL_EVAL_IOU_70, ADL_EVAL_IOUS };

struct adl_evaluator {
    double interval;        /* between the thresholds 0, interval, ... < 1 */
    size_t steps;           /* how many thresholds that are */
    double model_threshold; /* of the classical figures */

    uint64_t classified; /* images that came with logits */
    uint64_t top1, top5; /* of these: label first, among the first five */
    uint64_t localized;  /* images that came with a map */
    uint64_t gt_known;   /* of these: right at the model's threshold */
    uint64_t both;       /* images that came with logits and a map */
    uint64_t top1_loc;   /* of these: gt_known and top1 */
    uint64_t top5_loc;   /* of these: gt_known and top5 */

    /* Right images for each IoU and threshold, [iou * steps + step]: with the
     * box of the largest contour, and with those of all contours. Owned. */
    uint64_t *largest;
    uint64_t *all;
    /* Right images at IoU 0.5 for each threshold, had the largest contour's box
     * been in the middle of the map: what its size alone achieves. Owned. */
    uint64_t *centred;
    /* Of `largest` at IoU 0.5 those with logits that are top1, and top5. Owned. */
    uint64_t *largest_top1, *largest_top5;

    struct adl_box_finder finder;
    struct adl_boxes boxes;
};

/* `interval` in (0, 1], the reference's cam_curve_interval. One thread at a
 * time; for several threads, an evaluator each, merged at the end. */
int adl_evaluator_init(struct adl_evaluator *evaluator, double interval, double model_threshold,
                       struct adl_error *err) ADL_MUST_CHECK;

void adl_evaluator_release(struct adl_evaluator *evaluator);

/* One image. Without `map` it counts for classification only, without
 * `logits` for localization only. */
struct adl_eval_image {
    const double *map; /* of the true class, normalised, height x width */
    int height, width;
    const struct adl_box *truth; /* at the size of the map: adl_box_resize_truth */
    size_t truth_count;          /* at least one when there is a map */
    const float *logits;
    size_t classes;
    size_t label;
};

int adl_evaluator_add(struct adl_evaluator *evaluator, const struct adl_eval_image *image,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Adds what `from` counted; both must have the same thresholds. */
int adl_evaluator_merge(struct adl_evaluator *into, const struct adl_evaluator *from,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Percentages; 0 where no image counted. */
struct adl_evaluation {
    double top1_cls, top5_cls;
    double gt_known_loc, top1_loc, top5_loc;  /* at the model's threshold, IoU 0.5 */
    double max_box_acc;                       /* largest contour, IoU 0.5 */
    double best_threshold;                    /* the lowest that gives it */
    double centred_box_acc;                   /* the same boxes, each moved to the middle */
    double best_top1_loc, best_top5_loc;      /* at the best threshold, where GT-known Loc is
                                               * max_box_acc */
    double max_box_acc_v2;                    /* all contours, mean of the next three */
    double max_box_acc_v2_iou[ADL_EVAL_IOUS]; /* each at its own best threshold */
    double best_threshold_v2[ADL_EVAL_IOUS];
};

struct adl_evaluation adl_evaluator_result(const struct adl_evaluator *evaluator);

/* A true box of an image, in the reference's frame of the map: coordinates
 * scaled and truncated, neither rounded nor clipped. Sizes must be positive. */
struct adl_box adl_box_resize_truth(struct adl_box box, int image_width, int image_height,
                                    int map_width, int map_height);

#endif
