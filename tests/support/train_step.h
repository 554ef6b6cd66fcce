#ifndef ADL_TESTS_SUPPORT_TRAIN_STEP_H
#define ADL_TESTS_SUPPORT_TRAIN_STEP_H

/* Runs one training step of a small graph: forward, then backward of sum(output * cotangent).
 * train_step_begin() adds a copy of the input to the graph, so that the gradient of the copy is
 * computed as well. */

#include <stdint.h>

#include "graph/graph.h"
#include "train/tape.h"

/* The copy of the input that the ops under test read. */
#define TRAIN_STEP_INPUT 1

struct train_step {
    struct adl_graph *graph; /* owned */
    struct adl_pool *pool;
    struct adl_tape *tape;
    int batch;
    float **params; /* by id, computed from their names; variances and scales positive */
    float **grads;
};

/* Returns a graph of the input and its copy only; NULL after failing the running test. */
struct adl_graph *train_step_begin(int h, int w, int c);
/* Finishes the graph with `output` as its result and takes ownership of the graph. Returns -1
 * after failing the running test. */
int train_step_open(struct train_step *step, struct adl_graph *graph, int output, int batch,
                    int threads);
void train_step_close(struct train_step *step);

/* Returns the number of floats of a value for the whole batch. */
size_t train_step_count(const struct train_step *step, int value);
int train_step_output(const struct train_step *step);

/* Runs a whole step with gradients that start at zero. After that the tape contains the output and
 * the gradient of TRAIN_STEP_INPUT, and `grads` the gradients of the parameters. */
void train_step_run(struct train_step *step, const float *input, const float *cotangent,
                    const struct adl_train_mode *mode);
const float *train_step_result(const struct train_step *step);
const float *train_step_grad_input(const struct train_step *step);

/* Returns one hash of all results of a step: the output, the gradients and the parameters. */
uint64_t train_step_bits(const struct train_step *step);

/* Convert between N x C x H x W and N x H x W x C. */
void train_step_to_nhwc(const float *nchw, int n, struct adl_shape shape, float *nhwc);
void train_step_to_nchw(const float *nhwc, int n, struct adl_shape shape, float *nchw);

#endif
