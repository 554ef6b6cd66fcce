#ifndef ADL_SERVER_COMMANDS_EVAL_BOXES_H
#define ADL_SERVER_COMMANDS_EVAL_BOXES_H

/* The part of what `eval` prints that compares all boxes with all true ones. */

#include <jansson.h>

#include "data/dataset.h"
#include "eval/evaluate.h"

/* The average precision and F1 of all modes, as {"ap50":{"largest":...},"f1_50":{...}}; of one
 * class, or of all if class_id is -1. With `several`, of the images with more than one true box,
 * whose number is "images". Null if nothing was measured; NULL when out of memory. */
json_t *adl_eval_boxes_json(const struct adl_evaluate_report *report,
                            const struct adl_dataset *dataset, int class_id, bool several);

/* Prints the same as rows of a table. Fails with ADL_ERR_NOMEM. */
int adl_eval_boxes_print(const struct adl_evaluate_report *report,
                         const struct adl_dataset *dataset, struct adl_error *err) ADL_MUST_CHECK;

#endif
