/* train/buckets, and the watch of a backward pass: a bucket is announced once, when its gradients
 * change no more and not later. When they change is seen from the gradients themselves, which are
 * compared after each node. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "train/buckets.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/tape.h"

enum { SIDE = 5, CLASSES = 3, IMAGES = 2, MAX_PARAMS = 24 };

/* A convolution that is used twice with gradients from both uses, and once as a copy, which gives
 * it none; between them is one that is used once. */
static struct adl_graph *net_of(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
    const struct adl_conv_attr attr = adl_conv_centred(4, 3, 3, 1);
    int y = adl_conv(g, adl_conv(g, 0, "first", attr), "twice", attr);
    y = adl_relu(g, adl_conv(g, y, "once", attr), "relu");
    adl_graph_begin_shared(g, "again");
    int z = adl_conv(g, y, "twice", attr);
    adl_graph_end_shared(g);
    z = adl_batchnorm(g, z, "bn", 1e-5);
    adl_graph_begin_copy(g, "copy");
    z = adl_conv(g, z, "once", attr);
    adl_graph_end_copy(g);
    z = adl_linear(g, adl_global_avgpool(g, z, "gap"), "fc", CLASSES, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, z);
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

/* --- a backward pass that is watched ------------------------------------------------------- */

struct watcher {
    const struct adl_graph *graph;
    const struct adl_buckets *buckets;
    const float *grads;
    size_t count;
    float *before;   /* the gradients after the node before */
    int *changed;    /* [count] the last node that changed each; -1: none did */
    int *announced;  /* [buckets] times */
    float *final;    /* the gradients of a bucket when it was announced */
    int next, nodes; /* bucket; nodes that were passed */
};

static void passed(void *context, int node)
{
    struct watcher *w = context;
    CU_ASSERT_EQUAL(node, adl_graph_node_count(w->graph) - 1 - w->nodes);
    w->nodes++;
    for (size_t i = 0; i < w->count; i++)
        if (w->grads[i] != w->before[i])
            w->changed[i] = node;
    memcpy(w->before, w->grads, w->count * sizeof *w->before);
    for (; w->next < w->buckets->count && w->buckets->of[w->next].node >= node; w->next++) {
        const struct adl_bucket *bucket = &w->buckets->of[w->next];
        w->announced[w->next]++;
        memcpy(w->final + bucket->first, w->grads + bucket->first,
               bucket->count * sizeof *w->final);
    }
}

/* The buckets are the array from its end to its beginning, and as large as they should be. */
static void check_cover(const struct adl_buckets *buckets, size_t count, size_t least, size_t most)
{
    size_t end = count;
    for (int i = 0; i < buckets->count; i++) {
        const struct adl_bucket *bucket = &buckets->of[i];
        CU_ASSERT_EQUAL(bucket->first + bucket->count, end);
        CU_ASSERT(bucket->count > 0 && bucket->count <= most);
        CU_ASSERT(bucket->count >= least || i >= buckets->count - 2);
        end = bucket->first;
    }
    CU_ASSERT_EQUAL(end, 0);
    /* The first layer has 108 floats. */
    CU_ASSERT(buckets->of[buckets->count - 1].count <= ADL_MAX(least / ADL_BUCKET_TAIL, 108));
}

static void check_watch(const struct watcher *w)
{
    CU_ASSERT_EQUAL(w->nodes, adl_graph_node_count(w->graph));
    CU_ASSERT(memcmp(w->final, w->grads, w->count * sizeof *w->final) == 0);
    int before = adl_graph_node_count(w->graph);
    for (int i = 0; i < w->buckets->count; i++) {
        const struct adl_bucket *bucket = &w->buckets->of[i];
        int last = before; /* a bucket waits for those before it */
        for (size_t j = bucket->first; j < bucket->first + bucket->count; j++)
            last = ADL_MIN(last, w->changed[j]);
        CU_ASSERT_EQUAL(w->announced[i], 1);
        CU_ASSERT_EQUAL(bucket->node, last);
        before = bucket->node;
    }
}

static void watch_pass(const struct adl_graph *graph, size_t least, size_t most)
{
    struct adl_error err = {0};
    float *start[MAX_PARAMS];
    int labels[IMAGES] = {1, 2}, params = adl_graph_param_count(graph);
    const struct adl_train_mode mode = {.bn_momentum = 0.1};
    struct adl_buckets buckets;

    CU_ASSERT_FATAL(params <= MAX_PARAMS);
    for (int i = 0; i < params; i++) {
        const struct adl_param *p = adl_graph_param(graph, i);
        start[i] = adl_malloc(p->count, sizeof *start[i]);
        formula_param(p->name, p->role == ADL_PARAM_BN_VAR ? 1 : 0.3, 0.5, p->count, start[i]);
    }
    struct adl_optimizer *optimizer =
        adl_optimizer_create(graph, (const float *const *)start, &err);
    struct adl_tape *tape = adl_tape_create(graph, SIDE, SIDE, IMAGES, ADL_TAPE_SHARED, NULL, &err);
    CU_ASSERT_FATAL(optimizer != NULL && tape != NULL);
    TEST_OK(adl_buckets_make(&buckets, graph, least, most, &err), &err);

    struct watcher w = {.graph = graph, .buckets = &buckets};
    w.grads = adl_optimizer_all_grads(optimizer, &w.count);
    check_cover(&buckets, w.count, least, most);
    w.before = adl_calloc(w.count, sizeof *w.before);
    w.final = adl_calloc(w.count, sizeof *w.final);
    w.changed = adl_calloc(w.count, sizeof *w.changed);
    w.announced = adl_calloc((size_t)buckets.count, sizeof *w.announced);
    for (size_t i = 0; i < w.count; i++)
        w.changed[i] = -1;
    formula_param("images", 0, 1, (size_t)IMAGES * SIDE * SIDE * 3, adl_tape_input(tape));
    adl_tape_forward(tape, IMAGES, adl_optimizer_params(optimizer), &mode);
    adl_cross_entropy(adl_tape_logits(tape), &(struct adl_targets){.labels = labels}, IMAGES,
                      CLASSES, adl_tape_logits_grad(tape), NULL);
    adl_tape_backward_watched(tape, adl_optimizer_params(optimizer), &mode,
                              adl_optimizer_grads(optimizer), &(struct adl_tape_watch){passed, &w});
    check_watch(&w);

    adl_free(w.before);
    adl_free(w.final);
    adl_free(w.changed);
    adl_free(w.announced);
    adl_buckets_release(&buckets);
    adl_tape_free(tape);
    adl_optimizer_free(optimizer);
    for (int i = 0; i < params; i++)
        adl_free(start[i]);
}

static void test_watch(void)
{
    static const size_t sizes[][2] = {{1, 1}, {1, 4096}, {10, 25}, {100, 200}, {1200, 2400}};
    struct adl_graph *graph = net_of();
    for (size_t i = 0; i < ADL_COUNT(sizes); i++)
        watch_pass(graph, sizes[i][0], sizes[i][1]);
    adl_graph_free(graph);
}

TEST_SUITE(buckets, {"each is announced once, when it is final", test_watch});
