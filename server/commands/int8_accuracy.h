#ifndef ADL_SERVER_COMMANDS_INT8_ACCURACY_H
#define ADL_SERVER_COMMANDS_INT8_ACCURACY_H

/* What rounding to 8 bits costs on images with labels: the figures of `eval`, before and after. */

#include <stdio.h>

#include "eval/evaluate.h"
#include "models/model.h"
#include "server/tasks/image_list.h"

/* The most images that are measured, spread evenly over the split. */
#define ADL_INT8_MEASURED 500

enum adl_int8_side { ADL_INT8_BEFORE, ADL_INT8_AFTER, ADL_INT8_SIDES };

struct adl_int8_accuracy {
    struct adl_dataset *dataset;  /* owned; NULL: there are no labels, and nothing is measured */
    struct adl_image_list images; /* of the split, identified */
    struct adl_evaluate_report reports[ADL_INT8_SIDES];
};

/* Looks for labels in the directory: of this split, or if it is NULL, of val or else of test.
 * Without a split that is asked for, missing labels and classes other than the model's are no
 * error; the latter are said on standard error. Fails as adl_labelled_open() and
 * adl_labelled_match() otherwise. */
int adl_int8_accuracy_open(struct adl_int8_accuracy *accuracy, const struct adl_model *model,
                           const char *model_path, const char *dir, const char *split,
                           struct adl_error *err) ADL_MUST_CHECK;
void adl_int8_accuracy_release(struct adl_int8_accuracy *accuracy);

/* Measures the model with these views, which are for `batch` images, as eval does. Does nothing
 * without labels. Fails as adl_evaluate_views(). */
int adl_int8_accuracy_measure(struct adl_int8_accuracy *accuracy, enum adl_int8_side side,
                              const struct adl_model *model, struct adl_views *views, int batch,
                              struct adl_pool *pool, struct adl_error *err) ADL_MUST_CHECK;

/* Prints a table of both sides; nothing without labels. */
void adl_int8_accuracy_print(const struct adl_int8_accuracy *accuracy, FILE *table);

#endif
