#ifndef ADL_SERVER_TRAINING_RANKS_EQUAL_H
#define ADL_SERVER_TRAINING_RANKS_EQUAL_H

/* Whether processes that work together have the same before them. */

#include <jansson.h>

#include "train/exchange.h"

/* Compares the program, the processor path and `what` of all ranks; to be called by all of them.
 * Fails with ADL_ERR_ARG and "process N differs from process 0 in its program, processor path
 * (ADL_CPU), NAMES; ..." on each that differs from rank 0. */
int adl_ranks_compare(const struct adl_exchange *exchange, json_t *what, const char *names,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
