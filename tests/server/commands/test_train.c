/* `train` on directories of generated images: the result has the same bits for any
 * number of threads and interruptions; the files that a run leaves; what it refuses. */

#include "support/test.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/model.h"
#include "plan/session.h"
#include "server/commands/subcommands.h"
#include "server/tasks/default_model.h"
#include "server/training/train_run.h"
#include "support/scratch.h"
#include "wsol/localize.h"
#include "wsol/session_cam.h"

/* --- data ---------------------------------------------------------------------------- */

enum { SIDE = 48, PER_CLASS = 12 };

static void new_root(const char *name)
{
    char unique[100];
    snprintf(unique, sizeof unique, "train-%s", name);
    scratch_open(unique, NULL);
}

/* Draws a coloured square at a random place on grey noise; `box` gets its corners,
 * inclusive. */
static void draw(uint64_t number, bool red, struct adl_image *image, int box[4])
{
    struct adl_error err = {0};
    struct adl_rng rng;
    adl_rng_seed(&rng, 1, number, red);
    TEST_OK(adl_image_init(image, SIDE, SIDE, &err), &err);
    box[0] = (int)adl_rng_below(&rng, SIDE / 2);
    box[1] = (int)adl_rng_below(&rng, SIDE / 2);
    box[2] = box[0] + SIDE / 2 - 1;
    box[3] = box[1] + SIDE / 2 - 1;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            uint8_t *rgb = image->rgb + (y * SIDE + x) * 3;
            bool inside = x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
            uint8_t grey = (uint8_t)(100 + adl_rng_below(&rng, 50));
            rgb[0] = inside ? (red ? 230 : 10) : grey;
            rgb[1] = inside ? 20 : grey;
            rgb[2] = inside ? (red ? 10 : 230) : grey;
        }
}

static void write_image(const char *path, uint64_t number, bool red, bool jpeg, int box[4])
{
    struct adl_error err = {0};
    struct adl_image image;
    void *bytes = NULL;
    size_t length = 0;
    draw(number, red, &image, box);
    if (jpeg)
        TEST_OK(adl_image_encode_jpeg(&image, 90, &bytes, &length, &err), &err);
    else
        TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
    TEST_OK(adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, &err), &err);
    adl_free(bytes);
    adl_image_release(&image);
}

/* Makes the class directories data/blue and data/red. */
static void make_directories(const char *name)
{
    int box[4];
    new_root(name);
    mkdir(scratch_path("data"), 0777);
    for (int red = 0; red < 2; red++) {
        mkdir(scratch_path("data/%s", red ? "red" : "blue"), 0777);
        for (int i = 0; i < PER_CLASS; i++)
            write_image(
                scratch_path("data/%s/%02d.%s", red ? "red" : "blue", i, i % 2 ? "png" : "jpg"),
                (uint64_t)i, red, i % 2 == 0, box);
    }
}

static FILE *open_list(const char *split, const char *name)
{
    FILE *file = fopen(scratch_path("data/metadata/%s/%s.txt", split, name), "w");
    CU_ASSERT_FATAL(file != NULL);
    return file;
}

/* Makes lists as in the reference, with boxes. */
static void make_lists(const char *name)
{
    static const char *const folders[] = {"data", "data/images", "data/metadata",
                                          "data/metadata/train", "data/metadata/val"};
    new_root(name);
    for (size_t i = 0; i < ADL_COUNT(folders); i++)
        mkdir(scratch_path("%s", folders[i]), 0777);
    for (int val = 0; val < 2; val++) {
        const char *split = val ? "val" : "train";
        FILE *ids = open_list(split, "image_ids"), *labels = open_list(split, "class_labels");
        FILE *sizes = open_list(split, "image_sizes"), *boxes = open_list(split, "localization");
        for (int i = 0; i < (val ? 8 : 2 * PER_CLASS); i++) {
            int box[4];
            char id[32];
            snprintf(id, sizeof id, "%s%d.png", split, i);
            write_image(scratch_path("data/images/%s", id), (uint64_t)(100 * val + i), i % 2, false,
                        box);
            fprintf(ids, "%s\n", id);
            fprintf(labels, "%s,%d\n", id, i % 2);
            fprintf(sizes, "%s,%d,%d\n", id, SIDE, SIDE);
            fprintf(boxes, "%s,%d,%d,%d,%d\n", id, box[0], box[1], box[2], box[3]);
        }
        fclose(ids);
        fclose(labels);
        fclose(sizes);
        fclose(boxes);
    }
}

/* --- running --------------------------------------------------------------------------- */

#define MAX_ARGUMENTS 48
#define COMMON                                                                                     \
    "--arch", "mobilenet_v1", "--width", "0.25", "--resize-size", "40", "--crop-size", "32",       \
        "--batch-size", "8", "--lr", "0.02", "--no-report"

/* What the last run wrote on standard error. */
static char *logged_text;

/* Runs train with the words up to NULL, data and out in the scratch directory. */
static int train(const char *out, bool stop_at_once, const char *const *words,
                 struct adl_error *err)
{
    volatile sig_atomic_t stop = stop_at_once;
    struct adl_options options = {0};
    struct adl_train_settings settings;
    const char *common[] = {"train", "--data", scratch_path("data"), "--out",
                            scratch_path("%s", out)};
    char *argv[MAX_ARGUMENTS];
    int argc = 0, result = -1;
    *err = (struct adl_error){0};
    for (size_t i = 0; i < ADL_COUNT(common); i++)
        argv[argc++] = (char *)common[i];
    for (; *words; words++)
        argv[argc++] = (char *)*words;
    scratch_stderr_begin();
    if (adl_options_parse(&options, &adl_command_train, argc, argv, &settings, err) == 0)
        result = adl_train_run(&settings, "adl-server train", &stop, NULL, err);
    adl_free(logged_text);
    logged_text = scratch_stderr_end();
    adl_options_release(&options);
    return result;
}
#define TRAIN(out, stop, err, ...)                                                                 \
    train(out, stop, (const char *const[]){COMMON, __VA_ARGS__, NULL}, err)

static bool logged(const char *part)
{
    return logged_text && strstr(logged_text, part);
}

/* The weights' digest; "" after failing the running test. */
static const char *digest_of(const char *file)
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

/* The lines of metrics.jsonl as an array; every line has to be an object. */
static json_t *metrics_of(const char *out)
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

static void check_epochs(const char *out, size_t epochs)
{
    json_t *lines = metrics_of(out), *line;
    size_t i;
    CU_ASSERT_EQUAL(json_array_size(lines), epochs);
    json_array_foreach(lines, i, line)
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(line, "epoch")), (json_int_t)i + 1);
    json_decref(lines);
}

/* --- tests -------------------------------------------------------------------------------- */

#define METHOD "--method", "adl", "--epochs", "3", "--seed", "5"

/* Trains in parts that stop after one batch and are resumed, with a changing number
 * of threads. Returns the number of parts, or -1 after failing the test. */
static int train_in_parts(const char *out, const char *const *words)
{
    struct adl_error err;
    struct stat info;
    int parts = 0;
    do {
        const char *all[MAX_ARGUMENTS] = {"--threads", parts % 2 ? "2" : "1"};
        size_t used = 2;
        if (parts > 0)
            all[used++] = "--resume";
        for (size_t i = 0; words[i]; i++)
            all[used++] = words[i];
        if (train(out, true, all, &err) < 0) {
            TEST_FAIL("part %d: %s", parts, err.message);
            return -1;
        }
        parts++;
    } while (logged("--resume continues") && parts < 100);
    CU_ASSERT(stat(scratch_path("%s/state.safetensors", out), &info) == 0);
    return parts;
}

static void same_bits_however_it_runs(void)
{
    struct adl_error err;
    make_directories("bits");
    TEST_OK(TRAIN("one", false, &err, METHOD, "--threads", "1"), &err);
    CU_ASSERT(logged("done"));
    TEST_OK(TRAIN("two", false, &err, METHOD, "--threads", "2"), &err);
    CU_ASSERT(strcmp(digest_of("one/last.safetensors"), digest_of("two/last.safetensors")) == 0);
    /* 22 images are three batches per epoch; evaluating val is a fourth part. */
    CU_ASSERT_EQUAL(train_in_parts("parts", (const char *const[]){COMMON, METHOD, NULL}), 12);
    CU_ASSERT(strcmp(digest_of("one/last.safetensors"), digest_of("parts/last.safetensors")) == 0);
    CU_ASSERT(strcmp(digest_of("one/best.safetensors"), digest_of("parts/best.safetensors")) == 0);
    check_epochs("one", 3);
    check_epochs("parts", 3);
    /* Another seed gives another result. */
    TEST_OK(TRAIN("other", false, &err, METHOD, "--seed", "6"), &err);
    CU_ASSERT(strcmp(digest_of("one/last.safetensors"), digest_of("other/last.safetensors")) != 0);
}

/* A finished run that is extended equals one with all epochs from the start. */
static void a_finished_run_can_be_extended(void)
{
    struct adl_error err;
    make_directories("more");
    TEST_OK(TRAIN("whole", false, &err, "--epochs", "3"), &err);
    TEST_OK(TRAIN("part", false, &err, "--epochs", "1"), &err);
    check_epochs("part", 1);
    TEST_OK(TRAIN("part", false, &err, "--epochs", "3", "--resume"), &err);
    check_epochs("part", 3);
    CU_ASSERT(strcmp(digest_of("whole/last.safetensors"), digest_of("part/last.safetensors")) == 0);
    /* Resuming a finished run changes nothing. */
    TEST_OK(TRAIN("part", false, &err, "--epochs", "3", "--resume"), &err);
    check_epochs("part", 3);
}

/* A model records how it was trained, and how its initial weights were. */
static void the_origin_is_recorded(void)
{
    struct adl_error err;
    make_directories("origin");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--seed", "7"), &err);
    TEST_OK(TRAIN("second", false, &err, "--epochs", "2", "--init",
                  scratch_path("first/last.safetensors")),
            &err);
    struct adl_model *model = adl_model_load(scratch_path("second/last.safetensors"), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    if (!model)
        return;
    json_int_t epochs = 0, origin_epochs = 0, seed = 0;
    CU_ASSERT_EQUAL(json_unpack(model->training, "{s:I, s:{s:I, s:{s:I}, s?:n}}", "epochs", &epochs,
                                "begun_from", "epochs", &origin_epochs, "config", "seed", &seed,
                                "begun_from"),
                    0);
    CU_ASSERT(epochs == 2 && origin_epochs == 1 && seed == 7);
    adl_model_free(model);
}

/* The model file of --init sets the network and its input normalisation, except where
 * options do. */
static void init_sets_the_network(void)
{
    struct adl_error err;
    make_directories("init");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--activation", "relu6", "--padding",
                  "tf_same", "--bn-eps", "0.01", "--mean", "0.25", "--std", "0.75", "--method",
                  "adl", "--adl-positions", "blocks.2,blocks.9"),
            &err);
    const char *const plain[] = {"--init",        scratch_path("first/last.safetensors"),
                                 "--epochs",      "1",
                                 "--resize-size", "40",
                                 "--crop-size",   "32",
                                 "--activation",  "relu",
                                 "--std",         "0.5",
                                 "--no-report",   NULL};
    TEST_OK(train("second", false, plain, &err), &err);
    struct adl_model *model = adl_model_load(scratch_path("second/last.safetensors"), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    if (!model)
        return;
    CU_ASSERT_EQUAL(model->arch.backbone, &adl_backbone_mobilenet_v1);
    CU_ASSERT_DOUBLE_EQUAL(model->arch.width, 0.25, 0);
    CU_ASSERT_DOUBLE_EQUAL(model->arch.bn_eps, 0.01, 0);
    CU_ASSERT_EQUAL(model->arch.padding, ADL_PAD_TF_SAME);
    CU_ASSERT(adl_arch_has_layers(&model->arch) && model->arch.adl_places == (1u << 2 | 1u << 9));
    CU_ASSERT_DOUBLE_EQUAL((double)model->mean[1], 0.25, 0);
    /* Set by options. */
    CU_ASSERT_EQUAL(model->arch.activation, ADL_ACT_RELU);
    CU_ASSERT_DOUBLE_EQUAL((double)model->std[1], 0.5, 0);
    adl_model_free(model);
}

/* Copies last.safetensors of the run "first" with "x" before the names of all but the
 * first `kept` tensors, which are those nearest to the input. */
static const char *rename_tensors(const char *name, size_t kept)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors =
        adl_safetensors_read(scratch_path("first/last.safetensors"), &err);
    CU_ASSERT_FATAL(tensors != NULL);
    for (size_t i = kept; i < adl_tensors_count(tensors); i++) {
        char other[200];
        snprintf(other, sizeof other, "x%s", adl_tensors_at(tensors, i)->name);
        TEST_OK(adl_tensors_rename(tensors, i, other, &err), &err);
    }
    TEST_OK(adl_safetensors_write(scratch_path("%s", name), tensors, &err), &err);
    adl_tensors_free(tensors);
    return scratch_path("%s", name);
}

/* A file with few of the network's parameters is a mistake: training would start from
 * noise. The network has 137 parameters, two of them the classifier's. */
static void init_has_to_match(void)
{
    struct adl_error err;
    make_directories("match");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(TRAIN("few", false, &err, "--epochs", "1", "--init", rename_tensors("few.st", 5)) <
              0);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && strstr(err.message, "5 of the 135 parameters"));
    CU_ASSERT(logged("missing") && logged("in the file: \"x"));
    CU_ASSERT_NOT_EQUAL(access(scratch_path("few"), F_OK), 0);
    CU_ASSERT(TRAIN("less", false, &err, "--epochs", "1", "--init", rename_tensors("less.st", 67)) <
              0);
    CU_ASSERT(TRAIN("none", false, &err, "--epochs", "1", "--init", rename_tensors("none.st", 0)) <
              0);
    CU_ASSERT(logged("in the file: \"x"));
    TEST_OK(TRAIN("half", false, &err, "--epochs", "1", "--init", rename_tensors("half.st", 68)),
            &err);
    CU_ASSERT(logged("warning") && logged("68 of the 135") && logged("in the file: \"x"));
    /* A classifier of another size, or none, is what --init is for. */
    TEST_OK(TRAIN("all", false, &err, "--epochs", "1", "--init", rename_tensors("all.st", 135)),
            &err);
    CU_ASSERT(logged("135 of 137 parameters taken") && !logged("warning") && !logged("missing"));
}

static void init_takes_the_model_that_ships(void)
{
    char path[ADL_DEFAULT_MODEL_PATH];
    struct adl_error err = {0};
    make_directories("default");
    if (adl_default_model(path, &err) < 0) {
        test_skip("the model that ships is not here");
        return;
    }
    const char *const words[] = {"--init", "default", "--epochs",    "1",  "--resize-size", "40",
                                 "--seed", "3",       "--crop-size", "32", "--no-report",   NULL};
    TEST_OK(train("run", false, words, &err), &err);
    CU_ASSERT(logged("parameters taken"));
    struct adl_model *shipped = adl_model_load(path, NULL, &err);
    struct adl_model *model = adl_model_load(scratch_path("run/last.safetensors"), NULL, &err);
    TEST_OK(shipped && model ? 0 : -1, &err);
    if (shipped && model) {
        CU_ASSERT_DOUBLE_EQUAL(model->arch.width, shipped->arch.width, 0);
        CU_ASSERT_EQUAL(model->arch.num_classes, 2);
        CU_ASSERT(model->training && json_object_get(model->training, "begun_from"));
    }
    adl_model_free(shipped);
    adl_model_free(model);
}

static void other_settings_are_refused(void)
{
    struct adl_error err;
    static const struct {
        const char *words[3], *part;
    } cases[] = {
        {{"--lr", "0.5"}, "lr 0.02, not 0.5"},
        {{"--batch-size", "4"}, "batch_size 8, not 4"},
        {{"--seed", "9"}, "seed 0, not 9"},
        {{"--no-nesterov"}, "nesterov yes, not no"},
        {{"--label-smoothing", "0.1"}, "label_smoothing"},
        {{"--flip", "0"}, "flip"},
        {{"--mean", "0.5"}, "mean 0.4850000143,0.4560000002,0.4059999883, not 0.5,0.5,0.5"},
        {{"--schedule", "cosine"}, "schedule step, not cosine"},
        {{"--exif", "ignore"}, "exif unset, not ignore"},
        {{"--width", "0.5"}, "arch width 0.25, not 0.5"},
    };
    make_directories("settings");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    char digest[65];
    snprintf(digest, sizeof digest, "%s", digest_of("run/last.safetensors"));
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2", "--resume", cases[i].words[0],
                        cases[i].words[1]) < 0);
        if (err.kind != ADL_ERR_ARG || !strstr(err.message, cases[i].part))
            TEST_FAIL("%s: %s", cases[i].words[0], err.message);
        /* Nothing is said but the error. */
        CU_ASSERT_STRING_EQUAL(logged_text ? logged_text : "", "");
    }

    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "already holds a run"));
    CU_ASSERT_STRING_EQUAL(logged_text ? logged_text : "", "");
    CU_ASSERT(TRAIN("nothing", false, &err, "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "without --resume"));
    CU_ASSERT(strcmp(digest, digest_of("run/last.safetensors")) == 0);
}

static void settings_that_are_gone_are_noticed(void)
{
    struct adl_error err;
    make_directories("gone");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2", "--exif", "ignore"), &err);
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2", "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "exif ignore, not unset"));
}

static void a_missing_best_is_not_claimed(void)
{
    struct adl_error err;
    struct stat info;
    make_directories("no-best");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(logged("best.safetensors is from epoch 1"));
    CU_ASSERT_EQUAL(unlink(scratch_path("run/best.safetensors")), 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--resume"), &err);
    CU_ASSERT(logged("best.safetensors, which was from epoch 1, is missing"));
    CU_ASSERT(logged("done; ") && logged("last.safetensors is from epoch 1"));
    CU_ASSERT(!logged("best.safetensors is from"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);
    CU_ASSERT(logged("best.safetensors is from epoch 2"));
    CU_ASSERT_EQUAL(stat(scratch_path("run/best.safetensors"), &info), 0);
}

/* Images of 48 x 48 are 5.8 times the frame of 20 x 20; JPEGs are reduced by none or two. */
static void caches_and_decoding(void)
{
#define SMALL "--epochs", "2", "--resize-size", "20", "--crop-size", "16"
    struct adl_error err;
    make_directories("caches");
    TEST_OK(TRAIN("none", false, &err, SMALL, "--cache-memory", "0"), &err);
    TEST_OK(TRAIN("memory", false, &err, SMALL), &err);
    TEST_OK(TRAIN("disk", false, &err, SMALL, "--cache", scratch_path("frames")), &err);
    TEST_OK(TRAIN("disk-2", true, &err, SMALL, "--cache", scratch_path("frames")), &err);
    TEST_OK(TRAIN("disk-2", false, &err, SMALL, "--resume", "--cache-memory", "0"), &err);
    char want[65];
    snprintf(want, sizeof want, "%s", digest_of("none/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, digest_of("memory/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, digest_of("disk/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, digest_of("disk-2/last.safetensors"));
    json_t *lines = metrics_of("memory"), *none = metrics_of("none");
    const json_t *cache = json_object_get(json_array_get(lines, 1), "cache");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(cache, "images")), 2 * PER_CLASS);
    CU_ASSERT(!json_object_get(json_array_get(none, 1), "cache"));
    /* Images of val are the same whatever the training images are decoded by. */
    TEST_OK(TRAIN("exact", true, &err, SMALL, "--exact-decode"), &err);
    CU_ASSERT(TRAIN("exact", true, &err, SMALL, "--resume") < 0);
    CU_ASSERT(strstr(err.message, "fast_decode unset, not yes") != NULL);
    json_decref(lines);
    json_decref(none);
    CU_ASSERT(TRAIN("bad", false, &err, SMALL, "--cache", scratch_path("none/run.json")) < 0);
#undef SMALL
}

static void one_is_singular(void)
{
    struct adl_error err;
    int box[4];
    new_root("singular");
    mkdir(scratch_path("data"), 0777);
    mkdir(scratch_path("data/blue"), 0777);
    write_image(scratch_path("data/blue/0.png"), 0, false, false, box);
    fclose(fopen(scratch_path("data/blue/1.png"), "w"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--threads", "1"), &err);
    CU_ASSERT(logged("2 training images of 1 class, "));
    CU_ASSERT(logged("2 images are few"));
    CU_ASSERT(logged("1 image could not be read and was skipped"));
    CU_ASSERT_EQUAL(unlink(scratch_path("data/blue/1.png")), 0);
    TEST_OK(TRAIN("one", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(logged("1 training image of 1 class, ") && logged("1 image is few"));
    CU_ASSERT(!logged(" 1 images") && !logged("1 classes"));
}

/* Expects that resuming `out` is refused by a message with all the parts up to NULL. */
static void expect_changed(const char *out, const char *const *parts)
{
    struct adl_error err;
    CU_ASSERT(TRAIN(out, false, &err, "--epochs", "2", "--resume") < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    for (; *parts; parts++)
        if (!strstr(err.message, *parts))
            TEST_FAIL("no %s in: %s", *parts, err.message);
}
#define EXPECT_CHANGED(out, ...) expect_changed(out, (const char *const[]){__VA_ARGS__, NULL})

static void move(const char *from, const char *to)
{
    CU_ASSERT_EQUAL(rename(scratch_path("%s", from), scratch_path("%s", to)), 0);
}

/* A state belongs to its classes and images: after any change of them the numbers of the
 * classes may stand for others. */
static void other_data_is_refused(void)
{
    struct adl_error err;
    make_directories("other-data");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    move("data/blue", "data/zebra");
    EXPECT_CHANGED("run", "\"blue\" is gone", "\"zebra\" is new",
                   "class 0 was \"blue\", is now \"red\"");
    move("data/zebra", "data/blue");
    CU_ASSERT_EQUAL(mkdir(scratch_path("data/amber"), 0777), 0);
    int box[4];
    for (int i = 0; i < 3; i++)
        write_image(scratch_path("data/amber/%d.png", i), (uint64_t)i, true, false, box);
    EXPECT_CHANGED("run", "\"amber\" is new", "class 1 was \"red\", is now \"blue\"");
    move("data/amber", "amber");
    /* A file that joins the class; another one in place of a file. */
    move("amber/0.png", "data/red/0.png");
    EXPECT_CHANGED("run", "class 1 \"red\" had ");
    move("data/red/0.png", "amber/0.png");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);

    /* In lists: labels of two images exchanged, then an image replaced by another. */
    make_lists("other-lists");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    FILE *labels = open_list("train", "class_labels");
    for (int i = 0; i < 2 * PER_CLASS; i++)
        fprintf(labels, "train%d.png,%d\n", i, i < 2 ? 1 - i % 2 : i % 2);
    fclose(labels);
    EXPECT_CHANGED("run", "labels");
}

/* The text that state.safetensors holds beside the tensors, with `key` removed. */
static void remove_from_state(const char *out, const char *key)
{
    struct adl_error err = {0};
    const char *path = scratch_path("%s/state.safetensors", out);
    struct adl_tensors *state = adl_safetensors_read(path, &err);
    TEST_OK(state ? 0 : -1, &err);
    json_t *json = json_loads(adl_tensors_meta(state, "adl_state"), 0, NULL);
    CU_ASSERT_EQUAL(json_object_del(json, key), 0);
    char *text = json_dumps(json, JSON_REAL_PRECISION(17));
    TEST_OK(adl_tensors_set_meta(state, "adl_state", text, &err), &err);
    TEST_OK(adl_safetensors_write(path, state, &err), &err);
    free(text);
    json_decref(json);
    adl_tensors_free(state);
}

static void a_state_without_digest_is_taken_with_a_warning(void)
{
    struct adl_error err;
    make_directories("old-state");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    remove_from_state("run", "data");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);
    CU_ASSERT(logged("older version"));
    check_epochs("run", 2);
}

/* All that --init contributed is in the state: the file may be gone, and the option
 * too. The record of where the weights came from stays. */
static void resuming_needs_no_init(void)
{
    struct adl_error err;
    make_directories("no-init");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--activation", "relu6", "--bn-eps",
                  "0.01", "--mean", "0.3"),
            &err);
    char init[4096];
    snprintf(init, sizeof init, "%s", scratch_path("first/last.safetensors"));
    const char *const words[] = {"--init",        init, "--epochs",    "2",  "--lr",        "0.02",
                                 "--resize-size", "40", "--crop-size", "32", "--no-report", NULL};
    TEST_OK(train("whole", false, words, &err), &err);
    TEST_OK(train("same", true, words, &err), &err);
    TEST_OK(train("less", true, words, &err), &err);
    CU_ASSERT_EQUAL(unlink(init), 0);
    const char *same[MAX_ARGUMENTS] = {"--resume"};
    for (size_t i = 0; words[i]; i++)
        same[i + 1] = words[i];
    TEST_OK(train("same", false, same, &err), &err);
    same[1] = same[2] = "--resume";
    TEST_OK(train("less", false, same, &err), &err);
    const char *const runs[] = {"same/last.safetensors", "less/last.safetensors"};
    for (size_t i = 0; i < ADL_COUNT(runs); i++) {
        CU_ASSERT(strcmp(digest_of("whole/last.safetensors"), digest_of(runs[i])) == 0);
        struct adl_model *model = adl_model_load(scratch_path("%s", runs[i]), NULL, &err);
        TEST_OK(model ? 0 : -1, &err);
        const char *recorded = NULL;
        CU_ASSERT(model && json_unpack(model->training, "{s:{s:s}, s:o}", "config", "init",
                                       &recorded, "begun_from", &(json_t *){NULL}) == 0);
        CU_ASSERT(recorded && strcmp(recorded, init) == 0);
        adl_model_free(model);
    }
}

/* Unreadable images are skipped, reported and counted. The run stays reproducible,
 * also when a whole batch or the last batch of a step is missing. */
static void broken_images_are_skipped(void)
{
    struct adl_error err;
    int box[4];
    make_directories("broken");
    for (int i = 20; i < 23; i++) {
        const char *path = scratch_path("data/red/%d.png", i);
        if (i == 21)
            write_image(path, 1, true, false, box);
        FILE *file = fopen(path, i == 21 ? "r+" : "w");
        CU_ASSERT_FATAL(file != NULL);
        if (i == 21)
            CU_ASSERT(ftruncate(fileno(file), 200) == 0);
        if (i == 22)
            fprintf(file, "this is no image");
        fclose(file);
    }
    static const char *const words[] = {COMMON, "--epochs",     "2", "--batch-size",
                                        "1",    "--accumulate", "3", NULL};
    TEST_OK(train("one", false, words, &err), &err);
    CU_ASSERT(logged("images could not be read and were skipped"));
    CU_ASSERT(logged("skipped red/2"));
    CU_ASSERT(train_in_parts("parts", words) > 4);
    CU_ASSERT(strcmp(digest_of("one/last.safetensors"), digest_of("parts/last.safetensors")) == 0);
    check_epochs("one", 2);
}

/* Runs one image through the saved model; returns the number of boxes. */
static size_t localize(const struct adl_model *model, bool red, int *class_id)
{
    struct adl_error err = {0};
    struct adl_image image = {0}, small = {0};
    struct adl_localization found = {0};
    int box[4];
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    draw(777, red, &image, box);
    TEST_OK(adl_image_resize(&image, model->input_w, model->input_h, &small, &err), &err);
    adl_image_to_input(&small, model->mean, model->std, adl_session_input(session, 0));
    adl_session_run(session, 1);
    const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    *class_id = logits[1] > logits[0];
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    float *cam = adl_malloc((size_t)map.h * (size_t)map.w, sizeof *cam);
    adl_session_cam(session, 0, *class_id, &model->map, cam);
    const struct adl_class_map class_map = {cam, map.h, map.w, model->input_h, model->input_w};
    TEST_OK(adl_localize_map(&model->map, &class_map, ADL_BOXES_LARGEST, SIDE, SIDE, &found, &err),
            &err);
    size_t boxes = found.box_count;
    adl_localization_release(&found);
    adl_free(cam);
    adl_image_release(&image);
    adl_image_release(&small);
    adl_session_free(session);
    adl_plan_unref(plan);
    return boxes;
}

static double figure(const json_t *lines, size_t epoch, const char *key)
{
    const json_t *line = json_array_get(lines, epoch - 1);
    const json_t *value = json_object_get(line, key);
    value = value ? value : json_object_get(json_object_get(line, "val"), key);
    if (!json_is_number(value))
        TEST_FAIL("epoch %zu has no %s", epoch, key);
    return json_number_value(value);
}

/* Two colours are learned in a few epochs; the model then classifies and localizes
 * images that it was not trained on. */
static void learns_two_colours(void)
{
    enum { EPOCHS = 30, LATE = 25 };
    struct adl_error err;
    static const char *const names[] = {"last", "best"};
    make_lists("learns");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "30", "--schedule", "cosine", "--lr", "0.01",
                  "--cam-curve-interval", "0.01"),
            &err);
    json_t *lines = metrics_of("run");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), EPOCHS);
    double top1 = 0;
    for (size_t epoch = LATE; epoch <= EPOCHS; epoch++)
        top1 = fmax(top1, figure(lines, epoch, "train_top1"));
    CU_ASSERT_EQUAL(top1, 100);
    CU_ASSERT_EQUAL(figure(lines, EPOCHS, "top1_cls"), 100);
    CU_ASSERT(figure(lines, EPOCHS, "train_loss") < figure(lines, 1, "train_loss") / 2);
    CU_ASSERT_EQUAL(figure(lines, EPOCHS, "images"), 8);
    double best = -1;
    size_t best_epoch = 0;
    for (size_t epoch = 1; epoch <= EPOCHS; epoch++)
        if (figure(lines, epoch, "max_box_acc_v2") >= best) {
            best = figure(lines, epoch, "max_box_acc_v2");
            best_epoch = epoch;
        }
    for (size_t i = 0; i < 2; i++) {
        struct adl_model *model =
            adl_model_load(scratch_path("run/%s.safetensors", names[i]), NULL, &err);
        TEST_OK(model ? 0 : -1, &err);
        if (!model)
            break;
        CU_ASSERT_EQUAL(model->input_h, 32);
        CU_ASSERT_EQUAL(model->class_count == 0 || model->class_count == 2, true);
        size_t epoch = i ? best_epoch : EPOCHS;
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(model->training, "epochs")),
                        (json_int_t)epoch);
        CU_ASSERT_DOUBLE_EQUAL(model->map.threshold, figure(lines, epoch, "best_threshold"), 1e-9);
        for (int red = 0; i == 0 && red < 2; red++) {
            int class_id;
            CU_ASSERT(localize(model, red, &class_id) >= 1);
            CU_ASSERT_EQUAL(class_id, red);
        }
        adl_model_free(model);
    }
    json_decref(lines);
}

/* Whether every number in a file of tensors is finite, by the C library. */
static bool is_finite_file(const char *path)
{
    struct adl_error err = {0};
    bool finite = true;
    struct adl_tensors *tensors = adl_safetensors_read(path, &err);
    TEST_OK(tensors ? 0 : -1, &err);
    for (size_t i = 0; tensors && i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        const float *values = tensor->data;
        for (size_t k = 0; k < adl_tensor_bytes(tensor) / sizeof *values; k++)
            finite &= isfinite(values[k]) != 0;
    }
    adl_tensors_free(tensors);
    return finite;
}

/* A learning rate that grows until training diverges. The run says so, and the files of
 * the last good epoch stay. */
static void a_diverging_run_ends_and_keeps_its_files(void)
{
    enum { LIMIT = 60 };
    static const char *const files[] = {"best", "last", "state"};
    struct adl_error err;
    make_directories("diverges");
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "60", "--lr", "60", "--warmup-epochs", "200") <
              0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    CU_ASSERT(strstr(err.message, "diverges") && strstr(err.message, "lower --lr"));
    CU_ASSERT(strstr(err.message, "keeps the last good weights") != NULL);
    json_t *lines = metrics_of("run"), *line;
    size_t epochs = json_array_size(lines), i;
    CU_ASSERT(epochs > 0 && epochs < LIMIT);
    /* Never a loss far above that of guessing between two, for a whole epoch. */
    json_array_foreach(lines, i, line) if (i > 0)
        CU_ASSERT(figure(lines, i + 1, "train_loss") < 100 * log(2));
    json_decref(lines);
    for (i = 0; i < ADL_COUNT(files); i++)
        CU_ASSERT(is_finite_file(scratch_path("run/%s.safetensors", files[i])));
    struct adl_model *model = adl_model_load(scratch_path("run/last.safetensors"), NULL, &err);
    CU_ASSERT(model &&
              json_integer_value(json_object_get(model->training, "epochs")) == (json_int_t)epochs);
    adl_model_free(model);
}

/* The mean cross-entropy of the val images of make_lists, one by one. */
static double val_loss_of(const struct adl_model *model)
{
    struct adl_error err = {0};
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        struct adl_image image = {0}, small = {0};
        int box[4];
        draw((uint64_t)(100 + i), i % 2, &image, box);
        TEST_OK(adl_image_resize(&image, model->input_w, model->input_h, &small, &err), &err);
        adl_image_to_input(&small, model->mean, model->std, adl_session_input(session, 0));
        adl_session_run(session, 1);
        const float *z = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
        sum += log1p(exp((double)z[1 - i % 2] - (double)z[i % 2]));
        adl_image_release(&image);
        adl_image_release(&small);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    return sum / 8;
}

/* Of epochs with the same accuracy, the best is the one with the smallest loss on val. */
static void ties_go_by_the_loss(void)
{
    struct adl_error err;
    make_lists("ties");
    CU_ASSERT_EQUAL(unlink(scratch_path("data/metadata/train/localization.txt")), 0);
    CU_ASSERT_EQUAL(unlink(scratch_path("data/metadata/val/localization.txt")), 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "12"), &err);
    json_t *lines = metrics_of("run");
    double top1 = -1, loss = 0;
    size_t best = 0, ties = 0;
    for (size_t epoch = 1; epoch <= 12; epoch++) {
        double a = figure(lines, epoch, "top1_cls"), b = figure(lines, epoch, "val_loss");
        bool better = a > top1 || (a == top1 && b <= loss);
        ties += a == top1 && b > loss;
        CU_ASSERT_EQUAL(json_is_true(json_object_get(json_array_get(lines, epoch - 1), "best")),
                        better);
        if (better) {
            top1 = a;
            loss = b;
            best = epoch;
        }
    }
    CU_ASSERT(ties > 0);
    struct adl_model *model = adl_model_load(scratch_path("run/best.safetensors"), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    if (model) {
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(model->training, "epochs")),
                        (json_int_t)best);
        CU_ASSERT_DOUBLE_EQUAL(val_loss_of(model), loss, 1e-4 * (1 + loss));
    }
    adl_model_free(model);
    json_decref(lines);
}

/* --- as a process -------------------------------------------------------------------------- */

/* Starts the program on the run "run" with `epochs`, and waits until it has saved for the
 * first time since then. Returns its process, or -1 after failing or skipping the test. */
static pid_t start_run(const char *epochs, bool resume)
{
    const char *program = getenv("ADL_SERVER"), *argv[MAX_ARGUMENTS] = {0};
    char data[300], out[300], state[330];
    const char *const words[] = {"train", COMMON, "--threads", "1", "--epochs", epochs};
    size_t argc = 0;
    struct stat before = {0}, now;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t hangup;
    pid_t pid;
    program = program ? program : "build/adl-server";
    if (access(program, X_OK) != 0) {
        test_skip("%s is not built", program);
        return -1;
    }
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    snprintf(out, sizeof out, "%s", scratch_path("run"));
    snprintf(state, sizeof state, "%s/state.safetensors", out);
    argv[argc++] = program;
    for (size_t i = 0; i < ADL_COUNT(words); i++)
        argv[argc++] = words[i];
    argv[argc++] = "--data";
    argv[argc++] = data;
    argv[argc++] = "--out";
    argv[argc++] = out;
    if (resume)
        argv[argc++] = "--resume";
    stat(state, &before);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, scratch_path("log"), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    /* The tests may run under nohup. */
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &hangup);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int failed =
        posix_spawn(&pid, argv[0], &files, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed) {
        TEST_FAIL("cannot start %s", program);
        return -1;
    }
    for (int i = 0; i < 3000; i++) {
        usleep(10000);
        if (stat(state, &now) == 0 && now.st_ino != before.st_ino)
            return pid;
    }
    TEST_FAIL("the run has not saved in half a minute");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return -1;
}

/* A directory belongs to one run at a time. The lock ends with the process, also by
 * SIGKILL; SIGHUP saves as SIGTERM does. */
static void a_directory_has_one_run(void)
{
    struct adl_error err;
    char holder[40], digest[65];
    int status = -1;
    make_directories("lock");
    pid_t pid = start_run("100000", false);
    if (pid < 0)
        return;
    CU_ASSERT(TRAIN("run", true, &err, "--epochs", "100000", "--resume") < 0);
    snprintf(holder, sizeof holder, "process %ld)", (long)pid);
    CU_ASSERT(err.kind == ADL_ERR_BUSY && strstr(err.message, holder));
    CU_ASSERT(TRAIN("run", true, &err, "--epochs", "1") < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);

    kill(pid, SIGHUP);
    CU_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    snprintf(digest, sizeof digest, "%s", digest_of("run/last.safetensors"));

    /* What was saved at SIGHUP is what is resumed, as after a stop without a signal. */
    pid = start_run("100000", true);
    if (pid < 0)
        return;
    kill(pid, SIGKILL);
    CU_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CU_ASSERT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    scratch_append("run/.last.safetensors.0123456789abcdef.tmp", "half a file");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "100000", "--resume"), &err);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.last.safetensors.0123456789abcdef.tmp"), F_OK),
                        0);
    CU_ASSERT(strcmp(digest, digest_of("run/last.safetensors")) != 0);
}

static void hopeless_runs_are_refused(void)
{
    struct adl_error err;
    make_directories("hopeless");
    CU_ASSERT(TRAIN("a", false, &err, "--epochs", "9", "--lr", "100", "--weight-decay", "10") < 0);
    CU_ASSERT(strstr(err.message, "diverges") != NULL);
    CU_ASSERT(TRAIN("b", false, &err, "--num-classes", "1") < 0);
    CU_ASSERT(strstr(err.message, "2 classes") != NULL);
    CU_ASSERT(TRAIN("c", false, &err, "--data", "/nonexistent") < 0);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND || err.kind == ADL_ERR_IO);
    CU_ASSERT(TRAIN("d", false, &err, "--mean", "1", "--mean", "2") < 0);
    CU_ASSERT(strstr(err.message, "one number or three") != NULL);
    fclose(fopen(scratch_path("file"), "w"));
    CU_ASSERT(TRAIN("file", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "is not a directory") != NULL);
}

static void label_images(const char *split, int count, int classes, int first)
{
    FILE *labels = open_list(split, "class_labels");
    for (int i = 0; i < count; i++)
        fprintf(labels, "%s%d.png,%d\n", split, i, i ? i % classes : first);
    fclose(labels);
}

/* How often the last run wrote this. */
static int log_count(const char *part)
{
    int count = 0;
    for (const char *p = logged_text; p && (p = strstr(p, part)); p++)
        count++;
    return count;
}

static void broken_val_is_told_once(void)
{
    struct adl_error err;
    make_lists("broken-val");
    for (int i = 1; i < 8; i += 2)
        fclose(fopen(scratch_path("data/images/val%d.png", i), "w"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "3"), &err);
    CU_ASSERT_EQUAL(log_count("val3.png"), 1);
    CU_ASSERT_EQUAL(log_count("warning: no image of class 1 in val can be read\n"), 1);
    CU_ASSERT_EQUAL(log_count("class 0 in val"), 0);
    CU_ASSERT_EQUAL(log_count("4 images of val could not be read and count as wrong\n"), 1);
}

static void labels_without_images_are_noticed(void)
{
    struct adl_error err;
    make_lists("more-classes");
    label_images("val", 8, 4, 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(logged("left out 4 images of classes that the network does not have: class 2, "
                     "class 3\n"));
    json_t *lines = metrics_of("run");
    const json_t *val = json_object_get(json_array_get(lines, 0), "val");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(val, "images")), 4);
    json_decref(lines);
    label_images("val", 8, 1, 0);
    label_images("train", 2 * PER_CLASS, 2, 200);
    CU_ASSERT(TRAIN("slip", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "the image train0.png has class 200, which no other image has, "
                                  "while no image has the classes 2 to 199") != NULL);
    CU_ASSERT(!logged("train"));
    TEST_OK(TRAIN("many", false, &err, "--epochs", "1", "--num-classes", "201"), &err);
    CU_ASSERT(
        logged("198 of 201 classes have no image: class 2, class 3, class 4, class 5, ...\n"));
    label_images("val", 8, 1, 0);
    label_images("train", 2 * PER_CLASS, 2, 0);
    FILE *labels = open_list("val", "class_labels");
    for (int i = 0; i < 8; i++)
        fprintf(labels, "val%d.png,2\n", i);
    fclose(labels);
    CU_ASSERT(TRAIN("none", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "no image of val is of a class that train has") != NULL);
}

TEST_SUITE(train, {"the same bits however it runs", same_bits_however_it_runs},
           {"a finished run can be extended", a_finished_run_can_be_extended},
           {"broken images of val are told once", broken_val_is_told_once},
           {"labels without images are noticed", labels_without_images_are_noticed},
           {"the origin of the weights is recorded", the_origin_is_recorded},
           {"--init sets the network", init_sets_the_network},
           {"--init has to match", init_has_to_match},
           {"--init default takes the model that ships", init_takes_the_model_that_ships},
           {"other settings are refused", other_settings_are_refused},
           {"settings that are gone are noticed", settings_that_are_gone_are_noticed},
           {"a missing best is not claimed", a_missing_best_is_not_claimed},
           {"one is singular", one_is_singular}, {"caches and decoding", caches_and_decoding},
           {"other data is refused", other_data_is_refused},
           {"a state without digest is taken with a warning",
            a_state_without_digest_is_taken_with_a_warning},
           {"resuming needs no --init", resuming_needs_no_init},
           {"broken images are skipped", broken_images_are_skipped},
           {"learns two colours", learns_two_colours},
           {"a diverging run ends and keeps its files", a_diverging_run_ends_and_keeps_its_files},
           {"ties go by the loss", ties_go_by_the_loss},
           {"a directory has one run", a_directory_has_one_run},
           {"hopeless runs are refused", hopeless_runs_are_refused});
TEST_SLOW(learns_two_colours);
TEST_SLOW(a_diverging_run_ends_and_keeps_its_files);
