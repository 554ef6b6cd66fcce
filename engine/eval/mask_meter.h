#ifndef ADL_EVAL_MASK_METER_H
#define ADL_EVAL_MASK_METER_H

/* Compares the maps of a data set's images with their true masks: pixel average precision
 * (wsol/pxap.h), and the intersection over union of the cut map (wsol/mask_iou.h). */

#include "data/dataset.h"
#include "wsol/map_rule.h"
#include "wsol/mask_iou.h"

/* The figures of the images of one class, percentages. NaN where nothing was counted: without a
 * foreground pixel in the masks for PxAP, without a pixel in the union for an IoU. */
struct adl_mask_class {
    size_t images;
    double pxap;
    double foreground, background; /* IoU of the map cut at the model's threshold */
};

/* All figures; percentages, and NaN as above. Cuts are at the model's threshold unless it says
 * otherwise. */
struct adl_mask_figures {
    struct adl_mask_class *classes; /* by class id; owned */
    size_t class_count;
    double pxap; /* of all pixels of all images: one curve */
    /* The mean IoU of PASCAL VOC: the mean of the IoU of the background of all images and of those
     * of the foregrounds of the classes, each over all pixels of its images. With one class, the
     * mean of foreground and background. */
    double miou;
    double foreground, background;    /* IoU over all pixels of all images, whatever their class */
    double image_iou;                 /* mean over the images of the IoU of the foreground of each;
                                       * images without a pixel in the union are left out */
    double best_miou, best_threshold; /* `miou` at the threshold where it is highest */
    double peak_iou, peak_threshold;  /* `foreground` at the threshold where it is highest */
};

void adl_mask_figures_release(struct adl_mask_figures *figures);

/* Counts pixels by class. Several threads may add images at once. */
struct adl_mask_meter;

/* Creates a meter for maps of up to `workers` threads. `interval` is the step between thresholds;
 * the maps are cut at those of `rule`, which has to outlive the meter. Fails with ADL_ERR_ARG,
 * ADL_ERR_LIMIT and ADL_ERR_NOMEM. */
struct adl_mask_meter *adl_mask_meter_create(const struct adl_dataset *dataset, double interval,
                                             const struct adl_map_rule *rule, int workers,
                                             struct adl_error *err) ADL_MUST_CHECK;
void adl_mask_meter_free(struct adl_mask_meter *meter); /* NULL is ignored */

/* Counts image `index` of the data set, which is image_width x image_height (0 x 0: not known).
 * `map` is the normalised map of its class, height x width; NULL: there is none, because the image
 * cannot be read, and it counts as one that is 0 everywhere. `worker` is below `workers`, and of
 * one thread at a time. *iou becomes the IoU of the foreground at the model's threshold, 0..1 or
 * NaN. Fails as adl_dataset_mask_read() and adl_pxap_add() do, and with ADL_ERR_NOMEM. */
int adl_mask_meter_add(struct adl_mask_meter *meter, int worker, size_t index, int image_width,
                       int image_height, const double *map, int height, int width, double *iou,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Computes the figures but `image_iou`, which depends on the order of the sum and is left NaN. The
 * caller releases them. Fails with ADL_ERR_NOMEM. */
int adl_mask_meter_figures(const struct adl_mask_meter *meter, struct adl_mask_figures *figures,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
