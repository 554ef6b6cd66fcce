#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

struct adl_optimizer {
    int count;      /* parameters */
    float **params; /* by id, into `block` */
    float **grads;
    float **velocities;
    size_t *sizes;
    bool *heads;
    float *block; /* parameters and statistics | gradients | velocities */
    size_t floats;
    size_t trainable; /* floats of the gradients */
};

static bool is_trainable(const struct adl_param *param)
{
    return param->role != ADL_PARAM_BN_MEAN && param->role != ADL_PARAM_BN_VAR;
}

struct adl_optimizer *adl_optimizer_create(const struct adl_graph *graph, const float *const *start,
                                           struct adl_error *err)
{
    size_t all = 0, trainable = 0, count = (size_t)adl_graph_param_count(graph);
    struct adl_optimizer *o = adl_calloc(1, sizeof *o);
    if (!o) {
        adl_fail_nomem(err, "the optimizer");
        return NULL;
    }
    o->count = (int)count;
    o->params = adl_calloc(count, sizeof *o->params);
    o->grads = adl_calloc(count, sizeof *o->grads);
    o->velocities = adl_calloc(count, sizeof *o->velocities);
    o->sizes = adl_calloc(count, sizeof *o->sizes);
    o->heads = adl_calloc(count, sizeof *o->heads);
    for (int i = 0; i < o->count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        all += param->count;
        trainable += is_trainable(param) ? param->count : 0;
    }
    o->floats = all + 2 * trainable;
    o->trainable = trainable;
    o->block = adl_calloc(o->floats, sizeof *o->block);
    if (!o->params || !o->grads || !o->velocities || !o->sizes || !o->heads || !o->block) {
        adl_optimizer_free(o);
        adl_fail_nomem(err, "the optimizer");
        return NULL;
    }
    float *value = o->block, *grad = value + all, *velocity = grad + trainable;
    for (int i = 0; i < o->count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        o->sizes[i] = param->count;
        o->params[i] = value;
        memcpy(value, start[i], param->count * sizeof *value);
        value += param->count;
        if (!is_trainable(param))
            continue;
        o->grads[i] = grad;
        o->velocities[i] = velocity;
        grad += param->count;
        velocity += param->count;
    }
    return o;
}

void adl_optimizer_free(struct adl_optimizer *o)
{
    if (!o)
        return;
    adl_free(o->block);
    adl_free(o->heads);
    adl_free(o->sizes);
    adl_free(o->velocities);
    adl_free(o->grads);
    adl_free(o->params);
    adl_free(o);
}

float *const *adl_optimizer_params(const struct adl_optimizer *o)
{
    return o->params;
}

float *const *adl_optimizer_grads(const struct adl_optimizer *o)
{
    return o->grads;
}

float *const *adl_optimizer_velocities(const struct adl_optimizer *o)
{
    return o->velocities;
}

void adl_optimizer_set_head(struct adl_optimizer *o, int param)
{
    o->heads[param] = true;
}

/* The first gradient: they follow each other from here. */
static float *all_grads(const struct adl_optimizer *o)
{
    return o->block + (o->floats - 2 * o->trainable);
}

void adl_optimizer_zero_grads(struct adl_optimizer *o)
{
    memset(all_grads(o), 0, o->trainable * sizeof *o->block);
}

double adl_optimizer_clip(struct adl_optimizer *o, double limit)
{
    float *grads = all_grads(o);
    double sum = 0;
    for (size_t i = 0; i < o->trainable; i++)
        sum += (double)grads[i] * (double)grads[i];
    double norm = sqrt(sum);
    if (limit > 0 && norm > limit) {
        float factor = (float)(limit / (norm + 1e-6));
        for (size_t i = 0; i < o->trainable; i++)
            grads[i] *= factor;
    }
    return norm;
}

struct step {
    struct adl_optimizer *optimizer;
    const struct adl_sgd *sgd;
    double lr, head_ratio;
};

static void step_param(void *context, size_t i, int worker)
{
    (void)worker;
    const struct step *step = context;
    struct adl_optimizer *o = step->optimizer;
    if (o->grads[i])
        adl_sgd_step(step->sgd, step->lr * (o->heads[i] ? step->head_ratio : 1), o->sizes[i],
                     o->grads[i], o->params[i], o->velocities[i]);
}

void adl_optimizer_step(struct adl_optimizer *o, const struct adl_sgd *sgd, double lr,
                        double head_ratio, struct adl_pool *pool)
{
    struct step step = {o, sgd, lr, head_ratio};
    adl_pool_for(pool, (size_t)o->count, step_param, &step);
}

size_t adl_optimizer_bytes(const struct adl_optimizer *o)
{
    return o->floats * sizeof *o->block;
}
