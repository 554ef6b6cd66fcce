/* Parameters, gradients and velocities lie in one block:
 *
 *     parameters and running statistics | gradients | velocities
 *
 * each in the order of the graph and without gaps, so that clearing and clipping the
 * gradients is one loop over the middle part. Averages and AdamW's second moments, which few runs
 * keep, have blocks of their own. Its first moments are the velocities. */

#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

/* A further array for each parameter, in one block. */
struct optimizer_group {
    float **arrays; /* by id, in `block`; NULL: there is no such group */
    float *block;
    size_t floats; /* in `block` */
};

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
    size_t floats;                   /* in `block` */
    size_t trainable;                /* floats of the gradients, and of the velocities */
    bool *undecayed;                 /* whether it has no weight decay */
    struct optimizer_group averages; /* of all parameters and running statistics */
    struct optimizer_group squares;  /* AdamW's second moments, of trainable ones */
    uint64_t steps;                  /* that were taken */
};

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
    optimizer->undecayed = adl_calloc(count, sizeof *optimizer->undecayed);
    for (int i = 0; i < optimizer->count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        all += param->count;
        trainable += adl_param_is_trained(param) ? param->count : 0;
    }
    optimizer->floats = all + 2 * trainable;
    optimizer->trainable = trainable;
    optimizer->block = adl_calloc(optimizer->floats, sizeof *optimizer->block);
    if (!optimizer->params || !optimizer->grads || !optimizer->velocities || !optimizer->sizes ||
        !optimizer->in_head || !optimizer->parts || !optimizer->undecayed || !optimizer->block) {
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
        if (!adl_param_is_trained(param))
            continue;
        optimizer->grads[i] = grad;
        optimizer->velocities[i] = velocity;
        grad += param->count;
        velocity += param->count;
    }
    return optimizer;
}

static void optimizer_group_release(struct optimizer_group *group)
{
    adl_free(group->block);
    adl_free(group->arrays);
}

void adl_optimizer_free(struct adl_optimizer *optimizer)
{
    if (!optimizer)
        return;
    optimizer_group_release(&optimizer->averages);
    optimizer_group_release(&optimizer->squares);
    adl_free(optimizer->undecayed);
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

/* Makes a group whose arrays lie in its block as those of `like` lie from `first` on; all values
 * are 0. */
static int optimizer_group_init(struct optimizer_group *group, int count, float *const *like,
                                const float *first, size_t floats, const char *what,
                                struct adl_error *err)
{
    group->floats = floats;
    group->arrays = adl_calloc((size_t)count, sizeof *group->arrays);
    group->block = adl_calloc(floats, sizeof *group->block);
    if (!group->arrays || !group->block)
        return adl_fail_nomem(err, what);
    for (int i = 0; i < count; i++)
        if (like[i])
            group->arrays[i] = group->block + (like[i] - first);
    return 0;
}

int adl_optimizer_keep_averages(struct adl_optimizer *optimizer, struct adl_error *err)
{
    size_t floats = optimizer->floats - 2 * optimizer->trainable;
    if (optimizer_group_init(&optimizer->averages, optimizer->count, optimizer->params,
                             optimizer->block, floats, "the averages of the weights", err) < 0)
        return -1;
    memcpy(optimizer->averages.block, optimizer->block, floats * sizeof *optimizer->block);
    return 0;
}

int adl_optimizer_keep_squares(struct adl_optimizer *optimizer, struct adl_error *err)
{
    const float *first = optimizer->block + (optimizer->floats - optimizer->trainable);
    return optimizer_group_init(&optimizer->squares, optimizer->count, optimizer->velocities, first,
                                optimizer->trainable, "the optimizer", err);
}

float *const *adl_optimizer_squares(const struct adl_optimizer *optimizer)
{
    return optimizer->squares.arrays;
}

float *const *adl_optimizer_averages(const struct adl_optimizer *optimizer)
{
    return optimizer->averages.arrays;
}

float *const *adl_optimizer_evaluated(const struct adl_optimizer *optimizer)
{
    return optimizer->averages.arrays ? optimizer->averages.arrays : optimizer->params;
}

uint64_t adl_optimizer_steps(const struct adl_optimizer *optimizer)
{
    return optimizer->steps;
}

void adl_optimizer_set_steps(struct adl_optimizer *optimizer, uint64_t steps)
{
    optimizer->steps = steps;
}

void adl_optimizer_set_head(struct adl_optimizer *optimizer, int param)
{
    optimizer->in_head[param] = true;
}

void adl_optimizer_set_undecayed(struct adl_optimizer *optimizer, int param)
{
    optimizer->undecayed[param] = true;
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
        if (optimizer->averages.arrays)
            memcpy(optimizer->averages.arrays[i], optimizer->averages.arrays[from],
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

float *adl_optimizer_all_grads(const struct adl_optimizer *optimizer, size_t *count)
{
    *count = optimizer->trainable;
    return all_grads(optimizer);
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
    const struct adl_sgd *sgd;     /* or NULL */
    const struct adl_adamw *adamw; /* or NULL */
    double lr, head_ratio;
};

/* Returns whether a parameter belongs to the network that is trained. */
static bool optimizer_trains(const struct adl_optimizer *optimizer, size_t i)
{
    return !optimizer->part || optimizer->parts[i] == optimizer->part;
}

static void optimizer_step_param(void *context, size_t i, int worker)
{
    (void)worker;
    const struct step *step = context;
    struct adl_optimizer *optimizer = step->optimizer;
    double lr = step->lr * (optimizer->in_head[i] ? step->head_ratio : 1);
    if (!optimizer->grads[i] || !optimizer_trains(optimizer, i))
        return;
    if (step->adamw) {
        struct adl_adamw adamw = *step->adamw;
        adamw.weight_decay = optimizer->undecayed[i] ? 0 : adamw.weight_decay;
        adl_adamw_step(&adamw, lr, optimizer->steps, optimizer->sizes[i], optimizer->grads[i],
                       optimizer->params[i], optimizer->velocities[i],
                       optimizer->squares.arrays[i]);
    } else {
        struct adl_sgd sgd = *step->sgd;
        sgd.weight_decay = optimizer->undecayed[i] ? 0 : sgd.weight_decay;
        adl_sgd_step(&sgd, lr, optimizer->sizes[i], optimizer->grads[i], optimizer->params[i],
                     optimizer->velocities[i]);
    }
}

static void optimizer_step_all(struct step step, struct adl_pool *pool)
{
    step.optimizer->steps++;
    adl_pool_for(pool, (size_t)step.optimizer->count, optimizer_step_param, &step);
}

void adl_optimizer_step(struct adl_optimizer *optimizer, const struct adl_sgd *sgd, double lr,
                        double head_ratio, struct adl_pool *pool)
{
    optimizer_step_all((struct step){optimizer, sgd, NULL, lr, head_ratio}, pool);
}

void adl_optimizer_step_adamw(struct adl_optimizer *optimizer, const struct adl_adamw *adamw,
                              double lr, double head_ratio, struct adl_pool *pool)
{
    optimizer_step_all((struct step){optimizer, NULL, adamw, lr, head_ratio}, pool);
}

struct average {
    struct adl_optimizer *optimizer;
    float weight; /* of the new value */
};

/* a + w (p - a) leaves the average of a value that does not change as it is, to the bit. */
static void optimizer_average_param(void *context, size_t i, int worker)
{
    (void)worker;
    const struct average *average = context;
    const struct adl_optimizer *optimizer = average->optimizer;
    const float *param = optimizer->params[i];
    float *mean = optimizer->averages.arrays[i];
    if (!optimizer_trains(optimizer, i))
        return;
    for (size_t j = 0; j < optimizer->sizes[i]; j++)
        mean[j] += average->weight * (param[j] - mean[j]);
}

void adl_optimizer_average(struct adl_optimizer *optimizer, double decay, struct adl_pool *pool)
{
    double steps = (double)optimizer->steps;
    double warm = ADL_MIN(decay, (1 + steps) / (10 + steps));
    struct average average = {optimizer, (float)(1 - warm)};
    adl_pool_for(pool, (size_t)optimizer->count, optimizer_average_param, &average);
}

size_t adl_optimizer_bytes(const struct adl_optimizer *optimizer)
{
    return (optimizer->floats + optimizer->averages.floats + optimizer->squares.floats) *
           sizeof *optimizer->block;
}
