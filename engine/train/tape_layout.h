#ifndef ADL_TRAIN_TAPE_LAYOUT_H
#define ADL_TRAIN_TAPE_LAYOUT_H

/* The layout of the memory of a training step. Not for other users: they see train/tape.h. */

#include "train/tape_parts.h"

/* Fills in everything from `values` down to `floats` and allocates the block. The members
 * before `values` have to be set. Fails with ADL_ERR_UNSUPPORTED (an op has no training
 * side), ADL_ERR_LIMIT (sizes overflow) or ADL_ERR_NOMEM; what was allocated until then is in
 * `tape`, for adl_tape_free. */
int tape_lay_out(struct adl_tape *tape, int input_h, int input_w,
                 struct adl_error *err) ADL_MUST_CHECK;

/* Calls visit(context, root) for each value that a node reads in the backward pass. */
void tape_for_read(const struct adl_tape *tape, int node, void (*visit)(void *context, int root),
                   void *context);

#endif
