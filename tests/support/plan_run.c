/* Runs plans for tests; see plan_run.h. */

#include "support/plan_run.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "support/formula.h"
#include "support/test.h"

int test_conv_block(struct adl_graph *g, int x, const char *name, struct adl_conv_attr attr)
{
    x = adl_conv(g, x, name, attr);
    x = adl_batchnorm(g, x, adl_graph_name(g, "%s_bn", name), 1e-3);
    return adl_relu(g, x, adl_graph_name(g, "%s_relu", name));
}

void test_plan_classifier(struct adl_graph *g, int x)
{
    struct adl_error err = {0};

    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    x = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", 5, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(g, adl_graph_find_param(g, "fc.weight"));
    TEST_OK(adl_graph_finish(g, &err), &err);
}

float **test_plan_params(const struct adl_graph *graph, double spread)
{
    int count = adl_graph_param_count(graph);
    float **params = adl_calloc((size_t)count, sizeof *params);

    for (int i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(graph, i);
        bool positive = p->role == ADL_PARAM_BN_VAR || p->role == ADL_PARAM_BN_WEIGHT;
        double fan_in = (double)p->count / (double)p->shape[0];
        params[i] = adl_malloc(p->count, sizeof **params);
        formula_param(p->name, positive ? 1 : 0, p->rank > 1 ? sqrt(6 / fan_in) : spread, p->count,
                      params[i]);
    }
    return params;
}

void test_plan_params_free(const struct adl_graph *graph, float **params)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        adl_free(params[i]);
    adl_free(params);
}

float *test_plan_features(struct adl_plan *plan, int threads, int batch,
                          void (*fill)(float *input, int image), size_t *count)
{
    struct adl_error err = {0};
    struct adl_pool *pool = threads > 1 ? adl_pool_create(threads, &err) : NULL;
    struct adl_session *session = adl_session_create(plan, pool, batch, &err);
    TEST_OK(session ? 0 : -1, &err);
    for (int i = 0; i < batch; i++)
        fill(adl_session_input(session, i), batch - 1 - i);
    adl_session_run(session, batch);
    *count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES));
    float *copy = adl_malloc(*count, sizeof *copy);
    memcpy(copy, adl_session_output(session, ADL_OUTPUT_FEATURES, batch - 1),
           *count * sizeof *copy);
    adl_session_free(session);
    adl_pool_free(pool);
    return copy;
}
