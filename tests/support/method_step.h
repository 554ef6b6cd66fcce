#ifndef ADL_TESTS_SUPPORT_METHOD_STEP_H
#define ADL_TESTS_SUPPORT_METHOD_STEP_H

/* Takes training steps of whole networks with a method. */

#include <stdint.h>

#include "methods/methods.h"
#include "train/tape.h"

/* Takes a step of a network of the method from its first weights, on a batch of two computed
 * images with labels below 4, and returns a hash of the loss, the gradients and the running
 * statistics. Fails the running test if the loss is not finite, or a parameter gets no gradient. */
uint64_t method_step_bits(const struct adl_graph *graph, const struct adl_method *method,
                          enum adl_tape_memory memory, int threads);

#endif
