#ifndef ADL_TESTS_SUPPORT_TEST_H
#define ADL_TESTS_SUPPORT_TEST_H

/* What every unit-test file includes: CUnit and a way to register itself.
 *
 *     static void rejects_empty(void) { CU_ASSERT(...); }
 *     TEST_SUITE(safetensors, {"rejects an empty file", rejects_empty});
 *
 * A new file in tests/ is a new suite; nothing else has to be edited. */

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>

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

/* Prints what went wrong, then fails the running test. */
void test_fail(const char *file, int line, const char *fmt, ...) ADL_PRINTF(3, 4);
#define TEST_FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Fails the running test, with the message, when an error is set. */
#define TEST_OK(result, err)                                                                       \
    do {                                                                                           \
        if ((result) < 0)                                                                          \
            test_fail(__FILE__, __LINE__, "%s: %s", #result, (err)->message);                      \
        else                                                                                       \
            CU_PASS("");                                                                           \
    } while (0)

/* Says that the running test cannot be run here, and why; counted apart. */
void test_skip(const char *fmt, ...) ADL_PRINTF(1, 2);

/* The golden folder of the tree, "tests/golden" or $ADL_GOLDEN, and the folder
 * with the big weights and photographs, $ADL_SHARED_DATA or a sibling of the
 * checkout; NULL when the latter is absent. */
const char *test_golden_dir(void);
const char *test_shared_dir(void);

/* A scratch folder of this run, removed at its end. */
const char *test_tmp_dir(void);

/* Compares `count` values; prints the first bad index, both values and the
 * largest difference on failure. `what` names the case. */
void test_close(const char *what, const float *got, const double *want, size_t count, double tol);

#endif
