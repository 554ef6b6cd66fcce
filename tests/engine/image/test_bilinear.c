/* image/bilinear against its definition in double. */

#include "support/test.h"

#include <math.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/bilinear.h"
#include "support/formula.h"

static double at(const float *map, int width, int height, double x, double y)
{
    x = fmin(fmax(x, 0), width - 1);
    y = fmin(fmax(y, 0), height - 1);
    int x0 = (int)x, y0 = (int)y, x1 = ADL_MIN(x0 + 1, width - 1), y1 = ADL_MIN(y0 + 1, height - 1);
    double u = x - x0, v = y - y0;
    return (1 - v) * ((1 - u) * (double)map[y0 * width + x0] + u * (double)map[y0 * width + x1]) +
           v * ((1 - u) * (double)map[y1 * width + x0] + u * (double)map[y1 * width + x1]);
}

/* Sides of one, equal sizes, enlarging and shrinking, in any combination. */
static void equals_the_definition(void)
{
    static const int sides[] = {1, 2, 3, 7, 14, 31};
    float map[31 * 31];

    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = (float)(0.5 + formula_u("bilinear", i) / 2);
    for (size_t c = 0; c < 6 * 6 * 6 * 6; c++) {
        int w = sides[c % 6], h = sides[c / 6 % 6], width = sides[c / 36 % 6],
            height = sides[c / 216];
        struct adl_error err = {0};
        struct adl_bilinear b;
        TEST_OK(adl_bilinear_init(&b, map, w, h, width, height, &err), &err);
        /* From the bottom, and twice: the order of the rows must not matter. */
        for (int i = 2 * height; i-- > 0;) {
            int y = i / 2;
            const float *row = adl_bilinear_row(&b, y);
            for (int x = 0; x < width; x++) {
                double want =
                    at(map, w, h, (x + 0.5) * w / width - 0.5, (y + 0.5) * h / height - 0.5);
                if (fabs((double)row[x] - want) > 1e-6)
                    TEST_FAIL("%dx%d to %dx%d at %d,%d: %g, expected %g", w, h, width, height, x, y,
                              (double)row[x], want);
            }
        }
        adl_bilinear_release(&b);
    }
}

static void values_are_clamped(void)
{
    const float map[4] = {NAN, -3, INFINITY, 7};
    struct adl_error err = {0};
    struct adl_bilinear b;

    TEST_OK(adl_bilinear_init(&b, map, 2, 2, 2, 2, &err), &err);
    CU_ASSERT(adl_bilinear_row(&b, 0)[0] == 0 && adl_bilinear_row(&b, 0)[1] == 0);
    CU_ASSERT(adl_bilinear_row(&b, 1)[0] == 1 && adl_bilinear_row(&b, 1)[1] == 1);
    adl_bilinear_release(&b);
}

static void survives_no_memory(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    int result = -1;

    for (uint64_t n = 1; result < 0 && n < 20; n++) {
        struct adl_error err = {0};
        struct adl_bilinear b;
        adl_mem_fail_nth(n);
        result = adl_bilinear_init(&b, &(float){1}, 1, 1, 5, 5, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(result == 0 || err.kind == ADL_ERR_NOMEM);
        adl_bilinear_release(&b);
    }
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(bilinear, {"rows equal the definition", equals_the_definition},
           {"values are clamped to 0..1", values_are_clamped},
           {"enlarging survives running out of memory", survives_no_memory});
