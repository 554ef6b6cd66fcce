#ifndef ADL_EVAL_CALIBRATE_H
#define ADL_EVAL_CALIBRATE_H

/* Chooses how class maps are formed and cut (wsol/map_rule.h) so that their boxes agree with the
 * true boxes of a few images, and estimates by cross-validation how well the choice will do on
 * other images. */

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "wsol/boxes.h"
#include "wsol/map_rule.h"
#include "wsol/views.h"

/* The figure that the choice maximises. */
enum adl_calibrate_goal {
    ADL_CALIBRATE_MAX_BOX_ACC, /* the box of the largest contour reaches IoU 0.5 */
    ADL_CALIBRATE_V2           /* one of all boxes reaches IoU 0.3, 0.5 or 0.7: the mean of the
                                * three fractions of the images */
};
extern const char *const adl_calibrate_goal_names[]; /* "max_box_acc", "v2", NULL */

/* Folds of the cross-validation. */
#define ADL_CALIBRATE_FOLDS 5

/* Sets of samples that one calibration compares, at most: 14 sets of views (wsol/map_views.h), each
 * with and without the few-box head, and the model's own rule. */
#define ADL_CALIBRATE_VIEWS 14
#define ADL_CALIBRATE_SETS (2 * ADL_CALIBRATE_VIEWS + 1)

/* Which maps a set of samples has. */
enum adl_calibrate_maps {
    ADL_CALIBRATE_CLASS_MAPS, /* with all weights, and with positive weights */
    ADL_CALIBRATE_HEAD_MAPS,  /* of the few-box head that is fitted (wsol/foreground.h) */
    ADL_CALIBRATE_OWN_MAPS    /* by the model's own rule, where it is apart from the class maps */
};

/* An image with true boxes. */
struct adl_calibrate_sample {
    size_t index; /* in the data set */
    /* The maps, cam_h x cam_w each: class maps by enum adl_map_weights, or one map of another kind.
     */
    float *cams[2];
    float *logits;         /* class_count, owned */
    int class_id;          /* the true class */
    struct adl_box *truth; /* in pixels of the input, with the ends of the reference's boxes */
    size_t truth_count;
};

/* Returns whether the map of a rule is not a class map with all or with positive weights: it is
 * made with a head that the model has already, or by another sum over the channels. */
bool adl_calibrate_apart(const struct adl_map_rule *rule);

/* Images with maps of one kind, averaged over one set of views. */
struct adl_calibrate_samples {
    struct adl_map_views views;
    enum adl_calibrate_maps maps;
    bool compared;                      /* the current rule has these views, but they are not among
                                         * those to choose from */
    struct adl_calibrate_sample *items; /* in the order of the data set; owned, as are the arrays in
                                         * them */
    size_t count;
    size_t unreadable; /* images that are left out because they cannot be read */
    int cam_h, cam_w, input_h, input_w;
    /* Features of each image and of its mirror image, [count][2][cam_h * cam_w][channels], those of
     * all layers of the head one after the other, and the fraction of each position that is inside
     * a box; NULL unless the options ask for a head. The positions are those of the head's grid,
     * but only as many of them as the last map has. */
    float *features, *labels;
    size_t channels;
    size_t class_count; /* of the network */
};

struct adl_calibrate_options {
    enum adl_calibrate_goal goal;
    /* The model's rule, to compare with. If it has a head, it is not among the rules to choose
     * from: the head may have been fitted to these images. */
    struct adl_map_rule current;
    bool per_class; /* also choose thresholds of single classes */
    /* Which layers a few-box head is to read, without weights: collect the features that it is
     * fitted to, with the samples of plain views. The plan has to keep the layers. NULL: do not. */
    const struct adl_foreground_head *foreground;
    /* Heads from adl_calibrate_fit_foreground(), and the samples that they were fitted to: those of
     * which head maps are made. NULL: not fitted yet. */
    const float *heads;
    const struct adl_calibrate_samples *fitted;
    struct adl_pool *pool; /* NULL: the calling thread alone */
    float mean[3], std[3]; /* of the network's input */
    /* Called on the calling thread after each part of the work; may be NULL. */
    void (*progress)(void *context, size_t done);
    void *progress_context;
};

/* The outcome; figures in percent of the images. */
struct adl_calibration {
    struct adl_map_rule rule; /* the choice, threshold included; without a head */
    size_t set;               /* index of the samples that the choice is for */
    bool foreground;          /* it is for maps of the head that was fitted */
    /* Thresholds of single classes, class_count of the samples, as in the map rule; owned. NULL:
     * one threshold for all does as well on other images, or the options do not ask for more. */
    float *class_thresholds;
    size_t own_thresholds;  /* how many classes have one */
    double common;          /* as cross_validated, with one threshold for all */
    double fitted;          /* the choice, measured on the images that it was made on */
    double cross_validated; /* choices made on four fifths, measured on the other fifth */
    double standard_error;  /* of cross_validated */
    double before;          /* the current rule and threshold; NAN: no samples have its views */
    size_t images, boxes;
};

/* Runs the images of the data set through the network and keeps the maps of their true classes. The
 * caller sets samples->views, samples->maps and samples->compared; everything else of `samples` is
 * overwritten. The map of an image by the few-box head is that of the head which was fitted without
 * the image's fold, so that neither the choice of a rule nor its cross-validation uses a head on
 * images that the head was fitted to. Images that cannot be read are left out. Fails as
 * adl_evaluate_views() does, and with ADL_ERR_FORMAT if the data set has no boxes. Release
 * `samples` in any case. */
int adl_calibrate_collect(const struct adl_dataset *dataset, struct adl_views *views, int batch,
                          const struct adl_calibrate_options *options,
                          struct adl_calibrate_samples *samples,
                          struct adl_error *err) ADL_MUST_CHECK;

/* Returns the map of a sample that a rule is for. */
const float *adl_calibrate_map(const struct adl_calibrate_samples *samples,
                               const struct adl_calibrate_sample *sample,
                               const struct adl_map_rule *rule);

/* Fits the few-box head to the samples, which have features: heads[f] without the samples of fold
 * f, and heads[ADL_CALIBRATE_FOLDS] to all; each has channels + 1 floats, weights and bias. Fails
 * with ADL_ERR_ARG if there are no samples, and with ADL_ERR_NOMEM. */
int adl_calibrate_fit_foreground(struct adl_calibrate_samples *samples, struct adl_pool *pool,
                                 float *heads, struct adl_error *err) ADL_MUST_CHECK;

void adl_calibrate_samples_release(struct adl_calibrate_samples *samples);

/* Chooses the rule among those for the maps of the `set_count` sets of samples, 1 to
 * ADL_CALIBRATE_SETS, all of the same images; the current rule may be for the maps of one of them.
 * The result does not depend on the number of threads; adl_calibration_release() frees what it has,
 * in any case. Fails with ADL_ERR_ARG for fewer than two samples, and with ADL_ERR_NOMEM. */
int adl_calibrate_choose(const struct adl_calibrate_samples *sets, size_t set_count,
                         const struct adl_calibrate_options *options,
                         struct adl_calibration *calibration, struct adl_error *err) ADL_MUST_CHECK;

void adl_calibration_release(struct adl_calibration *calibration);

#endif
