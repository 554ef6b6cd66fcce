/* server/training/runs_tree: finds the runs below a directory and reads their files, and nothing
 * that lies elsewhere. */

#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/training/runs_tree.h"

static char root[64];
static int here = -1; /* the root */

static void make_folder(const char *name)
{
    CU_ASSERT_EQUAL_FATAL(mkdirat(here, name, 0700), 0);
}

static void make_file(const char *name, const char *text)
{
    int fd = openat(here, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* ROOT/secret and ROOT/other/run.json lie outside of the runs, ROOT/runs has two runs, links and a
 * pipe. */
static bool make_tree(void)
{
    snprintf(root, sizeof root, "/tmp/adl-runs-XXXXXX");
    if (!mkdtemp(root))
        return false;
    here = open(root, O_RDONLY | O_DIRECTORY);
    make_file("secret", "secret");
    make_folder("other");
    make_file("other/run.json", "{}");
    make_file("other/secret", "secret");
    make_folder("runs");
    make_folder("runs/b");
    make_file("runs/b/metrics.jsonl", "one\ntwo\n");
    make_file("runs/b/.lock", "1\n");
    make_file("runs/b/.hidden", "hidden");
    make_folder("runs/b/pictures");
    make_file("runs/b/pictures/epoch-0002.json", "{}");
    make_file("runs/b/pictures/epoch-0001.json", "{}");
    make_file("runs/b/pictures/00.jpg", "x");
    make_folder("runs/table");
    make_folder("runs/table/a 1");
    make_file("runs/table/a 1/run.json", "{}");
    make_folder("runs/empty");
    CU_ASSERT_EQUAL(symlinkat("../../secret", here, "runs/b/run.json"), 0);
    CU_ASSERT_EQUAL(symlinkat("../other", here, "runs/linked"), 0);
    CU_ASSERT_EQUAL(symlinkat("../../other", here, "runs/b/folder"), 0);
    CU_ASSERT_EQUAL(mkfifoat(here, "runs/b/steps.jsonl", 0600), 0);
    return true;
}

static void remove_tree(void)
{
    char command[128];

    close(here);
    snprintf(command, sizeof command, "rm -r %s", root);
    CU_ASSERT_EQUAL(system(command), 0);
}

static struct adl_runs *open_runs(void)
{
    struct adl_error err = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/runs", root);
    struct adl_runs *runs = adl_runs_open(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(runs);
    return runs;
}

static void finds_runs_and_follows_no_links(void)
{
    static const char *const expected[] = {"b", "table/a 1"};
    struct adl_error err = {0};
    struct adl_runs_list list;

    CU_ASSERT_FATAL(make_tree());
    struct adl_runs *runs = open_runs();
    TEST_OK(adl_runs_find(runs, &list, &err), &err);
    CU_ASSERT_EQUAL_FATAL(list.count, ADL_COUNT(expected));
    for (size_t i = 0; i < list.count; i++)
        CU_ASSERT_STRING_EQUAL(list.names[i], expected[i]);
    CU_ASSERT(!list.more);
    adl_runs_list_release(&list);
    make_file("runs/metrics.jsonl", "");
    TEST_OK(adl_runs_find(runs, &list, &err), &err);
    CU_ASSERT(list.count == 3 && !strcmp(list.names[0], "."));
    adl_runs_list_release(&list);
    TEST_OK(adl_runs_files(runs, "b", "pictures", "epoch-", 9, &list, &err), &err);
    CU_ASSERT(list.count == 2 && !strcmp(list.names[0], "epoch-0001.json"));
    adl_runs_list_release(&list);
    TEST_OK(adl_runs_files(runs, "b", "folder", "", 9, &list, &err), &err);
    CU_ASSERT_EQUAL(list.count, 0);
    adl_runs_list_release(&list);
    adl_runs_free(runs);
    remove_tree();
}

static void reads_what_is_asked_for(void)
{
    struct adl_error err = {0};
    struct adl_runs_file file;
    size_t length;

    CU_ASSERT_FATAL(make_tree());
    struct adl_runs *runs = open_runs();
    static const struct {
        uint64_t offset;
        size_t limit;
        const char *expected;
    } cases[] = {{0, 100, "one\ntwo\n"}, {0, 3, "one"},         {4, 100, "two\n"},
                 {8, 100, ""},           {UINT64_MAX, 100, ""}, {2, 0, ""}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char *bytes = adl_runs_read(runs, "b", "metrics.jsonl", cases[i].offset, cases[i].limit,
                                    &length, &file, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        CU_ASSERT_STRING_EQUAL(bytes, cases[i].expected);
        CU_ASSERT(length == strlen(cases[i].expected) && file.bytes == 8);
        adl_free(bytes);
    }
    CU_ASSERT(adl_runs_look(runs, "b", "pictures/00.jpg", NULL));
    CU_ASSERT(adl_runs_look(runs, "b", ".lock", NULL));
    CU_ASSERT(adl_runs_look(runs, "table/a 1", "run.json", NULL));
    adl_runs_free(runs);
    remove_tree();
}

static void nothing_outside_is_reachable(void)
{
    static const struct {
        const char *run, *file;
    } cases[] = {
        {"..", "secret"},         {"../other", "run.json"}, {"b/../../other", "run.json"},
        {"", "metrics.jsonl"},    {"/", "metrics.jsonl"},   {"/b", "metrics.jsonl"},
        {"b/", "metrics.jsonl"},  {"b//", "metrics.jsonl"}, {"./b", "metrics.jsonl"},
        {"b/.", "metrics.jsonl"}, {"linked", "run.json"},   {"linked", "secret"},
        {"b", "run.json"},        {"b/folder", "run.json"}, {"b", "folder/secret"},
        {"b", "../../secret"},    {"b", ".hidden"},         {"b", "steps.jsonl"},
        {"b", "pictures"},        {"b", "nothing"},         {"nothing", "run.json"},
        {"b/metrics.jsonl", "x"}, {"..\\b", "run.json"},    {"b\n", "metrics.jsonl"},
        {"b/.lock", "run.json"},
    };
    struct adl_error none = {0};
    char path[96];
    size_t length;

    CU_ASSERT_FATAL(make_tree());
    struct adl_runs *runs = open_runs();
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        char *bytes = adl_runs_read(runs, cases[i].run, cases[i].file, 0, 100, &length, NULL, &err);
        if (bytes || err.kind != ADL_ERR_NOT_FOUND)
            TEST_FAIL("%s, %s: %s", cases[i].run, cases[i].file, bytes ? bytes : err.message);
        adl_free(bytes);
    }
    char *name = adl_calloc(5001, 1);
    memset(name, 'a', 5000);
    CU_ASSERT(!adl_runs_look(runs, name, "run.json", NULL));
    adl_free(name);
    adl_runs_free(runs);
    snprintf(path, sizeof path, "%s/secret", root);
    CU_ASSERT_PTR_NULL(adl_runs_open(path, &none));
    CU_ASSERT_EQUAL(none.kind, ADL_ERR_ARG);
    adl_error_clear(&none);
    snprintf(path, sizeof path, "%s/nothing", root);
    CU_ASSERT_PTR_NULL(adl_runs_open(path, &none));
    CU_ASSERT_EQUAL(none.kind, ADL_ERR_NOT_FOUND);
    remove_tree();
}

TEST_SUITE(runs_tree, {"finds runs and follows no links", finds_runs_and_follows_no_links},
           {"reads what is asked for", reads_what_is_asked_for},
           {"nothing outside is reachable", nothing_outside_is_reachable});
