#ifndef ADL_SERVER_COMMANDS_CONVERT_INT8_H
#define ADL_SERVER_COMMANDS_CONVERT_INT8_H

#include <stdio.h>

#include "models/model.h"

/* Turns a model in float32 into one in 8 bits: runs photographs of a directory, without labels, to
 * choose ranges and scales, rounds the weights, and prints to `table` how often both models agree
 * on these photographs. At most ADL_INT8_IMAGES of them are used, spread evenly over the sorted
 * names; those that cannot be read are skipped and counted. Fails with ADL_ERR_ARG for a model that
 * is in 8 bits, as adl_image_list_add() does, if no image can be read, and as adl_range_fit_*()
 * do. */
int adl_convert_int8(struct adl_model *model, const char *dir, FILE *table,
                     struct adl_error *err) ADL_MUST_CHECK;

#define ADL_INT8_IMAGES 256

#endif
