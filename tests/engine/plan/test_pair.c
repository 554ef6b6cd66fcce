/* plan/pair.c: which two convolutions become one step. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/oracle.h"
#include "support/plan_run.h"

/* What looks like a depthwise convolution before a 1x1 one, on a map that is large enough for one
 * step, but has more rows than the depthwise kernel takes, or a single channel and gaps. */
static void unsupported_pairs_stay_apart(void)
{
    enum { SIDE = 513 };
    static const int kernels[][2] = {{17, 1}, {3, 2}}; /* side, dilation */
    struct adl_error err = {0};

    for (size_t i = 0; i < ADL_COUNT(kernels); i++) {
        struct adl_conv_attr wide = adl_conv_centred(1, kernels[i][0], kernels[i][0], 1);
        wide.dilation = kernels[i][1];
        wide.pad_top = wide.pad_left = wide.pad_bottom = wide.pad_right =
            kernels[i][0] / 2 * kernels[i][1];
        struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
        int x = adl_conv(g, 0, "first", adl_conv_centred(1, 1, 1, 1));
        x = adl_conv(g, adl_conv(g, x, "wide", wide), "pointwise", adl_conv_centred(2, 1, 1, 1));
        adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
        TEST_OK(adl_graph_finish(g, &err), &err);
        float **params = test_plan_params(g, 0.3);
        size_t count = SIDE * SIDE * 3;
        float *input = adl_malloc(count, sizeof *input);
        formula_param("input", 0, 1, count, input);
        float **oracle = oracle_run(g, params, input, 1);
        const struct adl_plan_options options = {.input_h = SIDE, .input_w = SIDE};
        struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
        struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
        TEST_OK(session ? 0 : -1, &err);
        if (session) {
            memcpy(adl_session_input(session, 0), input, count * sizeof *input);
            adl_session_run(session, 1);
            const int value = adl_graph_output(g, ADL_OUTPUT_FEATURES);
            const size_t outputs = adl_shape_count(adl_graph_value(g, value)->shape);
            double *want = adl_malloc(outputs, sizeof *want);
            for (size_t k = 0; k < outputs; k++)
                want[k] = (double)oracle[value][k];
            test_close("a pair", adl_session_output(session, ADL_OUTPUT_FEATURES, 0), want, outputs,
                       2e-5);
            adl_free(want);
        }
        adl_session_free(session);
        adl_plan_unref(plan);
        oracle_free(g, oracle);
        adl_free(input);
        test_plan_params_free(g, params);
        adl_graph_free(g);
    }
}

TEST_SUITE(pair, {"unsupported pairs stay apart", unsupported_pairs_stay_apart});
