/* Folders that clients name: what may be named, what is listed, and that nothing outside is
 * read; and the file that keeps the lines of a job. */

#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "server/serving/job_folder.h"
#include "server/serving/job_results.h"
#include "support/scratch.h"

static const _Atomic bool never = false, always = true;

static void names_stay_inside(void)
{
    static const char *const good[] = {".", "a", "a/", "a/b", "a/b/", "a b", "a/b..c"};
    static const char *const bad[] = {"",       "/",   "/etc",  "..",  "../x",    "a/..",
                                      "a/../b", "./a", "a//b",  "a/.", ".hidden", "a/.b",
                                      "a//",    "//",  "a/../", "../", "./",      ".a/b"};
    char longest[ADL_LIMIT_JOB_FOLDER_BYTES + 2];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!adl_job_folder_name_valid(good[i]))
            TEST_FAIL("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (adl_job_folder_name_valid(bad[i]))
            TEST_FAIL("%s is allowed", bad[i]);
    memset(longest, 'a', sizeof longest);
    longest[ADL_LIMIT_JOB_FOLDER_BYTES] = '\0';
    CU_ASSERT_TRUE(adl_job_folder_name_valid(longest));
    longest[ADL_LIMIT_JOB_FOLDER_BYTES] = 'a';
    longest[ADL_LIMIT_JOB_FOLDER_BYTES + 1] = '\0';
    CU_ASSERT_FALSE(adl_job_folder_name_valid(longest));
}

static int open_tree(const char *name)
{
    scratch_open(name, (const char *const[]){"in", "in/zoo", "in/zoo/.cache", "in/zoo/b",
                                             "in/other", "outside", NULL});
    scratch_append("in/zoo/z.jpg", "z");
    scratch_append("in/zoo/b.PNG", "bb");
    scratch_append("in/zoo/b/a.webp", "aaa");
    scratch_append("in/zoo/notes.txt", "no image");
    scratch_append("in/zoo/.hidden.jpg", "h");
    scratch_append("in/zoo/.cache/c.jpg", "c");
    scratch_append("in/other/o.jpg", "oooo");
    scratch_append("outside/secret.jpg", "secret");
    CU_ASSERT_EQUAL(symlink("../other/o.jpg", scratch_path("in/zoo/inside.jpg")), 0);
    CU_ASSERT_EQUAL(symlink("../../outside/secret.jpg", scratch_path("in/zoo/leads.jpg")), 0);
    CU_ASSERT_EQUAL(symlink("../../outside", scratch_path("in/zoo/way")), 0);
    CU_ASSERT_EQUAL(symlink("../outside", scratch_path("in/out")), 0);
    CU_ASSERT_EQUAL(mkfifo(scratch_path("in/zoo/pipe.jpg"), 0600), 0);
    return open(scratch_path("in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool lists(int root, const char *name, const char *const *want)
{
    struct adl_job_folder folder;
    struct adl_error err = {0};
    size_t n = 0;
    bool same = adl_job_folder_list(root, name, &never, &folder, &err) == 0;

    for (; same && want[n]; n++)
        same = n < folder.count && !strcmp(folder.paths[n], want[n]);
    same = same && n == folder.count;
    if (!same)
        printf("%s: %s; %zu paths, the first %s\n", name, err.message, folder.count,
               folder.count ? folder.paths[0] : "missing");
    adl_job_folder_release(&folder);
    return same;
}

static void lists_the_images_below(void)
{
    int root = open_tree("job_folder_lists");
    struct adl_job_folder folder;
    struct adl_error err = {0};

    CU_ASSERT(lists(root, "zoo",
                    (const char *const[]){"zoo/b.PNG", "zoo/b/a.webp", "zoo/inside.jpg",
                                          "zoo/leads.jpg", "zoo/z.jpg", NULL}));
    CU_ASSERT(lists(root, "zoo/b/", (const char *const[]){"zoo/b/a.webp", NULL}));
    CU_ASSERT(lists(root, ".",
                    (const char *const[]){"other/o.jpg", "zoo/b.PNG", "zoo/b/a.webp",
                                          "zoo/inside.jpg", "zoo/leads.jpg", "zoo/z.jpg", NULL}));
    CU_ASSERT_EQUAL(adl_job_folder_list(root, "zoo", &always, &folder, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_CANCELLED);
    adl_job_folder_release(&folder);
    close(root);
}

static bool folder_fails(int root, const char *name)
{
    struct adl_error err = {0};
    return adl_job_folder_check(root, name, &err) < 0 && err.kind == ADL_ERR_NOT_FOUND;
}

/* Returns what is read of a picture, to be freed; NULL, with the kind of error. */
static char *read_of(int root, const char *path, size_t limit, enum adl_error_kind *kind)
{
    struct adl_error err = {0};
    size_t length;
    char *bytes = adl_job_folder_read(root, path, limit, &length, &err);

    CU_ASSERT(!bytes || strlen(bytes) == length);
    *kind = err.kind;
    return bytes;
}

static bool is_text(char *bytes, const char *want)
{
    bool same = bytes && !strcmp(bytes, want);
    adl_free(bytes);
    return same;
}

static void nothing_outside_is_read(void)
{
    int root = open_tree("job_folder_outside");
    enum adl_error_kind kind;

    CU_ASSERT(folder_fails(root, "out"));
    CU_ASSERT(folder_fails(root, "zoo/way"));
    CU_ASSERT(folder_fails(root, "nothing"));
    CU_ASSERT(folder_fails(root, "zoo/z.jpg"));
    CU_ASSERT(is_text(read_of(root, "zoo/b/a.webp", 3, &kind), "aaa"));
    CU_ASSERT(is_text(read_of(root, "zoo/inside.jpg", 100, &kind), "oooo"));
    CU_ASSERT_PTR_NULL(read_of(root, "zoo/leads.jpg", 100, &kind));
    CU_ASSERT_EQUAL(kind, ADL_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(read_of(root, "out/secret.jpg", 100, &kind));
    CU_ASSERT_EQUAL(kind, ADL_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(read_of(root, "zoo/gone.jpg", 100, &kind));
    CU_ASSERT_EQUAL(kind, ADL_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NULL(read_of(root, "zoo/pipe.jpg", 100, &kind));
    CU_ASSERT_EQUAL(kind, ADL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NULL(read_of(root, "zoo/b/a.webp", 2, &kind));
    CU_ASSERT_EQUAL(kind, ADL_ERR_LIMIT);
    close(root);
}

/* Whichever allocation fails, the list says so or is complete. */
static void every_allocation_may_fail(void)
{
    int root = open_tree("job_folder_allocations");
    const size_t before = adl_mem_stats().live_blocks;
    bool done = false;

    for (unsigned nth = 1; !done && nth < 1000; nth++) {
        struct adl_job_folder folder;
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        int result = adl_job_folder_list(root, "zoo", &never, &folder, &err);
        adl_mem_fail_nth(0);
        done = result == 0;
        CU_ASSERT(done ? folder.count == 5 : err.kind == ADL_ERR_NOMEM);
        adl_job_folder_release(&folder);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
    }
    CU_ASSERT(done);
    done = false;
    for (unsigned nth = 1; !done && nth < 1000; nth++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        struct adl_job_results *results = adl_job_results_create(&err);
        done = results && adl_job_results_add(results, "a", 1, &err) == 0;
        adl_mem_fail_nth(0);
        CU_ASSERT(done || err.kind == ADL_ERR_NOMEM);
        if (results && !done)
            CU_ASSERT_EQUAL(adl_job_results_count(results), 0);
        adl_job_results_free(results);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
    }
    CU_ASSERT(done);
    close(root);
}

static bool lines_are(struct adl_job_results *results, size_t from, const char *want)
{
    char bytes[100] = {0};
    struct adl_error err = {0};
    uint64_t offset;
    size_t length;
    int fd;
    bool same;

    if (adl_job_results_open(results, from, &fd, &offset, &length, &err) < 0)
        return false;
    same = length == strlen(want) && length < sizeof bytes &&
           pread(fd, bytes, length, (off_t)offset) == (ssize_t)length && !strcmp(bytes, want);
    close(fd);
    return same;
}

static void lines_are_kept(void)
{
    struct adl_error err = {0};
    struct adl_job_results *results = adl_job_results_create(&err);

    if (!results)
        TEST_FAIL("%s", err.message);
    CU_ASSERT(lines_are(results, 0, ""));
    CU_ASSERT(lines_are(results, 7, ""));
    CU_ASSERT_EQUAL(adl_job_results_add(results, "one", 3, &err), 0);
    CU_ASSERT_EQUAL(adl_job_results_add(results, "", 0, &err), 0);
    CU_ASSERT_EQUAL(adl_job_results_add(results, "three", 5, &err), 0);
    CU_ASSERT(lines_are(results, 0, "one\n\nthree\n"));
    CU_ASSERT(lines_are(results, 1, "\nthree\n"));
    CU_ASSERT(lines_are(results, 2, "three\n"));
    CU_ASSERT(lines_are(results, 3, ""));
    /* A line that is too long is refused before it is looked at. */
    CU_ASSERT_EQUAL(adl_job_results_add(results, "", ADL_LIMIT_JOB_RESULT_BYTES - 10, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    CU_ASSERT_EQUAL(adl_job_results_count(results), 3);
    adl_job_results_free(results);
}

TEST_SUITE(job_folder, {"names stay inside", names_stay_inside},
           {"lists the images below", lists_the_images_below},
           {"nothing outside is read", nothing_outside_is_read},
           {"every allocation may fail", every_allocation_may_fail},
           {"lines are kept", lines_are_kept});
