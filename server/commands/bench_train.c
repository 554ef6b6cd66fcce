/* Measures the time of a training step. A network with layers, branches or rounds of a method is
 * measured with the method on and off in alternate steps, so that a change of the machine's speed
 * affects both; the difference of the medians is the cost of the method. Of several rounds the last
 * is measured, which costs most. */

#include "server/commands/bench_train.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "methods/methods.h"
#include "server/commands/peak_rss.h"
#include "server/tasks/json_out.h"
#include "train/optimizer.h"
#include "train/tape.h"

#define MAX_STEPS 10000

/* The parts of a step, and the whole step. */
enum part { FORWARD, BACKWARD, UPDATE, STEP, PARTS };

/* Milliseconds of each measured step. */
struct series {
    double *ms[PARTS];
    size_t count;
};

struct measurement {
    const struct adl_bench_train *bench;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
    struct adl_pool *pool;
    int *labels;
    union adl_method_value values[ADL_METHOD_VALUES]; /* the defaults */
    struct series with;    /* steps with the method on; all steps of networks without one */
    struct series without; /* steps with the method off; empty for networks without one */
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the median; sorts the values. */
static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Returns the network that is trained: of several whose rounds cost more and more, the last. */
static int last_part(const struct adl_graph *graph)
{
    return ADL_MAX(adl_graph_part_count(graph), 1);
}

static int prepare(struct measurement *m, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;
    const struct adl_model *model = b->model;
    size_t steps = b->runs ? (size_t)b->runs : MAX_STEPS;
    struct adl_rng rng;

    m->pool = adl_pool_create(b->threads, err);
    m->tape = m->pool ? adl_tape_create_part(model->graph, last_part(model->graph), b->size,
                                             b->size, b->batch, ADL_TAPE_SHARED, m->pool, err)
                      : NULL;
    m->optimizer = m->tape ? adl_optimizer_create(model->graph, model->params, err) : NULL;
    if (!m->optimizer)
        return -1;
    adl_optimizer_set_part(m->optimizer, adl_graph_part_count(model->graph));
    m->labels = adl_calloc((size_t)b->batch, sizeof *m->labels);
    for (int part = 0; part < PARTS; part++) {
        m->with.ms[part] = adl_malloc(steps, sizeof(double));
        m->without.ms[part] = adl_malloc(steps, sizeof(double));
        if (!m->labels || !m->with.ms[part] || !m->without.ms[part])
            return adl_fail_nomem(err, "measurements");
    }
    adl_method_defaults(m->values);
    adl_rng_seed(&rng, 1, 0, 0);
    size_t count = (size_t)b->batch * adl_shape_count(adl_tape_shape(m->tape, 0));
    for (size_t i = 0; i < count; i++)
        adl_tape_input(m->tape)[i] = (float)adl_rng_normal(&rng);
    for (int i = 0; i < b->batch; i++)
        m->labels[i] = i % model->arch.num_classes;
    return 0;
}

static void release(struct measurement *m)
{
    for (int part = 0; part < PARTS; part++) {
        adl_free(m->with.ms[part]);
        adl_free(m->without.ms[part]);
    }
    adl_free(m->labels);
    adl_optimizer_free(m->optimizer);
    adl_tape_free(m->tape);
    adl_pool_free(m->pool);
}

/* Takes one step and returns its milliseconds; those of its parts are appended to
 * `series` unless that is NULL. */
static double step(struct measurement *m, bool method, struct series *series)
{
    const struct adl_bench_train *b = m->bench;
    struct adl_train_mode mode = {.bn_momentum = 0.1,
                                  .dropout = true,
                                  .method_layers = method,
                                  .method_values = m->values,
                                  .progress = 1,
                                  .labels = m->labels};
    struct adl_sgd sgd = {0.9, 1e-4, true};
    const struct adl_targets targets = {.labels = m->labels};
    float *const *params = adl_optimizer_params(m->optimizer);
    uint64_t ns[STEP + 1]; /* the time before each part, and after the last one */

    mode.key = m->with.count + m->without.count;
    ns[0] = adl_clock_ns();
    adl_tape_forward(m->tape, b->batch, params, &mode);
    (void)adl_method_loss(b->model->arch.methods, m->tape, &targets, &mode, 1, NULL);
    ns[1] = adl_clock_ns();
    adl_optimizer_zero_grads(m->optimizer);
    adl_tape_backward(m->tape, params, &mode, adl_optimizer_grads(m->optimizer));
    ns[2] = adl_clock_ns();
    adl_optimizer_step(m->optimizer, &sgd, 1e-4, 10, m->pool);
    ns[3] = adl_clock_ns();
    double step_ms = adl_clock_ms(ns[0], ns[STEP]);
    if (!series)
        return step_ms;
    for (int part = 0; part < STEP; part++)
        series->ms[part][series->count] = adl_clock_ms(ns[part], ns[part + 1]);
    series->ms[STEP][series->count++] = step_ms;
    return step_ms;
}

static void measure(struct measurement *m)
{
    const struct adl_bench_train *b = m->bench;
    bool method = adl_arch_has_method(&b->model->arch);
    size_t most = b->runs ? (size_t)b->runs : MAX_STEPS;
    double spent_ms = 0;

    step(m, method, NULL); /* warm-up: touches every page */
    while (m->with.count < most && (m->with.count < 3 || b->runs || spent_ms < b->seconds * 1000)) {
        spent_ms += step(m, method, &m->with);
        if (method)
            spent_ms += step(m, false, &m->without);
    }
}

/* Sets *flops to the FLOPs per image: those of the forward pass, and twice as many in the
 * backward pass (gradients of the input and of the weights), once as many for copies of nodes,
 * whose weights have no gradient, and none for networks that are not trained. */
static int training_flops(const struct adl_bench_train *b, double *flops, struct adl_error *err)
{
    const struct adl_graph *graph = b->model->graph;
    struct adl_shape *shapes = adl_malloc((size_t)adl_graph_value_count(graph), sizeof *shapes);
    if (!shapes)
        return adl_fail_nomem(err, "measurements");
    int result = adl_graph_infer(graph, b->size, b->size, shapes, err);
    for (int i = 0; result == 0 && i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        int passes = node->copy ? 2 : 3;
        if (adl_graph_part_count(graph))
            passes = node->part == last_part(graph) ? 3 : node->part > 0;
        *flops += 2 * passes * (double)adl_node_macs(node, shapes);
    }
    adl_free(shapes);
    return result;
}

static int print(struct measurement *m, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;
    double with[PARTS], without[PARTS], flops = 0;
    char arch[96];

    if (training_flops(b, &flops, err) < 0)
        return -1;
    for (int part = 0; part < PARTS; part++) {
        with[part] = median(m->with.ms[part], m->with.count);
        if (m->without.count)
            without[part] = median(m->without.ms[part], m->without.count);
    }
    double least_ms = m->with.ms[STEP][0]; /* sorted for the median */
    double per_second = 1000 * b->batch / with[STEP];
    double gflops = flops * b->batch / (with[STEP] * 1e6);
    double rss = adl_peak_rss_mib();
    double held = (double)(adl_tape_bytes(m->tape) + adl_optimizer_bytes(m->optimizer)) / 1048576;
    double added = m->without.count ? with[STEP] / without[STEP] - 1 : 0;

    if (b->json) {
        int features = adl_graph_output(b->model->graph, ADL_OUTPUT_FEATURES);
        struct adl_shape map = adl_tape_shape(m->tape, features);
        enum adl_isa isa;
        if (adl_isa_choose(ADL_ISA_AUTO, &isa, err) < 0)
            return -1;
        json_t *root = json_pack(
            "{s:s, s:i, s:i, s:s, s:s, s:[i, i], s:[i, i], s:I, s:b, s:i, s:{s:f, s:f}, s:f, s:f, "
            "s:f, s:f, s:f, s:f, s:f, s:f}",
            "arch", b->model->arch.backbone->name, "batch", b->batch, "threads", b->threads, "cpu",
            adl_cpu_name(), "isa", adl_isa_name(isa), "size", b->size, b->size, "map", map.h, map.w,
            "parameters", (json_int_t)adl_graph_trainable(b->model->graph), "adl",
            adl_arch_has_layers(&b->model->arch), "steps", (int)m->with.count, "ms_per_image",
            "min", least_ms / b->batch, "median", with[STEP] / b->batch, "gflops", gflops,
            "images_per_second", per_second, "forward_ms", with[FORWARD], "backward_ms",
            with[BACKWARD], "update_ms", with[UPDATE], "peak_rss_mib", rss, "training_mib", held,
            "adl_time_share", added);
        if (!root)
            return adl_fail_nomem(err, "JSON");
        int result = adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
        json_decref(root);
        return result;
    }
    adl_arch_describe(&b->model->arch, arch, sizeof arch);
    printf("%s, %dx%d, training steps of %d image%s, %d thread%s, %s\n", arch, b->size, b->size,
           b->batch, ADL_S(b->batch), b->threads, ADL_S(b->threads), adl_cpu_name());
    printf("%.1f images/s (median of %zu step%s): forward %.0f ms, backward %.0f ms (%.2f times), "
           "update %.0f ms\n",
           per_second, m->with.count, ADL_S(m->with.count), with[FORWARD], with[BACKWARD],
           with[BACKWARD] / with[FORWARD], with[UPDATE]);
    printf("%.0f MiB for activations, gradients and weights; %.0f MiB peak resident size\n", held,
           rss);
    if (m->without.count)
        printf("%s adds %+.2f %% time, measured in alternate steps\n",
               adl_arch_branches(&b->model->arch) ? "what the method runs in training alone"
               : adl_arch_rounds(&b->model->arch)
                   ? "the last round of the method"
                   : adl_method_set_text(adl_method_set_network(b->model->arch.methods)).text,
               100 * added);
    return 0;
}

int adl_bench_train(const struct adl_bench_train *bench, struct adl_error *err)
{
    struct measurement m = {.bench = bench};
    int result = prepare(&m, err);
    if (result == 0) {
        measure(&m);
        result = print(&m, err);
    }
    release(&m);
    return result;
}
