/* image/optional_library: what is there, what is not, and what is too old. */

#include "support/test.h"

#include <string.h>

#include "image/optional_library.h"

static double (*cosine)(double);
static void (*nothing)(void);
static int opened;

static void count_opening(void)
{
    opened++;
}

static const struct adl_optional_function known[] = {{"cos", &cosine}};
static const struct adl_optional_function unknown[] = {{"cos", &cosine}, {"cos_of_adl", &nothing}};

static void opens_once(void)
{
    struct adl_optional_library library = {.formats = "NONE",
                                           .file = "libm.so.6",
                                           .package = "libc6",
                                           .functions = known,
                                           .count = 1,
                                           .opened = count_opening};
    struct adl_error err = {0};

    opened = 0;
    TEST_OK(adl_optional_open(&library, &err), &err);
    TEST_OK(adl_optional_open(&library, &err), &err);
    CU_ASSERT_EQUAL(opened, 1);
    CU_ASSERT(cosine && cosine(0) == 1);
}

static void expect_missing(struct adl_optional_library *library)
{
    for (int i = 0; i < 2; i++) {
        struct adl_error err = {0};
        CU_ASSERT(adl_optional_open(library, &err) < 0);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
        CU_ASSERT(strstr(err.message, "NONE") && strstr(err.message, "libnone9"));
    }
}

static void says_what_to_install(void)
{
    struct adl_optional_library missing = {.formats = "NONE",
                                           .file = "libadl-none.so.9",
                                           .package = "libnone9",
                                           .functions = known,
                                           .count = 1},
                                old = {.formats = "NONE",
                                       .file = "libm.so.6",
                                       .package = "libnone9",
                                       .functions = unknown,
                                       .count = 2};
    expect_missing(&missing);
    expect_missing(&old);
    CU_ASSERT_PTR_NULL(nothing);
}

TEST_SUITE(optional_library, {"opens once", opens_once},
           {"says what to install", says_what_to_install});
