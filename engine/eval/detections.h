#ifndef ADL_EVAL_DETECTIONS_H
#define ADL_EVAL_DETECTIONS_H

/* Compares all boxes of images with all of their true boxes, as COCO's evaluation does
 * (pycocotools, IoU 0.5): the average precision and F1. The other figures of an evaluation
 * (wsol/evaluator.h) ask only whether one of the boxes fits one of the true ones. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "data/dataset.h"
#include "wsol/localize.h"

#define ADL_DETECTION_IOU 0.5
#define ADL_BOX_MODES 3

/* One box. */
struct adl_detection {
    size_t image; /* in the data set */
    int class_id;
    int rank; /* among the boxes of the image */
    bool right;
    double score;
};

struct adl_detections {
    /* By enum adl_box_mode: the boxes of the images, those of one image together. */
    struct adl_detection *items[ADL_BOX_MODES]; /* owned */
    size_t counts[ADL_BOX_MODES], capacities[ADL_BOX_MODES];
};

void adl_detections_release(struct adl_detections *detections);

/* Moves the boxes of `from` to `into`. Fails with ADL_ERR_NOMEM. */
int adl_detections_merge(struct adl_detections *into, const struct adl_detections *from,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Sets right[i] for each box: in the order of their scores, of equal ones in their own, each takes
 * the true box of greatest IoU, at least `iou`, that none has taken before. `order` and
 * `taken` are scratch of box_count and truth_count elements. */
void adl_detections_match(const struct adl_localized_box *boxes, size_t box_count,
                          const struct adl_box *truth, size_t truth_count, double iou,
                          size_t *order, bool *taken, bool *right);

/* Makes the boxes of one image in all modes, and compares them. Zeroed, it is ready for use; for
 * one thread at a time. */
struct adl_detector {
    struct adl_localizer localizer;
    struct adl_detections found;
    void *scratch; /* owned */
    size_t scratch_bytes;
};

void adl_detector_release(struct adl_detector *detector);

/* Cuts a map of image `index` of the data set, made by adl_map_make_unclipped() or clipped already;
 * afterwards it is clipped. The image has image_w x image_h pixels; boxes are compared in these,
 * as a user gets them. Fails with ADL_ERR_ARG for a NaN in the map, and with ADL_ERR_NOMEM. */
int adl_detector_add(struct adl_detector *detector, const struct adl_map_rule *common, double *map,
                     int height, int width, const struct adl_dataset *dataset, size_t index,
                     int image_w, int image_h, struct adl_error *err) ADL_MUST_CHECK;

/* Which images figures are computed on. */
struct adl_detection_choice {
    const struct adl_dataset *dataset;
    size_t total; /* images measured: number i * dataset->count / total for i < total */
    int class_id; /* -1: all */
    bool several; /* only those with more than one true box */
};

struct adl_detection_figures {
    size_t images, truths, boxes, right;
    double ap50;  /* percent. Of all classes: the mean over those with true boxes, as COCO's mAP */
    double f1_50; /* percent; of all classes: of all boxes together, 2 right / (boxes + truths) */
};

/* Computes the figures of a mode. The average precision is the mean, over the recalls 0, 0.01, ...
 * 1, of the greatest precision at this recall or a higher one; 0 where no image has a true box.
 * Boxes of equal score are ranked in the order of the images. Fails with ADL_ERR_NOMEM. */
int adl_detections_figures(const struct adl_detections *detections, enum adl_box_mode mode,
                           const struct adl_detection_choice *choice,
                           struct adl_detection_figures *figures,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Sorts boxes by score, the highest first; those of equal score by image, and by rank in it. */
void adl_detections_rank(struct adl_detection *boxes, size_t count);

/* Returns the average precision, 0..1, of `count` boxes in the order of their scores. */
double adl_average_precision(const struct adl_detection *ranked, size_t count, size_t truths);

#endif
