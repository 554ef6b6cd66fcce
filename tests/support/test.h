#ifndef ADL_TESTS_SUPPORT_TEST_H
#define ADL_TESTS_SUPPORT_TEST_H

/* Every unit-test file includes this file: CUnit and the macro that registers a suite.
 *
 *     static void rejects_empty(void) { CU_ASSERT(...); }
 *     static void every_shape(void) { ... }
 *     TEST_SUITE(safetensors, {"rejects an empty file", rejects_empty},
 *                {"every shape", every_shape});
 *     TEST_SLOW(every_shape);
 *
 * A new file test_THING.c in tests/models/, or in a directory of tests/engine/ or tests/server/, is
 * built and run without any other edit. */

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct test_suite {
    const char *name;
    const CU_TestInfo *tests; /* ends with an empty entry */
    struct test_suite *next;
};

void test_register(struct test_suite *suite);

#define TEST_SUITE(suite_name, ...)                                                                \
    static const CU_TestInfo suite_name##_tests[] = {__VA_ARGS__, CU_TEST_INFO_NULL};              \
    static struct test_suite suite_name##_suite = {#suite_name, suite_name##_tests, 0};            \
    __attribute__((constructor)) static void suite_name##_register(void)                           \
    {                                                                                              \
        test_register(&suite_name##_suite);                                                        \
    }                                                                                              \
    _Static_assert(true, "")

/* One entry in the list of slow tests, of tests that run alone, or of those that no sanitizer
 * watches; TEST_SLOW, TEST_ALONE and TEST_UNWATCHED define them. */
struct test_mark {
    void (*run)(void);
    struct test_mark *next;
};

void test_mark_slow(struct test_mark *mark);
void test_mark_alone(struct test_mark *mark);
void test_mark_unwatched(struct test_mark *mark);

#define TEST_MARK(kind, function)                                                                  \
    static struct test_mark function##_##kind = {function, 0};                                     \
    __attribute__((constructor)) static void function##_mark_##kind(void)                          \
    {                                                                                              \
        test_mark_##kind(&function##_##kind);                                                      \
    }                                                                                              \
    _Static_assert(true, "")

/* Marks a test that takes more than about two seconds: `make quick` leaves it out,
 * `make check` does not. */
#define TEST_SLOW(function) TEST_MARK(slow, function)

/* Marks a test that fails if something takes long: if several processes run the tests, it runs
 * after the others, except with --quick. */
#define TEST_ALONE(function) TEST_MARK(alone, function)

/* Marks a test that is left out where TEST_WATCHED holds, because others run the same code: one
 * that compares the numbers of a whole network, for example. */
#define TEST_UNWATCHED(function) TEST_MARK(unwatched, function)

/* Factor on time limits under ThreadSanitizer, which slows code down five to fifteen times; tests
 * with much work also do less of it where this is above 1. */
#ifdef __SANITIZE_THREAD__
#define TEST_SLOWDOWN 4
#else
#define TEST_SLOWDOWN 1
#endif

/* Whether a sanitizer watches memory or threads, which makes whole networks ten times slower, and
 * the environment does not ask for everything (SLOW=1, as `make soak` does). Tests that run several
 * networks then run one: each op and kernel has tests of its own, at small sizes. */
bool test_watched(void);
#define TEST_WATCHED test_watched()

/* Fails the running test with a formatted message; the test continues. */
void test_fail(const char *file, int line, const char *fmt, ...) ADL_PRINTF(3, 4);
#define TEST_FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Fails the running test with the message of `err` when `result` is negative. */
#define TEST_OK(result, err)                                                                       \
    do {                                                                                           \
        if ((result) < 0)                                                                          \
            test_fail(__FILE__, __LINE__, "%s: %s", #result, (err)->message);                      \
        else                                                                                       \
            CU_PASS("");                                                                           \
    } while (0)

/* Returns a name for failure messages: "format", "limit", ... */
const char *test_error_kind(enum adl_error_kind kind);

/* Reports that the running test cannot run on this machine, and why. It counts as
 * skipped unless it also fails. The caller still has to return. */
void test_skip(const char *fmt, ...) ADL_PRINTF(1, 2);

/* Returns the directory of the golden data: $ADL_GOLDEN, or "tests/golden" if that is not set. */
const char *test_golden_dir(void);

/* Returns the directory of the large weights and photographs that are not in the tree:
 * $ADL_SHARED_DATA, or "../shared/data" if that is not set; NULL if it cannot be read. */
const char *test_shared_dir(void);

/* Returns a scratch directory of this process, which is removed after its last test. */
const char *test_tmp_dir(void);

/* Sends signal `number` to process `pid`, as kill() does. Fails the test instead if `pid` is not
 * that of one process: kill() would signal the whole group of processes, which the tests and `make`
 * are in. */
int test_kill(pid_t pid, int number);

/* Checks |got[i] - want[i]| <= tol for `count` values (a NaN fails). A failure
 * prints the first bad index, both values there and the largest difference.
 * `what` names the case in that message. */
void test_close(const char *what, const float *got, const double *want, size_t count, double tol);

#endif
