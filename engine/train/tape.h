#ifndef ADL_TRAIN_TAPE_H
#define ADL_TRAIN_TAPE_H

/* A graph with the memory of a training step: every value of the batch as the
 * backward needs it, and the gradients. Activations that only need their own
 * output (ReLU) take their input's memory; values that are cheap to compute again
 * (the output of batch norm) are not kept from forward to backward; what remains
 * shares memory by lifetime.
 * One thread at a time; nothing is allocated in a step. The same bits for any
 * number of threads. */

#include "ops/train.h"

struct adl_tape;

enum adl_tape_memory {
    ADL_TAPE_SHARED,
    ADL_TAPE_KEPT /* nothing shares a place or is computed again: every value and gradient
                   * can be looked at after the step. The same results. */
};

/* For batches of up to `max_batch` images of input_h x input_w. `graph` and
 * `pool` (may be NULL) are borrowed. Fails with UNSUPPORTED when an op has no
 * training side. */
struct adl_tape *adl_tape_create(const struct adl_graph *graph, int input_h, int input_w,
                                 int max_batch, enum adl_tape_memory memory, struct adl_pool *pool,
                                 struct adl_error *err) ADL_MUST_CHECK;
void adl_tape_free(struct adl_tape *tape);

/* Where the caller writes the batch: images one after the other, NHWC. */
float *adl_tape_input(struct adl_tape *tape);

/* Runs the batch (1..max_batch images) forward; `params` by parameter id,
 * running statistics among them are updated unless the mode freezes them. */
void adl_tape_forward(struct adl_tape *tape, int batch, float *const *params,
                      const struct adl_train_mode *mode);

/* Logits of the last forward, batch x classes, and where the caller writes the
 * gradient of the loss with respect to them. */
const float *adl_tape_logits(const struct adl_tape *tape);
float *adl_tape_logits_grad(struct adl_tape *tape);

/* From the logits' gradient to the parameters': added to grads[id], NULL for
 * running statistics. After one forward, with the same params and mode. */
void adl_tape_backward(struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, float *const *grads);

/* A value of the last forward, batch maps NHWC; where an activation took its
 * input's memory, both are the activation's output. Shared memory: only outputs of
 * the graph. */
const float *adl_tape_value(const struct adl_tape *tape, int value);
/* The gradient of a value after backward. Shared memory: only that of the first
 * node's output. */
const float *adl_tape_grad(const struct adl_tape *tape, int value);
/* What node `node` saved for its backward (the attention of an ADL layer). */
const float *adl_tape_saved(const struct adl_tape *tape, int node);
/* The shape of a value at the tape's input size. */
struct adl_shape adl_tape_shape(const struct adl_tape *tape, int value);

size_t adl_tape_bytes(const struct adl_tape *tape);

#endif
