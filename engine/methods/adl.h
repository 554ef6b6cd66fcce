#ifndef ADL_METHODS_ADL_H
#define ADL_METHODS_ADL_H

/* The attention-based dropout layer (adl.c). Its drop rate, threshold and draws are in
 * struct adl_train_mode (ops/train.h). */

#include "methods/method.h"

/* In training its node saves N x H x W floats, the attention, which the report of a run
 * shows. */
extern const struct adl_op_def adl_op_adl;

/* Appends the layer after the value `input`; returns the new value, of the same shape.
 * Running out of memory is remembered by the graph. */
int adl_adl(struct adl_graph *graph, int input, const char *name);

#endif
