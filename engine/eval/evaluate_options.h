#ifndef ADL_EVAL_EVALUATE_OPTIONS_H
#define ADL_EVAL_EVALUATE_OPTIONS_H

/* The options of an evaluation, and its results for one image and one class. */

#include <stdbool.h>
#include <stddef.h>

#include "data/frame_cache.h"
#include "wsol/boxes.h"
#include "wsol/certainty.h"
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
    bool measured; /* it was among the measured images and could be read */
    float iou;     /* of the largest contour's box at the model's threshold; without boxes, of
                    * the map cut there and the mask; 0 without masks either */
    int predicted; /* the class of the highest score; -1 if score maps were measured */
    float score;   /* of the predicted class: its probability, at the temperature of the options; 0
                    * if score maps were measured */
    float probability; /* of the true class, at the temperature of the options; 0 if score maps
                        * were measured */
    double confidence; /* of the box at the model's threshold; NaN: not known */
};

struct adl_evaluate_options {
    double curve_interval;   /* step between the thresholds of MaxBoxAcc(V2) */
    struct adl_map_rule map; /* how maps are formed, and the threshold of GT-known, Top-1
                              * and Top-5 localization */
    double temperature;      /* of the class probabilities; 0: 1 */
    /* Images may have several labels: then the labels of the data set are paired (data/labels.h),
     * and each label of an image is measured as an image of one class is, but for the class
     * scores. */
    bool several;
    const struct adl_confidence *confidence; /* of boxes cut by `map`; NULL: none */
    bool detections; /* also compare all boxes of an image with all true ones */
    size_t limit;    /* images to measure, spread evenly over the split; 0: all */
    /* Measure a part of the images only, which eval/evaluate_parts.h joins with the others: of the
     * groups of images that are measured together, number part, part + parts, ... That no image of
     * a part can be read is no failure. 0: all images. */
    size_t part, parts;
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
    double precision; /* with several labels: the average precision, percent; NaN: no image */
    size_t top1, top5, gt_known, top1_loc, top5_loc;
};

#endif
