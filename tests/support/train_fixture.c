/* Data sets of generated images, and runs of `train` on them. */

#include "support/train_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "io/file.h"
#include "models/file/load.h"
#include "server/commands/subcommands.h"
#include "server/training/named_recipe.h"
#include "server/training/train_run.h"
#include "support/scratch.h"
#include "support/test.h"

void train_new_root(const char *name)
{
    char unique[100];
    snprintf(unique, sizeof unique, "train-%s", name);
    scratch_open(unique, NULL);
}

void train_draw(uint64_t number, bool red, struct adl_image *image, int box[4])
{
    struct adl_error err = {0};
    struct adl_rng rng;
    adl_rng_seed(&rng, 1, number, red);
    TEST_OK(adl_image_init(image, TRAIN_SIDE, TRAIN_SIDE, &err), &err);
    box[0] = (int)adl_rng_below(&rng, TRAIN_SIDE / 2);
    box[1] = (int)adl_rng_below(&rng, TRAIN_SIDE / 2);
    box[2] = box[0] + TRAIN_SIDE / 2 - 1;
    box[3] = box[1] + TRAIN_SIDE / 2 - 1;
    for (int y = 0; y < TRAIN_SIDE; y++)
        for (int x = 0; x < TRAIN_SIDE; x++) {
            uint8_t *rgb = image->rgb + (y * TRAIN_SIDE + x) * 3;
            bool inside = x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
            uint8_t grey = (uint8_t)(100 + adl_rng_below(&rng, 50));
            rgb[0] = inside ? (red ? 230 : 10) : grey;
            rgb[1] = inside ? 20 : grey;
            rgb[2] = inside ? (red ? 10 : 230) : grey;
        }
}

void train_write_image(const char *path, uint64_t number, bool red, bool jpeg, int box[4])
{
    struct adl_error err = {0};
    struct adl_image image;
    void *bytes = NULL;
    size_t length = 0;
    train_draw(number, red, &image, box);
    if (jpeg)
        TEST_OK(adl_image_encode_jpeg(&image, 90, &bytes, &length, &err), &err);
    else
        TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
    TEST_OK(adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, &err), &err);
    adl_free(bytes);
    adl_image_release(&image);
}

void train_directories(const char *name)
{
    int box[4];
    train_new_root(name);
    mkdir(scratch_path("data"), 0777);
    for (int red = 0; red < 2; red++) {
        mkdir(scratch_path("data/%s", red ? "red" : "blue"), 0777);
        for (int i = 0; i < TRAIN_PER_CLASS; i++)
            train_write_image(
                scratch_path("data/%s/%02d.%s", red ? "red" : "blue", i, i % 2 ? "png" : "jpg"),
                (uint64_t)i, red, i % 2 == 0, box);
    }
}

FILE *train_open_list(const char *split, const char *name)
{
    FILE *file = fopen(scratch_path("data/metadata/%s/%s.txt", split, name), "w");
    CU_ASSERT_FATAL(file != NULL);
    return file;
}

void train_list_directories(const char *name)
{
    static const char *const folders[] = {"data", "data/images", "data/metadata",
                                          "data/metadata/train", "data/metadata/val"};
    train_new_root(name);
    for (size_t i = 0; i < ADL_COUNT(folders); i++)
        mkdir(scratch_path("%s", folders[i]), 0777);
}

void train_lists(const char *name)
{
    train_list_directories(name);
    for (int val = 0; val < 2; val++) {
        const char *split = val ? "val" : "train";
        FILE *ids = train_open_list(split, "image_ids"),
             *labels = train_open_list(split, "class_labels");
        FILE *sizes = train_open_list(split, "image_sizes"),
             *boxes = train_open_list(split, "localization");
        for (int i = 0; i < (val ? 8 : 2 * TRAIN_PER_CLASS); i++) {
            int box[4];
            char id[32];
            snprintf(id, sizeof id, "%s%d.png", split, i);
            train_write_image(scratch_path("data/images/%s", id), (uint64_t)(100 * val + i), i % 2,
                              false, box);
            fprintf(ids, "%s\n", id);
            fprintf(labels, "%s,%d\n", id, i % 2);
            fprintf(sizes, "%s,%d,%d\n", id, TRAIN_SIDE, TRAIN_SIDE);
            fprintf(boxes, "%s,%d,%d,%d,%d\n", id, box[0], box[1], box[2], box[3]);
        }
        fclose(ids);
        fclose(labels);
        fclose(sizes);
        fclose(boxes);
    }
}

/* What the last run wrote on standard error. */
static char *logged_text;

int train_words(const char *out, bool stop_at_once, const char *const *words, struct adl_error *err)
{
    volatile sig_atomic_t stop = stop_at_once;
    struct adl_options options = {0};
    struct adl_train_settings settings;
    const char *common[] = {"train", "--data", scratch_path("data"), "--out",
                            scratch_path("%s", out)};
    char *argv[TRAIN_MAX_ARGUMENTS];
    int argc = 0, result = -1;
    *err = (struct adl_error){0};
    for (size_t i = 0; i < ADL_COUNT(common); i++)
        argv[argc++] = (char *)common[i];
    for (; *words; words++)
        argv[argc++] = (char *)*words;
    scratch_stderr_begin();
    if (adl_options_parse(&options, &adl_command_train, argc, argv, &settings, err) == 0 &&
        adl_recipe_apply(settings.recipe, &options, &settings, err) == 0) {
        adl_train_note_given(&settings, &options);
        result = adl_train_run(&settings, "adl-server train", &stop, NULL, err);
    }
    adl_free(logged_text);
    logged_text = scratch_stderr_end();
    adl_options_release(&options);
    return result;
}

bool train_logged(const char *part)
{
    return logged_text && strstr(logged_text, part);
}

struct adl_model *train_load(const char *file)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(scratch_path("%s", file), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    CU_ASSERT_FATAL(model != NULL);
    return model;
}

const char *train_digest(const char *file)
{
    static char digests[2][65];
    static int turn;
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(scratch_path("%s", file), NULL, &err);
    turn = !turn;
    digests[turn][0] = 0;
    TEST_OK(model ? 0 : -1, &err);
    if (model)
        snprintf(digests[turn], sizeof digests[turn], "%s", model->digest);
    adl_model_free(model);
    return digests[turn];
}

json_t *train_metrics(const char *out)
{
    size_t length;
    struct adl_error err = {0};
    json_t *lines = json_array();
    char *text = adl_file_read(scratch_path("%s/metrics.jsonl", out), ADL_MIB, &length, &err);
    TEST_OK(text ? 0 : -1, &err);
    for (char *line = text; line && *line; line += strcspn(line, "\n") + 1) {
        CU_ASSERT_FATAL(strchr(line, '\n') != NULL);
        json_array_append_new(lines, json_loadb(line, strcspn(line, "\n"), 0, NULL));
    }
    adl_free(text);
    return lines;
}

void train_check_epochs(const char *out, size_t epochs)
{
    json_t *lines = train_metrics(out), *line;
    size_t i;
    CU_ASSERT_EQUAL(json_array_size(lines), epochs);
    json_array_foreach(lines, i, line)
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "epoch")), (json_int_t)i + 1);
    json_decref(lines);
}

int train_in_parts(const char *out, const char *const *words)
{
    struct adl_error err;
    struct stat info;
    int parts = 0;
    do {
        const char *all[TRAIN_MAX_ARGUMENTS] = {"--threads", parts % 2 ? "2" : "1"};
        size_t used = 2;
        if (parts > 0)
            all[used++] = "--resume";
        for (size_t i = 0; words[i]; i++)
            all[used++] = words[i];
        if (train_words(out, true, all, &err) < 0) {
            TEST_FAIL("part %d: %s", parts, err.message);
            return -1;
        }
        parts++;
    } while (train_logged("--resume continues") && parts < 100);
    CU_ASSERT(stat(scratch_path("%s/state.safetensors", out), &info) == 0);
    return parts;
}

/* Trains all at once, with these words after the number of threads. */
static void train_with_threads(const char *out, const char *threads, const char *const *words)
{
    struct adl_error err;
    const char *all[TRAIN_MAX_ARGUMENTS] = {"--threads", threads};
    for (size_t i = 0; words[i]; i++)
        all[i + 2] = words[i];
    TEST_OK(train_words(out, false, all, &err), &err);
}

int train_check_bits(const char *const *words)
{
    train_with_threads("one", "1", words);
    train_with_threads("two", "2", words);
    int parts = train_in_parts("parts", words);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("two/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("parts/last.safetensors"));
    return parts;
}

const char *train_log(void)
{
    return logged_text ? logged_text : "";
}

int train_log_count(const char *part)
{
    int count = 0;
    for (const char *p = logged_text; p && (p = strstr(p, part)); p++)
        count++;
    return count;
}
