#ifndef ADL_TRAIN_TAPE_STEP_H
#define ADL_TRAIN_TAPE_STEP_H

/* A forward or a backward pass of one tape, node by node. Not for other users: they see
 * train/tape.h, or train/lockstep.h for several tapes that go together.
 *
 * Forward, for each node in the order of the graph: tape_step_enter() and, if it says so,
 * tape_run(). Backward, in reverse: tape_step_return() and, if it says so, tape_step_recompute()
 * and tape_run(). Both are given `call` and `arrays`, which belong to the node until the next one.
 */

#include "train/tape_parts.h"

struct tape_step {
    struct adl_tape *tape;
    float *const *params;
    const struct adl_train_mode *mode;
    struct adl_train_mode serving; /* the mode of networks that are not trained */
    float *const *grads;           /* of a backward pass */
    struct adl_train_call call;    /* of the current node */
    struct tape_call_arrays arrays;
};

/* Begin a pass. All but the step is borrowed for the pass, and the step stays where it is. */
void tape_step_forward(struct tape_step *step, struct adl_tape *tape, int batch,
                       float *const *params, const struct adl_train_mode *mode);
void tape_step_backward(struct tape_step *step, struct adl_tape *tape, float *const *params,
                        const struct adl_train_mode *mode, float *const *grads);

/* Return whether a node runs in the pass, and make its call. They depend on the graph, the mode and
 * the nodes before, not on the images. */
bool tape_step_enter(struct tape_step *step, int node);
bool tape_step_return(struct tape_step *step, int node);

/* Recomputes what a node reads in its backward pass and what was discarded. */
void tape_step_recompute(struct tape_step *step, int node);

#endif
