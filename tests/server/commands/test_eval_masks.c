/* `eval` with masks, and what it writes about classes: a network's figures are those of its score
 * maps, and the tables agree with each other. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/noise_image.h"
#include "support/scratch.h"
#include "support/small_model.h"

enum { IMAGES = 9, BROKEN = 4, CLASSES = 5 };

static void write_png(const char *folder, int i, bool grey, size_t cut)
{
    struct adl_error err = {0};
    struct adl_image image = noise_image(40 + i, 30, 2, 0, (uint64_t)i);
    size_t length;
    void *png;
    for (size_t k = 0; grey && k < (size_t)image.width * (size_t)image.height; k++)
        image.rgb[k] = k / 50 % 3 == 0;
    if (grey)
        TEST_OK(adl_image_encode_grey_png(image.rgb, image.width, image.height, NULL, &png, &length,
                                          &err),
                &err);
    else
        TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
    TEST_OK(adl_file_write(scratch_path("%s/%d.png", folder, i),
                           &(struct adl_file_piece){png, length / cut}, 1, &err),
            &err);
    adl_free(png);
    adl_image_release(&image);
}

/* A network without class names of its own, and images that have masks and no boxes. */
static void make_data(const char *name)
{
    static const char *const folders[] = {"images",   "masks",         "maps",
                                          "metadata", "metadata/test", NULL};
    scratch_open(name, folders);
    scratch_append("classes.txt", "ant\nbee, the\na \"big\" cat\ndog\neel\n");
    for (int i = 0; i < IMAGES; i++) {
        write_png("images", i, false, i == BROKEN ? 2 : 1);
        write_png("masks", i, true, 1);
        scratch_append("metadata/test/image_ids.txt", "%d.png\n", i);
        scratch_append("metadata/test/class_labels.txt", "%d.png,%d\n", i, i % 3);
    }
    model_small_save(scratch_path("model.safetensors"));
}

/* Runs `eval` with these arguments; its output goes to eval.out. */
/* Runs `eval` with these arguments; its output goes to eval.out. */
static int run_eval(struct adl_error *err, const char *const *arguments)
{
    return command_call(&adl_command_eval, arguments, "eval.out", err);
}

static json_t *printed(void)
{
    json_t *json = json_load_file(scratch_path("eval.out"), 0, NULL);
    CU_ASSERT_FATAL(json != NULL);
    return json;
}

static void same_figure(const json_t *a, const json_t *b, const char *key)
{
    double x = json_number_value(json_object_get(a, key));
    double y = json_number_value(json_object_get(b, key));
    if (!json_is_number(json_object_get(a, key)) || !(fabs(x - y) <= 1e-9))
        TEST_FAIL("%s: %.12g and %.12g", key, x, y);
}

/* Splits a line of comma-separated values in place; returns the number of fields. */
static int split_csv(char *line, char *fields[], int most)
{
    int count = 0;
    for (char *read = line, *write = line; read && count < most; count++) {
        bool quoted = *read == '"';
        fields[count] = write = read;
        for (read += quoted; *read && (quoted || *read != ',');) {
            if (quoted && read[0] == '"' && read[1] != '"')
                break;
            read += quoted && *read == '"';
            *write++ = *read++;
        }
        read += quoted;
        char end = *read;
        *write = '\0';
        read = end == ',' ? read + 1 : NULL;
    }
    return count;
}

static void a_network_is_measured_as_its_score_maps(void)
{
    static const char *const keys[] = {
        "pxap",     "miou",      "iou_foreground", "iou_background",
        "peak_iou", "best_miou", "mean_image_iou", "best_miou_threshold"};
    struct adl_error err = {0};
    make_data("eval-masks");
    char root[600];
    snprintf(root, sizeof root, "%s", scratch_root());
    char model[700], masks[700], maps[700], metadata[700];
    snprintf(model, sizeof model, "%s/model.safetensors", root);
    snprintf(masks, sizeof masks, "%s/masks", root);
    snprintf(maps, sizeof maps, "%s/maps", root);
    snprintf(metadata, sizeof metadata, "%s/metadata", root);
    scratch_stderr_begin();
    const char *const with_model[] = {"-m",          model, "-d",     root,
                                      "--masks",     masks, "--json", "--per-class",
                                      "--scoremaps", maps,  NULL};
    int result = run_eval(&err, with_model);
    adl_free(scratch_stderr_end());
    TEST_OK(result, &err);
    json_t *network = printed();
    CU_ASSERT(json_is_null(json_object_get(network, "gt_known_loc")));
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(network, "errors")), 1);
    /* The image that could not be read has no map; one that is 0 everywhere takes its place. */
    char empty[700];
    snprintf(empty, sizeof empty, "%s/maps/%d.png.npy", root, BROKEN);
    size_t length;
    char *bytes = adl_file_read(scratch_path("maps/0.png.npy"), 1 << 20, &length, &err);
    CU_ASSERT_FATAL(bytes != NULL);
    memset(bytes + 128, 0, length - 128);
    TEST_OK(adl_file_write(empty, &(struct adl_file_piece){bytes, length}, 1, &err), &err);
    adl_free(bytes);
    const char *const with_maps[] = {"--from-scoremaps", maps,   "--metadata", metadata,
                                     "--masks",          masks,  "--json",     "--per-class",
                                     "--threshold",      "0.35", NULL};
    TEST_OK(run_eval(&err, with_maps), &err);
    json_t *stored = printed();
    for (size_t i = 0; i < ADL_COUNT(keys); i++)
        same_figure(network, stored, keys[i]);
    for (size_t i = 0; i < 3; i++) {
        const json_t *a = json_array_get(json_object_get(network, "per_class"), i);
        const json_t *b = json_array_get(json_object_get(stored, "per_class"), i);
        same_figure(a, b, "pxap");
        same_figure(a, b, "miou");
    }
    json_decref(network);
    json_decref(stored);
}

static void tables_of_classes_agree(void)
{
    struct adl_error err = {0};
    make_data("eval-csv");
    char root[600], model[700], masks[700], csv[700], confusion[700], line[2000], *fields[20];
    snprintf(root, sizeof root, "%s", scratch_root());
    snprintf(model, sizeof model, "%s/model.safetensors", root);
    snprintf(masks, sizeof masks, "%s/masks", root);
    snprintf(csv, sizeof csv, "%s/classes.csv", root);
    snprintf(confusion, sizeof confusion, "%s/confusion.csv", root);
    scratch_stderr_begin();
    const char *const both[] = {"-m",          model,     "-d",          root,    "--masks",
                                masks,         "--json",  "--per-class", "--csv", csv,
                                "--confusion", confusion, NULL};
    int result = run_eval(&err, both);
    adl_free(scratch_stderr_end());
    TEST_OK(result, &err);
    json_t *json = printed(), *rows = json_object_get(json, "per_class");
    CU_ASSERT_EQUAL_FATAL(json_array_size(rows), 3);
    FILE *file = fopen(csv, "r");
    CU_ASSERT_FATAL(file && fgets(line, sizeof line, file));
    CU_ASSERT_STRING_EQUAL(line, "class_id,label,images,errors,top1_cls,top5_cls,gt_known_loc,"
                                 "top1_loc,top5_loc,pxap,iou_foreground,iou_background,miou\n");
    for (size_t i = 0; i < 3; i++) {
        const json_t *row = json_array_get(rows, i);
        CU_ASSERT_FATAL(fgets(line, sizeof line, file) != NULL);
        line[strcspn(line, "\n")] = '\0';
        CU_ASSERT_EQUAL_FATAL(split_csv(line, fields, 20), 13);
        CU_ASSERT_STRING_EQUAL(fields[1], json_string_value(json_object_get(row, "label")));
        CU_ASSERT_EQUAL(atoi(fields[2]), json_integer_value(json_object_get(row, "images")));
        CU_ASSERT_EQUAL(atoi(fields[3]), i == BROKEN % 3);
        CU_ASSERT_STRING_EQUAL(fields[6], "");
        CU_ASSERT_DOUBLE_EQUAL(atof(fields[9]), json_number_value(json_object_get(row, "pxap")),
                               1e-9);
        CU_ASSERT_DOUBLE_EQUAL(atof(fields[12]), json_number_value(json_object_get(row, "miou")),
                               1e-9);
    }
    CU_ASSERT_PTR_NULL(fgets(line, sizeof line, file));
    fclose(file);

    /* The diagonal holds the images that were recognised. */
    file = fopen(confusion, "r");
    CU_ASSERT_FATAL(file && fgets(line, sizeof line, file));
    line[strcspn(line, "\n")] = '\0';
    CU_ASSERT_EQUAL_FATAL(split_csv(line, fields, 20), 1 + CLASSES);
    CU_ASSERT_STRING_EQUAL(fields[3], "a \"big\" cat");
    int right = 0, all = 0;
    for (int i = 0; i < CLASSES; i++) {
        CU_ASSERT_FATAL(fgets(line, sizeof line, file) != NULL);
        CU_ASSERT_EQUAL_FATAL(split_csv(line, fields, 20), 1 + CLASSES);
        int sum = 0;
        for (int k = 0; k < CLASSES; k++)
            sum += atoi(fields[1 + k]);
        CU_ASSERT_EQUAL(sum, i >= 3 ? 0 : i == BROKEN % 3 ? 2 : 3);
        right += atoi(fields[1 + i]);
        all += sum;
    }
    CU_ASSERT_EQUAL(all, IMAGES - 1);
    CU_ASSERT_DOUBLE_EQUAL(100.0 * right / IMAGES,
                           json_number_value(json_object_get(json, "top1_cls")), 1e-9);
    fclose(file);
    json_decref(json);
}

static void standard_output_has_one_content(void)
{
    struct adl_error err = {0};
    const char *const two[] = {"--json", "--csv", "-", "-d", "nowhere", NULL};
    CU_ASSERT_EQUAL(run_eval(&err, two), -1);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "only one of"));
    err = (struct adl_error){0};
    const char *const none[] = {"--from-scoremaps", "maps", "--confusion", "-", NULL};
    CU_ASSERT_EQUAL(run_eval(&err, none), -1);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "needs a model"));
}

TEST_SUITE(eval_masks,
           {"a network is measured as its score maps", a_network_is_measured_as_its_score_maps},
           {"tables of classes agree", tables_of_classes_agree},
           {"standard output has one content", standard_output_has_one_content});
