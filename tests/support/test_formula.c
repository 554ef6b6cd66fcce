/* Tests the formula of the golden weights and inputs with the test vectors that belong to it. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/formula.h"

static void known_hashes(void)
{
    CU_ASSERT_EQUAL(formula_fnv1a64("conv1.weight", 12), 0x69a29a2cee47d254u);
    CU_ASSERT_EQUAL(formula_fnv1a64("input.wave", 10), 0xf8fc4d984d7a60e6u);
    CU_ASSERT_EQUAL(formula_z("conv1.weight", 0), 0x8b8a08a85128a1b0u);
    CU_ASSERT_EQUAL(formula_z("conv1.weight", 1), 0x13270f9292cbed3bu);
    CU_ASSERT_EQUAL(formula_u("conv1.weight", 0), 0.090149939060211182);
    CU_ASSERT_EQUAL(formula_u("conv1.weight", 1), -0.85037046670913696);
}

static void expect_bits(const char *line, float got, unsigned want)
{
    unsigned bits;
    memcpy(&bits, &got, sizeof bits);
    if (bits != want)
        TEST_FAIL("%s: got %08x", line, bits);
}

static void check_line(const char *line)
{
    char name[128];
    unsigned i, fan_in, n, c, h, w, at[4], want;
    double a, b;
    if (sscanf(line, "weight %127s %u %u %x", name, &i, &fan_in, &want) == 4) {
        float *values = adl_malloc(i + 1, sizeof *values);
        formula_param(name, 0, (double)(float)sqrt(6.0 / fan_in), i + 1, values);
        expect_bits(line, values[i], want);
        adl_free(values);
    } else if (sscanf(line, "param %127s %u %lf %lf %x", name, &i, &a, &b, &want) == 5) {
        float values[8];
        formula_param(name, a, b, i + 1, values);
        expect_bits(line, values[i], want);
    } else if (sscanf(line, "image %127s %u %u %u %u %u %u %u %u %x", name, &n, &c, &h, &w, &at[0],
                      &at[1], &at[2], &at[3], &want) == 10) {
        float *values = adl_malloc((size_t)n * c * h * w, sizeof *values);
        formula_image(name, (int)n, (int)c, (int)h, (int)w, values);
        expect_bits(line, values[((at[0] * c + at[1]) * h + at[2]) * w + at[3]], want);
        adl_free(values);
    } else if (sscanf(line, "byte %127s %u %u %u %u %u %u", name, &h, &w, &at[0], &at[1], &at[2],
                      &want) == 7) {
        uint8_t *rgb = adl_malloc((size_t)h * w, 3);
        formula_picture(name, (int)h, (int)w, rgb);
        if (rgb[(at[0] * w + at[1]) * 3 + at[2]] != want)
            TEST_FAIL("%s: got %u", line, rgb[(at[0] * w + at[1]) * 3 + at[2]]);
        adl_free(rgb);
    } else {
        TEST_FAIL("cannot read the line: %s", line);
    }
}

static void vectors(void)
{
    char path[4096], line[512];
    int lines = 0;
    snprintf(path, sizeof path, "%s/formula_vectors.txt", test_golden_dir());
    FILE *file = fopen(path, "r");
    if (!file) {
        TEST_FAIL("cannot open %s", path);
        return;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        check_line(line);
        lines++;
    }
    fclose(file);
    CU_ASSERT(lines > 30);
}

static void whole_input(void)
{
    size_t count = 2 * 3 * 224 * 224;
    float *values = adl_malloc(count, sizeof *values), least = 0, most = 0;
    double sum = 0;
    formula_image("input", 2, 3, 224, 224, values);
    for (size_t i = 0; i < count; i++) {
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
        sum += (double)values[i];
    }
    CU_ASSERT_DOUBLE_EQUAL(least, -2.7038631, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(most, 2.7143314, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(sum, 478.918045, 1e-5);
    adl_free(values);
}

TEST_SUITE(formula, {"hashes and numbers of the format's description", known_hashes},
           {"test vectors", vectors}, {"the sum over a whole input", whole_input});
