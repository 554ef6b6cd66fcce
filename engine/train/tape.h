#ifndef ADL_TRAIN_TAPE_H
#define ADL_TRAIN_TAPE_H

/* A tape is a graph together with the memory of one training step: the values of a batch that
 * the backward pass needs, their gradients, and what the ops save. A step is
 *
 *     write the batch to adl_tape_input, adl_tape_forward, compute the loss and write its
 *     gradient to adl_tape_logits_grad and adl_tape_tap_grad, adl_tape_backward
 *
 * and the optimizer then takes the parameters' gradients. Nothing is allocated during a step.
 * A tape is used by one thread at a time, which divides the work of each op among the threads
 * of the pool; results are the same to the last bit for any number of threads.
 *
 * Memory is what limits the size of a batch, so values and gradients share it wherever their
 * lifetimes allow (tape_layout.c explains how). */

#include "ops/train.h"

struct adl_tape;

enum adl_tape_memory {
    ADL_TAPE_SHARED,
    /* Every value and gradient has memory of its own and can be read after the step, which
     * takes more memory. The results are the same. */
    ADL_TAPE_KEPT,
    /* Shared, and maps of more than one pixel are kept in bfloat16, which takes half of the memory:
     * whatever an op computes in float32, a value or its gradient, is rounded once, and all
     * that reads it reads the rounded one. The input, the outputs, the taps and all parameters and
     * their gradients stay in float32, and so does what the ops save and sum. */
    ADL_TAPE_BF16
};

/* Creates a tape for batches of up to max_batch images (1 to ADL_LIMIT_BATCH) of input_h x
 * input_w. `graph` and `pool` (may be NULL) are borrowed for the tape's life. Fails with
 * ADL_ERR_ARG (batch, input too small), ADL_ERR_UNSUPPORTED (an op has no training side),
 * ADL_ERR_LIMIT or ADL_ERR_NOMEM (the step does not fit in memory). */
struct adl_tape *adl_tape_create(const struct adl_graph *graph, int input_h, int input_w,
                                 int max_batch, enum adl_tape_memory memory, struct adl_pool *pool,
                                 struct adl_error *err) ADL_MUST_CHECK;
/* The same for a graph of several whole networks (adl_graph_begin_part): a step trains number
 * `part`, from 1, alone. Those before it run forward as at inference and get no gradients; unless
 * mode->method_layers, they do not run at all. Those after it, and nodes of no part, do not run.
 * adl_tape_create() makes a tape for part 1, and in a graph of one network for all. */
struct adl_tape *adl_tape_create_part(const struct adl_graph *graph, int part, int input_h,
                                      int input_w, int max_batch, enum adl_tape_memory memory,
                                      struct adl_pool *pool, struct adl_error *err) ADL_MUST_CHECK;
/* The same for gradients with respect to the input alone (adl_tape_input_grad), which other tapes
 * do not compute. */
struct adl_tape *adl_tape_create_for_input(const struct adl_graph *graph, int input_h, int input_w,
                                           int max_batch, struct adl_pool *pool,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_tape_free(struct adl_tape *tape);

/* Returns where the caller writes the batch, N x H x W x C, before each forward pass. */
float *adl_tape_input(struct adl_tape *tape);

/* Runs `batch` images (1 to max_batch) forward. params: arrays by parameter id; running
 * statistics among them are updated unless the mode freezes them. */
void adl_tape_forward(struct adl_tape *tape, int batch, float *const *params,
                      const struct adl_train_mode *mode);

/* Return arrays of N x classes: the logits of the last forward pass, those of the network that is
 * trained, and where the caller writes the gradient of the loss with respect to them. */
const float *adl_tape_logits(const struct adl_tape *tape);
float *adl_tape_logits_grad(struct adl_tape *tape);

/* Return a tap of the graph (adl_graph_add_tap), N x H x W x C: its value in the last forward pass,
 * and where the caller writes the part of the loss's gradient that does not go through other nodes.
 * All of it has to be written, with zeros where the loss does not depend on it. */
const float *adl_tape_tap(const struct adl_tape *tape, int tap);
float *adl_tape_tap_grad(struct adl_tape *tape, int tap);

/* Returns the gradient of the input after a backward pass, N x H x W x C, of a tape that computes
 * it. It may take the place of the input. */
const float *adl_tape_input_grad(const struct adl_tape *tape);

/* Propagates the gradients of the logits and the taps back to the parameters and adds their
 * gradients to grads[id] (NULL for running statistics). To be called once after a forward pass,
 * with the same params and mode. */
void adl_tape_backward(struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, float *const *grads);

/* Who is told how far a backward pass has come. */
struct adl_tape_watch {
    /* Called for each node of the graph, from the last to the first, on the thread of the pass: no
     * node from `node` on adds any more to the gradient of a parameter. */
    void (*passed)(void *context, int node);
    void *context;
};
/* The same, with a watch, which may be NULL. */
void adl_tape_backward_watched(struct adl_tape *tape, float *const *params,
                               const struct adl_train_mode *mode, float *const *grads,
                               const struct adl_tape_watch *watch);

/* Returns a value of the last forward pass, N x H x W x C. If an activation works in place,
 * the id of its input gives the activation's output too. With shared memory only the outputs
 * of the graph can be read. */
const float *adl_tape_value(const struct adl_tape *tape, int value);
/* Returns the gradient of a value after a backward pass. With shared memory only that of the
 * first node's output can be read. */
const float *adl_tape_grad(const struct adl_tape *tape, int value);
/* Returns what node `node` saved in the last forward pass (of an ADL layer: the attention, N
 * x H x W). */
const float *adl_tape_saved(const struct adl_tape *tape, int node);
/* Return the graph, and the images of the last forward pass. */
const struct adl_graph *adl_tape_graph(const struct adl_tape *tape);
int adl_tape_batch(const struct adl_tape *tape);
/* Returns the shape of a value at the tape's input size. */
struct adl_shape adl_tape_shape(const struct adl_tape *tape, int value);

/* Returns the bytes of the tape's memory. */
size_t adl_tape_bytes(const struct adl_tape *tape);

#endif
