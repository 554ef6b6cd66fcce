/* Implements `bench`, which measures the speed of a network on this machine, class maps included.
 *
 * A run computes the logits of one batch and the class map of each image's most probable class.
 * The result is the median over all runs; the minimum is given as well. A laptop or a shared
 * machine changes its speed within seconds, so the peak speeds with which the result is compared
 * (bench_yardstick.h) are measured between the runs, and the ratios stay meaningful when the
 * absolute figures do not. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/size.h"
#include "kernels/dispatch.h"
#include "plan/session.h"
#include "server/commands/bench_layers.h"
#include "server/commands/bench_model.h"
#include "server/commands/bench_train.h"
#include "server/commands/bench_tune.h"
#include "server/commands/bench_yardstick.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/peak_rss.h"
#include "server/options/arch_options.h"
#include "server/tasks/json_out.h"
#include "wsol/cam.h"
#include "wsol/views.h"

#define MAX_RUNS 100000
/* Measuring the peak speeds takes about 1/8 of the time of the runs. */
#define RUNS_PER_YARDSTICK 8

struct settings {
    const char *model;
    const char *key;
    int batch;
    int size;
    int threads;
    int runs;
    double seconds;
    int precision;
    bool layers;
    bool tune;
    bool train;
    bool json;
    struct adl_arch_settings arch;
};

struct bench {
    const struct settings *settings;
    struct adl_plan *plan;
    int threads;
    struct adl_bench_times runs; /* of one batch */
    struct adl_bench_yardstick yardstick;
    struct adl_view_run run;        /* the views of the model's map rule */
    int view;                       /* of the run, whose maps are made now */
    float *cams;                    /* one class map per image */
    size_t *classes;                /* of these maps */
    struct adl_bench_layers layers; /* empty without --layers */
    struct adl_bench_tune tune;     /* empty without --tune */
    struct adl_model *other_model;
    struct adl_plan *other_plan;
    struct adl_map_rule map;
    const char *arch_name;
    enum adl_precision precision;
    struct adl_shape input;
    double peak_rss_mib; /* after loading and a first run, before the yardstick's matrices */
};

/* --- the network ----------------------------------------------------------------- */

static struct adl_model *open_file(const struct settings *s, struct adl_error *err)
{
    struct adl_model_options load = {.key = s->key};
    struct adl_model *model = adl_arch_load_model(s->model, &s->arch, &load, err);

    if (model && !s->train && adl_model_choose_precision(model, s->precision, s->model, err) < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}

static struct adl_model *open_model(const struct settings *s, struct adl_error *err)
{
    struct adl_arch arch;
    bool given;

    if (s->model)
        return open_file(s, err);
    if (adl_arch_settings_get(&s->arch, &arch, &given, err) < 0)
        return NULL;
    if (!given) {
        adl_fail(err, ADL_ERR_ARG, "--arch ARCH or --model FILE is required");
        return NULL;
    }
    int side = s->size ? s->size : 224;
    struct adl_model *model = adl_bench_model(&arch, side, err);
    int result = 0;
    if (model && s->train)
        return model;
    if (model && s->precision == 1 + ADL_PRECISION_INT8)
        result = adl_bench_model_scales(model, err);
    else if (model && s->precision == 1 + ADL_PRECISION_BF16)
        result = adl_model_round_bf16(model, err);
    if (result < 0) {
        adl_model_free(model);
        return NULL;
    }
    return model;
}

/* --- measuring ------------------------------------------------------------------- */

static double smallest(struct adl_bench_times times)
{
    double least = times.ms[0];
    for (size_t i = 1; i < times.count; i++)
        least = fmin(least, times.ms[i]);
    return least;
}

/* Adds the class map of a view of one image, for the best class of the plain view. */
static void localize(void *context, size_t index, int worker)
{
    struct bench *bench = context;
    const struct adl_view_run *run = &bench->run;
    struct adl_shape logits = adl_plan_output_shape(bench->plan, ADL_OUTPUT_LOGITS);
    size_t cells = (size_t)run->map_h * (size_t)run->map_w;

    (void)worker;
    if (bench->view == 0)
        adl_top_k(adl_session_output(run->items[0].session, ADL_OUTPUT_LOGITS, (int)index),
                  (size_t)logits.c, 1, &bench->classes[index]);
    adl_view_add(run, bench->view, (int)index, (int)bench->classes[index], &bench->map,
                 bench->cams + index * cells);
}

/* Computes the logits and class maps of a batch; returns milliseconds. */
static double run_batch(struct bench *bench, struct adl_pool *pool)
{
    uint64_t start = adl_clock_ns();
    for (bench->view = 0; bench->view < bench->run.count; bench->view++) {
        adl_session_run(bench->run.items[bench->view].session, bench->settings->batch);
        adl_pool_for(pool, (size_t)bench->settings->batch, localize, bench);
    }
    return adl_clock_ms(start, adl_clock_ns());
}

/* Runs once, so that every page has been touched; the resident size is then the memory that
 * running takes. */
static int warm_up(struct bench *bench, struct adl_pool *pool, struct adl_error *err)
{
    uint64_t state = 0x2545F4914F6CDD1DULL;
    size_t batch = (size_t)bench->settings->batch;

    bench->cams =
        adl_malloc(batch * (size_t)(bench->run.map_h * bench->run.map_w), sizeof *bench->cams);
    bench->classes = adl_malloc(batch, sizeof *bench->classes);
    if (!bench->cams || !bench->classes)
        return adl_fail_nomem(err, "measurements");
    for (int view = 0; view < bench->run.count; view++) {
        struct adl_session *session = bench->run.items[view].session;
        size_t count = adl_shape_count(adl_plan_input_shape(adl_session_plan(session)));
        for (size_t i = 0; i < batch; i++)
            for (size_t j = 0; j < count; j++)
                adl_session_input(session, (int)i)[j] = 2 * adl_bench_random_unit(&state);
    }
    run_batch(bench, pool);
    bench->peak_rss_mib = adl_peak_rss_mib();
    return 0;
}

/* Runs until --runs or --seconds is reached, but at least three times. */
static int measure(struct bench *bench, struct adl_pool *pool, struct adl_error *err)
{
    const struct settings *s = bench->settings;
    size_t most = s->runs ? (size_t)s->runs : MAX_RUNS;
    double spent_ms = 0, yardstick_ms = 0;
    enum adl_isa isa;

    bench->runs.ms = adl_malloc(most, sizeof *bench->runs.ms);
    if (!bench->runs.ms)
        return adl_fail_nomem(err, "measurements");
    if (adl_isa_choose(ADL_ISA_AUTO, &isa, err) < 0 ||
        adl_bench_yardstick_create(&bench->yardstick, adl_kernels_for(isa), most, err) < 0)
        return -1;
    while (bench->runs.count < most &&
           (bench->runs.count < 3 || s->runs || spent_ms < s->seconds * 1000)) {
        double ms = run_batch(bench, pool);
        bench->runs.ms[bench->runs.count++] = ms;
        spent_ms += ms;
        if (bench->runs.count <= 3 || yardstick_ms * RUNS_PER_YARDSTICK < spent_ms)
            yardstick_ms += adl_bench_yardstick_measure(&bench->yardstick);
    }
    return 0;
}

/* Measures each step of the plan, and of a second plan that uses the next best
 * algorithm for each convolution. The model is loaded again for the second plan,
 * because the first has consumed the weights. */
static int measure_layers(struct bench *bench, struct adl_pool *pool, struct adl_session *session,
                          struct adl_error *err)
{
    struct adl_plan_options options = {
        .input_h = bench->input.h,
        .input_w = bench->input.w,
        .conv_rank = 1,
    };
    struct adl_session *other = NULL;
    int result = -1;

    bench->other_model = open_model(bench->settings, err);
    if (!bench->other_model)
        return -1;
    bench->other_plan = adl_model_into_plan(bench->other_model, &options, err);
    if (bench->other_plan)
        other = adl_session_create(bench->other_plan, pool, bench->settings->batch, err);
    if (other)
        result =
            adl_bench_layers_measure(&bench->layers, session, other, bench->settings->batch, err);
    adl_session_free(other);
    return result;
}

static struct adl_model *open_again(const void *context, struct adl_error *err)
{
    return open_model(context, err);
}

static int measure_algorithms(struct bench *bench, struct adl_pool *pool, struct adl_error *err)
{
    const struct adl_bench_tune_options options = {.open = open_again,
                                                   .context = bench->settings,
                                                   .input = bench->input,
                                                   .batch = bench->settings->batch,
                                                   .pool = pool,
                                                   .seconds = bench->settings->seconds};
    return adl_bench_tune_measure(&bench->tune, &options, err);
}

/* --- results ----------------------------------------------------------------------- */

struct summary {
    double min_ms, median_ms; /* per image */
    double gflops;            /* at the median, all threads */
    double fma_gflops;        /* the peak of one thread */
    double peak_fraction;     /* gflops per thread / fma_gflops */
    double sgemm_gflops;      /* of OpenBLAS's product on one thread */
    double ratio;             /* gflops per thread / sgemm_gflops */
};

static struct summary summarise(struct bench *bench)
{
    double batch = bench->settings->batch;
    double flops = 0;
    struct summary out;

    for (int i = 0; i < bench->run.count; i++)
        flops += 2 * (double)adl_plan_macs(adl_session_plan(bench->run.items[i].session));

    out.min_ms = smallest(bench->runs) / batch;
    out.median_ms = adl_bench_median(bench->runs) / batch;
    out.gflops = flops * 1e-6 / out.median_ms;
    out.fma_gflops = adl_bench_fma_gflops(&bench->yardstick);
    out.peak_fraction = out.gflops / bench->threads / out.fma_gflops;
    out.sgemm_gflops = adl_bench_sgemm_gflops(&bench->yardstick);
    out.ratio = out.gflops / bench->threads / out.sgemm_gflops;
    return out;
}

static int print_json(const struct bench *bench, const struct summary *sum, struct adl_error *err)
{
    json_t *root = json_pack(
        "{s:s, s:i, s:i, s:s, s:s, s:s, s:[i, i], s:i, s:{s:f, s:f}, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:I, s:I}",
        "arch", bench->arch_name, "batch", bench->settings->batch, "threads", bench->threads, "cpu",
        adl_cpu_name(), "isa", adl_plan_isa_name(bench->plan), "precision",
        adl_precision_names[bench->precision], "size", bench->input.h, bench->input.w, "runs",
        (int)bench->runs.count, "ms_per_image", "min", sum->min_ms, "median", sum->median_ms,
        "gflops", sum->gflops, "fma_gflops", sum->fma_gflops, "peak_share", sum->peak_fraction,
        "sgemm_gflops", sum->sgemm_gflops, "ratio_to_sgemm", sum->ratio, "peak_rss_mib",
        bench->peak_rss_mib, "weights_bytes", (json_int_t)adl_plan_weight_bytes(bench->plan),
        "arena_bytes", (json_int_t)adl_plan_arena_bytes(bench->plan));
    int result = -1;

    if (root && bench->layers.ms &&
        json_object_set_new(root, "layers", adl_bench_layers_json(&bench->layers)) < 0) {
        json_decref(root);
        root = NULL;
    }
    if (root && bench->tune.count &&
        json_object_set_new(root, "tune", adl_bench_tune_json(&bench->tune)) < 0) {
        json_decref(root);
        root = NULL;
    }
    if (!root)
        return adl_fail_nomem(err, "JSON");
    result = adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
    json_decref(root);
    return result;
}

static void print_table(const struct bench *bench, const struct summary *sum)
{
    printf("%s, %dx%d, batch %d, %d thread%s, %s (%s)\n", bench->arch_name, bench->input.h,
           bench->input.w, bench->settings->batch, bench->threads, ADL_S(bench->threads),
           adl_cpu_name(), adl_plan_isa_name(bench->plan));
    printf("%.2f ms per image (median of %zu runs), %.2f ms minimum\n", sum->median_ms,
           bench->runs.count, sum->min_ms);
    printf("%.1f GFLOP/s; each thread reaches %.2f of its peak, %.1f, and %.2f of the speed of\n"
           "OpenBLAS's matrix product, %.1f\n",
           sum->gflops, sum->peak_fraction, sum->fma_gflops, sum->ratio, sum->sgemm_gflops);
    printf("%.1f MiB of weights, %.1f MiB per image being processed, %.0f MiB peak resident size\n",
           (double)adl_plan_weight_bytes(bench->plan) / (double)ADL_MIB,
           (double)adl_plan_arena_bytes(bench->plan) / (double)ADL_MIB, bench->peak_rss_mib);
    if (bench->layers.ms)
        adl_bench_layers_print(&bench->layers);
    if (bench->tune.count)
        adl_bench_tune_print(&bench->tune);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct bench bench = {.settings = s};
    struct adl_pool *pool = NULL;
    struct adl_views *views = NULL;
    int result = -1;

    (void)options;
    struct adl_model *model = open_model(s, err);
    if (!model)
        goto out;
    bench.arch_name = model->arch.backbone->name;
    bench.precision = model->precision;
    bench.map = model->map;
    bench.input = (struct adl_shape){s->size ? s->size : model->input_h,
                                     s->size ? s->size : model->input_w, 3};
    bench.threads = s->threads ? s->threads : adl_pool_default_threads();
    if (s->train && (s->layers || s->tune)) {
        adl_fail(err, ADL_ERR_ARG, "%s and --train exclude each other",
                 s->layers ? "--layers" : "--tune");
        goto out;
    }
    if (s->train && (s->precision == 0 ? model->precision != ADL_PRECISION_F32
                                       : s->precision == 1 + ADL_PRECISION_INT8)) {
        adl_fail(err, ADL_ERR_ARG,
                 "a training step is measured in fp32 or bf16: --precision fp32, --precision bf16");
        goto out;
    }
    if (s->train) {
        bool bf16 = s->precision == 1 + ADL_PRECISION_BF16;
        struct adl_bench_train train = {
            model,   bench.input.h, s->batch, bench.threads,
            s->runs, s->seconds,    s->json,  bf16 ? ADL_TAPE_BF16 : ADL_TAPE_SHARED};
        result = adl_bench_train(&train, err);
        goto out;
    }
    struct adl_plan_options plan_options = {.input_h = bench.input.h, .input_w = bench.input.w};
    bench.plan = adl_model_into_plan(model, &plan_options, err);
    if (!bench.plan)
        goto out;
    pool = adl_pool_create(bench.threads, err);
    if (!pool)
        goto out;
    views = adl_model_open_views(model, bench.plan, pool, s->batch, err);
    if (!views)
        goto out;
    ADL_TRY(adl_views_prepare(views, &bench.map, false, &bench.run, err));
    ADL_TRY(warm_up(&bench, pool, err));
    ADL_TRY(measure(&bench, pool, err));
    if (s->layers)
        ADL_TRY(measure_layers(&bench, pool, adl_views_session(views), err));
    if (s->tune)
        ADL_TRY(measure_algorithms(&bench, pool, err));

    struct summary sum = summarise(&bench);
    if (s->json) {
        ADL_TRY(print_json(&bench, &sum, err));
    } else {
        print_table(&bench, &sum);
    }
    result = 0;
out:
    adl_free(bench.runs.ms);
    adl_free(bench.cams);
    adl_free(bench.classes);
    adl_bench_yardstick_free(&bench.yardstick);
    adl_bench_layers_release(&bench.layers);
    adl_bench_tune_release(&bench.tune);
    adl_views_free(views);
    adl_pool_free(pool);
    adl_plan_unref(bench.plan);
    adl_plan_unref(bench.other_plan);
    adl_model_free(model);
    adl_model_free(bench.other_model);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings,
                     .help = "model file or weights; without it, --arch with random weights"),
    ADL_OPTION_BATCH(struct settings, "1"),
    {"size", ADL_INT(struct settings, size), .min = 1, .max = ADL_LIMIT_INPUT_SIDE,
     .metavar = "PIXELS", .default_note = "the model's, or 224",
     .help = "side of the square input"},
    ADL_OPTION_THREADS(struct settings, .help = "number of threads"),
    {"runs", ADL_INT(struct settings, runs), .min = 1, .max = MAX_RUNS, .metavar = "N",
     .default_note = "as many as fit in --seconds", .help = "number of runs"},
    {"seconds", ADL_DOUBLE(struct settings, seconds), .value = "3", .min = 0.01, .max = 3600,
     .metavar = "S", .help = "duration of the measurement"},
    ADL_OPTION_PRECISION(struct settings),
    {"layers", ADL_FLAG(struct settings, layers),
     .help = "print each step of the plan, and the next best algorithm for it"},
    {"tune", ADL_FLAG(struct settings, tune),
     .help = "measure every algorithm for every convolution, and print where the fastest one is "
             "not the one that is used"},
    {"train", ADL_FLAG(struct settings, train),
     .help = "measure a training step: forward, backward, update; with --method also its cost "
             "beside cam"},
    ADL_OPTION_JSON(struct settings),
    ADL_OPTION_KEY(struct settings),
    ADL_ARCH_OPTIONS(struct settings, arch),
    {0},
};

const struct adl_command adl_command_bench = {
    .name = "bench",
    .summary = "Measure how fast a network runs on this machine",
    .usage = "--arch ARCH|--model FILE [options]",
    .description = "Times whole batches after a warm-up run and prints milliseconds per image, "
                   "including the class map of each image's best class. Between the runs, one "
                   "thread measures the peak speed of multiply-adds in registers and of OpenBLAS's "
                   "product of two 1024x1024 matrices; the ratios compare the network's speed per "
                   "thread with these.",
    .examples = "  adl-server bench --arch resnet50 --threads 1 --layers\n"
                "  adl-server bench --model m.safetensors --batch 8 --json\n"
                "  adl-server bench --arch vgg16 --method adl --train --batch 16\n",
    .options = table,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
