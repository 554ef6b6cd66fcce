#ifndef ADL_EVAL_EVALUATE_H
#define ADL_EVAL_EVALUATE_H

/* Measures a network, or a directory of score maps, on a data set, as the reference evaluation code
 * for weakly supervised object localization does (clovaai/wsolevaluation): images (those of lists
 * as they are stored, without regard to EXIF orientation; see adl_dataset.upright) are resized to
 * the input size without regard to their aspect ratio; the class map of the true class is enlarged
 * to the input size in double, normalised by the rule of the options, and compared with the true
 * boxes in pixels of the input.
 *
 * This directory builds on wsol/, which does not read files, and on data/, which does not use
 * maps. */

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "data/frame_cache.h"
#include "eval/detections.h"
#include "eval/reliability.h"
#include "wsol/certainty.h"
#include "wsol/evaluator.h"
#include "wsol/map_rule.h"
#include "wsol/views.h"

/* The reference's step between thresholds (cam_curve_interval). */
#define ADL_EVALUATE_INTERVAL 0.001

/* A view of an image that the network has just been run on. */
struct adl_evaluate_visit {
    size_t index; /* of the image in the data set */
    const struct adl_view_run *run;
    int view;                    /* of the run */
    int slot;                    /* of the image in the batch */
    int width, height;           /* of the image as it was read, pixels */
    const struct adl_box *truth; /* its true boxes in pixels of the input, not mirrored; NULL:
                                  * none */
};

/* The result for one image. */
struct adl_evaluate_place {
    bool measured;     /* it was among the measured images and could be read */
    float iou;         /* of the largest contour's box at the model's threshold; 0 without boxes */
    float probability; /* of the true class, at the temperature of the options; 0 if score maps
                        * were measured */
};

struct adl_evaluate_options {
    double curve_interval;   /* step between the thresholds of MaxBoxAcc(V2) */
    struct adl_map_rule map; /* how maps are formed, and the threshold of GT-known, Top-1
                              * and Top-5 localization */
    double temperature;      /* of the class probabilities; 0: 1 */
    const struct adl_confidence *confidence; /* of boxes cut by `map`; NULL: none */
    bool detections;                   /* also compare all boxes of an image with all true ones */
    size_t limit;                      /* images to measure, spread evenly over the split; 0: all */
    const char *scoremaps;             /* directory to write each map to, as ID.npy; NULL: none */
    struct adl_evaluate_place *places; /* by index in the data set, zeroed by the caller; or NULL */
    float mean[3], std[3];             /* of the network's input */
    struct adl_frame_source frames;    /* the cache of resized images; `fast` has to be false */

    /* If set, called for each image and each view of the map rule, in the order of the views,
     * instead of measuring the image, on any thread of the pool; if it returns -1 with an error,
     * the run ends. The figures of the report are then not valid. */
    int (*visit)(void *visit_context, const struct adl_evaluate_visit *visit,
                 struct adl_error *err);
    void *visit_context;

    /* Callbacks, all on the calling thread; each may be NULL. */
    void (*progress)(void *report_context, size_t done);      /* after each group of images */
    void (*broken)(void *report_context, const char *reason); /* an image cannot be read */
    void *report_context;
    bool (*stopped)(void *stop_context); /* before each group; true cancels the evaluation */
    void *stop_context;
};

/* Counts of the images of one class. */
struct adl_evaluate_class {
    size_t images, errors;
    size_t top1, top5, gt_known, top1_loc, top5_loc;
};

struct adl_evaluate_report {
    size_t images;   /* including broken ones, which count as wrong in every figure */
    size_t errors;   /* broken images: those that cannot be read */
    bool classified; /* the classification figures are valid: a network was run */
    bool localized;  /* the localization figures are valid: the split has boxes */
    bool both;       /* Top-1 and Top-5 localization are valid: both of the above */
    struct adl_evaluation figures;
    struct adl_evaluator counts;        /* what the figures were computed from; owned */
    struct adl_evaluate_class *classes; /* by class id; owned */
    /* Of the readable images: the probability of the most probable class, and whether it is the
     * true one; the confidence of the box of the largest contour at the model's threshold, and
     * whether it reaches IoU 0.5. The latter is empty without a confidence. */
    struct adl_reliability class_scores, box_confidences;
    size_t class_count;
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
 * error. The data set needs boxes, and the sizes of the images in its lists or the images. Fails as
 * adl_evaluate_views() does, and with ADL_ERR_NOT_FOUND. */
int adl_evaluate_scoremaps(const struct adl_dataset *dataset, const char *dir,
                           struct adl_pool *pool, const struct adl_evaluate_options *options,
                           struct adl_evaluate_report *report,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
