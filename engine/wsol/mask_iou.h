#ifndef ADL_WSOL_MASK_IOU_H
#define ADL_WSOL_MASK_IOU_H

/* Intersection over union (IoU, the Jaccard index) of maps cut at a threshold with segmentation
 * masks, over all pixels of a set of images, as PASCAL VOC measures segmentation (M. Everingham et
 * al., The PASCAL Visual Object Classes Challenge, IJCV 2010, section 4.2.3):
 *
 *     IoU of the foreground = TP / (TP + FP + FN)
 *     IoU of the background = TN / (TN + FP + FN)
 *
 * A pixel is cut out as where boxes are cut (wsol/boxes.h): with byte = trunc(map * 255), it is
 * foreground if byte > trunc(t * largest byte of the map). Ignored pixels do not count. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Counts of pixels of a cut. */
struct adl_mask_cut {
    uint64_t both;      /* TP: cut out, and foreground of the mask */
    uint64_t map_only;  /* FP */
    uint64_t mask_only; /* FN */
    uint64_t neither;   /* TN */
};

/* Return the IoU in 0..1; NaN if the union has no pixel. */
double adl_mask_cut_foreground(const struct adl_mask_cut *cut);
double adl_mask_cut_background(const struct adl_mask_cut *cut);
void adl_mask_cut_add(struct adl_mask_cut *into, const struct adl_mask_cut *from);

/* The cuts of a set of images at all thresholds 0, interval, ... < 1. */
struct adl_mask_iou {
    double interval;
    size_t steps; /* number of thresholds */
    /* Pixels on and off the object by the number of thresholds at which they are cut out, [steps +
     * 1]; owned. The cuts are nested, so these are the lowest thresholds. */
    uint64_t *foreground, *background;
};

/* Prepares counts of 0. Fails as adl_threshold_steps() does, and with ADL_ERR_NOMEM. A struct is
 * for one thread at a time. */
int adl_mask_iou_init(struct adl_mask_iou *counts, double interval,
                      struct adl_error *err) ADL_MUST_CHECK;
void adl_mask_iou_release(struct adl_mask_iou *counts);

/* Counts the `count` pixels of a normalised map and of a mask of equal size (ADL_PXAP_BACKGROUND
 * and so on, wsol/pxap.h). *cut becomes that of this image at `threshold`, which need not be one of
 * the list. Fails with ADL_ERR_ARG for a map value outside 0..1 or a NaN; then nothing is counted.
 */
int adl_mask_iou_add(struct adl_mask_iou *counts, const double *map, const uint8_t *mask,
                     size_t count, double threshold, struct adl_mask_cut *cut,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Adds the counts of `from`, which has the same interval. */
void adl_mask_iou_merge(struct adl_mask_iou *into, const struct adl_mask_iou *from);
/* Sets all counts to 0. */
void adl_mask_iou_clear(struct adl_mask_iou *counts);

/* Writes the cut at each threshold, [steps]. */
void adl_mask_iou_cuts(const struct adl_mask_iou *counts, struct adl_mask_cut *cuts);

#endif
