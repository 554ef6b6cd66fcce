/* ops/ and train/tape: a training step of every layer and block (outputs, gradients and
 * running statistics) against PyTorch's autograd, on the instruction set in use; results
 * are the same to the last bit for any number of threads. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/golden.h"
#include "support/layer_cases.h"
#include "train/tape.h"

/* Space for all gradients of one step, zeroed. */
static float **make_grads(const struct adl_graph *g)
{
    float **grads = adl_calloc((size_t)adl_graph_param_count(g) + 1, sizeof *grads);
    for (int i = 0; i < adl_graph_param_count(g); i++)
        grads[i] = adl_calloc(adl_graph_param(g, i)->count, sizeof **grads);
    return grads;
}

static void free_grads(const struct adl_graph *g, float **grads)
{
    for (int i = 0; i < adl_graph_param_count(g); i++)
        adl_free(grads[i]);
    adl_free(grads);
}

/* Parameters have PyTorch's layout already. */
static void check_flat(const char *layer, const char *key, const json_t *results,
                       const float *values, size_t count)
{
    char what[128];
    snprintf(what, sizeof what, "%s %s", layer, key);
    layer_case_check(what, golden_get(results, key), values, 1,
                     (struct adl_shape){1, 1, (int)count});
}

static void check_layer(struct layer_case *layer)
{
    struct adl_error err = {0};
    struct adl_graph *g = layer->graph;
    struct adl_shape in = adl_graph_value(g, 0)->shape;
    struct adl_shape out = adl_graph_value(g, layer->output)->shape;
    struct adl_train_mode mode = {.bn_momentum = 0.1, .frozen_batchnorm = !layer->batch_statistics};
    struct adl_pool *pool = adl_pool_create(2, &err);
    struct adl_tape *tape =
        adl_tape_create(g, in.h, in.w, layer->batch, ADL_TAPE_SHARED, pool, &err);
    TEST_OK(tape ? 0 : -1, &err);
    if (!tape)
        return;
    float **grads = make_grads(g);
    memcpy(adl_tape_input(tape), layer->input,
           (size_t)layer->batch * adl_shape_count(in) * sizeof(float));
    adl_tape_forward(tape, layer->batch, layer->params, &mode);
    char what[96];
    snprintf(what, sizeof what, "%s forward", layer->name);
    layer_case_check(what, golden_get(layer->results, "output"),
                     adl_tape_value(tape, layer->output), layer->batch, out);
    memcpy(adl_tape_logits_grad(tape), layer->cotangent,
           (size_t)layer->batch * adl_shape_count(out) * sizeof(float));
    adl_tape_backward(tape, layer->params, &mode, grads);

    snprintf(what, sizeof what, "%s grad.input", layer->name);
    layer_case_check(what, golden_get(layer->results, "grad.input"),
                     adl_tape_grad(tape, LAYER_CASE_INPUT), layer->batch, in);

    for (int i = 0; i < adl_graph_param_count(g); i++) {
        const struct adl_param *param = adl_graph_param(g, i);
        bool running = param->role == ADL_PARAM_BN_MEAN || param->role == ADL_PARAM_BN_VAR;
        char key[96];
        snprintf(key, sizeof key, "%s.%s", running ? "after" : "grad", layer_case_key(param));
        if (!running || layer->batch_statistics)
            check_flat(layer->name, key, layer->results, running ? layer->params[i] : grads[i],
                       param->count);
    }
    free_grads(g, grads);
    adl_tape_free(tape);
    adl_pool_free(pool);
}

static void layers_equal_autograd(void)
{
    layer_case_for_each(check_layer);
}

TEST_SUITE(train_ops, {"layers and blocks equal PyTorch's autograd", layers_equal_autograd});
