/* Creates and frees the ranges and scales of a network in 8 bits. */

#include "plan/quantisation.h"

#include <math.h>

#include "base/mem.h"

#define LEAST_SCALE 0x1p-100

struct adl_quantisation *adl_quantisation_create(const struct adl_graph *graph,
                                                 struct adl_error *err)
{
    struct adl_quantisation *q = adl_calloc(1, sizeof *q);

    if (!q)
        goto failed;
    q->value_count = adl_graph_value_count(graph);
    q->param_count = adl_graph_param_count(graph);
    q->ranges = adl_calloc((size_t)q->value_count, sizeof *q->ranges);
    q->scales = adl_calloc((size_t)q->param_count, sizeof *q->scales);
    if (q->ranges && q->scales)
        return q;
failed:
    adl_fail_nomem(err, "the scales of the network");
    adl_quantisation_free(q);
    return NULL;
}

void adl_quantisation_free(struct adl_quantisation *quantisation)
{
    if (!quantisation)
        return;
    for (int i = 0; quantisation->scales && i < quantisation->param_count; i++)
        adl_free(quantisation->scales[i]);
    adl_free(quantisation->scales);
    adl_free(quantisation->ranges);
    adl_free(quantisation);
}

bool adl_quantisation_takes(const struct adl_param *param)
{
    return param->role == ADL_PARAM_CONV_WEIGHT || param->role == ADL_PARAM_LINEAR_WEIGHT;
}

bool adl_quantisation_takes_bf16(const struct adl_param *param)
{
    return adl_quantisation_takes(param) && param->count >= ADL_BF16_LEAST_DEPTH * param->shape[0];
}

float *adl_quantisation_scales(struct adl_quantisation *quantisation, const struct adl_graph *graph,
                               int param, struct adl_error *err)
{
    float **scales = &quantisation->scales[param];

    if (!*scales)
        *scales = adl_malloc(adl_graph_param(graph, param)->shape[0], sizeof **scales);
    if (!*scales)
        adl_fail_nomem(err, "the scales of the network");
    return *scales;
}

struct adl_int8_range adl_quantisation_range(double least, double most)
{
    least = fmin(least, 0);
    most = fmax(most, 0);
    float scale = (float)fmax((most - least) / 255, LEAST_SCALE);
    double zero = nearbyint(-least / (double)scale);
    return (struct adl_int8_range){scale, (int)fmin(fmax(zero, 0), 255)};
}
