/* ops/: the plain-C forward of each op, and a plan of it on the instruction set in use,
 * against PyTorch. Blocks with batch norm in training mode are in test_train_ops.c. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plan/session.h"
#include "support/golden.h"
#include "support/layer_cases.h"
#include "support/oracle.h"

static void run_plain(const struct adl_graph *g, float *const *params, const float *input,
                      int batch, float *out)
{
    float **values = oracle_run(g, params, input, batch);
    int last = adl_graph_output(g, ADL_OUTPUT_FEATURES);
    memcpy(out, values[last],
           (size_t)batch * adl_shape_count(adl_graph_value(g, last)->shape) * sizeof *out);
    oracle_free(g, values);
}

static void run_plan(const struct adl_graph *g, float *const *params, const float *input, int batch,
                     float *out)
{
    struct adl_error err = {0};
    struct adl_shape in = adl_graph_value(g, 0)->shape;
    struct adl_plan_options options = {.input_h = in.h, .input_w = in.w};
    struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, batch, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    size_t count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES));
    for (int n = 0; session && n < batch; n++)
        memcpy(adl_session_input(session, n), input + (size_t)n * adl_shape_count(in),
               adl_shape_count(in) * sizeof *input);
    if (session)
        adl_session_run(session, batch);
    for (int n = 0; session && n < batch; n++)
        memcpy(out + (size_t)n * count, adl_session_output(session, ADL_OUTPUT_FEATURES, n),
               count * sizeof *out);
    adl_session_free(session);
    adl_plan_unref(plan);
}

static void check_layer(struct layer_case *layer)
{
    if (layer->has_batchnorm && layer->batch_statistics)
        return;
    struct adl_shape shape = adl_graph_value(layer->graph, layer->output)->shape;
    float *out = adl_malloc((size_t)layer->batch * adl_shape_count(shape), sizeof *out);
    const json_t *want = golden_get(layer->results, "output");
    char what[96];
    run_plain(layer->graph, layer->params, layer->input, layer->batch, out);
    snprintf(what, sizeof what, "%s in plain C", layer->name);
    layer_case_check(what, want, out, layer->batch, shape);
    run_plan(layer->graph, layer->params, layer->input, layer->batch, out);
    snprintf(what, sizeof what, "%s planned", layer->name);
    layer_case_check(what, want, out, layer->batch, shape);
    adl_free(out);
}

static void layers_equal_pytorch(void)
{
    layer_case_for_each(check_layer);
}

TEST_SUITE(ops, {"each op equals PyTorch, in plain C and planned (kernels)", layers_equal_pytorch});
