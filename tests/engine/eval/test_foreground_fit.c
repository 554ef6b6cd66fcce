/* eval/foreground_fit and wsol/foreground: the fit is where the gradient of its objective, computed
 * here in double from the definition, vanishes; the objective is convex, so there is one such
 * place. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/foreground_fit.h"
#include "wsol/foreground.h"

enum { SAMPLES = 12, ROWS = 18, CHANNELS = 11, FOLDS = 5, SIZE = CHANNELS + 1 };
#define LAMBDA 0.05

struct set {
    float features[SAMPLES * ROWS * CHANNELS];
    float labels[SAMPLES * ROWS];
    struct adl_foreground_data data;
};

/* Features of differing scale and mean, one of them constant; labels depend on two of them. */
static void make(struct set *set)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 5, 0, 0);
    for (size_t i = 0; i < SAMPLES * ROWS; i++) {
        float *x = set->features + i * CHANNELS;
        for (size_t k = 0; k < CHANNELS; k++)
            x[k] = (float)(pow(3, (double)k - 5) * (adl_rng_normal(&rng) + 0.3 * (double)k));
        x[4] = 2.5F;
        double odds = x[2] * 20 - x[7] * 0.1 + adl_rng_normal(&rng);
        set->labels[i] = odds > 1 ? 1 : odds > 0 ? 0.5F : 0;
    }
    set->data = (struct adl_foreground_data){set->features, set->labels, SAMPLES, ROWS, CHANNELS};
}

static void moments(const struct set *set, size_t channel, double *mean, double *deviation)
{
    double sum = 0, squares = 0, n = SAMPLES * ROWS;
    for (size_t i = 0; i < SAMPLES * ROWS; i++)
        sum += (double)set->features[i * CHANNELS + channel];
    *mean = sum / n;
    for (size_t i = 0; i < SAMPLES * ROWS; i++)
        squares += pow((double)set->features[i * CHANNELS + channel] - *mean, 2);
    *deviation = sqrt(squares / n);
}

/* The gradient of the mean objective at a head, by standardised weights and bias. */
static void gradient(const struct set *set, const float *head, int without, double out[SIZE])
{
    double n = 0;
    memset(out, 0, SIZE * sizeof *out);
    for (size_t s = 0; s < SAMPLES; s++) {
        if ((int)(s % FOLDS) == without)
            continue;
        for (size_t r = 0; r < ROWS; r++, n++) {
            const float *x = set->features + (s * ROWS + r) * CHANNELS;
            double z = (double)head[CHANNELS];
            for (size_t k = 0; k < CHANNELS; k++)
                z += (double)head[k] * (double)x[k];
            double error = 1 / (1 + exp(-z)) - (double)set->labels[s * ROWS + r];
            for (size_t k = 0; k < CHANNELS; k++) {
                double mean, deviation;
                moments(set, k, &mean, &deviation);
                out[k] += deviation > 0 ? error * ((double)x[k] - mean) / deviation : 0;
            }
            out[CHANNELS] += error;
        }
    }
    for (size_t k = 0; k < CHANNELS; k++) {
        double mean, deviation;
        moments(set, k, &mean, &deviation);
        out[k] = out[k] / n + LAMBDA * (double)head[k] * deviation;
    }
    out[CHANNELS] /= n;
}

static void the_gradient_vanishes(void)
{
    static struct set set, before;
    float heads[(FOLDS + 1) * SIZE];
    struct adl_error err = {0};
    make(&set);
    before = set;
    TEST_OK(adl_foreground_fit(&set.data, FOLDS, NULL, heads, &err), &err);
    for (size_t i = 0; i < ADL_COUNT(set.features); i++)
        CU_ASSERT_DOUBLE_EQUAL(set.features[i], before.features[i],
                               1e-5 * (1 + fabs((double)before.features[i])));
    for (int f = 0; f <= FOLDS; f++) {
        double g[SIZE];
        gradient(&before, heads + f * SIZE, f, g);
        for (size_t k = 0; k < SIZE; k++)
            CU_ASSERT_DOUBLE_EQUAL(g[k], 0, 2e-5);
        CU_ASSERT_EQUAL(heads[f * SIZE + 4], 0); /* the constant channel */
    }
    /* Without regard to the labels the head would be flat. */
    CU_ASSERT(heads[FOLDS * SIZE + 2] > 0 && heads[FOLDS * SIZE + 7] < 0);
}

static void threads_change_nothing(void)
{
    static struct set one, three;
    float heads[2][(FOLDS + 1) * SIZE];
    struct adl_error err = {0};
    struct adl_pool *pool = adl_pool_create(3, &err);
    make(&one);
    make(&three);
    TEST_OK(adl_foreground_fit(&one.data, FOLDS, NULL, heads[0], &err), &err);
    TEST_OK(adl_foreground_fit(&three.data, FOLDS, pool, heads[1], &err), &err);
    CU_ASSERT(!memcmp(heads[0], heads[1], sizeof heads[0]));
    adl_pool_free(pool);
}

static void survives_no_memory(void)
{
    static struct set set;
    float heads[(FOLDS + 1) * SIZE];
    int result = -1;
    for (uint64_t nth = 1; result < 0; nth++) {
        struct adl_error err = {0};
        make(&set);
        adl_mem_fail_nth(nth);
        result = adl_foreground_fit(&set.data, FOLDS, NULL, heads, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
    }
    set.data.samples = 0;
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_foreground_fit(&set.data, FOLDS, NULL, heads, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void the_map_is_its_formula(void)
{
    enum { PIXELS = 7 };
    float features[PIXELS * CHANNELS], head[SIZE], cam[PIXELS], made[PIXELS];
    double scratch[2 * PIXELS];
    struct adl_rng rng;
    adl_rng_seed(&rng, 6, 0, 0);
    for (size_t i = 0; i < ADL_COUNT(features); i++)
        features[i] = (float)adl_rng_normal(&rng);
    for (size_t i = 0; i < SIZE; i++)
        head[i] = (float)adl_rng_normal(&rng);
    for (size_t i = 0; i < PIXELS; i++)
        cam[i] = (float)(3 * i) - 4; /* least -4, greatest 14 */
    const struct adl_foreground_head linear = {.channels = CHANNELS, .weights = head};
    const struct adl_foreground_map map = {features, 1, PIXELS};
    adl_foreground_probability(&linear, &map, NULL, scratch + PIXELS, scratch);
    adl_foreground_combine(scratch, 1, PIXELS, cam, 1, PIXELS, scratch + PIXELS, made);
    for (size_t i = 0; i < PIXELS; i++) {
        double z = (double)head[CHANNELS];
        for (size_t k = 0; k < CHANNELS; k++)
            z += (double)head[k] * (double)features[i * CHANNELS + k];
        CU_ASSERT_DOUBLE_EQUAL(made[i], sqrt(((double)cam[i] + 4) / 18) / (1 + exp(-z)), 1e-6);
    }
    /* A constant class map leaves the head alone. */
    float flat[PIXELS] = {2, 2, 2, 2, 2, 2, 2};
    adl_foreground_combine(scratch, 1, PIXELS, flat, 1, PIXELS, scratch + PIXELS, flat);
    CU_ASSERT_DOUBLE_EQUAL(flat[6], made[6], 1e-6); /* where the class map is greatest */
}

TEST_SUITE(foreground, {"the gradient vanishes", the_gradient_vanishes},
           {"threads change nothing", threads_change_nothing},
           {"survives running out of memory", survives_no_memory},
           {"the map is its formula", the_map_is_its_formula});
