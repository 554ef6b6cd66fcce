#include "support/train_step.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/test.h"

struct adl_graph *train_step_begin(int h, int w, int c)
{
    struct adl_error err = {0};
    struct adl_graph *graph = adl_graph_create((struct adl_shape){h, w, c}, &err);
    if (!graph)
        TEST_FAIL("%s", err.message);
    else
        adl_dropout(graph, 0, "input copy", 0);
    return graph;
}

static float *make_param(const struct adl_param *param)
{
    bool positive = param->role == ADL_PARAM_BN_VAR || param->role == ADL_PARAM_BN_WEIGHT;
    double fan_in = (double)param->count / (double)param->shape[0];
    float *values = adl_malloc(param->count, sizeof *values);
    formula_param(param->name, positive ? 1 : 0, param->rank > 1 ? sqrt(6 / fan_in) : 0.3,
                  param->count, values);
    return values;
}

int train_step_open(struct train_step *step, struct adl_graph *graph, int output, int batch,
                    int threads)
{
    struct adl_error err = {0};
    *step = (struct train_step){.graph = graph, .batch = batch};
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, output);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, output);
    if (adl_graph_finish(graph, &err) < 0)
        goto out;
    size_t count = (size_t)adl_graph_param_count(graph);
    step->params = adl_calloc(count + 1, sizeof *step->params);
    step->grads = adl_calloc(count + 1, sizeof *step->grads);
    for (size_t i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(graph, (int)i);
        step->params[i] = make_param(param);
        step->grads[i] = adl_calloc(param->count, sizeof **step->grads);
    }
    step->pool = adl_pool_create(threads, &err);
    if (!step->pool)
        goto out;
    struct adl_shape in = adl_graph_value(graph, 0)->shape;
    step->tape = adl_tape_create(graph, in.h, in.w, batch, ADL_TAPE_SHARED, step->pool, &err);
    if (step->tape)
        return 0;
out:
    TEST_FAIL("%s", err.message);
    train_step_close(step);
    return -1;
}

void train_step_close(struct train_step *step)
{
    for (int i = 0; step->params && i < adl_graph_param_count(step->graph); i++) {
        adl_free(step->params[i]);
        adl_free(step->grads[i]);
    }
    adl_free(step->params);
    adl_free(step->grads);
    adl_tape_free(step->tape);
    adl_pool_free(step->pool);
    adl_graph_free(step->graph);
    *step = (struct train_step){0};
}

size_t train_step_count(const struct train_step *step, int value)
{
    return (size_t)step->batch * adl_shape_count(adl_graph_value(step->graph, value)->shape);
}

int train_step_output(const struct train_step *step)
{
    return adl_graph_output(step->graph, ADL_OUTPUT_LOGITS);
}

void train_step_run(struct train_step *step, const float *input, const float *cotangent,
                    const struct adl_train_mode *mode)
{
    for (int i = 0; i < adl_graph_param_count(step->graph); i++)
        memset(step->grads[i], 0, adl_graph_param(step->graph, i)->count * sizeof(float));
    memcpy(adl_tape_input(step->tape), input, train_step_count(step, 0) * sizeof *input);
    adl_tape_forward(step->tape, step->batch, step->params, mode);
    memcpy(adl_tape_logits_grad(step->tape), cotangent,
           train_step_count(step, train_step_output(step)) * sizeof *cotangent);
    adl_tape_backward(step->tape, step->params, mode, step->grads);
}

const float *train_step_result(const struct train_step *step)
{
    return adl_tape_logits(step->tape);
}

const float *train_step_grad_input(const struct train_step *step)
{
    return adl_tape_grad(step->tape, TRAIN_STEP_INPUT);
}

uint64_t train_step_bits(const struct train_step *step)
{
    uint64_t hash = formula_fnv1a64(
        train_step_result(step), train_step_count(step, train_step_output(step)) * sizeof(float));
    hash = hash * 31 +
           formula_fnv1a64(train_step_grad_input(step), train_step_count(step, 0) * sizeof(float));
    for (int i = 0; i < adl_graph_param_count(step->graph); i++) {
        size_t bytes = adl_graph_param(step->graph, i)->count * sizeof(float);
        hash = hash * 31 + formula_fnv1a64(step->grads[i], bytes);
        hash = hash * 31 + formula_fnv1a64(step->params[i], bytes);
    }
    return hash;
}

/* Returns the index in N x H x W x C of element i of N x C x H x W. */
static size_t nhwc_place(size_t i, struct adl_shape shape)
{
    size_t plane = (size_t)shape.h * (size_t)shape.w, c = (size_t)shape.c;
    return (i / (c * plane) * plane + i % plane) * c + i / plane % c;
}

void train_step_to_nhwc(const float *nchw, int n, struct adl_shape shape, float *nhwc)
{
    for (size_t i = 0; i < (size_t)n * adl_shape_count(shape); i++)
        nhwc[nhwc_place(i, shape)] = nchw[i];
}

void train_step_to_nchw(const float *nhwc, int n, struct adl_shape shape, float *nchw)
{
    for (size_t i = 0; i < (size_t)n * adl_shape_count(shape); i++)
        nchw[i] = nhwc[nhwc_place(i, shape)];
}
