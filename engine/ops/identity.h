#ifndef ADL_OPS_IDENTITY_H
#define ADL_OPS_IDENTITY_H

/* Functions for the ops whose output has the shape of their input, and for those that are the
 * identity at inference. */

#include "graph/graph.h"

/* The `infer` of an op that keeps the shape: *out = *in. Cannot fail. */
int adl_infer_same(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                   struct adl_error *err);
/* The `forward` of the identity: copies the batch. */
void adl_forward_copy(const struct adl_op_call *call);

#endif
