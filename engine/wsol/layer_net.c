/* Runs the upper part of a network forward and back.
 *
 * Inference packs the weights and then drops them, and its steps keep no values for a backward
 * pass. So the part above the layer has weights of its own here and is run by a tape, as in
 * training but with the running statistics and without dropout: forward from the layer's map, which
 * inference has kept, and back from a gradient that is 1 at the class's logit. The lower part of
 * the network, most of the work for a high layer, runs once, at inference.
 *
 * A tape is used by one thread at a time. Maps of different images are made at the same time, so
 * there are as many tapes as threads that compute. */

#include "wsol/layer_net.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/upper.h"
#include "kernels/blas.h"
#include "train/tape.h"

struct adl_layer_net {
    char name[ADL_LIMIT_LAYER_NAME_BYTES];
    int value; /* of the network's graph */
    struct adl_graph *graph;
    float **params; /* by parameter id of `graph`; owned */
    int param_count;
};

struct adl_layer_runs {
    const struct adl_layer_net *net;
    pthread_mutex_t lock;
    pthread_cond_t returned; /* a tape has become free */
    struct adl_tape **free;  /* a stack of those that nobody uses */
    int free_count;
    float **no_gradients; /* by parameter id: NULL, since none is wanted */
};

/* --- the net ------------------------------------------------------------------------------ */

static int copy_params(struct adl_layer_net *net, const float *const *params, const int *original,
                       struct adl_error *err)
{
    net->params = adl_calloc((size_t)net->param_count + 1, sizeof *net->params);
    if (!net->params)
        return adl_fail_nomem(err, "the weights above the layer");
    for (int i = 0; i < net->param_count; i++) {
        size_t count = adl_graph_param(net->graph, i)->count;
        net->params[i] = adl_malloc(count, sizeof **net->params);
        if (!net->params[i])
            return adl_fail_nomem(err, "the weights above the layer");
        memcpy(net->params[i], params[original[i]], count * sizeof **net->params);
    }
    return 0;
}

struct adl_layer_net *adl_layer_net_create(const struct adl_graph *graph,
                                           const float *const *params, const char *name,
                                           struct adl_error *err)
{
    int value = adl_graph_find_layer(graph, name, err), *original = NULL, result = -1;
    struct adl_layer_net *net = NULL;

    if (value < 0)
        return NULL;
    net = adl_calloc(1, sizeof *net);
    if (!net) {
        adl_fail_nomem(err, "a layer");
        return NULL;
    }
    snprintf(net->name, sizeof net->name, "%s", name);
    net->value = value;
    net->graph = adl_graph_upper(graph, value, &original, err);
    if (!net->graph)
        goto out;
    net->param_count = adl_graph_param_count(net->graph);
    result = copy_params(net, params, original, err);
out:
    adl_free(original);
    if (result < 0) {
        adl_layer_net_free(net);
        return NULL;
    }
    return net;
}

void adl_layer_net_free(struct adl_layer_net *net)
{
    if (!net)
        return;
    for (int i = 0; net->params && i < net->param_count; i++)
        adl_free(net->params[i]);
    adl_free(net->params);
    adl_graph_free(net->graph);
    adl_free(net);
}

const char *adl_layer_net_name(const struct adl_layer_net *net)
{
    return net->name;
}

int adl_layer_net_value(const struct adl_layer_net *net)
{
    return net->value;
}

/* --- runs --------------------------------------------------------------------------------- */

struct adl_layer_runs *adl_layer_runs_create(const struct adl_layer_net *net, int h, int w,
                                             int most, struct adl_error *err)
{
    struct adl_layer_runs *runs = adl_calloc(1, sizeof *runs);

    if (!runs) {
        adl_fail_nomem(err, "the maps of a layer");
        return NULL;
    }
    runs->net = net;
    pthread_mutex_init(&runs->lock, NULL);
    pthread_cond_init(&runs->returned, NULL);
    runs->free = adl_calloc((size_t)most, sizeof *runs->free);
    runs->no_gradients = adl_calloc((size_t)net->param_count + 1, sizeof *runs->no_gradients);
    if (!runs->free || !runs->no_gradients) {
        adl_fail_nomem(err, "the maps of a layer");
        goto out;
    }
    ADL_TRY(adl_blas_reserve(most, err));
    for (; runs->free_count < most; runs->free_count++) {
        runs->free[runs->free_count] = adl_tape_create_for_input(net->graph, h, w, 1, NULL, err);
        if (!runs->free[runs->free_count])
            goto out;
    }
    return runs;
out:
    adl_layer_runs_free(runs);
    return NULL;
}

void adl_layer_runs_free(struct adl_layer_runs *runs)
{
    if (!runs)
        return;
    for (int i = 0; runs->free && i < runs->free_count; i++)
        adl_tape_free(runs->free[i]);
    adl_free(runs->free);
    adl_free(runs->no_gradients);
    pthread_mutex_destroy(&runs->lock);
    pthread_cond_destroy(&runs->returned);
    adl_free(runs);
}

size_t adl_layer_runs_bytes(const struct adl_layer_runs *runs)
{
    /* All tapes are free between the runs of a batch, and of one size. */
    return (size_t)runs->free_count * adl_tape_bytes(runs->free[0]);
}

static struct adl_tape *take_tape(struct adl_layer_runs *runs)
{
    pthread_mutex_lock(&runs->lock);
    while (runs->free_count == 0)
        pthread_cond_wait(&runs->returned, &runs->lock);
    struct adl_tape *tape = runs->free[--runs->free_count];
    pthread_mutex_unlock(&runs->lock);
    return tape;
}

static void return_tape(struct adl_layer_runs *runs, struct adl_tape *tape)
{
    pthread_mutex_lock(&runs->lock);
    runs->free[runs->free_count++] = tape;
    pthread_cond_signal(&runs->returned);
    pthread_mutex_unlock(&runs->lock);
}

void adl_layer_runs_map(struct adl_layer_runs *runs, enum adl_layer_method method,
                        const float *features, int class_id, double *map)
{
    const struct adl_layer_net *net = runs->net;
    const struct adl_train_mode mode = {.frozen_batchnorm = true};
    struct adl_tape *tape = take_tape(runs);
    struct adl_shape shape = adl_tape_shape(tape, 0);
    struct adl_shape logits = adl_tape_shape(tape, adl_graph_output(net->graph, ADL_OUTPUT_LOGITS));

    memcpy(adl_tape_input(tape), features, adl_shape_count(shape) * sizeof *features);
    adl_tape_forward(tape, 1, net->params, &mode);
    memset(adl_tape_logits_grad(tape), 0, (size_t)logits.c * sizeof(float));
    adl_tape_logits_grad(tape)[class_id] = 1;
    adl_tape_backward(tape, net->params, &mode, runs->no_gradients);
    adl_layer_map(method, features, adl_tape_input_grad(tape), (size_t)shape.h * (size_t)shape.w,
                  (size_t)shape.c, map);
    return_tape(runs, tape);
}
