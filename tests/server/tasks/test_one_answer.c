/* One image, one answer: `train`, `eval`, `localize` and `serve` see the same pixels of a file,
 * whatever its EXIF orientation and its size. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/loader.h"
#include "eval/evaluate.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "io/npy.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "server/tasks/predict.h"
#include "support/formula.h"
#include "support/head.h"
#include "support/http_client.h"
#include "support/image_bytes.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

/* --- orientation --------------------------------------------------------------------- */

enum { SIDE = 96, FLOATS = SIDE * SIDE * 3, FILES = 10 };

static const char *const names[FILES] = {
    "exif_6.png",        "exif_8.webp",       "orientation_1.jpg", "orientation_2.jpg",
    "orientation_3.jpg", "orientation_4.jpg", "orientation_5.jpg", "orientation_6.jpg",
    "orientation_7.jpg", "orientation_8.jpg"};

static const float mean[3] = {0.5F, 0.4F, 0.3F}, std[3] = {0.2F, 0.3F, 0.4F};

static void write_file(const char *path, const void *bytes, size_t length)
{
    struct adl_error err = {0};
    struct adl_file_piece piece = {bytes, length};
    TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
}

/* The golden images in a directory of a class, and the same files in lists. */
static void write_data(void)
{
    scratch_open("one-answer",
                 (const char *const[]){"folder", "folder/cat", "lists", "lists/images",
                                       "lists/metadata", "lists/metadata/all", NULL});
    for (size_t i = 0; i < FILES; i++) {
        struct image_bytes file = image_bytes_load(names[i]);
        write_file(scratch_path("folder/cat/%s", names[i]), file.data, file.length);
        write_file(scratch_path("lists/images/%s", names[i]), file.data, file.length);
        scratch_append("lists/metadata/all/image_ids.txt", "%s\n", names[i]);
        scratch_append("lists/metadata/all/class_labels.txt", "%s,0\n", names[i]);
        free(file.data);
    }
}

/* `exif`: enum adl_dataset_exif. */
static struct adl_dataset *open_data(const char *name, int exif)
{
    struct adl_error err = {0};
    const struct adl_dataset_options options = {
        .dir = scratch_path("%s", name), .split = "all", .exif = exif};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    return d;
}

/* The input that the loader makes of each image, without augmentation, by index. */
static float *load_all(const struct adl_dataset *d)
{
    struct adl_error err = {0};
    struct adl_loader_options options = {
        .augment = {.resize_size = SIDE, .crop_size = SIDE}, .batch = FILES, .threads = 1};
    float *inputs = adl_malloc((size_t)FILES * FLOATS, sizeof *inputs);
    struct adl_batch batch;

    memcpy(options.mean, mean, sizeof mean);
    memcpy(options.std, std, sizeof std);
    struct adl_loader *loader = adl_loader_create(d, &options, &err);
    CU_ASSERT_FATAL(loader != NULL && inputs != NULL);
    adl_loader_start_epoch(loader, 0, 0);
    CU_ASSERT_EQUAL_FATAL(adl_loader_next(loader, &batch, &err), 1);
    CU_ASSERT_EQUAL_FATAL(batch.count, FILES);
    for (size_t i = 0; i < FILES; i++)
        memcpy(inputs + batch.indices[i] * FLOATS, batch.input + i * FLOATS,
               FLOATS * sizeof *inputs);
    adl_loader_free(loader);
    return inputs;
}

/* In a directory per class the loader's input is that of `localize`, which test_image.c compares
 * with the EXIF specification; in lists it is the stored image, one and the same for all
 * JPEGs here, which differ in their tag only. */
static void training_sees_what_localize_sees(void)
{
    write_data();
    struct adl_dataset *folder = open_data("folder", ADL_EXIF_AUTO),
                       *lists = open_data("lists", ADL_EXIF_AUTO);
    CU_ASSERT_FATAL(folder && lists && folder->count == FILES && lists->count == FILES);
    float *turned = load_all(folder), *stored = load_all(lists);
    float *want = adl_malloc(FLOATS, sizeof *want);
    CU_ASSERT_FATAL(want != NULL);
    for (size_t i = 0; i < FILES; i++) {
        struct adl_error err = {0};
        struct adl_predict_input input;
        const struct adl_predict_decode how = {0};
        const struct adl_view_sizes sizes = {.count = 1, .items = {{SIDE, SIDE}}};
        TEST_OK(
            adl_predict_read(scratch_path("folder/cat/%s", names[i]), &how, &sizes, &input, &err),
            &err);
        adl_image_to_input(&input.resized.items[0], mean, std, want);
        if (memcmp(turned + i * FLOATS, want, FLOATS * sizeof *want) != 0)
            TEST_FAIL("%s: training sees other pixels", names[i]);
        if (i > 2)
            CU_ASSERT(!memcmp(stored + i * FLOATS, stored + 2 * FLOATS, FLOATS * sizeof *want));
        adl_predict_input_release(&input);
    }
    CU_ASSERT(!memcmp(stored + 2 * FLOATS, turned + 2 * FLOATS, FLOATS * sizeof *want));
    CU_ASSERT(memcmp(stored + 7 * FLOATS, turned + 7 * FLOATS, FLOATS * sizeof *want) != 0);
    /* The option makes each like the other. */
    adl_dataset_free(folder);
    adl_dataset_free(lists);
    folder = open_data("folder", ADL_EXIF_IGNORE);
    lists = open_data("lists", ADL_EXIF_APPLY);
    float *ignored = load_all(folder), *applied = load_all(lists);
    CU_ASSERT(!memcmp(ignored, stored, (size_t)FILES * FLOATS * sizeof *want));
    CU_ASSERT(!memcmp(applied, turned, (size_t)FILES * FLOATS * sizeof *want));
    adl_free(ignored);
    adl_free(applied);
    adl_free(turned);
    adl_free(stored);
    adl_free(want);
    adl_dataset_free(folder);
    adl_dataset_free(lists);
}

/* The probabilities that `eval` finds for the files, and for upright PNG copies of them. */
static void evaluation_sees_upright_images(void)
{
    const char *path = test_small_model();
    struct adl_error err = {0};
    struct adl_evaluate_place places[2][FILES] = {{{0}}};
    write_data();
    struct adl_model *model = path ? adl_model_load(path, NULL, &err) : NULL;
    CU_ASSERT_FATAL(model != NULL);
    const struct adl_plan_options plain = {.input_h = SIDE, .input_w = SIDE};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &plain, &err);
    struct adl_views *views = plan ? adl_views_create(plan, NULL, NULL, 4, &err) : NULL;
    CU_ASSERT_FATAL(views != NULL);
    for (int pass = 0; pass < 2; pass++) {
        struct adl_dataset *d = open_data("folder", ADL_EXIF_AUTO);
        struct adl_evaluate_options how = {
            .curve_interval = 0.1, .map.threshold = 0.3, .places = places[pass]};
        struct adl_evaluate_report report;
        CU_ASSERT_FATAL(d && d->count == FILES);
        memcpy(how.mean, mean, sizeof mean);
        memcpy(how.std, std, sizeof std);
        TEST_OK(adl_evaluate_views(d, views, 4, NULL, &how, &report, &err), &err);
        adl_evaluate_report_release(&report);
        adl_dataset_free(d);
        /* The second pass finds PNG under the same names, since only the bytes tell. */
        for (size_t i = 0; pass == 0 && i < FILES; i++) {
            struct image_bytes file = image_bytes_load(names[i]);
            struct adl_image image;
            size_t length;
            void *png;
            TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
            TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
            write_file(scratch_path("folder/cat/%s", names[i]), png, length);
            adl_image_release(&image);
            adl_free(png);
            free(file.data);
        }
    }
    for (size_t i = 0; i < FILES; i++) {
        CU_ASSERT(places[0][i].measured && places[1][i].measured);
        CU_ASSERT_EQUAL(places[0][i].probability, places[1][i].probability);
    }
    CU_ASSERT_NOT_EQUAL(places[0][2].probability, places[0][7].probability);
    adl_views_free(views);
    adl_plan_unref(plan);
    adl_model_free(model);
}

/* --- size ------------------------------------------------------------------------------ */

/* What the server says about an image, and about its pixels as PNG, which has no reduced
 * decoding. */
static void serving_decodes_at_full_size(void)
{
    struct test_server server = {0};
    struct adl_error err = {0};
    struct adl_image image;
    size_t jpeg_length, png_length;
    void *png;
    const char *model = test_small_model();
    if (!model || test_server_start(&server, (const char *const[]){"--model", model, NULL}) < 0)
        return;
    void *jpeg = test_picture(TEST_JPEG, 1600, 1200, &jpeg_length);
    TEST_OK(adl_image_decode(jpeg, jpeg_length, NULL, &image, NULL, &err), &err);
    TEST_OK(adl_image_encode_png(&image, &png, &png_length, &err), &err);
    adl_image_release(&image);
    json_t *answers[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct test_reply reply = {0};
        test_request(&server, "POST", "/localize", "Content-Type: image/jpeg\r\n", i ? png : jpeg,
                     i ? png_length : jpeg_length, &reply);
        CU_ASSERT_EQUAL(reply.status, 200);
        answers[i] = test_reply_json(&reply);
        test_reply_release(&reply);
    }
    json_t *first = json_object_get(answers[0], "predictions");
    CU_ASSERT_PTR_NOT_NULL(first);
    CU_ASSERT(json_equal(first, json_object_get(answers[1], "predictions")));
    json_decref(answers[0]);
    json_decref(answers[1]);
    adl_free(png);
    adl_free(jpeg);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
}

/* --- map rules ------------------------------------------------------------------------- */

struct rule_case {
    const char *query;
    struct adl_map_rule rule; /* without the few-box head */
    bool foreground;
};

static const struct rule_case rules[] = {
    {"threshold=0.4", {.threshold = 0.4}, false},
    {"threshold=0.3&map_weights=positive",
     {.weights = ADL_MAP_WEIGHTS_POSITIVE, .threshold = 0.3},
     false},
    {"threshold=0.5&map_normalise=max", {.normalise = ADL_MAP_MAX, .threshold = 0.5}, false},
    {"threshold=0.6&map_normalise=pas",
     {.normalise = ADL_MAP_PAS, .percentile = 0.9, .threshold = 0.6},
     false},
    {"threshold=0.1&map_normalise=ivr&map_percentile=0.6&map_weights=positive",
     {.weights = ADL_MAP_WEIGHTS_POSITIVE,
      .normalise = ADL_MAP_IVR,
      .percentile = 0.6,
      .threshold = 0.1},
     false},
    {"threshold=0.4&map_flip=true", {.threshold = 0.4, .views = {.flip = true}}, false},
    {"threshold=0.4&map_scales=1.43,1",
     {.threshold = 0.4, .views = {.scale_count = 2, .scales = {1, 1.43}}},
     false},
    {"threshold=0.5&map_scales=0.7&map_flip=true",
     {.threshold = 0.5, .views = {.flip = true, .scale_count = 1, .scales = {0.7}}},
     false},
    {"threshold=0.4&map_stride=1", {.threshold = 0.4, .views = {.stride1 = true}}, false},
    {"threshold=0.4&map_stride=1&map_flip=true&map_scales=1,1.5&map_normalise=ivr"
     "&map_weights=positive&foreground=true",
     {.weights = ADL_MAP_WEIGHTS_POSITIVE,
      .normalise = ADL_MAP_IVR,
      .percentile = 0.45,
      .threshold = 0.4,
      .views = {.flip = true, .stride1 = true, .scale_count = 2, .scales = {1, 1.5}}},
     true},
    {"threshold=0.4&map_weights=positive&foreground=true",
     {.weights = ADL_MAP_WEIGHTS_POSITIVE, .threshold = 0.4},
     true},
};

/* For a server with the weights above a layer, the network's own rule having none. */
#define LAYER "blocks.4"
static const struct rule_case layer_rules[] = {
    {"threshold=0.4&map_layer=" LAYER,
     {.threshold = 0.4, .views.layer = {ADL_LAYER_LAYERCAM, LAYER}},
     false},
    {"threshold=0.3&map=gradcam:" LAYER "&map_normalise=ivr",
     {.threshold = 0.3,
      .normalise = ADL_MAP_IVR,
      .percentile = 0.45,
      .views.layer = {ADL_LAYER_GRADCAM, LAYER}},
     false},
    {"threshold=0.5&map_layer=layercam:" LAYER "&map_flip=true&foreground=true",
     {.threshold = 0.5, .views = {.flip = true, .layer = {ADL_LAYER_LAYERCAM, LAYER}}},
     true},
    {"threshold=0.4&map_layer=none&map_weights=positive&foreground=true",
     {.weights = ADL_MAP_WEIGHTS_POSITIVE, .threshold = 0.4},
     true},
};

/* The small model with this last stride and with a few-box head that the model's own rule does
 * without, in a file. */
static struct adl_model *model_with_head(const char *path, int last_stride)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(test_small_model(), NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    test_give_head(model, "one_answer.head");
    model->map.foreground = NULL;
    model->arch.last_stride = last_stride;
    TEST_OK(adl_model_save(model, path, &err), &err);
    adl_model_free(model);
    model = adl_model_load(path, NULL, &err);
    CU_ASSERT_FATAL(model != NULL && model->foreground && !model->map.foreground);
    test_check_head(model, "one_answer.head");
    return model;
}

/* The largest contour's box of a map of SIDE x SIDE in pixels of an image. */
static struct adl_box box_of(const double *map, double threshold, int width, int height)
{
    struct adl_boxes boxes = {0};
    struct adl_error err = {0};
    TEST_OK(adl_boxes_from_map(map, SIDE, SIDE, threshold, ADL_BOXES_LARGEST, &boxes, &err), &err);
    struct adl_box box = adl_box_to_inclusive(boxes.items[0], SIDE, SIDE);
    adl_boxes_release(&boxes);
    return adl_box_scale(box, SIDE, SIDE, width, height);
}

static int member(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* The box of an answer equals `want`, but for `slack` pixels at each side. */
static void check_box(const json_t *answer, struct adl_box want, int slack, const char *what)
{
    const json_t *one = json_array_get(json_object_get(answer, "predictions"), 0);
    const json_t *box = json_array_get(json_object_get(one, "boxes"), 0);
    if (abs(member(box, "x0") - want.x0) > slack || abs(member(box, "y0") - want.y0) > slack ||
        abs(member(box, "x1") - want.x1) > slack || abs(member(box, "y1") - want.y1) > slack)
        TEST_FAIL("%s: the box is %d,%d-%d,%d, not %d,%d-%d,%d", what, member(box, "x0"),
                  member(box, "y0"), member(box, "x1"), member(box, "y1"), want.x0, want.y0,
                  want.x1, want.y1);
}

/* The map that a client makes of a heat map in JSON: enlarged, and clipped or normalised. */
static void client_map(const json_t *answer, double *map)
{
    const json_t *one = json_array_get(json_object_get(answer, "predictions"), 0);
    const json_t *heatmap = json_object_get(one, "heatmap");
    const json_t *raw = json_object_get(heatmap, "raw");
    const json_t *data = json_object_get(heatmap, "data"), *from = raw ? raw : data;
    double small[SIDE * SIDE];
    struct adl_error err = {0};
    int w = member(heatmap, "width"), h = member(heatmap, "height");
    CU_ASSERT_FATAL((size_t)w * (size_t)h <= ADL_COUNT(small));
    for (size_t i = 0; i < json_array_size(from); i++) {
        double value = json_number_value(json_array_get(data, i));
        small[i] = json_number_value(json_array_get(from, i));
        CU_ASSERT_DOUBLE_EQUAL(value, small[i] < 0 ? 0 : small[i] > 1 ? 1 : small[i], 1e-6);
    }
    TEST_OK(adl_scoremap_resize(small, h, w, map, SIDE, SIDE, &err), &err);
    if (!raw)
        adl_map_normalise(&(struct adl_map_rule){0}, map, (size_t)SIDE * SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
        map[i] = ADL_MAX(0, ADL_MIN(map[i], 1));
}

/* The map that `eval` cuts for an image of class 0, through its score maps on disk. */
static void eval_map(const struct adl_model *model, struct adl_views *views,
                     const struct adl_map_rule *rule, double *map)
{
    struct adl_error err = {0};
    struct adl_dataset *d = open_data("lists", ADL_EXIF_AUTO);
    struct adl_evaluate_options how = {.curve_interval = 0.1, .map = *rule};
    struct adl_evaluate_report report;
    struct adl_npy npy = {0};
    CU_ASSERT_FATAL(d != NULL);
    how.scoremaps = scratch_path("maps");
    memcpy(how.mean, model->mean, sizeof how.mean);
    memcpy(how.std, model->std, sizeof how.std);
    TEST_OK(adl_evaluate_views(d, views, 1, NULL, &how, &report, &err), &err);
    TEST_OK(adl_npy_read(scratch_path("maps/picture.png.npy"), &npy, &err), &err);
    CU_ASSERT_FATAL(npy.rows == SIDE && npy.columns == SIDE);
    memcpy(map, npy.data, (size_t)SIDE * SIDE * sizeof *map);
    adl_npy_release(&npy);
    adl_evaluate_report_release(&report);
    adl_dataset_free(d);
}

/* The box that `localize` writes as a COCO result with the options that a query stands for. */
static struct adl_box localize(const char *model, const char *query)
{
    char text[500], image[300], coco[300], options[300], with_dashes[8][60];
    const char *arguments[18] = {"localize", "--model", model, "--class",
                                 "0",        "--coco",  coco,  image};
    size_t count = 8;
    snprintf(image, sizeof image, "%s", scratch_path("lists/images/picture.png"));
    snprintf(coco, sizeof coco, "%s", scratch_path("coco.json"));
    snprintf(options, sizeof options, "%s", query);
    for (char *option = strtok(options, "&"); option && count < 16; option = strtok(NULL, "&")) {
        char *to = with_dashes[count - 8];
        snprintf(to, sizeof with_dashes[0], "--%s", option);
        for (char *c = to; *c != '='; c++)
            *c = (char)(*c == '_' ? '-' : *c);
        arguments[count++] = to;
    }
    if (test_program_run(arguments, text, sizeof text) != 0)
        TEST_FAIL("%s: %s", query, text);
    json_t *results = json_load_file(coco, 0, NULL);
    const json_t *box = json_object_get(json_array_get(results, 0), "bbox");
    int side[4] = {0};
    for (size_t i = 0; i < 4; i++)
        side[i] = (int)json_number_value(json_array_get(box, i));
    json_decref(results);
    return (struct adl_box){side[0], side[1], side[0] + side[2] - 1, side[1] + side[3] - 1};
}

/* Whatever the rule, the box of the server and of `localize` is that of the map that `eval` cuts,
 * and that of the heat map which the server sends along. */
static void check_rules(int last_stride, const char *layer, const struct rule_case *cases,
                        size_t count)
{
    struct test_server server = {0};
    struct adl_error err = {0};
    static double map[SIDE * SIDE];
    char path[500];
    size_t length;
    struct adl_box last = {0}; /* of the last rule */
    scratch_open(layer              ? "one-rule-layer"
                 : last_stride == 1 ? "one-rule"
                                    : "one-rule-halved",
                 (const char *const[]){"lists", "lists/images", "lists/metadata",
                                       "lists/metadata/all", "maps", NULL});
    snprintf(path, sizeof path, "%s", scratch_path("head.safetensors"));
    struct adl_model *model = model_with_head(path, last_stride);
    const struct adl_map_views needed = {
        .layer = {layer ? ADL_LAYER_LAYERCAM : ADL_LAYER_NONE, LAYER}};
    TEST_OK(adl_model_keep_layer(model, &needed, &err), &err);
    struct adl_plan_options how = {.input_h = SIDE, .input_w = SIDE};
    adl_model_plan_options(model, &how);
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &how, &err);
    struct adl_views *views = plan ? adl_model_open_views(model, plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(views != NULL);
    void *png = test_picture(TEST_PNG, 120, 90, &length);
    write_file(scratch_path("lists/images/picture.png"), png, length);
    scratch_append("lists/metadata/all/image_ids.txt", "picture.png\n");
    scratch_append("lists/metadata/all/class_labels.txt", "picture.png,0\n");
    CU_ASSERT_FATAL(test_server_start(&server, (const char *const[]){"--model", path,
                                                                     layer ? "--map-layer" : NULL,
                                                                     layer, NULL}) == 0);
    CU_ASSERT_FATAL(test_server_ready(&server) == 0);
    for (size_t r = 0; r < count; r++) {
        char target[200];
        struct test_reply reply = {0};
        snprintf(target, sizeof target, "/localize?class=0&heatmap=array&%s", cases[r].query);
        test_request(&server, "POST", target, "Content-Type: image/png\r\n", png, length, &reply);
        if (reply.status != 200)
            TEST_FAIL("%s: %d %.*s", target, reply.status, (int)reply.length, (char *)reply.body);
        json_t *answer = test_reply_json(&reply);
        struct adl_map_rule rule = cases[r].rule;
        rule.foreground = cases[r].foreground ? model->foreground : NULL;
        eval_map(model, views, &rule, map);
        last = box_of(map, cases[r].rule.threshold, 120, 90);
        check_box(answer, box_of(map, cases[r].rule.threshold, 120, 90), 0, target);
        struct adl_box of_localize = localize(path, cases[r].query);
        CU_ASSERT(!memcmp(&of_localize, &last, sizeof last));
        client_map(answer, map);
        /* Its values have six digits, which may move a value across the threshold. */
        check_box(answer, box_of(map, cases[r].rule.threshold, 120, 90), 1, target);
        json_decref(answer);
        test_reply_release(&reply);
    }
    /* What a request may say, the command line says for all. */
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    CU_ASSERT_FATAL(
        test_server_start(&server, (const char *const[]){"--model", path, "--threshold", "0.4",
                                                         "--map-weights", "positive",
                                                         "--foreground", NULL}) == 0);
    CU_ASSERT_FATAL(test_server_ready(&server) == 0);
    struct test_reply reply = {0};
    test_request(&server, "POST", "/localize?class=0", "Content-Type: image/png\r\n", png, length,
                 &reply);
    json_t *answer = test_reply_json(&reply);
    check_box(answer, last, 0, "options of serve");
    json_decref(answer);
    test_reply_release(&reply);
    /* 2 (0.5^2 + 1 + 1.5^2 + 2^2) = 15 times the image alone is more than a request may ask. */
    test_request(&server, "POST", "/localize?map_scales=0.5,1,1.5,2&map_flip=true",
                 "Content-Type: image/png\r\n", png, length, &reply);
    CU_ASSERT_EQUAL(reply.status, 400);
    CU_ASSERT(strstr((char *)reply.body, "--max-map-cost") != NULL);
    test_reply_release(&reply);
    /* Its weights are gone. */
    test_request(&server, "POST", "/localize?map_layer=blocks.2", "Content-Type: image/png\r\n",
                 png, length, &reply);
    CU_ASSERT_EQUAL(reply.status, 400);
    CU_ASSERT(strstr((char *)reply.body, "--map-layer") != NULL);
    test_reply_release(&reply);
    adl_free(png);
    adl_views_free(views);
    adl_plan_unref(plan);
    adl_model_free(model);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
}

static void every_rule_has_one_box(void)
{
    check_rules(1, NULL, rules, ADL_COUNT(rules));
    check_rules(2, NULL, rules, ADL_COUNT(rules));
    check_rules(1, LAYER, layer_rules, ADL_COUNT(layer_rules));
}

TEST_SUITE(one_answer, {"training sees what localize sees", training_sees_what_localize_sees},
           {"evaluation sees upright images", evaluation_sees_upright_images},
           {"serving decodes at full size", serving_decodes_at_full_size},
           {"every rule has one box", every_rule_has_one_box});
TEST_UNWATCHED(every_rule_has_one_box);
