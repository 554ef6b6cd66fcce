/* tasks/evaluate.h and `eval`: the figures of the reference from score maps on disk,
 * and those of a small network whose predictions are known for each image. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "image/image.h"
#include "io/file.h"
#include "io/npy.h"
#include "models/file/save.h"
#include "models/model.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/golden.h"
#include "support/scratch.h"
#include "wsol/cam.h"
#include "wsol/map_rule.h"

/* --- a directory on disk --------------------------------------------------------------- */

static void new_root(const char *name)
{
    static const char *const folders[] = {"images", "maps", "metadata", "metadata/test", NULL};
    char unique[100];
    snprintf(unique, sizeof unique, "eval-%s", name);
    scratch_open(unique, folders);
}

static struct adl_dataset *open_root(void)
{
    struct adl_error err = {0};
    const struct adl_dataset_options options = {.dir = scratch_root(), .split = "test"};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

/* --- score maps of the reference ------------------------------------------------------- */

enum { SIDE = 224 };

/* Writes the golden maps as .npy, every other one without the extension of its id. */
static json_t *write_golden(const char *name)
{
    json_t *golden = golden_load("metrics/evaluator.json"), *rows;
    const char *id;
    int n = 0;
    new_root(name);
    CU_ASSERT_FATAL(golden != NULL);
    double *map = adl_malloc((size_t)SIDE * SIDE, sizeof *map);
    json_object_foreach(golden_get(golden, "maps_14x14"), id, rows)
    {
        struct adl_error err = {0};
        size_t count, corners;
        char file[100];
        double *small = golden_doubles(rows, &count);
        int *size = golden_ints(golden_get(golden_get(golden, "image_sizes"), id), &count);
        int *boxes = golden_ints(golden_get(golden_get(golden, "gt_boxes_original"), id), &corners);
        TEST_OK(adl_scoremap_resize(small, 14, 14, map, SIDE, SIDE, &err), &err);
        adl_map_normalise(&(struct adl_map_rule){0}, map, (size_t)SIDE * SIDE);
        snprintf(file, sizeof file, "maps/%s%s.npy", id, n++ % 2 ? ".jpg" : "");
        TEST_OK(adl_npy_write(scratch_path("%s", file), ADL_NPY_F64, map, SIDE, SIDE, &err), &err);
        scratch_append("metadata/test/image_ids.txt", "%s.jpg\n", id);
        scratch_append("metadata/test/class_labels.txt", "%s.jpg,0\n", id);
        scratch_append("metadata/test/image_sizes.txt", "%s.jpg,%d,%d\n", id, size[0], size[1]);
        for (size_t i = 0; i + 4 <= corners; i += 4)
            scratch_append("metadata/test/localization.txt", "%s.jpg,%d,%d,%d,%d\n", id, boxes[i],
                           boxes[i + 1], boxes[i + 2], boxes[i + 3]);
        adl_free(small);
        adl_free(size);
        adl_free(boxes);
    }
    adl_free(map);
    return golden;
}

static void figures_through_files_equal_the_reference(void)
{
    json_t *golden = write_golden("golden");
    const json_t *expected = golden_get(golden, "expected");
    struct adl_dataset *d = open_root();
    for (int threads = 1; threads <= 3; threads += 2) {
        struct adl_error err = {0};
        struct adl_pool *pool = adl_pool_create(threads, &err);
        struct adl_evaluate_options options = {.curve_interval = 0.01, .map.threshold = 0.2};
        struct adl_evaluate_report r = {0};
        TEST_OK(adl_evaluate_scoremaps(d, scratch_path("maps"), pool, &options, &r, &err), &err);
        CU_ASSERT(r.images == 24 && r.errors == 0 && !r.classified && r.localized && !r.both);
        const json_t *v1 = golden_get(expected, "max_box_acc_interval_0.01");
        const json_t *v2 = golden_get(expected, "v2_interval_0.01");
        CU_ASSERT_EQUAL(r.figures.max_box_acc, golden_double(v1, "mean"));
        CU_ASSERT_DOUBLE_EQUAL(r.figures.max_box_acc_v2, golden_double(v2, "mean"), 1e-12);
        for (size_t i = 0; i < ADL_EVAL_IOUS; i++)
            CU_ASSERT_DOUBLE_EQUAL(r.figures.max_box_acc_v2_iou[i],
                                   json_number_value(json_array_get(golden_get(v2, "per_iou"), i)),
                                   1e-12);
        /* The threshold 0.2 is the 21st of the list. */
        const json_t *curve = golden_get(golden_get(v1, "correct_at_threshold"), "50");
        CU_ASSERT_DOUBLE_EQUAL(r.figures.gt_known_loc,
                               json_number_value(json_array_get(curve, 20)) / 24 * 100, 1e-12);
        CU_ASSERT(r.class_count == 1 && r.classes[0].images == 24);
        CU_ASSERT_EQUAL((double)r.classes[0].gt_known,
                        json_number_value(json_array_get(curve, 20)));
        adl_evaluate_report_release(&r);
        adl_pool_free(pool);
    }
    adl_dataset_free(d);
    json_decref(golden);
}

static void refused_maps(struct adl_dataset *d, enum adl_error_kind kind, const char *part)
{
    struct adl_evaluate_options options = {.curve_interval = 0.1, .map.threshold = 0.2};
    struct adl_evaluate_report r = {0};
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_evaluate_scoremaps(d, scratch_path("maps"), NULL, &options, &r, &err), -1);
    CU_ASSERT_PTR_NULL(r.classes);
    if (err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("%s \"%s\", expected %s with \"%s\"", test_error_kind(err.kind), err.message,
                  test_error_kind(kind), part);
}

static void unfit_maps_are_refused(void)
{
    static double values[4] = {0, 0.5, 0.25, 1};
    struct adl_error err = {0};
    new_root("unfit");
    scratch_append("metadata/test/image_ids.txt", "a/b.c/x\n");
    scratch_append("metadata/test/class_labels.txt", "a/b.c/x,0\n");
    struct adl_dataset *d = open_root();
    refused_maps(d, ADL_ERR_FORMAT, "has no boxes");
    adl_dataset_free(d);
    scratch_append("metadata/test/localization.txt", "a/b.c/x,0,0,1,1\n");
    d = open_root();
    refused_maps(d, ADL_ERR_NOT_FOUND, "images/a/b.c/x"); /* no size either */
    adl_dataset_free(d);
    scratch_append("metadata/test/image_sizes.txt", "a/b.c/x,4,4\n");
    d = open_root();
    refused_maps(d, ADL_ERR_NOT_FOUND, "maps/a/b.c/x.npy");
    mkdir(scratch_path("maps/a"), 0777);
    mkdir(scratch_path("maps/a/b.c"), 0777);
    scratch_append("maps/a/b.c/x.npy", "no array");
    refused_maps(d, ADL_ERR_FORMAT, "x.npy: is not a .npy file");
    values[0] = 1.5;
    TEST_OK(adl_npy_write(scratch_path("maps/a/b.c/x.npy"), ADL_NPY_F64, values, 2, 2, &err), &err);
    refused_maps(d, ADL_ERR_FORMAT, "x.npy: ");
    values[0] = NAN;
    TEST_OK(adl_npy_write(scratch_path("maps/a/b.c/x.npy"), ADL_NPY_F64, values, 2, 2, &err), &err);
    refused_maps(d, ADL_ERR_FORMAT, "x.npy: ");
    values[0] = 0;
    TEST_OK(adl_npy_write(scratch_path("maps/a/b.c/x.npy"), ADL_NPY_F32, values, 2, 2, &err), &err);
    struct adl_evaluate_options options = {.curve_interval = 0.1, .map.threshold = 0.2};
    struct adl_evaluate_report r = {0};
    TEST_OK(adl_evaluate_scoremaps(d, scratch_path("maps"), NULL, &options, &r, &err), &err);
    /* The box is the whole map; the true one is at most a corner of it. */
    CU_ASSERT(r.images == 1 && r.figures.max_box_acc_v2 <= 100);
    adl_evaluate_report_release(&r);
    adl_dataset_free(d);
}

/* --- a network --------------------------------------------------------------------------- */

enum { IMAGES = 11, BROKEN = 7, CLASSES = 8, INPUT = 64 };

static struct {
    struct adl_model *model;
    struct adl_plan *plan;
    size_t top[IMAGES][CLASSES]; /* classes of each image by its logits */
} net;

static void fill_weights(struct adl_model *model)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 11, 0, 0);
    for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        const struct adl_tensor *tensor = adl_tensors_find(model->weights, param->name);
        float *data = tensor->data;
        bool weight =
            param->role == ADL_PARAM_CONV_WEIGHT || param->role == ADL_PARAM_LINEAR_WEIGHT;
        for (size_t i = 0; weight && i < param->count; i++)
            data[i] = (float)(adl_rng_normal(&rng) *
                              sqrt(2.0 * (double)param->shape[0] / (double)param->count));
    }
}

static struct adl_image make_image(int i)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_rng rng;
    adl_rng_seed(&rng, 12, 0, (uint64_t)i);
    int tint[3];
    for (int c = 0; c < 3; c++)
        tint[c] = (int)adl_rng_below(&rng, 200);
    TEST_OK(adl_image_init(&image, 50 + i, 70 - i, &err), &err);
    for (size_t k = 0; k < (size_t)image.width * (size_t)image.height * 3; k++)
        image.rgb[k] = (uint8_t)(tint[k % 3] + (int)adl_rng_below(&rng, 56));
    return image;
}

/* The predictions for each image, computed one by one. */
static void ask_network(void)
{
    struct adl_error err = {0};
    struct adl_session *session = adl_session_create(net.plan, NULL, 1, &err);
    CU_ASSERT_FATAL(session != NULL);
    for (int i = 0; i < IMAGES; i++) {
        struct adl_image image = make_image(i), small;
        TEST_OK(adl_image_resize(&image, INPUT, INPUT, &small, &err), &err);
        adl_image_to_input(&small, net.model->mean, net.model->std, adl_session_input(session, 0));
        adl_session_run(session, 1);
        adl_top_k(adl_session_output(session, ADL_OUTPUT_LOGITS, 0), CLASSES, CLASSES, net.top[i]);
        adl_image_release(&image);
        adl_image_release(&small);
    }
    adl_session_free(session);
}

/* Image i gets as label the class that the network ranks at i % 3 * 3: first, fourth
 * (still among the top five) or seventh. One file is truncated. */
static void make_network_and_data(const char *name, bool boxes)
{
    const struct adl_backbone *backbone = NULL;
    struct adl_error err = {0};
    struct adl_arch arch;
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        if (!strcmp((*b)->name, "mobilenet_v1"))
            backbone = *b;
    CU_ASSERT_FATAL(backbone != NULL);
    adl_arch_init(&arch, backbone);
    arch.width = 0.25;
    arch.num_classes = CLASSES;
    net.model = adl_model_create(&arch, INPUT, INPUT, &err);
    CU_ASSERT_FATAL(net.model != NULL);
    if (!net.model)
        return;
    fill_weights(net.model);
    const struct adl_plan_options how = {.input_h = INPUT, .input_w = INPUT};
    net.plan = adl_plan_create(net.model->graph, net.model->params, &how, &err);
    CU_ASSERT_FATAL(net.plan != NULL);
    ask_network();

    new_root(name);
    for (int i = 0; i < IMAGES; i++) {
        struct adl_image image = make_image(i);
        char file[64];
        size_t length;
        void *png;
        TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
        snprintf(file, sizeof file, "images/%d.png", i);
        struct adl_file_piece piece = {png, i == BROKEN ? length / 2 : length};
        TEST_OK(adl_file_write(scratch_path("%s", file), &piece, 1, &err), &err);
        scratch_append("metadata/test/image_ids.txt", "%d.png\n", i);
        scratch_append("metadata/test/class_labels.txt", "%d.png,%zu\n", i, net.top[i][i % 3 * 3]);
        scratch_append("metadata/test/image_sizes.txt", "%d.png,%d,%d\n", i, image.width,
                       image.height);
        if (boxes)
            scratch_append("metadata/test/localization.txt", "%d.png,%d,%d,%d,%d\n", i, i, 5,
                           30 + i, 40);
        adl_image_release(&image);
        adl_free(png);
    }
}

static void drop_network(void)
{
    adl_plan_unref(net.plan);
    adl_model_free(net.model);
}

struct told {
    int broken, asked, stop_at;
    char reason[600];
};

static void tell(void *context, const char *reason)
{
    struct told *told = context;
    told->broken++;
    snprintf(told->reason, sizeof told->reason, "%s", reason);
}

static bool stopped(void *context)
{
    struct told *told = context;
    return ++told->asked == told->stop_at;
}

static struct adl_evaluate_options settings(struct told *told)
{
    struct adl_evaluate_options options = {.curve_interval = 0.01,
                                           .map.threshold = 0.3,
                                           .broken = tell,
                                           .report_context = told,
                                           .stopped = stopped,
                                           .stop_context = told};
    memcpy(options.mean, net.model->mean, sizeof options.mean);
    memcpy(options.std, net.model->std, sizeof options.std);
    return options;
}

static int evaluate(struct adl_dataset *d, int batch, int threads,
                    const struct adl_evaluate_options *options, struct adl_evaluate_report *report,
                    struct adl_error *err)
{
    struct adl_pool *pool = adl_pool_create(threads, err);
    struct adl_views *views = pool ? adl_views_create(net.plan, NULL, pool, batch, err) : NULL;
    int result = views ? adl_evaluate_views(d, views, batch, pool, options, report, err) : -1;
    adl_views_free(views);
    adl_pool_free(pool);
    return result;
}

static void a_network_is_measured_image_by_image(void)
{
    struct told told = {0};
    struct adl_error err = {0};
    struct adl_evaluate_report r = {0}, again = {0};
    make_network_and_data("network", true);
    struct adl_dataset *d = open_root();
    struct adl_evaluate_options options = settings(&told);
    options.scoremaps = scratch_path("maps");
    TEST_OK(evaluate(d, 4, 2, &options, &r, &err), &err);
    CU_ASSERT(r.images == IMAGES && r.errors == 1 && r.classified && r.localized && r.both);
    CU_ASSERT(told.broken == 1 && strstr(told.reason, "images/7.png"));
    /* Images 0 3 6 9 rank first, 1 4 10 fourth (7 is broken), 2 5 8 seventh. */
    CU_ASSERT_DOUBLE_EQUAL(r.figures.top1_cls, 4 * 100.0 / IMAGES, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(r.figures.top5_cls, 7 * 100.0 / IMAGES, 1e-12);
    CU_ASSERT(r.figures.top1_loc <= r.figures.top5_loc);
    CU_ASSERT(r.figures.top5_loc <= r.figures.gt_known_loc);
    CU_ASSERT(r.figures.max_box_acc >= r.figures.gt_known_loc);
    struct adl_evaluate_class sum = {0};
    for (size_t i = 0; i < r.class_count; i++) {
        sum.images += r.classes[i].images;
        sum.errors += r.classes[i].errors;
        sum.top1 += r.classes[i].top1;
        sum.gt_known += r.classes[i].gt_known;
        sum.top5_loc += r.classes[i].top5_loc;
    }
    CU_ASSERT(sum.images == IMAGES && sum.errors == 1 && sum.top1 == 4);
    CU_ASSERT_DOUBLE_EQUAL(r.figures.gt_known_loc, (double)sum.gt_known * 100 / IMAGES, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(r.figures.top5_loc, (double)sum.top5_loc * 100 / IMAGES, 1e-12);

    /* The figures depend neither on threads nor on batches. */
    options.scoremaps = NULL;
    TEST_OK(evaluate(d, 1, 1, &options, &again, &err), &err);
    CU_ASSERT_EQUAL(again.figures.top1_cls, r.figures.top1_cls);
    CU_ASSERT_EQUAL(again.figures.top5_loc, r.figures.top5_loc);
    CU_ASSERT_EQUAL(again.figures.max_box_acc, r.figures.max_box_acc);
    CU_ASSERT_EQUAL(again.figures.max_box_acc_v2, r.figures.max_box_acc_v2);
    CU_ASSERT_EQUAL(again.figures.best_threshold, r.figures.best_threshold);
    adl_evaluate_report_release(&again);

    /* The maps on disk give the same figures, except for the broken image: it has none, and
     * what would hit nothing stands in for it. */
    double *zeros = adl_calloc((size_t)INPUT * INPUT, sizeof *zeros);
    TEST_OK(adl_npy_write(scratch_path("maps/7.png.npy"), ADL_NPY_F64, zeros, INPUT, INPUT, &err),
            &err);
    adl_free(zeros);
    TEST_OK(adl_evaluate_scoremaps(d, scratch_path("maps"), NULL, &options, &again, &err), &err);
    CU_ASSERT_EQUAL(again.figures.gt_known_loc, r.figures.gt_known_loc);
    CU_ASSERT_EQUAL(again.figures.max_box_acc, r.figures.max_box_acc);
    CU_ASSERT_EQUAL(again.figures.max_box_acc_v2, r.figures.max_box_acc_v2);
    CU_ASSERT_EQUAL(again.figures.best_threshold, r.figures.best_threshold);
    adl_evaluate_report_release(&again);
    adl_evaluate_report_release(&r);

    options.limit = 4; /* 0 2 5 8 */
    TEST_OK(evaluate(d, 3, 1, &options, &r, &err), &err);
    CU_ASSERT(r.images == 4 && r.figures.top1_cls == 25);
    adl_evaluate_report_release(&r);

    told = (struct told){.stop_at = 2};
    options.limit = 0;
    CU_ASSERT_EQUAL(evaluate(d, 4, 1, &options, &r, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_CANCELLED);
    adl_dataset_free(d);
    drop_network();
}

static void without_boxes_only_classes_count(void)
{
    struct told told = {0};
    struct adl_error err = {0};
    struct adl_evaluate_report r = {0};
    make_network_and_data("labels", false);
    struct adl_dataset *d = open_root();
    struct adl_evaluate_options options = settings(&told);
    TEST_OK(evaluate(d, 4, 2, &options, &r, &err), &err);
    CU_ASSERT(r.classified && !r.localized && !r.both && r.errors == 1);
    CU_ASSERT_DOUBLE_EQUAL(r.figures.top1_cls, 4 * 100.0 / IMAGES, 1e-12);
    adl_evaluate_report_release(&r);

    d->image_dir = "/nonexistent";
    CU_ASSERT_EQUAL(evaluate(d, 4, 1, &options, &r, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "not one of 11 images"));
    adl_error_clear(&err);
    d->class_count = CLASSES + 1;
    CU_ASSERT_EQUAL(evaluate(d, 4, 1, &options, &r, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_error_clear(&err);
    d->count = 0;
    CU_ASSERT_EQUAL(evaluate(d, 4, 1, &options, &r, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_dataset_free(d);
    drop_network();
}

static void survives_no_memory(void)
{
    struct told told = {0};
    struct adl_error err = {0};
    struct adl_evaluate_report r = {0};
    make_network_and_data("starved", true);
    struct adl_dataset *d = open_root();
    struct adl_pool *pool = adl_pool_create(2, &err);
    struct adl_views *views = adl_views_create(net.plan, NULL, pool, 2, &err);
    struct adl_evaluate_options options = settings(&told);
    options.limit = 2; /* 0 5 */
    options.curve_interval = 0.25;
    CU_ASSERT_FATAL(views != NULL);
    /* A first run without failures, so that the pool's threads have started. */
    TEST_OK(adl_evaluate_views(d, views, 2, pool, &options, &r, &err), &err);
    adl_evaluate_report_release(&r);
    for (int pass = 0; pass < 2; pass++) {
        struct adl_mem_stats before = adl_mem_stats();
        int result = -1;
        uint64_t n = 0;
        options.scoremaps = pass ? NULL : scratch_path("maps");
        while (result < 0 && ++n < 2000) {
            adl_error_clear(&err);
            adl_mem_fail_nth(n);
            result = pass
                         ? adl_evaluate_scoremaps(d, scratch_path("maps"), pool, &options, &r, &err)
                         : adl_evaluate_views(d, views, 2, pool, &options, &r, &err);
            adl_mem_fail_nth(0);
            if (result < 0 && err.kind != ADL_ERR_NOMEM) {
                TEST_FAIL("allocation %d: %s", (int)n, err.message);
                break;
            }
        }
        CU_ASSERT(result == 0 && n > 10);
        CU_ASSERT_EQUAL(told.broken, 0);
        if (result == 0)
            adl_evaluate_report_release(&r);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    }
    adl_views_free(views);
    adl_pool_free(pool);
    adl_dataset_free(d);
    drop_network();
}

/* --- the command --------------------------------------------------------------------------- */

/* Runs `eval` with these arguments; its output goes to eval.out. */
static int run_eval(struct adl_error *err, const char *const *arguments)
{
    return command_call(&adl_command_eval, arguments, "eval.out", err);
}

static void wrong_usage_is_refused(void)
{
    static const struct {
        const char *arguments[8];
        const char *part;
    } cases[] = {
        {{"--model", "m"}, "--data DIR or --metadata DIR is required"},
        {{"--data", "d", "--model", "m", "--from-scoremaps", "s"}, "exclude each other"},
        {{"--data", "d", "--scoremaps", "s", "--from-scoremaps", "s"}, "exclude each other"},
        {{"--metadata", "d", "--model", "m"}, "--images DIR is required"},
        {{"--data", "d", "--model", "m", "--cam-curve-interval", "0"}, "cam-curve-interval"},
    };
    new_root("usage");
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(run_eval(&err, cases[i].arguments), -1);
        if (err.kind != ADL_ERR_ARG || !strstr(err.message, cases[i].part))
            TEST_FAIL("\"%s\" has no \"%s\"", err.message, cases[i].part);
    }
}

static void the_command_prints_the_figures(void)
{
    static const char *const keys[] = {"images",
                                       "top1_cls",
                                       "top5_cls",
                                       "gt_known_loc",
                                       "top1_loc",
                                       "top5_loc",
                                       "max_box_acc",
                                       "max_box_acc_v2",
                                       "best_threshold",
                                       "centred_square_acc",
                                       "centred_square_acc_v2",
                                       "model_threshold",
                                       "ece_cls",
                                       "ece_cls_chance",
                                       "temperature",
                                       "errors",
                                       "seconds"};
    struct adl_error err = {0};
    char model[600], metadata[600], maps[600];
    make_network_and_data("command", true);
    snprintf(model, sizeof model, "%s", scratch_path("model.safetensors"));
    snprintf(metadata, sizeof metadata, "%s", scratch_path("metadata"));
    snprintf(maps, sizeof maps, "%s", scratch_path("maps"));
    TEST_OK(adl_model_save(net.model, model, &err), &err);
    const char *const with_model[] = {
        "--model", model, "--data", scratch_root(), "--json", "--per-class", "--limit", "4", NULL};
    TEST_OK(run_eval(&err, with_model), &err);
    json_t *json = json_load_file(scratch_path("eval.out"), 0, NULL);
    CU_ASSERT_FATAL(json != NULL);
    for (size_t i = 0; i < ADL_COUNT(keys); i++)
        CU_ASSERT(json_is_number(json_object_get(json, keys[i])));
    CU_ASSERT(json_is_null(json_object_get(json, "ece_box"))); /* the model is not calibrated */
    for (int mode = 0; mode < 3; mode++)
        for (int several = 0; several < 2; several++) {
            const json_t *of = several ? json_object_get(json, "several") : json;
            const char *name = adl_box_mode_names[mode];
            CU_ASSERT(json_is_number(json_object_get(json_object_get(of, "ap50"), name)));
            CU_ASSERT(json_is_number(json_object_get(json_object_get(of, "f1_50"), name)));
        }
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "images")), 4);
    CU_ASSERT_EQUAL(json_number_value(json_object_get(json, "top1_cls")), 25);
    CU_ASSERT_EQUAL(json_number_value(json_object_get(json, "model_threshold")),
                    net.model->map.threshold);
    CU_ASSERT(json_array_size(json_object_get(json, "per_class")) >= 1);
    json_decref(json);

    const char *const write_maps[] = {
        "--model", model, "--data", scratch_root(), "--scoremaps", maps, "--limit", "1", NULL};
    TEST_OK(run_eval(&err, write_maps), &err);
    const char *const from_maps[] = {"--from-scoremaps", maps,      "--metadata", metadata,
                                     "--json",           "--limit", "1",          NULL};
    TEST_OK(run_eval(&err, from_maps), &err);
    json = json_load_file(scratch_path("eval.out"), 0, NULL);
    CU_ASSERT_FATAL(json != NULL);
    CU_ASSERT(json_is_null(json_object_get(json, "top1_cls")));
    CU_ASSERT(json_is_null(json_object_get(json, "top5_loc")));
    CU_ASSERT(json_is_number(json_object_get(json, "max_box_acc")));
    json_decref(json);

    /* A different number of classes is always refused. */
    scratch_append("classes.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
    CU_ASSERT_EQUAL(run_eval(&err, with_model), -1);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && strstr(err.message, "has 8 classes, but") &&
              strstr(err.message, "has 9;"));
    drop_network();
}

TEST_SUITE(eval,
           {"figures through files equal the reference's",
            figures_through_files_equal_the_reference},
           {"unfit score maps are refused", unfit_maps_are_refused},
           {"a network is measured image by image", a_network_is_measured_image_by_image},
           {"without boxes only classes count", without_boxes_only_classes_count},
           {"evaluating survives running out of memory", survives_no_memory},
           {"wrong usage is refused", wrong_usage_is_refused},
           {"the command prints the figures", the_command_prints_the_figures});
