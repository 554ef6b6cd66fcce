#include "support/method_step.h"

#include <math.h>

#include "base/mem.h"
#include "support/formula.h"
#include "support/methods.h"
#include "support/test.h"
#include "train/init.h"
#include "train/loss.h"

enum { BATCH = 2 };

static void check_gradient(const struct adl_method *method, const struct adl_param *param,
                           const float *grad)
{
    float some = 0;
    for (size_t i = 0; i < param->count; i++)
        some += fabsf(grad[i]);
    if (!(some > 0))
        TEST_FAIL("%s: no gradient reaches %s", method->name, param->name);
}

uint64_t method_step_bits(const struct adl_graph *graph, const struct adl_method *method,
                          enum adl_tape_memory memory, int threads)
{
    struct adl_error err = {0};
    struct adl_train_mode mode = {.bn_momentum = 0.1,
                                  .method_layers = true,
                                  .method_values = test_method_values(NULL),
                                  .labels = (const int[]){3, 1}};
    const struct adl_targets targets = {.labels = mode.labels, .smoothing = 0.1};
    const struct adl_shape in = adl_graph_value(graph, 0)->shape;
    size_t count = (size_t)adl_graph_param_count(graph);
    float **params = adl_calloc(count, sizeof *params), **grads = adl_calloc(count, sizeof *grads);
    for (size_t i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(graph, (int)i);
        bool running = p->role == ADL_PARAM_BN_MEAN || p->role == ADL_PARAM_BN_VAR;
        params[i] = adl_malloc(p->count, sizeof(float));
        grads[i] = running ? NULL : adl_calloc(p->count, sizeof(float));
        adl_init_param(p, 1, params[i]);
    }
    struct adl_pool *pool = adl_pool_create(threads, &err);
    struct adl_tape *tape = adl_tape_create(graph, in.h, in.w, BATCH, memory, pool, &err);
    CU_ASSERT_FATAL(tape != NULL);
    formula_param("step image", 0, 1.5, BATCH * adl_shape_count(in), adl_tape_input(tape));
    adl_tape_forward(tape, BATCH, params, &mode);
    double loss = adl_method_loss(adl_method_alone(method), tape, &targets, &mode, 1, NULL);
    adl_tape_backward(tape, params, &mode, grads);
    uint64_t bits = formula_fnv1a64(&loss, sizeof loss);
    CU_ASSERT(isfinite(loss));
    for (size_t i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(graph, (int)i);
        if (grads[i])
            check_gradient(method, p, grads[i]);
        bits =
            bits * 31 + formula_fnv1a64(grads[i] ? grads[i] : params[i], p->count * sizeof(float));
        adl_free(params[i]);
        adl_free(grads[i]);
    }
    adl_free(params);
    adl_free(grads);
    adl_tape_free(tape);
    adl_pool_free(pool);
    return bits;
}
