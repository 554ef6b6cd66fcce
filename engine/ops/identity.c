#include "ops/identity.h"

#include <string.h>

int adl_infer_same(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                   struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = *in;
    return 0;
}

void adl_forward_copy(const struct adl_op_call *call)
{
    memcpy(call->out, call->in[0],
           (size_t)call->batch * adl_shape_count(call->out_shape) * sizeof(float));
}
