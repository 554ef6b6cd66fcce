#ifndef ADL_TRAIN_TAPE_RUN_H
#define ADL_TRAIN_TAPE_RUN_H

/* Runs one node of a tape in one pass of a step, with maps that are kept in bfloat16 or float32.
 * Not for other users: they see train/tape.h. */

#include "train/tape_parts.h"

/* The two passes of sums read the same maps as the passes that follow them and write none. */
enum tape_pass {
    TAPE_RUN_FORWARD,
    TAPE_RUN_RECOMPUTE,
    TAPE_RUN_BACKWARD,
    TAPE_RUN_FORWARD_SUMS,
    TAPE_RUN_BACKWARD_SUMS
};

/* The call of node `index` with its shapes, pool and kernels set and no memory yet. It
 * points into `arrays`. */
struct adl_train_call tape_shapes(const struct adl_tape *tape, int index, int batch,
                                  struct tape_call_arrays *arrays);

/* Runs node `index`. The call, which points into `arrays`, has everything that the pass needs but
 * for the maps: of `grad_in` only matters which are NULL. The addresses of the maps are set here.
 */
void tape_run(const struct adl_tape *tape, int index, enum tape_pass pass,
              struct adl_train_call *call, struct tape_call_arrays *arrays);

/* Rounds to bfloat16 the values that no later node than `index` reads in the forward pass. */
void tape_run_narrow(const struct adl_tape *tape, int index);

/* Returns the most floats of scratch that a node needs in any pass for a batch of this size: those
 * of its op, and those of maps that are widened. */
size_t tape_run_scratch(const struct adl_tape *tape, int index, int batch);

#endif
