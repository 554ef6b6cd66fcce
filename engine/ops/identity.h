#ifndef ADL_OPS_IDENTITY_H
#define ADL_OPS_IDENTITY_H

/* What ops share whose output has the shape of their input, and those that do
 * nothing at inference. */

#include "graph/graph.h"

int adl_infer_same(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                   struct adl_error *err);
void adl_forward_copy(const struct adl_op_call *call);

#endif
