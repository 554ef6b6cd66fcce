/* The layers of the dropout family (methods/maxdrop, spatial_dropout, dropblock, dropout): what
 * they drop, by what they multiply the rest, and the gradient. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "support/methods.h"
#include "support/train_step.h"

enum { N = 3, H = 9, W = 8, C = 20, COUNT = N * H * W * C };

static float x[COUNT], cotangent[COUNT], y[COUNT], dx[COUNT], factor[COUNT];

static size_t at(int n, int h, int w, int c)
{
    return ((size_t)(n * H + h) * W + (size_t)w) * C + (size_t)c;
}

/* Runs a step of one layer of the method and sets y, dx and, from them, the factor of each
 * activation. The gradient has the same factors. */
static void run(const struct adl_method *method, struct adl_train_mode mode, int threads)
{
    struct train_step step;
    struct adl_graph *g = train_step_begin(H, W, C);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    int layer = adl_method_add_layer(g, method, TRAIN_STEP_INPUT, "layer");
    CU_ASSERT_EQUAL_FATAL(train_step_open(&step, g, layer, N, threads), 0);
    formula_param("x", 0, 1, COUNT, x);
    formula_param("cotangent", 0, 1, COUNT, cotangent);
    train_step_run(&step, x, cotangent, &mode);
    memcpy(y, train_step_result(&step), sizeof y);
    memcpy(dx, train_step_grad_input(&step), sizeof dx);
    train_step_close(&step);
    for (size_t i = 0; i < COUNT; i++) {
        factor[i] = y[i] / x[i];
        CU_ASSERT(fabsf(dx[i] - cotangent[i] * factor[i]) <= 1e-6f * fabsf(cotangent[i]) * 4);
    }
}

static struct adl_train_mode mode_of(const union adl_method_value *values, uint64_t key)
{
    return (struct adl_train_mode){
        .dropout = true, .method_layers = true, .method_values = values, .progress = 1, .key = key};
}

static size_t dropped(void)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++)
        count += factor[i] == 0;
    return count;
}

static bool is_near(float value, double want)
{
    return fabs((double)value - want) <= 1e-5;
}

/* Switched off, without anything to drop, or with everything dropped. */
static void extremes(void)
{
    static const struct {
        const struct adl_method *method;
        const char *rate;
    } cases[] = {{&adl_method_maxdrop, "maxdrop-prob"},
                 {&adl_method_spatial_dropout, "spatial-dropout-rate"},
                 {&adl_method_dropblock, "dropblock-rate"},
                 {&adl_method_dropout, "dropout-rate"}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_train_mode off = mode_of(test_method_values(cases[i].rate, 1.0, NULL), 1);
        off.method_layers = false;
        run(cases[i].method, off, 1);
        CU_ASSERT_EQUAL(memcmp(x, y, sizeof x), 0);
        CU_ASSERT_EQUAL(memcmp(dx, cotangent, sizeof dx), 0);
        run(cases[i].method, mode_of(test_method_values(cases[i].rate, 0.0, NULL), 1), 1);
        CU_ASSERT_EQUAL(memcmp(x, y, sizeof x), 0);
        run(cases[i].method, mode_of(test_method_values(cases[i].rate, 1.0, NULL), 1), 1);
        CU_ASSERT(dropped() > 0);
        for (size_t v = 0; v < COUNT; v++)
            CU_ASSERT(isfinite(y[v]) && isfinite(dx[v]));
    }
}

/* The same bits for any number of threads, others with another key. */
static void draws_depend_on_the_key(void)
{
    static const struct adl_method *const methods[] = {&adl_method_maxdrop,
                                                       &adl_method_spatial_dropout,
                                                       &adl_method_dropblock, &adl_method_dropout};
    static float once[COUNT];
    for (size_t i = 0; i < ADL_COUNT(methods); i++) {
        run(methods[i], mode_of(test_method_values(NULL), 5), 1);
        memcpy(once, y, sizeof y);
        run(methods[i], mode_of(test_method_values(NULL), 5), 3);
        CU_ASSERT_EQUAL(memcmp(once, y, sizeof y), 0);
        run(methods[i], mode_of(test_method_values(NULL), 6), 1);
        CU_ASSERT_NOT_EQUAL(memcmp(once, y, sizeof y), 0);
    }
}

static void dropout_drops_single_activations(void)
{
    size_t gone = 0;
    for (uint64_t key = 0; key < 10; key++) {
        run(&adl_method_dropout, mode_of(test_method_values("dropout-rate", 0.3, NULL), key), 1);
        gone += dropped();
        for (size_t i = 0; i < COUNT; i++)
            CU_ASSERT(factor[i] == 0 || is_near(factor[i], 1 / 0.7));
    }
    /* 43200 draws, standard error 0.0022. */
    CU_ASSERT_DOUBLE_EQUAL((double)gone / (10.0 * COUNT), 0.3, 0.009);
}

static void spatial_dropout_drops_channels(void)
{
    size_t gone = 0;
    for (uint64_t key = 0; key < 100; key++) {
        run(&adl_method_spatial_dropout,
            mode_of(test_method_values("spatial-dropout-rate", 0.3, NULL), key), 1);
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++) {
                float first = factor[at(n, 0, 0, c)];
                gone += first == 0;
                CU_ASSERT(first == 0 || is_near(first, 1 / 0.7));
                for (int p = 1; p < H * W; p++)
                    CU_ASSERT_EQUAL(factor[at(n, p / W, p % W, c)] == 0, first == 0);
            }
    }
    /* 6000 draws, standard error 0.0059. */
    CU_ASSERT_DOUBLE_EQUAL((double)gone / (100.0 * N * C), 0.3, 0.024);
}

/* With probability 1 exactly the maxima are dropped, and nothing else is changed; with a smaller
 * one, so many of them. */
static void maxdrop_drops_maxima(void)
{
    run(&adl_method_maxdrop, mode_of(test_method_values("maxdrop-prob", 1.0, NULL), 1), 1);
    CU_ASSERT_EQUAL(dropped(), N * C);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int p = 0; p < H * W; p++) {
                bool most = true;
                for (int q = 0; q < H * W; q++)
                    most = most && x[at(n, q / W, q % W, c)] <= x[at(n, p / W, p % W, c)];
                CU_ASSERT_EQUAL(factor[at(n, p / W, p % W, c)], most ? 0 : 1);
            }
    run(&adl_method_maxdrop,
        mode_of(test_method_values("maxdrop-prob", 1.0, "maxdrop-mode", 1.0, NULL), 1), 1);
    CU_ASSERT_EQUAL(dropped(), N * H * W);
    for (int n = 0; n < N; n++)
        for (int p = 0; p < H * W; p++)
            for (int c = 0; c < C; c++) {
                bool most = true;
                for (int k = 0; k < C; k++)
                    most = most && x[at(n, p / W, p % W, k)] <= x[at(n, p / W, p % W, c)];
                CU_ASSERT_EQUAL(factor[at(n, p / W, p % W, c)], most ? 0 : 1);
            }
    size_t gone = 0;
    for (uint64_t key = 0; key < 100; key++) {
        run(&adl_method_maxdrop, mode_of(test_method_values("maxdrop-prob", 0.2, NULL), key), 1);
        gone += dropped();
    }
    /* 6000 draws, standard error 0.0052. */
    CU_ASSERT_DOUBLE_EQUAL((double)gone / (100.0 * N * C), 0.2, 0.021);
}

/* What is dropped is a union of whole squares in each channel, of about the share that was asked
 * for, and the rest is multiplied by what keeps the mean. */
static void dropblock_drops_squares(void)
{
    enum { B = 3 };
    const union adl_method_value *values =
        test_method_values("dropblock-size", (double)B, "dropblock-rate", 0.1, NULL);
    size_t gone = 0, half = 0;
    for (uint64_t key = 0; key < 50; key++) {
        run(&adl_method_dropblock, mode_of(values, key), 1);
        double scale = (double)COUNT / (double)(COUNT - dropped());
        gone += dropped();
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++)
                for (int p = 0; p < H * W; p++) {
                    bool covered = false;
                    for (int top = 0; top + B <= H && !covered; top++)
                        for (int left = 0; left + B <= W && !covered; left++) {
                            bool inside = p / W >= top && p / W < top + B && p % W >= left &&
                                          p % W < left + B;
                            for (int q = 0; q < B * B && inside; q++)
                                inside = factor[at(n, top + q / B, left + q % B, c)] == 0;
                            covered = inside;
                        }
                    float f = factor[at(n, p / W, p % W, c)];
                    CU_ASSERT(covered ? f == 0 : is_near(f, scale));
                }
        struct adl_train_mode early = mode_of(values, key);
        early.progress = 0.5;
        run(&adl_method_dropblock, early, 1);
        half += dropped();
    }
    /* Squares overlap, so a little less than a tenth; by simulation with NumPy over 200000 maps
     * 0.0950, and 0.0488 with half the rate. */
    CU_ASSERT_DOUBLE_EQUAL((double)gone / (50.0 * COUNT), 0.0950, 0.006);
    CU_ASSERT_DOUBLE_EQUAL((double)half / (50.0 * COUNT), 0.0488, 0.005);
}

TEST_SUITE(dropped_activations, {"extremes", extremes},
           {"draws depend on the key", draws_depend_on_the_key},
           {"Dropout drops single activations", dropout_drops_single_activations},
           {"SpatialDropout drops channels", spatial_dropout_drops_channels},
           {"MaxDrop drops maxima", maxdrop_drops_maxima},
           {"DropBlock drops squares", dropblock_drops_squares});
