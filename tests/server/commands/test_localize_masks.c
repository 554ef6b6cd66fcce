/* `localize --masks`: the map is that of the JSON, the cut is its threshold, and no two images
 * share a file. */

#include "support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "data/image_file.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/noise_image.h"
#include "support/scratch.h"
#include "support/small_model.h"

static void write_image(const char *name, int width, int height, bool jpeg)
{
    struct adl_error err = {0};
    struct adl_image image = noise_image(width, height, 3, (uint64_t)width, (uint64_t)height);
    size_t length;
    void *bytes;
    if (jpeg)
        TEST_OK(adl_image_encode_jpeg(&image, 90, &bytes, &length, &err), &err);
    else
        TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
    TEST_OK(
        adl_file_write(scratch_path("%s", name), &(struct adl_file_piece){bytes, length}, 1, &err),
        &err);
    adl_free(bytes);
    adl_image_release(&image);
}

static void make_images(const char *name)
{
    static const char *const folders[] = {"in", "in/sub", NULL};
    scratch_open(name, folders);
    write_image("in/a.jpg", 50, 31, true);
    write_image("in/a.png", 9, 70, false);
    write_image("in/a_map.png", 64, 48, false);
    write_image("in/sub/a.jpg", 33, 200, true);
    model_small_save(scratch_path("model.safetensors"));
}

/* Runs `localize --masks`; its output goes to localize.out. */
static int run_localize(const char *masks, const char *threshold, struct adl_error *err)
{
    const char *const words[] = {"-m",
                                 scratch_path("model.safetensors"),
                                 "--json",
                                 "--threshold",
                                 threshold,
                                 "--heatmap",
                                 "png",
                                 "--masks",
                                 scratch_path("%s", masks),
                                 scratch_path("in"),
                                 NULL};
    return command_call(&adl_command_localize, words, "localize.out", err);
}

/* Checks the two files of an image against a line of the JSON. */
static void check_files(const json_t *line, const char *map, const char *cut, double threshold)
{
    struct adl_error err = {0};
    struct adl_image grey, mask;
    struct adl_str text = {0};
    size_t length;
    void *bytes = adl_file_read(scratch_path("masks/%s", map), 1 << 20, &length, &err);
    if (!bytes) {
        TEST_FAIL("%s", err.message);
        return;
    }
    const json_t *first = json_array_get(json_object_get(line, "predictions"), 0);
    adl_str_base64(&text, bytes, length);
    CU_ASSERT_STRING_EQUAL(
        text.data, json_string_value(json_object_get(json_object_get(first, "heatmap"), "data")));
    adl_str_release(&text);
    adl_free(bytes);

    TEST_OK(adl_image_read(scratch_path("masks/%s", map), NULL, &grey, NULL, &err), &err);
    TEST_OK(adl_image_read(scratch_path("masks/%s", cut), NULL, &mask, NULL, &err), &err);
    const json_t *size = json_object_get(line, "image");
    CU_ASSERT_EQUAL(mask.width, json_integer_value(json_object_get(size, "width")));
    CU_ASSERT_EQUAL(mask.height, json_integer_value(json_object_get(size, "height")));
    CU_ASSERT_FATAL(mask.width == grey.width && mask.height == grey.height);
    int largest = 0, wrong = 0, on = 0;
    size_t count = 3 * (size_t)grey.width * (size_t)grey.height;
    for (size_t i = 0; i < count; i++)
        largest = ADL_MAX(largest, (int)grey.rgb[i]);
    for (size_t i = 0; i < count; i++) {
        wrong += mask.rgb[i] != (grey.rgb[i] > (int)(threshold * largest) ? 255 : 0);
        on += mask.rgb[i] > 0;
    }
    CU_ASSERT(wrong == 0 && on > 0 && (size_t)on < count);
    adl_image_release(&grey);
    adl_image_release(&mask);
}

static void maps_and_cuts_are_written(void)
{
    static const char *const files[][3] = {{"in/a.jpg", "a_map.png", "a.png"},
                                           {"in/a.png", "a-2_map.png", "a-2.png"},
                                           {"in/a_map.png", "a_map-2_map.png", "a_map-2.png"},
                                           {"in/sub/a.jpg", "sub/a_map.png", "sub/a.png"}};
    struct adl_error err = {0};
    make_images("localize-masks");
    TEST_OK(run_localize("masks", "0.4", &err), &err);
    FILE *file = fopen(scratch_path("localize.out"), "r");
    CU_ASSERT_FATAL(file != NULL);
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        const char *name = json_string_value(json_object_get(line, "file"));
        CU_ASSERT_FATAL(name != NULL);
        if (!strstr(name, files[i][0]))
            TEST_FAIL("line %zu is on %s", i, name);
        check_files(line, files[i][1], files[i][2], 0.4);
        json_decref(line);
    }
    fclose(file);
}

static void photographs_are_not_replaced(void)
{
    struct adl_error err = {0};
    make_images("localize-masks-keep");
    size_t before, after;
    char *old = adl_file_read(scratch_path("in/a.png"), 1 << 20, &before, &err);
    CU_ASSERT_EQUAL(run_localize("in", "0.4", &err), -1);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "will not be overwritten"));
    err = (struct adl_error){0};
    char *now = adl_file_read(scratch_path("in/a.png"), 1 << 20, &after, &err);
    CU_ASSERT(old && now && before == after && memcmp(old, now, before) == 0);
    adl_free(old);
    adl_free(now);
}

TEST_SUITE(localize_masks, {"maps and cuts are written", maps_and_cuts_are_written},
           {"photographs are not replaced", photographs_are_not_replaced});
