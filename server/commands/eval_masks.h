#ifndef ADL_SERVER_COMMANDS_EVAL_MASKS_H
#define ADL_SERVER_COMMANDS_EVAL_MASKS_H

/* The part of what `eval` prints that compares maps with masks, see eval/mask_meter.h. */

#include <jansson.h>

#include "eval/evaluate.h"

/* Adds the figures to the members of `root`, as numbers or null. Returns -1 when out of memory. */
int adl_eval_masks_json(const struct adl_evaluate_report *report, json_t *root);

/* Prints them as rows of a table; nothing if there are no masks. `threshold` is that of the model.
 */
void adl_eval_masks_print(const struct adl_evaluate_report *report, double threshold);

#endif
