/* train/sgd and train/optimizer: equality with torch.optim.SGD for given gradients, with
 * two groups of parameters that have different rates. */

#include "support/test.h"

#include <stdio.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "train/optimizer.h"

enum { WEIGHTS = 10, STEPS = 5 };

/* Two layers of 2 x 5 weights, of which the second is a head. */
static struct adl_graph *two_layers(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){1, 1, 5}, &err);
    int a = adl_linear(g, 0, "base", 2, false), b = adl_linear(g, 0, "head", 2, false);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, adl_add(g, a, b, "sum"));
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

static void make(const json_t *item, const char *key, float *values)
{
    const json_t *record = golden_get(golden_get(item, "inputs"), key);
    formula_param(golden_string(record, "name"), golden_double(record, "a"),
                  golden_double(record, "b"), WEIGHTS, values);
}

static void check(const json_t *item, const char *name, int group, int step, const float *got)
{
    char key[32], what[128];
    size_t count;
    snprintf(key, sizeof key, "weights%d.%d", group, step);
    snprintf(what, sizeof what, "%s %s", name, key);
    const json_t *record = golden_get(golden_get(item, "results"), key);
    double *want = golden_doubles(golden_get(record, "f64"), &count);
    CU_ASSERT_EQUAL(count, WEIGHTS);
    test_close(what, got, want, count, golden_double(record, "tol"));
    adl_free(want);
}

static void equals_pytorch(void)
{
    struct adl_error err = {0};
    json_t *golden = golden_load("methods/sgd.json"), *item;
    struct adl_graph *g = two_layers();
    size_t i;
    json_array_foreach(golden_get(golden, "cases"), i, item)
    {
        const char *name = golden_string(item, "case");
        struct adl_sgd sgd = {.momentum = golden_double(item, "momentum"),
                              .weight_decay = golden_double(item, "weight_decay"),
                              .nesterov = json_is_true(golden_get(item, "nesterov"))};
        double base = json_number_value(json_array_get(golden_get(item, "lr"), 0));
        double head = json_number_value(json_array_get(golden_get(item, "lr"), 1));
        float w[2][WEIGHTS];
        for (int group = 0; group < 2; group++)
            make(item, group ? "w1" : "w0", w[group]);
        struct adl_optimizer *o = adl_optimizer_create(g, (const float *const[]){w[0], w[1]}, &err);
        TEST_OK(o ? 0 : -1, &err);
        if (!o)
            break;
        adl_optimizer_set_head(o, 1);
        float velocity[2][WEIGHTS] = {0};
        for (int step = 0; step < STEPS; step++) {
            for (int group = 0; group < 2; group++) {
                char key[32];
                snprintf(key, sizeof key, "g%d.%d", group, step);
                make(item, key, adl_optimizer_grads(o)[group]);
                adl_sgd_step(&sgd, group ? head : base, WEIGHTS, adl_optimizer_grads(o)[group],
                             w[group], velocity[group]);
            }
            adl_optimizer_step(o, &sgd, base, head / base, NULL);
            for (int group = 0; group < 2; group++) {
                check(item, name, group, step, adl_optimizer_params(o)[group]);
                check(item, name, group, step, w[group]);
            }
        }
        adl_optimizer_free(o);
    }
    CU_ASSERT(i == 2);
    adl_graph_free(g);
    json_decref(golden);
}

/* Without gradient and momentum, a step multiplies a weight by 1 - lr decay. */
static void weight_decay_shrinks(void)
{
    float weight = 2, grad = 0, velocity = 0;
    struct adl_sgd sgd = {.momentum = 0, .weight_decay = 0.1, .nesterov = false};
    for (int i = 0; i < 3; i++)
        adl_sgd_step(&sgd, 0.5, 1, &grad, &weight, &velocity);
    CU_ASSERT_DOUBLE_EQUAL((double)weight, 2 * 0.95 * 0.95 * 0.95, 1e-6);
}

TEST_SUITE(sgd, {"equals torch.optim.SGD, also in groups", equals_pytorch},
           {"weight decay alone shrinks", weight_decay_shrinks});
