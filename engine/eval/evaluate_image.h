#ifndef ADL_EVAL_EVALUATE_IMAGE_H
#define ADL_EVAL_EVALUATE_IMAGE_H

/* The stages of an evaluation for one image of a group, and the state of a run that they share with
 * evaluate.c, which runs them over the groups and counts the results. */

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "eval/detections.h"
#include "eval/evaluate_options.h"
#include "eval/label_scores.h"
#include "eval/mask_meter.h"
#include "wsol/evaluator.h"

/* Counts and scratch of one thread. */
struct adl_evaluate_worker {
    struct adl_evaluator evaluator;
    double *map;           /* enlarged to in.h x in.w */
    float *scores;         /* probability of each class */
    struct adl_box *truth; /* true boxes of one image, in pixels of the map */
    size_t truth_capacity;
    struct adl_detector detector; /* in use with options->detections */
    struct adl_str path;
};

/* One image of a group. */
struct adl_evaluate_item {
    size_t index; /* in the data set */
    struct adl_view_images images;
    int width, height;   /* of the original image, which its boxes refer to */
    int slot;            /* in the batch */
    const float *logits; /* of the plain view */
    double mask_iou;     /* of the map cut at the model's threshold; NaN: not known */
    float *cam;          /* class map, map_h x map_w of the run of views */
    struct adl_error err;
    bool broken;                      /* err concerns this image alone; the run continues */
    int top;                          /* with several labels: the most probable class */
    float top_probability;            /* of the most probable class */
    double confidence;                /* of the box at the model's threshold; NaN: not known */
    bool box_right;                   /* that box reaches IoU 0.5 */
    struct adl_evaluate_class counts; /* by how much the image increased the counts */
};

struct adl_evaluate_run {
    const struct adl_dataset *dataset;
    struct adl_label_scores scores; /* with several labels */
    size_t previous;                /* the entry counted last; SIZE_MAX: none */
    size_t broken_items;
    const struct adl_evaluate_options *options;
    struct adl_pool *pool;
    struct adl_views *views;   /* NULL: score maps are read instead */
    struct adl_view_run batch; /* how a group is run */
    int view;                  /* that runs now */
    const char *map_dir;       /* directory of score maps to read */
    struct adl_shape in;       /* the network's input */
    size_t class_count;        /* of the network */
    float *cams;               /* of a group, [group][map_h x map_w] */
    float *logits;             /* of a group, [group][class_count]; NULL if there is one view */
    struct adl_evaluate_worker *workers;
    int worker_count;
    struct adl_evaluate_item *items; /* [group] */
    size_t group;                    /* images at a time */
    size_t current;                  /* images of this group */
    size_t total;                    /* images to be measured */
    bool localized;                  /* the split has boxes */
    struct adl_mask_meter *masks;    /* NULL: masks are not measured */
    double mask_sum;                 /* of mask_iou, in the order of the images */
    size_t mask_images;              /* that have one */
    struct adl_error first_broken;
    struct adl_evaluate_report *report;
};

/* Compares the map of an image, height x width, with its mask if there are masks. Without a map,
 * the image could not be read. Fails as adl_mask_meter_add() does. */
int adl_evaluate_mask(const struct adl_evaluate_run *run, const struct adl_evaluate_worker *worker,
                      struct adl_evaluate_item *item, const double *map, int height, int width,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Tasks of adl_pool_for: `context` is the run, i the image of the group. Each sets the error of its
 * item on failure. */

/* Reads, decodes and resizes the image. An error of the file makes the image broken; running out of
 * memory or an internal error ends the run. */
void adl_evaluate_decode_item(void *context, size_t i, int worker);

/* Returns whether the i-th entry of the group is of the same image as the one before it, whose
 * place in the batch it shares. */
bool adl_evaluate_shares(const struct adl_evaluate_run *run, size_t i);

/* Puts the input of the run's current view into the image's slot of the session. */
void adl_evaluate_load_item(void *context, size_t i, int worker);

/* Takes the outputs of the current view out of its session, or calls the options' `visit`; after
 * the last view the image is measured. */
void adl_evaluate_collect_item(void *context, size_t i, int worker);

/* Measures the score map of the image, which is read from run->map_dir. */
void adl_evaluate_measure_map_item(void *context, size_t i, int worker);

#endif
