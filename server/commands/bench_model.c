#include "server/commands/bench_model.h"

#include <math.h>

float adl_bench_random_unit(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (float)(int32_t)((*state * 0x2545F4914F6CDD1DULL) >> 32) * 0x1p-31F;
}

/* Fills the weights with random numbers. He's scaling keeps the activations in the range of those
 * of a trained network. Without it they would vanish, and slow denormal arithmetic would be
 * measured. */
static void fill_weights(const struct adl_model *model)
{
    uint64_t state = 0x9E3779B97F4A7C15ULL;

    for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        const struct adl_tensor *tensor = adl_tensors_find(model->weights, param->name);
        float *data = tensor->data;
        double centre = 0, spread = 0.05;

        switch (param->role) {
        case ADL_PARAM_CONV_WEIGHT:
        case ADL_PARAM_LINEAR_WEIGHT:
            spread = sqrt(6.0 * (double)param->shape[0] / (double)param->count);
            break;
        case ADL_PARAM_BN_WEIGHT:
        case ADL_PARAM_BN_VAR: centre = 1; break;
        case ADL_PARAM_BIAS:
        case ADL_PARAM_BN_BIAS:
        case ADL_PARAM_BN_MEAN: break;
        }
        for (size_t i = 0; i < param->count; i++)
            data[i] = (float)(centre + spread * (double)adl_bench_random_unit(&state));
    }
}

struct adl_model *adl_bench_model(const struct adl_arch *arch, int side, struct adl_error *err)
{
    struct adl_model *model = adl_model_create(arch, side, side, err);
    if (model)
        fill_weights(model);
    return model;
}

/* The largest value of a map with a network of random weights, about: its range in 8 bits. */
#define RANDOM_MAP_MAX 6

int adl_bench_model_scales(struct adl_model *model, struct adl_error *err)
{
    struct adl_quantisation *q = adl_quantisation_create(model->graph, err);

    model->quantisation = q;
    if (!q)
        return -1;
    for (int v = 0; v < q->value_count; v++)
        q->ranges[v] = adl_quantisation_range(0, RANDOM_MAP_MAX);
    for (int id = 0; id < q->param_count; id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        if (!adl_quantisation_takes(param))
            continue;
        float *scales = adl_quantisation_scales(q, model->graph, id, err);
        if (!scales)
            return -1;
        for (size_t k = 0; k < param->shape[0]; k++)
            scales[k] = (float)sqrt(6.0 * (double)param->shape[0] / (double)param->count) / 127;
    }
    model->precision = ADL_PRECISION_INT8;
    return 0;
}
