/* Parameters, gradients and velocities lie in one block:
 *
 *     parameters and running statistics | gradients | velocities
 *
 * each in the order of the graph and without gaps, so that clearing and clipping the
 * gradients is one loop over the middle part. */

#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

struct adl_optimizer {
    int count;          /* parameters, running statistics included */
    float **params;     /* the values of each parameter, by id, in `block` */
    float **grads;      /* its gradient, in `block`; NULL for running statistics, and frozen */
    float **velocities; /* its velocity, in `block`; NULL for running statistics */
    size_t *sizes;      /* its floats */
    bool *in_head;      /* whether it learns at the head's rate */
    int *parts;         /* the whole network that it belongs to; 0: there is one */
    int part;           /* the one that adl_optimizer_step changes; 0: all */
    float *block;
    size_t floats;    /* in `block` */
    size_t trainable; /* floats of the gradients, and of the velocities */
};

static bool optimizer_is_trainable(const struct adl_param *param)
{
    return param->role != ADL_PARAM_BN_MEAN && param->role != ADL_PARAM_BN_VAR;
}

struct adl_optimizer *adl_optimizer_create(const struct adl_graph *graph, const float *const *start,
                                           struct adl_error *err)
{
    size_t all = 0, trainable = 0, count = (size_t)adl_graph_param_count(graph);
    struct adl_optimizer *optimizer = adl_calloc(1, sizeof *optimizer);
    if (!optimizer) {
        adl_fail_nomem(err, "the optimizer");
        return NULL;
    }
    optimizer->count = (int)count;
    optimizer->params = adl_calloc(count, sizeof *optimizer->params);
    optimizer->grads = adl_calloc(count, sizeof *optimizer->grads);
    optimizer->velocities = adl_calloc(count, sizeof *optimizer->velocities);
    optimizer->sizes = adl_calloc(count, sizeof *optimizer->sizes);
    optimizer->in_head = adl_calloc(count, sizeof *optimizer->in_head);
    optimizer->parts = adl_calloc(count, sizeof *optimizer->parts);
    for (int i = 0; i < optimizer->count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        all += param->count;
        trainable += optimizer_is_trainable(param) ? param->count : 0;
    }
    optimizer->floats = all + 2 * trainable;
    optimizer->trainable = trainable;
    optimizer->block = adl_calloc(optimizer->floats, sizeof *optimizer->block);
    if (!optimizer->params || !optimizer->grads || !optimizer->velocities || !optimizer->sizes ||
        !optimizer->in_head || !optimizer->parts || !optimizer->block) {
        adl_optimizer_free(optimizer);
        adl_fail_nomem(err, "the optimizer");
        return NULL;
    }
    float *value = optimizer->block, *grad = value + all, *velocity = grad + trainable;
    for (int i = 0; i < optimizer->count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        optimizer->sizes[i] = param->count;
        optimizer->parts[i] = param->part;
        optimizer->params[i] = value;
        memcpy(value, start[i], param->count * sizeof *value);
        value += param->count;
        if (!optimizer_is_trainable(param))
            continue;
        optimizer->grads[i] = grad;
        optimizer->velocities[i] = velocity;
        grad += param->count;
        velocity += param->count;
    }
    return optimizer;
}

void adl_optimizer_free(struct adl_optimizer *optimizer)
{
    if (!optimizer)
        return;
    adl_free(optimizer->block);
    adl_free(optimizer->parts);
    adl_free(optimizer->in_head);
    adl_free(optimizer->sizes);
    adl_free(optimizer->velocities);
    adl_free(optimizer->grads);
    adl_free(optimizer->params);
    adl_free(optimizer);
}

float *const *adl_optimizer_params(const struct adl_optimizer *optimizer)
{
    return optimizer->params;
}

float *const *adl_optimizer_grads(const struct adl_optimizer *optimizer)
{
    return optimizer->grads;
}

float *const *adl_optimizer_velocities(const struct adl_optimizer *optimizer)
{
    return optimizer->velocities;
}

void adl_optimizer_set_head(struct adl_optimizer *optimizer, int param)
{
    optimizer->in_head[param] = true;
}

void adl_optimizer_set_part(struct adl_optimizer *optimizer, int part)
{
    optimizer->part = part;
}

/* The networks are equal, and each lists its parameters in the same order. */
void adl_optimizer_copy_part(struct adl_optimizer *optimizer, int part)
{
    int first = 0, from = 0;
    while (first < optimizer->count && optimizer->parts[first] != part)
        first++;
    for (int i = first; i < optimizer->count; i++) {
        if (optimizer->parts[i] <= part)
            continue;
        from = optimizer->parts[i] != optimizer->parts[i - 1] ? first : from + 1;
        memcpy(optimizer->params[i], optimizer->params[from],
               optimizer->sizes[i] * sizeof *optimizer->block);
    }
}

void adl_optimizer_freeze(struct adl_optimizer *optimizer, int param)
{
    optimizer->grads[param] = NULL;
}

/* Returns the gradients of all parameters as one array of `trainable` floats. */
static float *all_grads(const struct adl_optimizer *optimizer)
{
    return optimizer->block + (optimizer->floats - 2 * optimizer->trainable);
}

void adl_optimizer_zero_grads(struct adl_optimizer *optimizer)
{
    memset(all_grads(optimizer), 0, optimizer->trainable * sizeof *optimizer->block);
}

double adl_optimizer_clip(struct adl_optimizer *optimizer, double limit)
{
    float *grads = all_grads(optimizer);
    double sum = 0;
    for (size_t i = 0; i < optimizer->trainable; i++)
        sum += (double)grads[i] * (double)grads[i];
    double norm = sqrt(sum);
    if (limit > 0 && norm > limit) {
        float factor = (float)(limit / (norm + 1e-6));
        for (size_t i = 0; i < optimizer->trainable; i++)
            grads[i] *= factor;
    }
    return norm;
}

struct step {
    struct adl_optimizer *optimizer;
    const struct adl_sgd *sgd;
    double lr, head_ratio;
};

static void optimizer_step_param(void *context, size_t i, int worker)
{
    (void)worker;
    const struct step *step = context;
    struct adl_optimizer *optimizer = step->optimizer;
    if (optimizer->grads[i] && (!optimizer->part || optimizer->parts[i] == optimizer->part))
        adl_sgd_step(step->sgd, step->lr * (optimizer->in_head[i] ? step->head_ratio : 1),
                     optimizer->sizes[i], optimizer->grads[i], optimizer->params[i],
                     optimizer->velocities[i]);
}

void adl_optimizer_step(struct adl_optimizer *optimizer, const struct adl_sgd *sgd, double lr,
                        double head_ratio, struct adl_pool *pool)
{
    struct step step = {optimizer, sgd, lr, head_ratio};
    adl_pool_for(pool, (size_t)optimizer->count, optimizer_step_param, &step);
}

size_t adl_optimizer_bytes(const struct adl_optimizer *optimizer)
{
    return optimizer->floats * sizeof *optimizer->block;
}
