/* eval/ddt: the maps against NumPy's singular value decomposition, their sign, and input that has
 * no component. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/ddt.h"

enum { IMAGES = 3, CELLS = 8, CHANNELS = 5 };

static float features[IMAGES][CELLS * CHANNELS], cams[IMAGES][CELLS], maps[IMAGES][CELLS];

static int run(struct adl_error *err)
{
    const float *feature_rows[IMAGES], *cam_rows[IMAGES];
    float *map_rows[IMAGES];
    const struct adl_ddt_images images = {.count = IMAGES,
                                          .cells = CELLS,
                                          .channels = CHANNELS,
                                          .features = feature_rows,
                                          .cams = cam_rows};
    for (int i = 0; i < IMAGES; i++) {
        feature_rows[i] = features[i];
        cam_rows[i] = cams[i];
        map_rows[i] = maps[i];
    }
    *err = (struct adl_error){0};
    return adl_ddt_maps(&images, map_rows, err);
}

/* sin(1 + 3 i + 7 p + 13 k), plus 0.3 (k + 1) at every third position, which is where the class map
 * is 1. */
static void make(void)
{
    for (int i = 0; i < IMAGES; i++)
        for (int p = 0; p < CELLS; p++) {
            cams[i][p] = p % 3 == 0;
            for (int k = 0; k < CHANNELS; k++)
                features[i][p * CHANNELS + k] =
                    (float)(sin(1 + 3 * i + 7 * p + 13 * k) + (p % 3 == 0 ? 0.3 * (k + 1) : 0));
        }
}

/* (X - mean) v, where v is the first right singular vector of X - mean, with the sign that agrees
 * with the class maps. */
static void equals_numpy(void)
{
    static const double want[IMAGES][CELLS] = {
        {3.06162878, -0.02941477, -1.31565283, -0.16400489, -2.56440596, -1.91229036, 1.47137350,
         0.49806253},
        {-0.34428821, -1.71342959, -0.44890104, 2.82690218, 1.07854540, 0.58966106, 1.60087577,
         -1.80862479},
        {3.21736475, 0.41261475, -0.80489472, 0.16408895, -2.58046269, -2.26459461, 0.95622434,
         0.07362247},
    };
    struct adl_error err;
    make();
    TEST_OK(run(&err), &err);
    for (int i = 0; i < IMAGES; i++)
        test_close("map", maps[i], want[i], CELLS, 2e-6);
    /* The opposite class maps turn the sign. */
    for (int i = 0; i < IMAGES; i++)
        for (int p = 0; p < CELLS; p++)
            cams[i][p] = 5 - cams[i][p];
    TEST_OK(run(&err), &err);
    for (int i = 0; i < IMAGES; i++) {
        double turned[CELLS];
        for (int p = 0; p < CELLS; p++)
            turned[p] = -want[i][p];
        test_close("map", maps[i], turned, CELLS, 2e-6);
    }
}

static void refuses_what_has_no_component(void)
{
    struct adl_error err;
    make();
    for (int i = 0; i < IMAGES * CELLS * CHANNELS; i++)
        features[i / (CELLS * CHANNELS)][i % (CELLS * CHANNELS)] = 2;
    TEST_OK(run(&err), &err);
    for (int i = 0; i < IMAGES; i++)
        for (int p = 0; p < CELLS; p++)
            CU_ASSERT_EQUAL(maps[i][p], 0);
    features[1][3] = NAN;
    CU_ASSERT(run(&err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    const struct adl_ddt_images none = {.cells = CELLS, .channels = CHANNELS};
    err = (struct adl_error){0};
    CU_ASSERT(adl_ddt_maps(&none, NULL, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void survives_no_memory(void)
{
    struct adl_error err;
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t n = 0;
    make();
    do {
        adl_mem_fail_nth(++n);
        run(&err);
        adl_mem_fail_nth(0);
        CU_ASSERT(err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_NOMEM);
    } while (err.kind != ADL_ERR_NONE && n < 50);
    CU_ASSERT(n > 3 && n < 50);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(ddt, {"equals NumPy", equals_numpy},
           {"refuses what has no component", refuses_what_has_no_component},
           {"survives running out of memory", survives_no_memory});
