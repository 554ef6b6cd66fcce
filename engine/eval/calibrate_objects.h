#ifndef ADL_EVAL_CALIBRATE_OBJECTS_H
#define ADL_EVAL_CALIBRATE_OBJECTS_H

/* Chooses how maps are parted into objects (wsol/objects.h), on images with true boxes. */

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "eval/calibrate.h"
#include "wsol/objects.h"

/* Images with several true boxes that a choice needs. */
#define ADL_CALIBRATE_SEVERAL 5

/* The outcome. The figures are the average precision (IoU 0.5, all classes together, percent) on
 * the images with several true boxes. */
struct adl_calibrated_objects {
    bool chosen;                 /* there were enough of these images; otherwise only `several` */
    struct adl_object_rule rule; /* is set */
    size_t several;              /* images with several true boxes */
    double regions;              /* the whole regions, ADL_BOXES_ALL */
    double fitted;               /* the choice, measured on the images that it was made on */
    double cross_validated;      /* choices made on four fifths, measured on the other fifth */
};

/* Chooses for maps of `rule`, cut at its threshold. The result does not depend on the number of
 * threads. Fails with ADL_ERR_NOMEM. */
int adl_calibrate_objects(const struct adl_calibrate_samples *samples,
                          const struct adl_map_rule *rule, struct adl_pool *pool,
                          struct adl_calibrated_objects *out, struct adl_error *err) ADL_MUST_CHECK;

#endif
