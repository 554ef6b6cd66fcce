/* The file of an experiment is read strictly, rows and products become the options of `train`, and
 * the table has the right figures and keeps the text around it. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "server/experiment/experiment_command.h"
#include "server/experiment/experiment_read.h"
#include "server/experiment/run_settings.h"
#include "server/experiment/table.h"
#include "server/tasks/directory.h"
#include "support/test.h"

static const struct adl_experiment_settings no_settings;
static char dir[] = "/tmp/adl-experiment-XXXXXX";

static struct adl_experiment_commands commands(void)
{
    return (struct adl_experiment_commands){.train = adl_command_find("train"),
                                            .calibrate = adl_command_find("calibrate"),
                                            .eval = adl_command_find("eval"),
                                            .info = adl_command_find("info")};
}

static void write_text(const char *name, const char *text)
{
    struct adl_error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (adl_file_write(path, &(struct adl_file_piece){text, strlen(text)}, 1, &err) < 0)
        TEST_FAIL("%s", err.message);
}

/* Reads the text as a file; returns 0 or -1 with *err. */
static int read_file(struct adl_experiment *e, const char *text,
                     const struct adl_experiment_settings *settings, struct adl_error *err)
{
    static struct adl_experiment_commands all;
    static char path[300];
    all = commands();
    write_text("mine.json", text);
    snprintf(path, sizeof path, "%s/mine.json", dir);
    *err = (struct adl_error){0};
    return adl_experiment_read(e, path, settings, &all, err);
}

static void begin(void)
{
    strcpy(dir, "/tmp/adl-experiment-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static void end(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* --- reading ------------------------------------------------------------------------------ */

static void mistakes_are_named(void)
{
#define ROWS "\"rows\": [{\"name\": \"a\"}]"
#define NAME30 "abcdefghijabcdefghijabcdefghij"
#define NAME90 NAME30 NAME30 NAME30
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "the file has to be an object"},
        {"{", "mine.json:1: "},
        {"{}", "there are no \"rows\""},
        {"{\"rows\": []}", "\"rows\" has to be a list with an item"},
        {"{\"rows\": [{}]}", "rows has no \"name\""},
        {"{\"rows\": [{\"name\": \"../a\"}]}", "cannot name a directory"},
        {"{\"rows\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "there are two rows \"a\""},
        {"{" ROWS ", \"sedes\": [1]}", "unknown key \"sedes\"; did you mean \"seeds\"?"},
        {"{" ROWS ", \"seeds\": [1, 1]}", "the seed 1 is listed twice"},
        {"{" ROWS ", \"seeds\": [-1]}", "\"seeds\" has to be a list"},
        {"{\"rows\": [{\"name\": \"a\", \"option\": {}}]}", "did you mean \"options\"?"},
        {"{" ROWS ", \"common\": {\"epcohs\": 1}}",
         "row \"a\": train: unknown option --epcohs; did you mean --epochs?"},
        {"{" ROWS ", \"common\": {\"epochs\": 0}}", "row \"a\": train: --epochs"},
        {"{" ROWS ", \"common\": {\"epochs\": {}}}", "has to be a text, a number"},
        {"{" ROWS ", \"common\": {\"seed\": 1}}", "\"seed\" is set by the experiment itself"},
        {"{" ROWS ", \"common\": {\"help\": true}}", "\"help\" is set by the experiment itself"},
        {"{" ROWS ", \"measure\": [{\"name\": \"m\", \"calibrate\": {\"fro\": \"v2\"}}]}",
         "measure \"m\": calibrate: unknown option --fro; see adl-server calibrate"},
        {"{" ROWS ", \"measure\": [{\"name\": \"m\", \"options\": {\"split\": \"a\"}}]}",
         "the split is a key of the measure"},
        {"{" ROWS ", \"measure\": [{\"name\": \"run\"}]}", "cannot be called \"run\""},
        {"{" ROWS ", \"measure\": [{\"name\": \"test\"}], \"columns\": [{\"figure\": \"top1_cls\", "
         "\"measure\": \"tets\"}]}",
         "there is no measure \"tets\"; did you mean \"test\"?"},
        {"{" ROWS ", \"reference\": \"b\"}", "there is no row \"b\""},
        {"{\"rows\": [{\"product\": [[{\"name\": \"a\", \"with\": {\"bb\": {}}}], [{\"name\": "
         "\"bbb\"}]]}]}",
         "\"with\" names \"bb\", which is no item of the product; did you mean \"bbb\"?"},
        {"{" ROWS ", \"search\": {\"draw\": {\"lr\": {\"log_uniform\": [0, 1]}}}}",
         "the draw of \"lr\" has to be one of"},
        {"{" ROWS ", \"search\": {\"draw\": {\"lr\": {\"loguniform\": [0, 1]}}}}",
         "did you mean \"log_uniform\"?"},
        {"{" ROWS ", \"search\": {\"by\": \"MaxBoxAc\"}}",
         "there is no column \"MaxBoxAc\"; did you mean \"MaxBoxAcc\"?"},
        {"{\"rows\": [{\"name\": \"a\", \"draw\": {}}]}", "there is no \"search\""},
        {"{" ROWS ", \"common\": {\"out=/tmp/x\": true}}", "\"out=/tmp/x\" cannot name an option"},
        {"{" ROWS ", \"common\": {\"\": 1}}", "cannot name an option"},
        {"{" ROWS ", \"measure\": [{\"name\": \"m\", \"options\": {\"seed\": 1}}]}",
         "\"seed\" is set by the experiment itself"},
        {"{\"rows\": [{\"name\": \"table.csv\"}]}", "a row cannot be called \"table.csv\""},
        {"{\"rows\": [{\"product\": [[{\"name\": \"" NAME90 "\"}], [{\"name\": \"" NAME90
         "\"}], [{\"name\": \"" NAME90 "\"}]]}]}",
         "is longer than 200 letters"},
        {"{" ROWS ", \"measure\": [{\"name\": \"x.settings\"}]}", "cannot be called"},
        {"{" ROWS ", \"measure\": [{\"name\": \"m\", \"options\": {\"csv\": \"f\"}}]}",
         "\"csv\" is not one for an experiment"},
        {"{" ROWS ", \"common\": {\"find-lr\": true}}", "\"find-lr\" is not one for an experiment"},
        {"{" ROWS ", \"common\": {\"tensorboard\": \"d\"}}", "\"tensorboard\" has to be true"},
        {"{" ROWS ", \"common\": {\"recipe\": \"list\"}}", "the recipe \"list\" trains nothing"},
        {"{" ROWS ", \"search\": {\"draw\": {\"epochs\": {\"whole\": [0, 1e300]}}}}",
         "the draw of \"epochs\" has to be one of"},
        {"{" ROWS ", \"search\": {\"draw\": {\"lr\": {\"uniform\": [0, 1], \"whole\": [0, 1]}}}}",
         "the draw of \"lr\" has to be one of"},
        {"{\"rows\": [{\"product\": [[]]}]}", "each part of \"product\""},
        {"{" ROWS ", \"folds\": 1}", "\"folds\" has to be a whole number from 2 to"},
        {"{" ROWS ", \"folds\": 3, \"common\": {\"fold\": 1}}",
         "a: the option \"fold\" is set by the experiment itself"},
        {"{" ROWS ", \"folds\": 3, \"measure\": [{\"name\": \"m\", \"calibrate\": "
         "{\"val-share\": 0.5}}]}",
         "m: the option \"val-share\" is set by the experiment itself"},
    };
#undef ROWS
#undef NAME30
#undef NAME90
    begin();
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_experiment e;
        struct adl_error err;
        if (read_file(&e, cases[i].text, &no_settings, &err) == 0)
            TEST_FAIL("%s is accepted", cases[i].text);
        else if (!strstr(err.message, cases[i].message) || err.kind != ADL_ERR_FORMAT)
            TEST_FAIL("%s: %s", cases[i].text, err.message);
        else
            CU_PASS("");
        adl_experiment_release(&e);
    }
    end();
}

/* The command line of a row without the paths. */
static void check_options(const struct adl_experiment *e, size_t row, const char *name,
                          const char *options)
{
    struct adl_str text = {0};
    adl_experiment_options(e->rows[row].options, &text);
    CU_ASSERT_STRING_EQUAL(e->rows[row].name, name);
    CU_ASSERT_STRING_EQUAL(text.data, options);
    adl_str_release(&text);
}

static const char product[] =
    "{\"common\": {\"lr\": 0.1, \"epochs\": 3, \"mean\": [0.5, 0.25, 1e-7]},"
    " \"data\": {\"data\": \"d\", \"metadata\": \"/m\"}, \"init\": \"w.pth\","
    " \"rows\": [{\"name\": \"first\", \"init\": null, \"options\": {\"lr\": null, "
    "\"resume-not\": false}},"
    " {\"product\": [[{\"name\": \"a\", \"title\": \"A\", \"options\": {\"lr\": 0.01}},"
    " {\"name\": \"b\", \"title\": \"B\", \"with\": {\"y\": {\"epochs\": 7}}}],"
    " [{\"name\": \"x\", \"title\": \"X\"}, {\"name\": \"y\", \"options\": {\"lr\": 1, "
    "\"no-report\": true}}]]}]}";

static void products_have_all_combinations(void)
{
    struct adl_experiment e;
    struct adl_error err;
    char path[320];

    begin();
    if (read_file(&e, product, &no_settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL_FATAL(e.row_count, 5);
    check_options(&e, 0, "first", "--epochs 3 --mean 0.5,0.25,1e-07");
    check_options(&e, 1, "a-x", "--lr 0.01 --epochs 3 --mean 0.5,0.25,1e-07");
    check_options(&e, 2, "a-y", "--lr 1 --epochs 3 --mean 0.5,0.25,1e-07 --no-report");
    check_options(&e, 3, "b-x", "--lr 0.1 --epochs 3 --mean 0.5,0.25,1e-07");
    check_options(&e, 4, "b-y", "--lr 1 --epochs 7 --mean 0.5,0.25,1e-07 --no-report");
    CU_ASSERT_STRING_EQUAL(e.rows[1].title, "A, X");
    CU_ASSERT_STRING_EQUAL(e.rows[2].title, "A, y");
    CU_ASSERT_PTR_NULL(e.rows[0].init);
    snprintf(path, sizeof path, "%s/w.pth", dir);
    CU_ASSERT_STRING_EQUAL(e.rows[1].init, path);
    snprintf(path, sizeof path, "%s/d", dir);
    CU_ASSERT_STRING_EQUAL(e.data, path);
    CU_ASSERT_STRING_EQUAL(e.metadata, "/m");
    snprintf(path, sizeof path, "%s/mine", dir);
    CU_ASSERT_STRING_EQUAL(e.out, path);
    CU_ASSERT_EQUAL(e.column_count, 5);
    CU_ASSERT_EQUAL(e.reference, 0);
    adl_experiment_release(&e);
    end();
}

static void the_command_line_wins(void)
{
    static const char *const set[] = {"lr=5", "flip=", "exact-decode"};
    const struct adl_experiment_settings settings = {.data = "here",
                                                     .out = "there",
                                                     .init = "none",
                                                     .rows = "b-y,a-x",
                                                     .seeds = "4,2",
                                                     .set = {set, ADL_COUNT(set)}};
    struct adl_experiment e;
    struct adl_error err;

    begin();
    if (read_file(&e, product, &settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL_FATAL(e.row_count, 2);
    check_options(&e, 0, "a-x", "--lr 5 --epochs 3 --mean 0.5,0.25,1e-07 --exact-decode");
    check_options(&e, 1, "b-y",
                  "--lr 5 --epochs 7 --mean 0.5,0.25,1e-07 --exact-decode --no-report");
    CU_ASSERT_PTR_NULL(e.rows[0].init);
    CU_ASSERT_STRING_EQUAL(e.data, "here");
    CU_ASSERT_PTR_NULL(e.metadata);
    CU_ASSERT_STRING_EQUAL(e.out, "there");
    CU_ASSERT_EQUAL(e.seed_count, 2);
    CU_ASSERT_EQUAL(e.seeds[0], 4);
    CU_ASSERT(e.partial);
    /* The first row is not among them. */
    CU_ASSERT_EQUAL(e.reference, 0);
    adl_experiment_release(&e);
    end();
}

/* A title that is null is the name, and a null of the whole file does not keep --init away. */
static void nulls_are_as_if_absent(void)
{
    static const char text[] = "{\"init\": null, \"rows\": [{\"name\": \"a\", \"title\": null}, "
                               "{\"name\": \"b\", \"init\": null}]}";
    struct adl_experiment_settings settings = {.init = "mine.json"};
    struct adl_experiment e;
    struct adl_error err;

    begin();
    if (read_file(&e, text, &settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL_FATAL(e.row_count, 2);
    CU_ASSERT_STRING_EQUAL(e.rows[0].title, "a");
    CU_ASSERT_STRING_EQUAL(e.rows[0].init, "mine.json");
    CU_ASSERT_PTR_NULL(e.rows[1].init);
    adl_experiment_release(&e);

    /* A directory, of which no row names a file. */
    settings.init = dir;
    CU_ASSERT_EQUAL(read_file(&e, text, &settings, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "the row \"a\" names no \"init\""));
    adl_experiment_release(&e);
    settings.rows = "b";
    CU_ASSERT_EQUAL(read_file(&e, text, &settings, &err), 0);
    adl_experiment_release(&e);
    end();
}

/* What is measured is divided as what was trained, else val would have images of train. */
static void measures_are_divided_as_the_training(void)
{
    static const char text[] =
        "{\"common\": {\"folds\": 4, \"exif\": \"apply\"}, \"rows\": [{\"name\": \"a\", "
        "\"options\": {\"fold\": 3}}], \"seeds\": [5, 7], \"measure\": [{\"name\": \"m\", "
        "\"split\": \"val\", \"calibrate\": {\"val-share\": 0.5}, \"options\": {\"fold\": 2}}]}";
    struct adl_experiment e;
    struct adl_error err;
    struct adl_str list = {0};

    begin();
    if (read_file(&e, text, &no_settings, &err) < 0 || adl_experiment_list(&e, &list, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(list.data, " --split=val --folds=4 --exif=apply --seed=7 --fold=2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(list.data, " --exif=apply --seed=7 --val-share=0.5"));
    adl_str_release(&list);
    adl_experiment_release(&e);
    end();
}

/* Of a file of boxes without splits train keeps a tenth as val, and a measure is of that tenth: the
 * others are learned. */
static void files_without_splits_are_measured_on_what_is_left_out(void)
{
    static const char boxes[] =
        "{\"images\": [{\"id\": 1, \"file_name\": \"a.png\", \"width\": 9, \"height\": 9}], "
        "\"categories\": [{\"id\": 1, \"name\": \"a\"}], \"annotations\": "
        "[{\"id\": 1, \"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 1, 4, 4]}]}";
    static const char text[] =
        "{\"data\": {\"data\": \"boxes.json\"}, \"rows\": [{\"name\": \"a\"}, {\"name\": \"b\", "
        "\"options\": {\"val-share\": 0.3}}, {\"name\": \"c\", \"options\": {\"folds\": 2, "
        "\"fold\": 1}}], \"seeds\": [7], \"measure\": [{\"name\": \"m\", \"split\": \"val\", "
        "\"calibrate\": true}]}";
    static const char *const commands[] = {
        "a/seed7/last.safetensors --data=%s/boxes.json --val-share=0.1 --seed=7 -- ",
        "a/seed7/m.safetensors --data=%s/boxes.json --split=val --val-share=0.1 --seed=7 --json",
        "b/seed7/m.safetensors --data=%s/boxes.json --split=val --val-share=0.3 --seed=7 --json",
        "c/seed7/m.safetensors --data=%s/boxes.json --split=val --folds=2 --fold=1 --seed=7 "
        "--json"};
    struct adl_experiment e;
    struct adl_error err;
    struct adl_str list = {0};

    begin();
    write_text("boxes.json", boxes);
    if (read_file(&e, text, &no_settings, &err) < 0 || adl_run_settings_identify(&e, &err) < 0 ||
        adl_experiment_list(&e, &list, &err) < 0)
        TEST_FAIL("%s", err.message);
    for (size_t i = 0; i < ADL_COUNT(commands); i++) {
        char line[400];
        snprintf(line, sizeof line, commands[i], dir);
        if (!strstr(list.data, line))
            TEST_FAIL("the list has no %s in\n%s", line, list.data);
    }
    /* What was measured on all images is not taken for this. */
    json_t *settings = adl_run_settings_of_measure(&e, 0, 0, &err);
    CU_ASSERT_PTR_NOT_NULL(json_object_get(json_object_get(settings, "data"), "val-share"));
    json_decref(settings);
    adl_str_release(&list);
    adl_experiment_release(&e);
    end();
}

/* Each seed has a run of each fold, which is divided in the same way for all commands. */
static void folds_are_runs(void)
{
    static const char text[] = "{\"rows\": [{\"name\": \"a\"}], \"seeds\": [5, 7], \"folds\": 3, "
                               "\"measure\": [{\"name\": \"m\", \"split\": \"val\", "
                               "\"calibrate\": true}]}";
    static const char *const commands[] = {
        "train --out %s/mine/a/seed7-fold2 --folds=3 --fold=2 --seed=7\n",
        "calibrate --model %s/mine/a/seed7-fold2/last.safetensors --folds=3 --fold=2 --seed=7 -- ",
        "eval --model %s/mine/a/seed7-fold2/m.safetensors --split=val --folds=3 --fold=2 "
        "--seed=7 "};
    struct adl_experiment e;
    struct adl_error err;
    struct adl_str list = {0};
    char line[400];

    begin();
    if (read_file(&e, text, &no_settings, &err) < 0 || adl_experiment_list(&e, &list, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL(e.seed_count, 6);
    for (size_t i = 0; i < ADL_COUNT(commands); i++) {
        snprintf(line, sizeof line, commands[i], dir);
        if (!strstr(list.data, line))
            TEST_FAIL("the list has no %s in\n%s", line, list.data);
    }
    adl_str_release(&list);
    adl_experiment_release(&e);

    /* Without measures, val is what the folds are for. */
    CU_ASSERT_EQUAL(
        read_file(&e, "{\"rows\": [{\"name\": \"a\"}], \"folds\": 2}", &no_settings, &err), 0);
    CU_ASSERT_STRING_EQUAL(e.measures[0].split, "val");
    adl_experiment_release(&e);
    end();
}

/* --- drawing ------------------------------------------------------------------------------ */

static const char search[] =
    "{\"rows\": [{\"name\": \"a\", \"options\": {\"lr\": 5}}, {\"name\": \"b\", \"draw\": "
    "{\"flip\": {\"uniform\": [0.25, 0.5]}, \"epochs\": {\"whole\": [3, 5]},"
    " \"schedule\": {\"choice\": [\"step\", \"cosine\"]}}}],"
    " \"search\": {\"n\": %d, \"seed\": 7, \"draw\": {\"lr\": {\"log_uniform\": [1e-5, 1]}%s}}}";

static double option_of(const struct adl_experiment_row *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row->options, name));
    return text ? atof(text) : (double)NAN;
}

static void draws_lie_in_their_ranges(void)
{
    enum { DRAWS = 300 };
    struct adl_experiment e, longer;
    struct adl_error err;
    char text[1000];
    double below = 0, flips = 0, epochs[3] = {0}, cosine = 0;

    begin();
    snprintf(text, sizeof text, search, DRAWS, "");
    if (read_file(&e, text, &no_settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_EQUAL_FATAL(e.row_count, 2 * DRAWS);
    for (size_t i = 0; i < e.row_count; i++) {
        const struct adl_experiment_row *row = &e.rows[i];
        double lr = option_of(row, "lr"), flip = option_of(row, "flip");
        CU_ASSERT(lr >= 1e-5 && lr <= 1);
        if (i < DRAWS) {
            below += lr < 3.1622776601683795e-3; /* the middle of the logarithms */
            CU_ASSERT(isnan(flip));
            /* Both rows draw the same rates. */
            CU_ASSERT(!(fabs(lr - option_of(row + DRAWS, "lr")) > 0));
            continue;
        }
        CU_ASSERT(flip >= 0.25 && flip <= 0.5);
        flips += flip / DRAWS;
        int epoch = (int)option_of(row, "epochs");
        CU_ASSERT_FATAL(epoch >= 3 && epoch <= 5);
        epochs[epoch - 3]++;
        cosine += !strcmp(json_string_value(json_object_get(row->options, "schedule")), "cosine");
    }
    /* Four standard deviations: of a binomial count sqrt(n p q), of a uniform mean
     * width / sqrt(12 n). */
    CU_ASSERT(fabs(below - DRAWS / 2.0) < 4 * sqrt(DRAWS / 4.0));
    CU_ASSERT(fabs(cosine - DRAWS / 2.0) < 4 * sqrt(DRAWS / 4.0));
    CU_ASSERT(fabs(flips - 0.375) < 4 * 0.25 / sqrt(12.0 * DRAWS));
    for (int i = 0; i < 3; i++)
        CU_ASSERT(fabs(epochs[i] - DRAWS / 3.0) < 4 * sqrt(DRAWS * 2 / 9.0));

    /* More draws and another option leave a draw as it was. */
    snprintf(text, sizeof text, search, DRAWS + 1, ", \"momentum\": {\"uniform\": [0, 0.5]}");
    if (read_file(&longer, text, &no_settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT(!(fabs(option_of(&e.rows[DRAWS + 9], "flip") -
                     option_of(&longer.rows[DRAWS + 10], "flip")) > 0));
    adl_experiment_release(&longer);
    adl_experiment_release(&e);
    end();
}

/* --- figures ------------------------------------------------------------------------------ */

static void put_result(const char *row, int seed, const char *name, const char *text)
{
    struct adl_error err = {0};
    char path[400];
    snprintf(path, sizeof path, "%s/mine/%s/seed%d", dir, row, seed);
    if (adl_make_directories(path, &err) < 0)
        TEST_FAIL("%s", err.message);
    snprintf(path, sizeof path, "mine/%s/seed%d/%s", row, seed, name);
    write_text(path, text);
}

/* The settings of a run of a file without options. */
static void put_settings(const char *row, int seed, const char *options)
{
    put_result(row, seed, "settings.json", options);
    put_result(row, seed, "test.settings.json",
               "{\"options\": {}, \"calibrate\": null, \"split\": \"test\", \"model\": \"last\"}");
}

static const char two_rows[] =
    "{\"rows\": [{\"name\": \"a\", \"title\": \"A|\"}, {\"name\": \"b\", \"title\": \"\\\"B\\\"\"},"
    " {\"name\": \"c\"}],"
    " \"seeds\": [1, 2, 3], \"columns\": [{\"title\": \"Acc\", \"figure\": \"acc\", \"baseline\": "
    "\"centre\"}]}";

static void figures_are_means_of_seeds(void)
{
    struct adl_experiment e;
    struct adl_figures f;
    struct adl_error err;
    struct adl_str text = {0}, csv = {0};

    begin();
    put_result("a", 1, "test.json", "{\"acc\": 50.25, \"centre\": 40}");
    put_result("a", 2, "test.json", "{\"acc\": 52.5, \"centre\": 40}");
    put_result("a", 3, "test.json", "{\"acc\": 49, \"centre\": 40}");
    put_result("b", 1, "test.json", "{\"acc\": 55, \"centre\": 40}");
    put_result("b", 3, "test.json", "{\"acc\": 51, \"centre\": 40}");
    put_result("a", 1, "info.json", "{\"parameters\": 1234567, \"gflops\": 0.5}");
    put_result("a", 1, "metrics.jsonl",
               "{\"epoch\": 1, \"seconds\": 10}\n"
               "{\"epoch\": 2, \"seconds\": 12.5}\n");
    for (int seed = 1; seed <= 3; seed++) {
        put_settings("a", seed, "{\"options\": {}, \"init\": null}");
        put_settings("b", seed, "{\"options\": {}, \"init\": null}");
    }
    /* Of another training. */
    put_settings("c", 1, "{\"options\": {\"lr\": \"0.5\"}, \"init\": null}");
    put_result("c", 1, "test.json", "{\"acc\": 99, \"centre\": 99}");
    put_result("c", 2, "test.json", "{\"acc\": 99, \"centre\": 99}");
    if (read_file(&e, two_rows, &no_settings, &err) < 0)
        TEST_FAIL("%s", err.message);
    if (adl_figures_read(&f, &e, &err) < 0)
        TEST_FAIL("%s", err.message);
    /* numpy: np.mean and np.std(ddof=1) of 50.25, 52.5, 49 and of 55, 51; of the differences
     * 4.75 and 2: mean 3.375, standard error np.std([4.75, 2], ddof=1) / sqrt(2) = 1.375 */
    const struct adl_mean a = adl_figures_mean(&f, 0, 0), b = adl_figures_mean(&f, 1, 0);
    const struct adl_mean difference = adl_figures_difference(&f, 1, 0);
    CU_ASSERT_DOUBLE_EQUAL(a.mean, 50.583333333333336, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(a.deviation, 1.773649721149397, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(b.mean, 53, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(b.deviation, 2.8284271247461903, 1e-12);
    CU_ASSERT_EQUAL(difference.count, 2);
    CU_ASSERT_DOUBLE_EQUAL(difference.mean, 3.375, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(difference.deviation / sqrt(2), 1.375, 1e-12);
    CU_ASSERT_EQUAL(adl_figures_count(&f, 2), 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.left_out, "without c, seed 1: it was begun with --lr 0.5, not no --lr\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.left_out, "without c, seed 2: the settings that it was begun "));
    adl_table_markdown(&text, &f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| A\\| | 3 | 50.6 ± 1.8 |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| \"B\" | 2 | 53.0 ± 2.8 |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| \"B\" | 2 | +3.4 ± 1.4 |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| baseline | | 40.0 |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| A\\| | 1.23 M | 250.00 M | 22.5 s |\n"));
    CU_ASSERT_PTR_NULL(strstr(text.data, "| c |"));
    adl_table_csv(&csv, &f);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(csv.data, "row,title,n,\"Acc\",\"Acc deviation\",\"Acc difference\","));
    CU_ASSERT_PTR_NOT_NULL(strstr(csv.data, "\nb,\"\"\"B\"\"\",2,53,2.828427125,3.375,1.375,,,\n"));
    adl_str_release(&text);
    adl_str_release(&csv);
    adl_figures_release(&f);

    put_result("b", 2, "test.json", "{\"ac\": 50, \"centre\": 40}");
    CU_ASSERT_EQUAL(adl_figures_read(&f, &e, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "has no figure \"acc\"; did you mean \"ac\"?"));
    adl_figures_release(&f);
    adl_experiment_release(&e);
    end();
}

/* A run of other folds is another run. */
static void figures_are_means_of_folds(void)
{
    static const char *const files[][2] = {
        {"val.json", "{\"acc\": %g}"},
        {"settings.json", "{\"options\": {\"folds\": \"%g\"}, \"init\": null}"},
        {"val.settings.json",
         "{\"options\": {}, \"calibrate\": null, \"split\": \"val\", \"model\": "
         "\"last\", \"data\": {\"folds\": \"3\"}}"}};
    static const double values[] = {50, 53, 58}, folds[] = {3, 3, 2};
    struct adl_experiment e;
    struct adl_figures f;
    struct adl_error err = {0};
    struct adl_str text = {0};
    char path[400], content[200];

    begin();
    for (int fold = 1; fold <= 3; fold++) {
        snprintf(path, sizeof path, "%s/mine/a/seed1-fold%d", dir, fold);
        CU_ASSERT_EQUAL(adl_make_directories(path, &err), 0);
        for (int i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "mine/a/seed1-fold%d/%s", fold, files[i][0]);
            snprintf(content, sizeof content, files[i][1], i ? folds[fold - 1] : values[fold - 1]);
            write_text(path, content);
        }
    }
    if (read_file(&e,
                  "{\"rows\": [{\"name\": \"a\"}], \"folds\": 3, \"columns\": [{\"figure\": "
                  "\"acc\"}]}",
                  &no_settings, &err) < 0 ||
        adl_figures_read(&f, &e, &err) < 0)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        f.left_out, "without a, seed 1, fold 3: it was begun with --folds 2, not --folds 3\n"));
    adl_table_markdown(&text, &f);
    /* numpy: np.std([50, 53], ddof=1) = 2.12 */
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "| a | 2 | 51.5 ± 2.1 |\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "over n runs with different folds.\n"));
    adl_str_release(&text);
    adl_table_runs_csv(&text, &f);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text.data, "row,seed,fold,\"acc\",seconds\na,1,1,50,\na,1,2,53,\n"));
    adl_str_release(&text);
    adl_figures_release(&f);
    adl_experiment_release(&e);
    end();
}

/* --- the place in another document -------------------------------------------------------- */

static void check_document(const char *before, const char *after)
{
    struct adl_error err = {0};
    char path[300];

    if (before)
        write_text("doc.md", before);
    snprintf(path, sizeof path, "%s/doc.md", dir);
    if (adl_table_put(path, "mine", "| t |\n", &err) < 0)
        TEST_FAIL("%s", err.message);
    char *text = adl_file_read(path, 10000, NULL, &err);
    if (!text || strcmp(text, after) != 0)
        TEST_FAIL("%s", text ? text : err.message);
    else
        CU_PASS("");
    adl_free(text);
}

static void other_text_is_kept(void)
{
#define BEGIN "<!-- mine: begin (written by adl-server experiment) -->\n"
#define END "<!-- mine: end -->"
    struct adl_error err = {0};
    char path[300];

    begin();
    check_document(NULL, "# Results\n\n" BEGIN "| t |\n" END "\n");
    check_document("a\n\n" BEGIN "old\n" END "\nz", "a\n\n" BEGIN "| t |\n" END "\nz");
    check_document("<!-- mine: begin by hand -->\n" END, BEGIN "| t |\n" END);
    check_document("text", "text\n\n" BEGIN "| t |\n" END "\n");
    check_document("<!-- mine2: begin -->\n<!-- mine2: end -->\n",
                   "<!-- mine2: begin -->\n<!-- mine2: end -->\n\n" BEGIN "| t |\n" END "\n");
    write_text("doc.md", BEGIN "the end is missing\n");
    snprintf(path, sizeof path, "%s/doc.md", dir);
    CU_ASSERT_EQUAL(adl_table_put(path, "mine", "t", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    end();
#undef BEGIN
#undef END
}

TEST_SUITE(experiment, {"mistakes in the file are named", mistakes_are_named},
           {"products have all combinations", products_have_all_combinations},
           {"the command line wins", the_command_line_wins},
           {"null is as if absent", nulls_are_as_if_absent},
           {"measures are divided as the training", measures_are_divided_as_the_training},
           {"files without splits are measured on what is left out",
            files_without_splits_are_measured_on_what_is_left_out},
           {"folds are runs", folds_are_runs},
           {"draws lie in their ranges", draws_lie_in_their_ranges},
           {"figures are means of seeds", figures_are_means_of_seeds},
           {"figures are means of folds", figures_are_means_of_folds},
           {"text around the table is kept", other_text_is_kept});
