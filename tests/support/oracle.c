#include "support/oracle.h"

#include <string.h>

#include "base/mem.h"

float **oracle_run(const struct adl_graph *g, float *const *params, const float *input, int batch)
{
    float **values = adl_calloc((size_t)adl_graph_value_count(g), sizeof *values);
    for (int i = 0; i < adl_graph_value_count(g); i++)
        values[i] = adl_malloc((size_t)batch * adl_shape_count(adl_graph_value(g, i)->shape),
                               sizeof **values);
    memcpy(values[0], input,
           (size_t)batch * adl_shape_count(adl_graph_value(g, 0)->shape) * sizeof *input);
    for (int i = 0; i < adl_graph_node_count(g); i++) {
        const struct adl_node *node = adl_graph_node(g, i);
        const float *in[ADL_MAX_OP_INPUTS], *node_params[ADL_MAX_OP_PARAMS];
        struct adl_shape in_shape[ADL_MAX_OP_INPUTS];
        for (int j = 0; j < node->input_count; j++) {
            in[j] = values[node->inputs[j]];
            in_shape[j] = adl_graph_value(g, node->inputs[j])->shape;
        }
        for (int j = 0; j < node->param_count; j++)
            node_params[j] = params[node->params[j]];
        node->def->forward(
            &(struct adl_op_call){.node = node,
                                  .batch = batch,
                                  .in = in,
                                  .in_shape = in_shape,
                                  .params = node_params,
                                  .out = values[node->output],
                                  .out_shape = adl_graph_value(g, node->output)->shape});
    }
    return values;
}

void oracle_free(const struct adl_graph *g, float **values)
{
    for (int i = 0; i < adl_graph_value_count(g); i++)
        adl_free(values[i]);
    adl_free(values);
}
