/* Runs the unit tests: all of them, or the suites and tests whose names hold
 * one of the arguments. Ends with the line "N passed, N failed, N skipped". */

#include <CUnit/Basic.h>
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

static struct test_suite *suites;
static bool test_failed, test_skipped;
static char tmp_dir[] = "/tmp/adl-unit-XXXXXX";

void test_register(struct test_suite *suite)
{
    struct test_suite **at = &suites;
    while (*at && strcmp((*at)->name, suite->name) < 0)
        at = &(*at)->next;
    suite->next = *at;
    *at = suite;
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

static bool wanted(const char *suite, const char *test, int argc, char **argv)
{
    if (argc < 2)
        return true;
    for (int i = 1; i < argc; i++)
        if (strstr(suite, argv[i]) || strstr(test, argv[i]))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0, skipped = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS || !mkdtemp(tmp_dir))
        return 1;
    CU_basic_set_mode(CU_BRM_SILENT);
    for (struct test_suite *s = suites; s; s = s->next) {
        CU_pSuite suite = CU_add_suite(s->name, NULL, NULL);
        bool titled = false;
        for (const CU_TestInfo *t = s->tests; t->pName; t++) {
            if (!wanted(s->name, t->pName, argc, argv))
                continue;
            if (!titled)
                printf("%s\n", s->name);
            titled = true;
            CU_pTest test = CU_add_test(suite, t->pName, t->pTestFunc);
            test_failed = test_skipped = false;
            CU_ErrorCode code = CU_run_test(suite, test);
            bool ok = code == CUE_SUCCESS && !test_failed && CU_get_number_of_failures() == 0;
            printf("  %-5s %s\n", !ok ? "FAIL" : test_skipped ? "skip" : "ok", t->pName);
            for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
                printf("    %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
            failed += !ok;
            skipped += ok && test_skipped;
            passed += ok && !test_skipped;
        }
    }
    CU_cleanup_registry();
    remove_tree(tmp_dir);
    if (passed + failed + skipped == 0)
        printf("no test has such a name\n");
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || passed + skipped == 0 ? 1 : 0;
}
