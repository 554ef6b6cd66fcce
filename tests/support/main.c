/* Runs the unit tests.
 *
 *     unit-tests [--quick] [--jobs N] [--again] [NAME...]
 *
 * Runs all tests, or those whose suite or own name contains a NAME. With --quick
 * the tests marked TEST_SLOW are left out, and under a sanitizer, without SLOW=1 in
 * the environment, those marked TEST_UNWATCHED; how many is printed. A test that took
 * a second or more shows its wall time, so that a new slow one is noticed. Ends
 * with the line "N passed, N failed, N skipped"; exits 1 if a test failed or none
 * was selected.
 *
 * With --jobs, the tests are distributed over N processes: each process takes the next test that
 * no process has taken. They are processes and not threads so that tests stay independent of each
 * other: injected allocation failures, signals and the environment affect a whole process. The
 * tests marked TEST_ALONE follow one after another in a separate process; with --quick they run
 * among the others, because running them afterwards would take longer than all other tests.
 *
 * With --again, which needs --jobs, a few tests that failed run once more at the end, one after
 * another, and those that pass then count as passed and are listed. It is for machines that other
 * work may slow down many times: many tests start servers and clients and wait for them. What ends
 * the process, a crash or a sanitizer's report, always counts as a failure. */

#include <CUnit/Basic.h>
#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "support/test.h"

static struct test_suite *suites; /* sorted by name */
static struct test_mark *slow_tests, *alone_tests, *unwatched_tests;
static bool test_failed, test_skipped;
static char tmp_dir[] = "/tmp/adl-unit-XXXXXX"; /* one for each process */

void test_register(struct test_suite *suite)
{
    struct test_suite **link = &suites;
    while (*link && strcmp((*link)->name, suite->name) < 0)
        link = &(*link)->next;
    suite->next = *link;
    *link = suite;
}

void test_mark_slow(struct test_mark *mark)
{
    mark->next = slow_tests;
    slow_tests = mark;
}

void test_mark_alone(struct test_mark *mark)
{
    mark->next = alone_tests;
    alone_tests = mark;
}

void test_mark_unwatched(struct test_mark *mark)
{
    mark->next = unwatched_tests;
    unwatched_tests = mark;
}

bool test_watched(void)
{
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
    const char *slow = getenv("SLOW");
    return !slow || !*slow;
#else
    return false;
#endif
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    char text[1024];
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    test_failed = true;
    CU_assertImplementation(CU_FALSE, (unsigned)line, text, file, "", CU_FALSE);
}

const char *test_error_kind(enum adl_error_kind kind)
{
    switch (kind) {
    case ADL_ERR_NONE: return "none";
    case ADL_ERR_ARG: return "argument";
    case ADL_ERR_NOT_FOUND: return "not-found";
    case ADL_ERR_FORMAT: return "format";
    case ADL_ERR_UNSUPPORTED: return "unsupported";
    case ADL_ERR_LIMIT: return "limit";
    case ADL_ERR_IO: return "io";
    case ADL_ERR_NOMEM: return "out-of-memory";
    case ADL_ERR_BUSY: return "busy";
    case ADL_ERR_CANCELLED: return "cancelled";
    case ADL_ERR_INTERNAL: return "internal";
    }
    return "unknown";
}

void test_skip(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("    skipped: ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    test_skipped = true;
}

const char *test_golden_dir(void)
{
    const char *dir = getenv("ADL_GOLDEN");
    return dir ? dir : "tests/golden";
}

const char *test_shared_dir(void)
{
    const char *dir = getenv("ADL_SHARED_DATA");
    if (!dir)
        dir = "../shared/data";
    return access(dir, R_OK) == 0 ? dir : NULL;
}

const char *test_tmp_dir(void)
{
    return tmp_dir;
}

int test_kill(pid_t pid, int number)
{
    if (pid > 1)
        return kill(pid, number);
    TEST_FAIL("signal %d for process %d, which is no process of a test", number, (int)pid);
    return -1;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char child[4096];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (lstat(child, &info) == 0 && S_ISDIR(info.st_mode))
            remove_tree(child);
        else
            unlink(child);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void test_close(const char *what, const float *got, const double *want, size_t count, double tol)
{
    size_t first = count;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double diff = fabs((double)got[i] - want[i]);
        if (!(diff <= tol) && first == count)
            first = i;
        if (!(diff <= worst))
            worst = diff;
    }
    if (first < count)
        TEST_FAIL("%s: index %zu is %.9g, expected %.9g; largest difference %.3g, allowed %.3g",
                  what, first, (double)got[first], want[first], worst, tol);
    else
        CU_PASS("");
}

/* Returns whether a test is selected by `names`, which ends with NULL; no name selects all. */
static bool is_selected(const char *suite, const char *test, char **names)
{
    for (char **name = names; *name; name++)
        if (strstr(suite, *name) || strstr(test, *name))
            return true;
    return !*names;
}

static bool has_mark(const CU_TestInfo *test, const struct test_mark *marks)
{
    for (const struct test_mark *mark = marks; mark; mark = mark->next)
        if (mark->run == test->pTestFunc)
            return true;
    return false;
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum verdict { PASSED, FAILED, SKIPPED, VERDICTS };
/* More failures than MAX_AGAIN are no accident. */
enum { MAX_JOBS = 64, BLOCK_BYTES = 1 << 16, MAX_AGAIN = 8 };

/* A part of the tests that were selected by name: all, those not marked TEST_ALONE, those marked
 * so, or those that failed. */
enum selection { SELECT_ALL, SELECT_OTHERS, SELECT_ALONE, SELECT_FAILED };

static struct {
    bool quick, again;
    int jobs; /* 1: this process runs the tests itself */
    char **names;
} options = {.jobs = 1};

/* The memory that is shared by the processes of a run. */
static struct progress {
    atomic_uint next; /* index of the first selected test that no process has taken */
    atomic_uint counts[VERDICTS], left_out, unwatched;
    const char *running[MAX_JOBS]; /* the test of each process, NULL after the last */
    atomic_uint failures;
    CU_TestFunc failed[MAX_AGAIN]; /* the first of them */
} * progress;

static bool has_failed(const CU_TestInfo *test)
{
    for (unsigned i = 0; i < progress->failures && i < MAX_AGAIN; i++)
        if (progress->failed[i] == test->pTestFunc)
            return true;
    return false;
}

/* Whether a test is of this part. */
static bool is_of(enum selection selection, const CU_TestInfo *test)
{
    switch (selection) {
    case SELECT_ALL: return true;
    case SELECT_OTHERS: return !has_mark(test, alone_tests);
    case SELECT_ALONE: return has_mark(test, alone_tests);
    case SELECT_FAILED: return has_failed(test);
    }
    return false;
}

/* Counts the verdict about a test. One that passes after it failed is no failure any more. */
static void count(enum selection selection, const char *suite, const CU_TestInfo *test,
                  enum verdict verdict)
{
    if (selection == SELECT_FAILED) {
        if (verdict == FAILED)
            return;
        atomic_fetch_sub(&progress->counts[FAILED], 1);
        printf("  passed the second time: %s: %s\n", suite, test->pName);
    } else if (verdict == FAILED) {
        unsigned index = atomic_fetch_add(&progress->failures, 1);
        if (index < MAX_AGAIN)
            progress->failed[index] = test->pTestFunc;
    }
    atomic_fetch_add(&progress->counts[verdict], 1);
}

/* Runs one test and prints its verdict and its failures. If there are several processes, prints
 * the suite as well, because the lines of different suites are mixed. */
static enum verdict run_test(CU_pSuite suite, const CU_TestInfo *test)
{
    double start = now_seconds();
    test_failed = test_skipped = false;
    CU_ErrorCode code = CU_run_test(suite, CU_add_test(suite, test->pName, test->pTestFunc));
    double taken = now_seconds() - start;
    bool ok = code == CUE_SUCCESS && !test_failed && CU_get_number_of_failures() == 0;

    printf("  %-5s ", !ok ? "FAIL" : test_skipped ? "skip" : "ok");
    if (options.jobs > 1)
        printf("%s: ", suite->pName);
    printf(taken < 1 ? "%s\n" : "%s (%.1f s)\n", test->pName, taken);
    for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
        printf("    %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    return !ok ? FAILED : test_skipped ? SKIPPED : PASSED;
}

/* Runs those tests of `selection` that process number `job` takes; if it is the only process, it
 * takes all. */
static void run_tests(int job, enum selection selection)
{
    unsigned number = 0, left_out = 0, unwatched = 0, mine = atomic_fetch_add(&progress->next, 1);

    CU_basic_set_mode(CU_BRM_SILENT);
    if (CU_initialize_registry() != CUE_SUCCESS || !mkdtemp(tmp_dir))
        exit(1);
    for (struct test_suite *s = suites; s; s = s->next) {
        CU_pSuite suite = CU_add_suite(s->name, NULL, NULL);
        bool titled = options.jobs > 1;
        for (const CU_TestInfo *test = s->tests; test->pName; test++) {
            if (!is_selected(s->name, test->pName, options.names))
                continue;
            if (!is_of(selection, test))
                continue;
            if (options.quick && has_mark(test, slow_tests)) {
                left_out++;
                continue;
            }
            if (test_watched() && has_mark(test, unwatched_tests)) {
                unwatched++;
                continue;
            }
            if (number++ != mine)
                continue;
            if (!titled)
                printf("%s\n", s->name);
            titled = true;
            progress->running[job] = test->pName;
            count(selection, s->name, test, run_test(suite, test));
            fflush(stdout);
            mine = atomic_fetch_add(&progress->next, 1);
        }
    }
    progress->running[job] = NULL;
    if (selection != SELECT_FAILED)
        progress->left_out = left_out; /* the same in every process of a selection */
    progress->unwatched = ADL_MAX(unwatched, progress->unwatched);
    CU_cleanup_registry();
    remove_tree(tmp_dir);
}

/* Runs the tests of `selection` in `jobs` processes. A process that ends before its last test, or
 * with a status other than 0 (which a sanitizer sets), counts as a failure. */
static void run_in_processes(int jobs, enum selection selection)
{
    pid_t pids[MAX_JOBS];
    fflush(stdout);
    progress->next = 0;
    for (int job = 0; job < jobs; job++) {
        pids[job] = fork();
        if (pids[job] == 0) {
            static char block[BLOCK_BYTES]; /* a test's lines are written at once */
            setvbuf(stdout, block, _IOFBF, sizeof block);
            run_tests(job, selection);
            exit(0);
        }
    }
    for (int job = 0; job < jobs; job++) {
        int status = -1;
        if (pids[job] > 0)
            waitpid(pids[job], &status, 0);
        if (status == 0)
            continue;
        printf("  FAIL  a process ended with %s %d: %s\n",
               WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
               progress->running[job] ? progress->running[job] : "after its tests");
        atomic_fetch_add(&progress->counts[FAILED], 1);
    }
}

static bool read_options(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--quick"))
            options.quick = true;
        else if (!strcmp(argv[i], "--again"))
            options.again = true;
        else if (!strcmp(argv[i], "--jobs") && i + 1 < argc)
            options.jobs = atoi(argv[++i]);
        else
            return false;
    }
    options.names = argv + i;
    if (options.jobs > MAX_JOBS)
        options.jobs = MAX_JOBS;
    return options.jobs > 0;
}

/* Keeps freed memory in the process. glibc gives large arrays back to the kernel, which clears the
 * pages of the next ones. Programs that the tests start are as they always are. */
static void keep_freed_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that it takes */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

int main(int argc, char **argv)
{
    struct adl_error err = {0};

    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: unit-tests [--quick] [--jobs N] [--again] [NAME...]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 1;
    keep_freed_memory();
    /* Needed by the tests that call kernels and ops directly. */
    if (adl_blas_reserve(1, &err) < 0) {
        fprintf(stderr, "unit-tests: %s\n", err.message);
        return 1;
    }
    if (options.jobs == 1) {
        run_tests(0, SELECT_ALL);
    } else if (options.quick) {
        run_in_processes(options.jobs, SELECT_ALL);
    } else {
        run_in_processes(options.jobs, SELECT_OTHERS);
        run_in_processes(1, SELECT_ALONE);
    }
    if (options.again && options.jobs > 1 && progress->failures > 0 &&
        progress->failures <= MAX_AGAIN)
        run_in_processes(1, SELECT_FAILED);

    unsigned passed = progress->counts[PASSED], failed = progress->counts[FAILED];
    unsigned skipped = progress->counts[SKIPPED], left_out = progress->left_out;
    unsigned unwatched = progress->unwatched;
    if (passed + failed + skipped + left_out + unwatched == 0)
        printf("no suite or test has such a name\n");
    if (left_out > 0)
        printf("%u slow tests were left out; run without --quick for all\n", left_out);
    if (unwatched > 0)
        printf("%u tests of whole networks were left out; `make soak` runs them under sanitizers\n",
               unwatched);
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed > 0 || passed + skipped + left_out + unwatched == 0 ? 1 : 0;
}
