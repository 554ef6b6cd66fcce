/* `train --multi-label`, and what eval, localize and calibrate make of its model: images with
 * several labels, from end to end. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/label_fixture.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* Runs a command on arguments with scratch paths; returns its standard output as JSON. */
static json_t *call_json(const struct adl_command *command, const char *const *arguments)
{
    struct adl_error err = {0};
    size_t length;
    TEST_OK(command_call(command, arguments, "call.out", &err), &err);
    char *text = adl_file_read(scratch_path("call.out"), ADL_MIB, &length, &err);
    json_t *json = text ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    adl_free(text);
    CU_ASSERT_FATAL(json != NULL);
    return json;
}

static double figure(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    CU_ASSERT(json_is_number(value));
    return json_number_value(value);
}

/* Returns the middle of the first box of a prediction, and whether it lies in the box that the
 * list names for this class of the image. */
static bool box_is_right(const json_t *prediction, const char *id)
{
    const json_t *box = json_array_get(json_object_get(prediction, "boxes"), 0);
    double x = (figure(box, "x0") + figure(box, "x1")) / 2;
    double y = (figure(box, "y0") + figure(box, "y1")) / 2;
    int class_id = (int)json_integer_value(json_object_get(prediction, "class_id"));
    char text[100], name[40];
    bool right = false;
    FILE *boxes = fopen(scratch_path("data/metadata/val/localization.txt"), "r");
    CU_ASSERT_FATAL(boxes != NULL);
    while (fgets(text, sizeof text, boxes)) {
        int b[5];
        if (sscanf(text, "%39[^,],%d,%d,%d,%d,%d", name, &b[0], &b[1], &b[2], &b[3], &b[4]) == 6 &&
            !strcmp(name, id) && b[4] == class_id)
            right = x > b[0] && x < b[2] && y > b[1] && y < b[3];
    }
    fclose(boxes);
    return right;
}

/* Returns the predictions of an image of val with these options. */
static json_t *localize(const char *model, const char *id, const char *option, const char *value)
{
    char path[300];
    snprintf(path, sizeof path, "%s", scratch_path("data/images/%s", id));
    json_t *reply =
        call_json(&adl_command_localize,
                  (const char *const[]){"--model", model, "--json", path, option, value, NULL});
    json_t *predictions = json_incref(json_object_get(reply, "predictions"));
    json_decref(reply);
    return predictions;
}

/* Localizes the images of val: a prediction for each label, at least one, with its box on the
 * square of its colour. */
static void check_localize(const char *model)
{
    int found = 0, placed = 0, counted = 0;

    for (int i = 0; i < LABEL_VAL; i++) {
        char id[32];
        snprintf(id, sizeof id, "val%d.png", i);
        json_t *predictions = localize(model, id, NULL, NULL), *one;
        size_t k, labels = (size_t)((i & 1) + (i >> 1 & 1));
        CU_ASSERT(json_array_size(predictions) == 1 || json_array_size(predictions) == 2);
        counted += json_array_size(predictions) == (labels == 2 ? 2 : 1);
        json_array_foreach(predictions, k, one)
        {
            int class_id = (int)json_integer_value(json_object_get(one, "class_id"));
            CU_ASSERT(figure(one, "score") >= 0 && figure(one, "score") <= 1);
            CU_ASSERT(k == 0 || figure(one, "score") >= 0.5);
            found += i >> class_id & 1;
            placed += (i >> class_id & 1) && box_is_right(one, id);
        }
        json_decref(predictions);
    }
    if (found < LABEL_VAL - 1 || placed < LABEL_VAL - 3 || counted < LABEL_VAL - 2)
        TEST_FAIL("of %d labels, %d were found and %d placed; %d images have the right number",
                  LABEL_VAL, found, placed, counted);
    /* top_k is what it was, and the threshold says what is present. */
    json_t *one = localize(model, "val3.png", "--top-k", "1");
    json_t *all = localize(model, "val1.png", "--label-threshold", "0");
    CU_ASSERT_EQUAL(json_array_size(one), 1);
    CU_ASSERT_EQUAL(json_array_size(all), 2);
    json_decref(one);
    json_decref(all);
}

static void check_eval(const char *model, double val_map)
{
    char file[300], data[300], csv[300];
    struct adl_error err = {0};
    size_t length;
    snprintf(file, sizeof file, "%s", model);
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    snprintf(csv, sizeof csv, "%s", scratch_path("predictions.csv"));
    json_t *eval =
        call_json(&adl_command_eval,
                  (const char *const[]){"--model", file, "--data", data, "--split", "val", "--json",
                                        "--per-class", "--predictions", csv, NULL});
    CU_ASSERT_EQUAL(figure(eval, "images"), LABEL_VAL);
    CU_ASSERT_EQUAL(figure(eval, "labels"), LABEL_VAL);
    CU_ASSERT_DOUBLE_EQUAL(figure(eval, "mean_average_precision"), val_map, 1e-6);
    CU_ASSERT(json_is_null(json_object_get(eval, "top1_cls")) &&
              json_is_null(json_object_get(eval, "top1_loc")));
    const json_t *classes = json_object_get(eval, "per_class");
    CU_ASSERT_EQUAL(json_array_size(classes), 2);
    double sum = 0;
    for (size_t k = 0; k < 2; k++) {
        CU_ASSERT_EQUAL(figure(json_array_get(classes, k), "images"), LABEL_VAL / 2);
        sum += figure(json_array_get(classes, k), "average_precision");
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / 2, val_map, 1e-6);
    json_decref(eval);
    /* A line for each label, and one for an image without. */
    char *text = adl_file_read(csv, ADL_MIB, &length, &err);
    CU_ASSERT_FATAL(text != NULL);
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    CU_ASSERT_EQUAL(lines, 1 + LABEL_VAL + LABEL_VAL / 4);
    CU_ASSERT(strstr(text, "\nval0.png,,") && strstr(text, "\nval3.png,0,") &&
              strstr(text, "\nval3.png,1,"));
    adl_free(text);
    static const char *const refused[] = {"--confusion", "--scoremaps"};
    for (size_t i = 0; i < 2; i++) {
        struct adl_error why = {0};
        CU_ASSERT(command_call(&adl_command_eval,
                               (const char *const[]){"--model", file, "--data", data, "--split",
                                                     "val", refused[i], csv, NULL},
                               "call.out", &why) < 0);
        CU_ASSERT(strstr(why.message, "needs one class an image") != NULL);
    }
    struct adl_error why = {0};
    CU_ASSERT(command_call(&adl_command_calibrate,
                           (const char *const[]){"--model", file, "--data", data, csv, NULL},
                           "call.out", &why) < 0);
    CU_ASSERT(strstr(why.message, "was trained with --multi-label") != NULL);
}

/* Both classes are told apart, the maps fall on the right squares, and eval gives the figures that
 * the run had. */
static void it_learns_and_localizes(void)
{
    struct adl_error err;
    label_lists("labels-learn");
    TEST_OK(TRAIN("run", false, &err, "--multi-label", "--large-feature-map", "--resize-size", "48",
                  "--crop-size", "48", "--width", "0.5", "--epochs", "16"),
            &err);
    CU_ASSERT(train_logged("labels ") && train_logged("val: mAP ") && !train_logged("top-1"));
    json_t *lines = train_metrics("run"), *line, *best = NULL;
    size_t i;
    json_array_foreach(lines, i, line)
    {
        CU_ASSERT(figure(line, "train_labels") <= 100 && figure(line, "val_loss") > 0);
        CU_ASSERT(!json_object_get(line, "train_top1"));
        if (json_is_true(json_object_get(line, "best")))
            best = json_object_get(line, "val");
    }
    double map = figure(best, "mean_average_precision");
    if (map < 95)
        TEST_FAIL("the mean average precision is %g", map);
    char model[300];
    snprintf(model, sizeof model, "%s", scratch_path("run/best.safetensors"));
    struct adl_model *loaded = train_load("run/best.safetensors");
    CU_ASSERT(loaded->labels.several && loaded->labels.threshold == 0.5);
    adl_model_free(loaded);
    check_eval(model, map);
    check_localize(model);
    json_decref(lines);
}

/* An image that cannot be read counts once, however many labels it has, ranks last for every class
 * and is localized nowhere. */
static void an_unreadable_image_counts_as_wrong(void)
{
    struct adl_error err;
    char model[300], data[300], path[300];

    label_lists("labels-broken");
    snprintf(model, sizeof model, "%s", scratch_path("run/last.safetensors"));
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    TEST_OK(TRAIN("run", false, &err, "--multi-label", "--epochs", "1"), &err);
    snprintf(path, sizeof path, "%s", scratch_path("data/images/val3.png"));
    TEST_OK(adl_file_write(path, &(struct adl_file_piece){"no image", 8}, 1, &err), &err);
    scratch_stderr_begin();
    json_t *eval = call_json(&adl_command_eval,
                             (const char *const[]){"--model", model, "--data", data, "--split",
                                                   "val", "--json", "--per-class", NULL});
    char *text = scratch_stderr_end();
    const char *first = strstr(text, "val3.png");
    CU_ASSERT(first && !strstr(first + 1, "val3.png"));
    CU_ASSERT(figure(eval, "images") == LABEL_VAL && figure(eval, "errors") == 1);
    CU_ASSERT_EQUAL(figure(eval, "labels"), LABEL_VAL);
    for (size_t k = 0; k < 2; k++) {
        const json_t *one = json_array_get(json_object_get(eval, "per_class"), k);
        CU_ASSERT_EQUAL(figure(one, "errors"), 1);
        /* The last of N positives has the precision N / images at best. */
        double most =
            100.0 * (LABEL_VAL / 2 - 1 + (double)(LABEL_VAL / 2) / LABEL_VAL) / (LABEL_VAL / 2);
        CU_ASSERT(figure(one, "average_precision") <= most + 1e-9);
    }
    json_decref(eval);
    adl_free(text);
}

static void it_resumes_to_the_same_bits(void)
{
    label_lists("labels-bits");
    CU_ASSERT(TRAIN_CHECK_BITS("--multi-label", "--method", "cutmix", "--balance", "weight",
                               "--label-smoothing", "0.1", "--epochs", "2") > 2);
    struct adl_error err;
    CU_ASSERT(TRAIN("one", false, &err, "--method", "cutmix", "--balance", "weight",
                    "--label-smoothing", "0.1", "--epochs", "3", "--resume") < 0);
}

/* Every class is in half of the images, so its presence weighs as much as its absence. */
static void even_classes_have_even_weights(void)
{
    struct adl_error err;
    label_lists("labels-even");
    TEST_OK(TRAIN("plain", false, &err, "--multi-label", "--epochs", "1"), &err);
    TEST_OK(TRAIN("weight", false, &err, "--multi-label", "--epochs", "1", "--balance", "weight"),
            &err);
    CU_ASSERT_STRING_EQUAL(train_digest("plain/last.safetensors"),
                           train_digest("weight/last.safetensors"));
}

static void what_knows_one_label_is_refused(void)
{
    struct adl_error err;
    label_lists("labels-refused");
    CU_ASSERT(TRAIN("run", false, &err, "--multi-label", "--method", "acol", "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "the method acol goes by the one class of an image") != NULL);
    CU_ASSERT(TRAIN("run", false, &err, "--multi-label", "--method", "ae", "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "the method ae goes by the one class") != NULL);
    CU_ASSERT(TRAIN("run", false, &err, "--multi-label", "--balance", "sample") < 0);
    CU_ASSERT(strstr(err.message, "use --balance weight") != NULL);
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "is not PATH,CLASS") != NULL);
    /* Without a label there is nothing to learn, or to measure. */
    for (int val = 1; val >= 0; val--) {
        FILE *labels = train_open_list(val ? "val" : "train", "class_labels");
        for (int i = 0; i < (val ? LABEL_VAL : LABEL_TRAIN); i++)
            fprintf(labels, "%s%d.png,\n", val ? "val" : "train", i);
        fclose(labels);
        remove(scratch_path("data/metadata/%s/localization.txt", val ? "val" : "train"));
        CU_ASSERT_EQUAL(TRAIN(val ? "bare" : "none", false, &err, "--multi-label", "--epochs", "1"),
                        val ? 0 : -1);
        CU_ASSERT(val ? train_logged("no image of val has a label; there is no validation")
                      : strstr(err.message, "no image to train on has a label") != NULL);
    }
}

TEST_SUITE(train_labels, {"it learns and localizes", it_learns_and_localizes},
           {"an unreadable image counts as wrong", an_unreadable_image_counts_as_wrong},
           {"it resumes to the same bits", it_resumes_to_the_same_bits},
           {"even classes have even weights", even_classes_have_even_weights},
           {"what knows one label is refused", what_knows_one_label_is_refused});
TEST_UNWATCHED(it_learns_and_localizes);
TEST_SLOW(it_learns_and_localizes);
