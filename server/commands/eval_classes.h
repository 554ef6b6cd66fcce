#ifndef ADL_SERVER_COMMANDS_EVAL_CLASSES_H
#define ADL_SERVER_COMMANDS_EVAL_CLASSES_H

/* The figures of each class that `eval` prints, and writes as comma-separated values (RFC 4180,
 * with LF; a text is in quotes if it has to be). */

#include <jansson.h>

#include "eval/evaluate.h"
#include "models/model.h"

/* What was measured; everything is borrowed. */
struct adl_eval_classes {
    const struct adl_evaluate_report *report;
    const struct adl_dataset *dataset;
    const struct adl_model *model;           /* NULL: score maps were measured */
    const struct adl_evaluate_place *places; /* by image; only for the confusion matrix */
};

/* Returns a figure as JSON; null if it was not measured. */
json_t *adl_eval_number(double value, bool measured);

/* Returns the name of a class; `text` is memory for one that has none. */
const char *adl_eval_class_name(const struct adl_eval_classes *classes, size_t class_id, char *text,
                                size_t size);

/* Returns the classes that have images as JSON; NULL when out of memory. */
json_t *adl_eval_classes_json(const struct adl_eval_classes *classes);

void adl_eval_classes_print(const struct adl_eval_classes *classes);

/* Writes a line of names, and a line for each class that has images; a figure that was not measured
 * is empty. `path` may be "-", standard output. Fails with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_eval_classes_csv(const struct adl_eval_classes *classes, const char *path,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Writes the confusion matrix: the number of images of each true class (row) for which the network
 * scored each class (column) highest. The first row and the first column are the names; rows and
 * columns are all classes of the network, in their order. Images that cannot be read are not in it.
 * Fails as adl_eval_classes_csv(). */
int adl_eval_confusion_csv(const struct adl_eval_classes *classes, const char *path,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
