/* Training runs of a small network on a few images, and the reports that they and
 * `adl-server report` write. */

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "image/image.h"
#include "io/file.h"
#include "models/file/load.h"
#include "server/commands/command.h"
#include "server/commands/subcommands.h"
#include "server/report/report.h"
#include "server/report/report_parts.h"
#include "server/training/train_run.h"
#include "support/methods.h"
#include "support/scratch.h"
#include "support/test.h"
#include "support/well_formed.h"

enum { IMAGES = 8, SIDE = 32 };

/* Writes image i, a bright square on noise. */
static void write_image(int i)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_rng rng;
    char name[64];
    void *png;
    size_t length;
    adl_rng_seed(&rng, 21, 0, (uint64_t)i);
    TEST_OK(adl_image_init(&image, 40 + 3 * i, 60 - 2 * i, &err), &err);
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++)
            for (int c = 0; c < 3; c++) {
                bool object = x >= 8 && x < 28 && y >= 10 && y < 30;
                image.rgb[(y * image.width + x) * 3 + c] =
                    (uint8_t)(adl_rng_below(&rng, 60) + (object && c == i % 3 ? 190 : 20));
            }
    TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
    snprintf(name, sizeof name, "images/it's <%d> & \"so\".png", i);
    TEST_OK(
        adl_file_write(scratch_path("%s", name), &(struct adl_file_piece){png, length}, 1, &err),
        &err);
    adl_free(png);
    adl_image_release(&image);
}

/* Makes lists, with a val split and boxes as wanted; names contain characters that have
 * a meaning in HTML. */
static void make_data(const char *name, bool val, bool boxes)
{
    const char *const folders[] = {"images", "metadata", "metadata/train",
                                   val ? "metadata/val" : NULL, NULL};
    static const char *const splits[] = {"train", "val"};
    char unique[100];
    snprintf(unique, sizeof unique, "report-%s", name);
    scratch_open(unique, folders);
    scratch_append("classes.txt", "<script>alert(1)</script>\n\"two\" & 'three'\n");
    for (int i = 0; i < IMAGES; i++) {
        write_image(i);
        for (int s = 0; s < 1 + val; s++) {
            char file[64], id[64];
            snprintf(id, sizeof id, "it's <%d> & \"so\".png", i);
            snprintf(file, sizeof file, "metadata/%s/image_ids.txt", splits[s]);
            scratch_append(file, "%s\n", id);
            snprintf(file, sizeof file, "metadata/%s/class_labels.txt", splits[s]);
            scratch_append(file, "%s,%d\n", id, i % 2);
            if (s == 0 || !boxes)
                continue;
            scratch_append("metadata/val/image_sizes.txt", "%s,%d,%d\n", id, 40 + 3 * i,
                           60 - 2 * i);
            scratch_append("metadata/val/localization.txt", "%s,8,10,28,30\n", id);
        }
    }
}

/* --- a run ------------------------------------------------------------------------------- */

struct outcome {
    int result;
    struct adl_error err;
    char *said; /* what it wrote on standard error; adl_free */
};

static struct outcome train(const char *out, const char *const *more, bool stopped)
{
    const char *argv[40] = {"train",
                            "--arch",
                            "mobilenet_v1",
                            "--width",
                            "0.25",
                            "--data",
                            scratch_root(),
                            "--out",
                            scratch_path("%s", out),
                            "--epochs",
                            "2",
                            "--batch-size",
                            "4",
                            "--resize-size",
                            "36",
                            "--crop-size",
                            "32",
                            "--threads",
                            "2",
                            "--lr",
                            "0.02"};
    int argc = 21;
    struct outcome outcome = {.result = -1};
    struct adl_train_settings settings;
    struct adl_options options = {0};
    volatile sig_atomic_t stop = stopped;

    while (*more)
        argv[argc++] = *more++;
    scratch_stderr_begin();
    if (adl_options_parse(&options, &adl_command_train, argc, (char **)(uintptr_t)argv, &settings,
                          &outcome.err) == 0)
        outcome.result = adl_train_run(&settings, options.command_line, &stop, adl_report_on_event,
                                       &outcome.err);
    adl_options_release(&options);
    outcome.said = scratch_stderr_end();
    return outcome;
}

static void train_well(const char *out, const char *const *more, bool stopped)
{
    struct outcome outcome = train(out, more, stopped);
    TEST_OK(outcome.result, &outcome.err);
    CU_ASSERT(outcome.said && !strstr(outcome.said, "report.html"));
    adl_free(outcome.said);
}

static char *read_out(const char *out, const char *name, size_t *length)
{
    struct adl_error err = {0};
    char file[100];
    snprintf(file, sizeof file, "%s/%s", out, name);
    char *bytes = adl_file_read(scratch_path("%s", file), 64 << 20, length, &err);
    if (!bytes)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(bytes != NULL);
    return bytes;
}

static char *read_report(const char *out)
{
    size_t length;
    char *page = read_out(out, "report.html", &length);
    if (!page)
        return NULL;
    const char *fault = well_formed_fault(page);
    if (fault)
        TEST_FAIL("not well-formed at: %.100s", fault);
    CU_ASSERT_EQUAL(strlen(page), length);
    CU_ASSERT_PTR_NULL(strstr(page, "src=\"h"));
    return page;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* The content of a section of the page; owned by the caller. */
static char *section(const char *page, const char *id)
{
    char start[60];
    snprintf(start, sizeof start, "<section id=\"%s\">", id);
    const char *at = strstr(page, start), *end = at ? strstr(at, "</section>") : NULL;
    if (!end)
        TEST_FAIL("there is no section %s", id);
    return end ? adl_strndup(at, (size_t)(end - at)) : adl_strdup("");
}

static void check_section(const char *page, const char *id, const char *part, size_t times)
{
    char *text = section(page, id);
    size_t count = count_of(text, part);
    if (count != times)
        TEST_FAIL("section %s has %zu times %s, not %zu", id, count, part, times);
    else
        CU_PASS("");
    adl_free(text);
}

static const char *const adl_method[] = {"--method", "adl", NULL};

/* Reads a JSON file of the run. */
static json_t *read_json(const char *name)
{
    size_t length;
    char *text = read_out("run", name, &length);
    json_t *json = text ? json_loadb(text, length, 0, NULL) : NULL;
    adl_free(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    return json;
}

static void check_map(const json_t *map, const char *key)
{
    const json_t *grid = json_object_get(map, key);
    json_int_t w = json_integer_value(json_object_get(grid, "width"));
    json_int_t h = json_integer_value(json_object_get(grid, "height"));
    const char *data = json_string_value(json_object_get(grid, "data"));
    CU_ASSERT(w >= 1 && w <= 28 && h >= 1 && h <= 28);
    CU_ASSERT(data && strlen(data) == (size_t)((w * h + 2) / 3 * 4));
}

/* The pictures of val after each epoch: fractions, probabilities and bytes, and the maps of the
 * three layers for every third. */
static void check_pictures(void)
{
    json_t *index = read_json("pictures/index.json"), *last;
    json_t *pictures = json_object_get(index, "pictures");
    CU_ASSERT_EQUAL(json_array_size(pictures), IMAGES);
    size_t length;
    char *jpeg = read_out("run", "pictures/07.jpg", &length);
    CU_ASSERT(jpeg && length > 100);
    adl_free(jpeg);
    json_decref(read_json("pictures/epoch-0001.json"));
    last = read_json("pictures/epoch-0002.json");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(last, "pictures")), IMAGES);
    for (size_t i = 0; i < IMAGES; i++) {
        const json_t *seen = json_array_get(json_object_get(last, "pictures"), i);
        const json_t *layers = json_object_get(seen, "layers");
        const json_t *truth = json_object_get(json_array_get(pictures, i), "boxes");
        double score = json_number_value(json_object_get(seen, "score"));
        double iou = json_number_value(json_object_get(seen, "iou"));
        CU_ASSERT(score > 0 && score <= 1 && iou >= 0 && iou <= 1);
        CU_ASSERT_EQUAL(json_array_size(truth), 1);
        for (size_t k = 0; k < 4; k++) {
            double edge = json_number_value(json_array_get(json_array_get(truth, 0), k));
            CU_ASSERT(edge >= 0 && edge <= 1);
        }
        check_map(seen, "map");
        CU_ASSERT_EQUAL(json_array_size(layers), i % 3 == 0 ? 3 : 0);
        for (size_t k = 0; k < json_array_size(layers); k++) {
            check_map(json_array_get(layers, k), "attention");
            check_map(json_array_get(layers, k), "importance");
        }
    }
    json_decref(last);
    json_decref(index);
}

/* Returns the text of an element that begins with `start`; owned by the caller. */
static char *element_text(const char *page, const char *start)
{
    const char *at = strstr(page, start), *end = at ? strstr(at, "</script>") : NULL;
    if (!end)
        TEST_FAIL("there is no %s", start);
    at = end ? at + strlen(start) : NULL;
    return at ? adl_strndup(at, (size_t)(end - at)) : adl_strdup("");
}

/* What a report holds of the pictures is what the run's files say, and its one script is the one
 * that its policy allows. */
static void check_held(const char *page)
{
    char *text = element_text(page, "<script type=\"application/json\" id=\"held\">");
    json_t *held = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *file;
    CU_ASSERT_PTR_NOT_NULL_FATAL(held);
    CU_ASSERT_PTR_NULL(strpbrk(text, "<>&"));
    file = read_json("pictures/index.json");
    CU_ASSERT(json_equal(json_object_get(held, "index"), file));
    json_decref(file);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(held, "jpegs")), IMAGES);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(held, "epochs")), 2);
    for (size_t i = 0; i < 2; i++) {
        char name[60];
        snprintf(name, sizeof name, "pictures/epoch-%04zu.json", i + 1);
        file = read_json(name);
        CU_ASSERT(json_equal(json_array_get(json_object_get(held, "sights"), i), file));
        CU_ASSERT_EQUAL(json_integer_value(json_array_get(json_object_get(held, "epochs"), i)),
                        (json_int_t)i + 1);
        json_decref(file);
    }
    json_decref(held);
    adl_free(text);

    uint8_t digest[SHA256_DIGEST_SIZE];
    char source[80] = "script-src 'sha256-";
    struct sha256_ctx state;
    text = element_text(page, "<script type=\"module\">");
    sha256_init(&state);
    sha256_update(&state, strlen(text), (const uint8_t *)text);
    sha256_digest(&state, sizeof digest, digest);
    base64_encode_raw(source + strlen(source), sizeof digest, digest);
    strcat(source, "'");
    CU_ASSERT_PTR_NOT_NULL(strstr(page, source));
    CU_ASSERT_EQUAL(count_of(page, "<script"), 2);
    adl_free(text);
}

static void a_run_leaves_a_report(void)
{
    make_data("whole", true, true);
    train_well("run", adl_method, false);
    char *page = read_report("run");
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "2 of 2 epochs"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "train --arch mobilenet_v1 --width 0.25"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "8 to train on, 8 to validate, 2 classes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "prefers-color-scheme"));
    check_section(page, "curves", "<svg", 4);
    check_section(page, "curves", "<circle", 2 * 6); /* six lines of two epochs */
    check_section(page, "thresholds", "<svg", 2);
    /* Each of the few images is best, worst or random, and none is two of them. */
    check_section(page, "gallery", "<figure", IMAGES);
    check_section(page, "gallery", "data:image/jpeg", IMAGES);
    check_section(page, "gallery", "class=\"true\"", IMAGES);
    char *gallery = section(page, "gallery");
    CU_ASSERT_EQUAL(count_of(gallery, "<b>&lt;script&gt;alert(1)&lt;/script&gt;</b>") +
                        count_of(gallery, "<b>&quot;two&quot; &amp; &#39;three&#39;</b>"),
                    IMAGES);
    adl_free(gallery);
    check_section(page, "gallery", "title=\"it&#39;s &lt;", IMAGES);
    check_section(page, "attention", "data:image/jpeg", 3);
    /* Three images, three layers, three maps of each. */
    check_section(page, "attention", "data:image/png", 3 * 3 * 3);
    check_section(page, "attention", " dropped (", 3 * 3);
    check_section(page, "classes", "<tr><td>", 2);
    check_held(page);
    adl_free(page);
    check_pictures();
}

static void expect_same(const char *name, const char *first, const char *second)
{
    size_t length, other;
    char *one = read_out(first, name, &length), *two = read_out(second, name, &other);
    CU_ASSERT(length == other && memcmp(one, two, length) == 0);
    adl_free(one);
    adl_free(two);
}

/* state.safetensors has every weight, running statistic and momentum, so equal files
 * mean equal runs. */
static void the_weights_are_the_same_without(void)
{
    static const char *const without[] = {"--method", "adl", "--no-report", NULL};
    static const char *const resumed[] = {"--method", "adl", "--resume", NULL};
    make_data("same", true, true);
    train_well("with", adl_method, false);
    train_well("without", without, false);
    CU_ASSERT_EQUAL(access(scratch_path("without/report.html"), F_OK), -1);
    expect_same("state.safetensors", "with", "without");

    train_well("stopped", adl_method, true);
    char *page = read_report("stopped");
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "0 of 2 epochs"));
    check_section(page, "curves", "<svg", 0);
    check_section(page, "gallery", "<figure", IMAGES);
    check_section(page, "gallery", "The run was stopped", 1);
    adl_free(page);
    train_well("stopped", resumed, false);
    expect_same("state.safetensors", "with", "stopped");
    page = read_report("stopped");
    check_section(page, "curves", "<circle", 2 * 6);
    adl_free(page);
    /* Resuming a finished run only writes its report. */
    unlink(scratch_path("stopped/report.html"));
    train_well("stopped", resumed, false);
    page = read_report("stopped");
    check_section(page, "gallery", "<figure", IMAGES);
    adl_free(page);
    expect_same("state.safetensors", "with", "stopped");
}

static void missing_data_are_mentioned(void)
{
    static const char *const cam[] = {"--method", "cam", NULL};
    make_data("no-boxes", true, false);
    train_well("run", cam, false);
    char *page = read_report("run");
    check_section(page, "curves", "has no boxes", 1);
    check_section(page, "thresholds", "has no boxes", 1);
    check_section(page, "gallery", "<figure", IMAGES);
    check_section(page, "gallery", "IoU", 0);
    check_section(page, "attention", "no layers that hide", 1);
    check_section(page, "classes", "localized %", 0);
    adl_free(page);

    /* Neither val nor such layers: no image is needed, and the model is not read. */
    make_data("no-val-cam", false, false);
    train_well("run", cam, false);
    page = read_report("run");
    check_section(page, "attention", "no layers that hide", 1);
    adl_free(page);

    make_data("no-val", false, false);
    train_well("run", adl_method, false);
    page = read_report("run");
    check_section(page, "curves", "has no val split", 1);
    check_section(page, "gallery", "has no val split", 1);
    check_section(page, "attention", "data:image/png", 3 * 3 * 3);
    adl_free(page);
}

static void a_report_that_fails_is_a_warning(void)
{
    make_data("fails", true, true);
    mkdir(scratch_path("run"), 0777);
    mkdir(scratch_path("run/report.html"), 0777); /* nothing can be renamed to it */
    struct outcome outcome = train("run", adl_method, false);
    TEST_OK(outcome.result, &outcome.err);
    CU_ASSERT_FATAL(outcome.said != NULL);
    CU_ASSERT(outcome.said && count_of(outcome.said, "report.html could not be written") == 2);
    adl_free(outcome.said);
    CU_ASSERT_EQUAL(access(scratch_path("run/last.safetensors"), F_OK), 0);
}

/* --- the subcommand ---------------------------------------------------------------------- */

/* Runs `adl-server report` with these arguments; returns its exit status, and in
 * *said what it wrote on standard error, for adl_free. */
static int report(const char *const *words, char **said)
{
    const char *argv[10] = {"report"};
    int argc = 1;

    while (*words)
        argv[argc++] = *words++;
    scratch_stderr_begin();
    int status =
        adl_command_main(&adl_command_report, adl_commands, argc, (char **)(uintptr_t)argv);
    *said = scratch_stderr_end();
    return status;
}
#define REPORT(said, ...) report((const char *const[]){__VA_ARGS__, NULL}, said)

/* Checks that two pages are equal up to the time in the footer. */
static void expect_same_page(const char *first, const char *second)
{
    const char *end = strstr(first, "<footer>");
    CU_ASSERT_FATAL(end != NULL);
    CU_ASSERT_EQUAL(strncmp(first, second, (size_t)(end - first) + strlen("<footer>")), 0);
}

static void a_report_is_made_again(const char *name, const char *const *method, bool val,
                                   bool boxes)
{
    char *said;
    make_data(name, val, boxes);
    train_well("run", method, false);
    char *before = read_report("run");
    CU_ASSERT_EQUAL(unlink(scratch_path("run/report.html")), 0);
    CU_ASSERT_EQUAL(REPORT(&said, "--threads", "1", scratch_path("run")), 0);
    CU_ASSERT_STRING_EQUAL(said, "");
    char *again = read_report("run");
    expect_same_page(before, again);
    adl_free(said);
    adl_free(before);
    adl_free(again);
}

/* Files of the pictures that are damaged are left out, and the rest is shown. */
static void damaged_pictures_are_left_out(void)
{
    static const struct {
        const char *name, *content;
        size_t scripts; /* in the report */
        const char *epochs;
    } cases[] = {
        {"pictures/epoch-0001.json", "{\"pictures\":[]}", 2, "\"epochs\":[2]}"},
        {"pictures/epoch-0001.json", "{\"pictures\":[1,2", 2, "\"epochs\":[2]}"},
        {"pictures/epoch-0002.json", "</script><script>alert(1)</script>", 0, ""},
        {"pictures/03.jpg", "<svg onload='alert(1)'/>", 0, ""},
        {"pictures/index.json", "[]", 0, ""},
    };
    make_data("damaged", true, true);
    train_well("run", adl_method, false);
    char *before = read_report("run");
    CU_ASSERT_EQUAL(count_of(before, "<script"), 2);
    adl_free(before);
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        char file[100];
        snprintf(file, sizeof file, "run/%s", cases[i].name);
        const struct adl_file_piece piece = {cases[i].content, strlen(cases[i].content)};
        TEST_OK(adl_file_write(scratch_path("%s", file), &piece, 1, &err), &err);
        char *said;
        CU_ASSERT_EQUAL(REPORT(&said, "--threads", "1", scratch_path("run")), 0);
        adl_free(said);
        char *page = read_report("run");
        if (count_of(page, "<script") != cases[i].scripts || !strstr(page, cases[i].epochs))
            TEST_FAIL("%s: %zu scripts", cases[i].name, count_of(page, "<script"));
        adl_free(page);
    }
}

static void the_page_is_the_same_again(void)
{
    static const char *const ablation[] = {"--method",        "adl",  "--adl-no-importance",
                                           "--adl-threshold", "0.85", NULL};
    static const char *const cam[] = {"--method", "cam", NULL};
    a_report_is_made_again("again-adl", adl_method, true, true);
    a_report_is_made_again("again-ablation", ablation, true, true);
    a_report_is_made_again("again-no-boxes", cam, true, false);
    a_report_is_made_again("again-no-val", adl_method, false, false);
}

/* The page of a stopped run covers a sample of val, that of the subcommand all of it. */
static void a_stopped_run_is_reported_in_full(void)
{
    char *said;
    make_data("stopped", true, true);
    train_well("run", adl_method, true);
    CU_ASSERT_EQUAL(REPORT(&said, scratch_path("run")), 0);
    char *page = read_report("run");
    check_section(page, "gallery", "<figure", IMAGES);
    check_section(page, "gallery", "The run was stopped", 0);
    check_section(page, "classes", "<tr><td>", 2);
    adl_free(page);
    adl_free(said);
}

static void moved_data_can_be_given(void)
{
    char *said, moved[700];
    make_data("moved", true, true);
    train_well("run", adl_method, false);
    char *before = read_report("run");
    snprintf(moved, sizeof moved, "%s-elsewhere", scratch_root());
    mkdir(moved, 0777);
    char there[800];
    snprintf(there, sizeof there, "%s/images", moved);
    CU_ASSERT_EQUAL(rename(scratch_path("images"), there), 0);
    /* The lists exist, but the images do not. */
    CU_ASSERT_EQUAL(REPORT(&said, scratch_path("run")), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "without images"));
    adl_free(said);
    snprintf(there, sizeof there, "%s/metadata", moved);
    CU_ASSERT_EQUAL(rename(scratch_path("metadata"), there), 0);
    CU_ASSERT_EQUAL(REPORT(&said, scratch_path("run")), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "without images"));
    adl_free(said);
    char *page = read_report("run");
    check_section(page, "curves", "<circle", 2 * 6);
    check_section(page, "gallery", "<figure", 0);
    check_section(page, "gallery", "There are no images", 1);
    check_section(page, "gallery", "--data", 1);
    check_section(page, "attention", "There are no images", 1);
    check_section(page, "thresholds", "no evaluation", 1);
    adl_free(page);
    CU_ASSERT_EQUAL(REPORT(&said, "--data", moved, scratch_path("run")), 0);
    CU_ASSERT_STRING_EQUAL(said, "");
    adl_free(said);
    page = read_report("run");
    expect_same_page(before, page);
    adl_free(page);
    adl_free(before);
}

static void other_directories_are_refused(void)
{
    static const char *const records[] = {"", "[]", "{\"version\":1}", "{\"version\":1,"};
    char *said;
    make_data("no-run", false, false);
    CU_ASSERT_EQUAL(REPORT(&said, scratch_path("nothing")), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "is not a directory"));
    adl_free(said);
    mkdir(scratch_path("run"), 0777);
    CU_ASSERT_EQUAL(REPORT(&said, scratch_path("run")), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "run/run.json: not found"));
    adl_free(said);
    for (size_t i = 0; i < ADL_COUNT(records); i++) {
        FILE *file = fopen(scratch_path("run/run.json"), "w");
        CU_ASSERT_FATAL(file != NULL);
        fputs(records[i], file);
        fclose(file);
        CU_ASSERT_EQUAL(REPORT(&said, scratch_path("run")), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "is not the record"));
        adl_free(said);
    }
    CU_ASSERT_EQUAL(access(scratch_path("run/report.html"), F_OK), -1);
    CU_ASSERT_EQUAL(report((const char *const[]){NULL}, &said), 2);
    adl_free(said);
}

/* --- out of memory --------------------------------------------------------------------------- */

/* Each allocation of the sections with images fails in turn. */
static void memory_runs_out(void)
{
    struct adl_error err = {0};
    make_data("memory", true, true);
    train_well("run", adl_method, false);
    struct adl_model *model = adl_model_load(scratch_path("run/best.safetensors"), NULL, &err);
    const struct adl_dataset_options from = {.dir = scratch_root(), .split = "val"};
    struct adl_dataset *data = adl_dataset_open(&from, &err);
    CU_ASSERT_FATAL(model != NULL && data != NULL);
    const struct adl_plan_options how = {.input_h = SIDE, .input_w = SIDE};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &how, &err);
    struct adl_views *views = plan ? adl_views_create(plan, NULL, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(views != NULL);
    struct adl_evaluate_place places[IMAGES] = {{.measured = true, .iou = 0.5f},
                                                {.measured = true, .iou = 0.25f}};
    const struct adl_report_images images = {.data = data,
                                             .model = model,
                                             .views = views,
                                             .values = test_method_values(NULL),
                                             .places = places,
                                             .localized = true,
                                             .seed = 1};
    static int (*const put[])(struct adl_str *, const struct adl_report_images *,
                              struct adl_error *) = {adl_report_gallery, adl_report_attention};
    for (size_t i = 0; i < ADL_COUNT(put); i++) {
        struct adl_str page = {0};
        size_t blocks = adl_mem_stats().live_blocks;
        uint64_t calls = adl_mem_stats().calls;
        TEST_OK(put[i](&page, &images, &err), &err);
        calls = adl_mem_stats().calls - calls;
        CU_ASSERT(!page.failed);
        adl_str_release(&page);
        for (uint64_t n = 1; n <= calls; n++) {
            struct adl_error failed = {0};
            adl_mem_fail_nth(n);
            int result = put[i](&page, &images, &failed);
            adl_mem_fail_nth(0);
            CU_ASSERT(result == 0 ? page.failed : failed.kind == ADL_ERR_NOMEM);
            adl_str_release(&page);
            page.failed = false;
        }
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    }
    adl_views_free(views);
    adl_plan_unref(plan);
    adl_dataset_free(data);
    adl_model_free(model);
}

TEST_SUITE(report_run, {"a run leaves a report", a_run_leaves_a_report},
           {"the weights are the same without", the_weights_are_the_same_without},
           {"missing data are mentioned", missing_data_are_mentioned},
           {"a report that fails is a warning", a_report_that_fails_is_a_warning},
           {"damaged pictures are left out", damaged_pictures_are_left_out},
           {"the page is the same again", the_page_is_the_same_again},
           {"a stopped run is reported in full", a_stopped_run_is_reported_in_full},
           {"moved data can be given", moved_data_can_be_given},
           {"other directories are refused", other_directories_are_refused},
           {"memory runs out", memory_runs_out});
