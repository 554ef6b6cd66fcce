/* Measures the time of a training step. With a training method, steps of the same network without
 * one (cam) are measured too, in turns with the others, so that a change of the machine's speed
 * affects both; the ratio of the medians is the cost of the method. A method that only changes
 * images is measured on one network in both ways; one that changes the network, by layers, branches
 * or rounds, has another one, whose parameters are counted as well. Of several rounds the last is
 * measured, which costs most. */

#include "server/commands/bench_train.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "methods/methods.h"
#include "server/commands/bench_model.h"
#include "server/commands/peak_rss.h"
#include "server/tasks/json_out.h"
#include "train/optimizer.h"
#include "train/tape.h"

#define MAX_STEPS 10000

/* The parts of a step, and the whole step. */
enum part { INPUT, FORWARD, BACKWARD, UPDATE, STEP, PARTS };

/* A network that steps are taken of. */
struct network {
    const struct adl_graph *graph;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
};

/* The steps of one kind: a network, what is done to it, and the milliseconds of each step. */
struct series {
    const struct network *network;
    struct adl_method_set methods;
    double *ms[PARTS];
    size_t count;
};

struct measurement {
    const struct adl_bench_train *bench;
    struct adl_pool *pool;
    float *images; /* a batch, as a loader would make them */
    int *labels;
    size_t *partners;                                 /* what methods that mix images need */
    union adl_method_value values[ADL_METHOD_VALUES]; /* the defaults */
    struct network network;                           /* of the method */
    struct network plain;                             /* of cam; empty if it is the same one */
    struct adl_model *plain_model;
    struct series with;  /* steps with the method */
    struct series cam;   /* steps without; its network is NULL if there is no method */
    double peak_rss_mib; /* before another network than that of the method was made */
};

/* What is said of a series. */
struct summary {
    double median_ms[PARTS];
    double min_ms; /* of a step */
    double images_per_second;
    double held_mib; /* activations, gradients and weights */
    uint64_t params; /* that are trained */
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

/* --- steps --------------------------------------------------------------------------------- */

static int open_network(struct measurement *m, const struct adl_model *model,
                        struct network *network, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;

    network->graph = model->graph;
    network->tape = adl_tape_create_part(model->graph, last_part(model->graph), b->size, b->size,
                                         b->batch, b->memory, m->pool, err);
    if (network->tape)
        network->optimizer = adl_optimizer_create(model->graph, model->params, err);
    if (!network->optimizer)
        return -1;
    adl_optimizer_set_part(network->optimizer, adl_graph_part_count(model->graph));
    return 0;
}

static int open_series(struct measurement *m, struct series *series, const struct network *network,
                       struct adl_method_set methods, struct adl_error *err)
{
    series->network = network;
    series->methods = methods;
    for (int part = 0; part < PARTS; part++) {
        series->ms[part] =
            adl_malloc(m->bench->runs ? (size_t)m->bench->runs : MAX_STEPS, sizeof(double));
        if (!series->ms[part])
            return adl_fail_nomem(err, "measurements");
    }
    return 0;
}

/* Makes a batch of random images. */
static int make_batch(struct measurement *m, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;
    size_t batch = (size_t)b->batch;
    size_t count = batch * adl_shape_count(adl_tape_shape(m->network.tape, 0));
    struct adl_rng rng;

    m->images = adl_malloc(count, sizeof *m->images);
    m->labels = adl_malloc(batch, sizeof *m->labels);
    m->partners = adl_calloc(batch, sizeof *m->partners);
    if (!m->images || !m->labels || !m->partners)
        return adl_fail_nomem(err, "measurements");
    adl_method_defaults(m->values);
    adl_rng_seed(&rng, 1, 0, 0);
    for (size_t i = 0; i < count; i++)
        m->images[i] = (float)adl_rng_normal(&rng);
    for (int i = 0; i < b->batch; i++)
        m->labels[i] = i % b->model->arch.num_classes;
    return 0;
}

/* Takes one step and returns its milliseconds; these and those of its parts are appended to the
 * series if `keep` says so. */
static double step(struct measurement *m, struct series *series, bool keep)
{
    const struct network *network = series->network;
    struct adl_train_mode mode = {.bn_momentum = 0.1,
                                  .dropout = true,
                                  .method_layers =
                                      adl_method_takes_part(series->methods, m->values, INFINITY),
                                  .method_values = m->values,
                                  .progress = 1,
                                  .labels = m->labels,
                                  .key = series->count};
    struct adl_shape shape = adl_tape_shape(network->tape, 0);
    struct adl_method_batch batch = {.images = m->images,
                                     .input = adl_tape_input(network->tape),
                                     .count = (size_t)m->bench->batch,
                                     .height = shape.h,
                                     .width = shape.w,
                                     .values = m->values,
                                     .key = mode.key,
                                     .partners = m->partners};
    struct adl_sgd sgd = {0.9, 1e-4, true};
    float *const *params = adl_optimizer_params(network->optimizer);
    uint64_t ns[STEP + 1]; /* the time before each part, and after the last one */

    ns[0] = adl_clock_ns();
    adl_method_input(series->methods, &batch);
    ns[1] = adl_clock_ns();
    const struct adl_targets targets = {
        .labels = m->labels, .partners = batch.partners, .share = batch.share};
    adl_tape_forward(network->tape, m->bench->batch, params, &mode);
    (void)adl_method_loss(series->methods, network->tape, &targets, &mode, 1, NULL);
    ns[2] = adl_clock_ns();
    adl_optimizer_zero_grads(network->optimizer);
    adl_tape_backward(network->tape, params, &mode, adl_optimizer_grads(network->optimizer));
    ns[3] = adl_clock_ns();
    adl_optimizer_step(network->optimizer, &sgd, 1e-4, 10, m->pool);
    ns[4] = adl_clock_ns();
    double step_ms = adl_clock_ms(ns[0], ns[STEP]);
    if (!keep)
        return step_ms;
    for (int part = 0; part < STEP; part++)
        series->ms[part][series->count] = adl_clock_ms(ns[part], ns[part + 1]);
    series->ms[STEP][series->count++] = step_ms;
    return step_ms;
}

/* Prepares the steps of cam, in the same network if the methods only change images. */
static int prepare_cam(struct measurement *m, struct adl_error *err)
{
    struct adl_arch arch = m->bench->model->arch;
    bool same = !adl_arch_has_method(&arch);

    if (!same) {
        arch.methods = (struct adl_method_set){0};
        m->plain_model = adl_bench_model(&arch, m->bench->size, err);
        if (!m->plain_model || open_network(m, m->plain_model, &m->plain, err) < 0)
            return -1;
    }
    return open_series(m, &m->cam, same ? &m->network : &m->plain, (struct adl_method_set){0}, err);
}

static int measure(struct measurement *m, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;
    size_t most = b->runs ? (size_t)b->runs : MAX_STEPS;
    double spent_ms = 0;

    m->pool = adl_pool_create(b->threads, err);
    if (!m->pool || open_network(m, b->model, &m->network, err) < 0 || make_batch(m, err) < 0 ||
        open_series(m, &m->with, &m->network, b->model->arch.methods, err) < 0)
        return -1;
    step(m, &m->with, false); /* warm-up: touches every page */
    m->peak_rss_mib = adl_peak_rss_mib();
    if (b->model->arch.methods.bits) {
        if (prepare_cam(m, err) < 0)
            return -1;
        step(m, &m->cam, false);
    }
    while (m->with.count < most && (m->with.count < 3 || b->runs || spent_ms < b->seconds * 1000)) {
        spent_ms += step(m, &m->with, true);
        if (m->cam.network)
            spent_ms += step(m, &m->cam, true);
    }
    return 0;
}

static void release_network(struct network *network)
{
    adl_optimizer_free(network->optimizer);
    adl_tape_free(network->tape);
}

static void release(struct measurement *m)
{
    for (int part = 0; part < PARTS; part++) {
        adl_free(m->with.ms[part]);
        adl_free(m->cam.ms[part]);
    }
    adl_free(m->images);
    adl_free(m->labels);
    adl_free(m->partners);
    release_network(&m->network);
    release_network(&m->plain);
    adl_model_free(m->plain_model);
    adl_pool_free(m->pool);
}

/* --- results ------------------------------------------------------------------------------- */

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

/* Sorts the times. */
static struct summary summarise(const struct measurement *m, struct series *series)
{
    const struct network *network = series->network;
    size_t bytes = adl_tape_bytes(network->tape) + adl_optimizer_bytes(network->optimizer);
    struct summary out = {.held_mib = (double)bytes / (double)ADL_MIB,
                          .params = adl_graph_trainable(network->graph)};

    for (int part = 0; part < PARTS; part++)
        out.median_ms[part] = median(series->ms[part], series->count);
    out.min_ms = series->ms[STEP][0];
    out.images_per_second = 1000 * m->bench->batch / out.median_ms[STEP];
    return out;
}

static const char *precision_name(const struct adl_bench_train *bench)
{
    return adl_precision_names[bench->memory == ADL_TAPE_BF16 ? ADL_PRECISION_BF16
                                                              : ADL_PRECISION_F32];
}

static json_t *summary_json(const struct measurement *m, const struct summary *s)
{
    double batch = m->bench->batch;
    return json_pack("{s:I, s:{s:f, s:f}, s:f, s:f, s:f, s:f, s:f, s:f}", "parameters",
                     (json_int_t)s->params, "ms_per_image", "min", s->min_ms / batch, "median",
                     s->median_ms[STEP] / batch, "images_per_second", s->images_per_second,
                     "input_ms", s->median_ms[INPUT], "forward_ms", s->median_ms[FORWARD],
                     "backward_ms", s->median_ms[BACKWARD], "update_ms", s->median_ms[UPDATE],
                     "training_mib", s->held_mib);
}

static int print_json(const struct measurement *m, const struct summary *with,
                      const struct summary *cam, double flops, struct adl_error *err)
{
    const struct adl_bench_train *b = m->bench;
    const struct adl_arch *arch = &b->model->arch;
    int features = adl_graph_output(b->model->graph, ADL_OUTPUT_FEATURES);
    struct adl_shape map = adl_tape_shape(m->network.tape, features);
    enum adl_isa isa;

    if (adl_isa_choose(ADL_ISA_AUTO, &isa, err) < 0)
        return -1;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:[i, i], s:[i, i], s:b, s:i, s:f, s:f}", "arch",
        arch->backbone->name, "method", adl_method_set_text(arch->methods).text, "precision",
        precision_name(b), "batch", b->batch, "threads", b->threads, "cpu", adl_cpu_name(), "isa",
        adl_isa_name(isa), "size", b->size, b->size, "map", map.h, map.w, "adl",
        adl_arch_has_layers(arch), "steps", (int)m->with.count, "gflops",
        flops * b->batch / (with->median_ms[STEP] * 1e6), "peak_rss_mib", m->peak_rss_mib);
    json_t *own = summary_json(m, with);
    bool failed = !root || !own || json_object_update(root, own) < 0;
    json_decref(own);
    if (!failed && cam) {
        double ratio = with->median_ms[STEP] / cam->median_ms[STEP];
        json_t *cost = json_pack("{s:f, s:I, s:f, s:o}", "time_ratio", ratio, "extra_parameters",
                                 (json_int_t)with->params - (json_int_t)cam->params, "extra_mib",
                                 with->held_mib - cam->held_mib, "cam", summary_json(m, cam));
        failed = json_object_set_new(root, "beside_cam", cost) < 0;
    }
    /* What the method adds in time as a fraction; 0 without one. */
    failed =
        failed || json_object_set_new(
                      root, "adl_time_share",
                      json_real(cam ? with->median_ms[STEP] / cam->median_ms[STEP] - 1 : 0)) < 0;
    int result = failed ? adl_fail_nomem(err, "JSON")
                        : adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
    json_decref(root);
    return result;
}

static void print_table(const struct measurement *m, const struct summary *with,
                        const struct summary *cam)
{
    const struct adl_bench_train *b = m->bench;
    const double *ms = with->median_ms;
    char arch[96];

    adl_arch_describe(&b->model->arch, arch, sizeof arch);
    printf("%s, %dx%d, %s, training steps of %d image%s, %d thread%s, %s\n", arch, b->size, b->size,
           precision_name(b), b->batch, ADL_S(b->batch), b->threads, ADL_S(b->threads),
           adl_cpu_name());
    printf("%.1f images/s (median of %zu step%s): forward %.0f ms, backward %.0f ms (%.2f times), "
           "update %.0f ms\n",
           with->images_per_second, m->with.count, ADL_S(m->with.count), ms[FORWARD], ms[BACKWARD],
           ms[BACKWARD] / ms[FORWARD], ms[UPDATE]);
    printf("%.0f MiB for activations, gradients and weights; %.0f MiB peak resident size\n",
           with->held_mib, m->peak_rss_mib);
    if (!cam)
        return;
    printf("cam, in alternate steps: %.1f images/s, forward %.0f ms, backward %.0f ms, update "
           "%.0f ms; %.0f MiB\n",
           cam->images_per_second, cam->median_ms[FORWARD], cam->median_ms[BACKWARD],
           cam->median_ms[UPDATE], cam->held_mib);
    if (adl_arch_rounds(&b->model->arch))
        printf("the last round of ");
    printf("%s takes %.3f times as long as cam and trains ",
           adl_method_set_text(b->model->arch.methods).text, ms[STEP] / cam->median_ms[STEP]);
    if (with->params == cam->params)
        puts("the same parameters");
    else
        printf("%" PRIu64 " parameters %s\n",
               ADL_MAX(with->params, cam->params) - ADL_MIN(with->params, cam->params),
               with->params > cam->params ? "more" : "fewer");
}

static int print(struct measurement *m, struct adl_error *err)
{
    struct summary with = summarise(m, &m->with), cam;
    double flops = 0;

    if (m->cam.network)
        cam = summarise(m, &m->cam);
    const struct summary *beside = m->cam.network ? &cam : NULL;
    if (training_flops(m->bench, &flops, err) < 0)
        return -1;
    if (m->bench->json)
        return print_json(m, &with, beside, flops, err);
    print_table(m, &with, beside);
    return 0;
}

int adl_bench_train(const struct adl_bench_train *bench, struct adl_error *err)
{
    struct measurement m = {.bench = bench};
    int result = measure(&m, err);
    if (result == 0)
        result = print(&m, err);
    release(&m);
    return result;
}
