#ifndef ADL_SERVER_TASKS_PREDICTIONS_H
#define ADL_SERVER_TASKS_PREDICTIONS_H

/* What a network says of each image of a split, as comma-separated values. */

#include "eval/evaluate_options.h"
#include "models/model.h"

struct adl_predictions {
    const struct adl_dataset *dataset;
    const struct adl_model *model;
    const struct adl_evaluate_place *places; /* by image of the data set */
    bool localized;                          /* `iou` of the places is valid */
    bool some; /* only some images were measured: the others are left out */
};

/* Writes a line of names, "path,label,predicted,correct,score,label_score,iou", and a line for each
 * image: its true class, the class with the highest score, whether it is the true one (1 or 0), the
 * scores of both, 0..1, and the intersection over union of its box or mask, if it has one. An image
 * that could not be read has no class and no score, and is not correct. If images may have several
 * labels, each of them has a line, and is correct if it is found; an image without one has a line
 * without a label, which is correct if nothing is found. `path` may be "-", standard
 * output. Fails with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_predictions_write(const struct adl_predictions *predictions, const char *path,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
