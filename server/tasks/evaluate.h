#ifndef ADL_SERVER_TASKS_EVALUATE_H
#define ADL_SERVER_TASKS_EVALUATE_H

/* A model, or a folder of score maps, measured on a data set. As the reference
 * evaluation code does it: pictures as they are stored (EXIF orientation is
 * ignored) squashed to the input size, the map of the true class enlarged to
 * that size in double, normalised, and compared with the true boxes there.
 * Shared by `eval` and `train`. */

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "data/dataset.h"
#include "plan/session.h"
#include "server/tasks/progress.h"
#include "wsol/evaluator.h"

/* The reference's step between thresholds. */
#define ADL_EVALUATE_INTERVAL 0.001

/* What one image came to. */
struct adl_evaluate_place {
    bool measured;     /* it was among the images, and could be read */
    float iou;         /* of the largest contour's box at the model's threshold; 0 without boxes */
    float probability; /* of the true class; 0 for score maps */
};

struct adl_evaluate_options {
    double curve_interval;             /* between the thresholds of both MaxBoxAcc */
    double model_threshold;            /* of the classical figures, 0..1 */
    size_t limit;                      /* images, spread evenly over the split; 0: all */
    const char *scoremaps;             /* write each map to FOLDER/ID.npy; NULL: do not */
    struct adl_evaluate_place *places; /* by index in the data set, zeroed by the caller; or NULL */
    float mean[3], std[3];             /* of the network's input */

    /* Each may be NULL. */
    struct adl_progress *progress; /* updated; the caller starts and finishes it */
    void (*broken)(void *context, const char *reason); /* an image that cannot be read */
    bool (*stopped)(void *context);                    /* asked between batches */
    void *context;
};

/* Counts of one class's images. */
struct adl_evaluate_class {
    size_t images, errors;
    size_t top1, top5, gt_known, top1_loc, top5_loc;
};

struct adl_evaluate_report {
    size_t images;   /* broken ones included: they count as wrong in every figure */
    size_t errors;   /* broken images */
    bool classified; /* the figures of classification mean something */
    bool localized;  /* those of localization do: the split has boxes */
    bool both;
    struct adl_evaluation figures;
    struct adl_evaluator counts;        /* behind the figures: the curves; owned */
    struct adl_evaluate_class *classes; /* by class id; owned */
    size_t class_count;
    double seconds;
};

void adl_evaluate_report_release(struct adl_evaluate_report *report);

/* Runs the images of the data set through `session`, up to `batch` (at most the
 * session's) at a time; `pool` is the session's (may be NULL). Labels have to be
 * below the network's classes. Fails with ARG when they are not or there are no
 * images, with CANCELLED when it was stopped, with FORMAT when not one image
 * could be read. `report` is written as a whole; on failure it is zeroed. */
int adl_evaluate_session(const struct adl_dataset *dataset, struct adl_session *session, int batch,
                         struct adl_pool *pool, const struct adl_evaluate_options *options,
                         struct adl_evaluate_report *report, struct adl_error *err) ADL_MUST_CHECK;

/* The maps FOLDER/ID.npy instead of a network, or where there is none, the same
 * without the id's extension; only localization is measured. A missing or
 * unfit map is an error. Needs boxes, and the images' sizes from the lists or
 * the images themselves. */
int adl_evaluate_scoremaps(const struct adl_dataset *dataset, const char *folder,
                           struct adl_pool *pool, const struct adl_evaluate_options *options,
                           struct adl_evaluate_report *report,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
