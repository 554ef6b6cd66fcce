#ifndef ADL_TESTS_SUPPORT_STEP_GRAPHS_H
#define ADL_TESTS_SUPPORT_STEP_GRAPHS_H

/* Makes graphs whose values are read more than once or share memory, for tests of training steps.
 * Each function adds its ops to a graph of train_step_begin() and returns the output. */

#include "graph/graph.h"
#include "ops/ops.h"

/* Return a 3x3 convolution with padding 1, and a 1x1 convolution, with k output channels and
 * stride 1. */
struct adl_conv_attr step_conv3(int k);
struct adl_conv_attr step_conv1(int k);

int step_added_to_itself(struct adl_graph *g);
int step_joined_with_itself(struct adl_graph *g);

/* Adds an op of every kind that reads the same value, so that each has to add to a gradient that
 * is already there. */
int step_read_by_all(struct adl_graph *g);

/* Adds consecutive activations, each of which reuses its input's memory. */
int step_in_place_chain(struct adl_graph *g);

/* Adds a residual block with a gate, ADL and batch norms. */
int step_residual(struct adl_graph *g);

/* Adds the gates of CBAM, for channels and for pixels, and a residual addition. */
int step_cbam(struct adl_graph *g);

/* Adds BAM: a vector times a map of one channel, dilated convolutions, and 1 plus a sigmoid. */
int step_bam(struct adl_graph *g);

/* Adds maps of several sizes that are enlarged to that of the input, and a residual gate. */
int step_enlarged(struct adl_graph *g);

/* Lets every op of the attention networks read the input, so that each has to add to its gradient.
 */
int step_attention_of_all(struct adl_graph *g);

/* Adds a branch on which the output does not depend. */
int step_dead_branch(struct adl_graph *g);

#endif
