/* train/adamw and train/optimizer: equality with torch.optim.AdamW for given gradients, with two
 * groups of parameters that have different rates; what has no weight decay. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/ops.h"
#include "train/optimizer.h"

enum { WEIGHTS = 5, STEPS = 5 };

static const float start[2][WEIGHTS] = {{0.5f, -0.25f, 1.5f, -2.0f, 0.125f},
                                        {-1.0f, 0.75f, 0.0625f, 2.5f, -0.5f}};

/* PyTorch 1.13 in float64: AdamW([{w0, lr=0.01}, {w1, lr=0.05}], betas=(0.8, 0.95), eps=1e-6,
 * weight_decay=0.1), with the gradients that gradient() computes. */
static const double expected[STEPS][2][WEIGHTS] = {
    {{0.50949996000015996, -0.25974998400002558, 1.48850007999936, -1.9880000266665956,
      0.11487501999996},
     {-0.94500019999920004, 0.7962499333334222, 0.0121875999998, 2.4874999999999998,
      -0.44750009999980001}},
    {{0.51111504067087865, -0.26084585505576802, 1.4779667582571174, -1.9796444918614426,
      0.11587125386885337},
     {-0.94583073233262627, 0.83494542505659719, 0.02730545288136188, 2.4362730526558947,
      -0.41342489519821518}},
    {{0.50523048055107644, -0.26157776968076984, 1.4766842580813471, -1.9794714463057794,
      0.11780617363781992},
     {-0.97429976050135014, 0.84952720171315643, 0.047394464984710928, 2.4376346985209136,
      -0.42039077277699088}},
    {{0.50602124719600872, -0.26514102667008699, 1.4765189702983195, -1.9732910529031877,
      0.11690820673197136},
     {-0.9739817938520865, 0.83298464472996314, 0.053336839420165642, 2.4445116775297038,
      -0.39865917125104922}},
    {{0.50760515586951993, -0.26319293862372001, 1.4738500226128719, -1.9662071656629683,
      0.11211701677758719},
     {-0.97273637358932197, 0.83358582983859697, 0.036525193541375928, 2.4382816840729196,
      -0.37371647532516378}},
};

static float gradient(int group, int i, int t)
{
    return group ? (float)((i * 5 + t * 2) % 7 - 3) / 4 : (float)((i * 7 + t * 3) % 11 - 5) / 8;
}

/* Two layers of five weights, of which the second is a head. */
static struct adl_graph *two_layers(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){1, 1, 5}, &err);
    int a = adl_linear(g, 0, "base", 1, false), b = adl_linear(g, 0, "head", 1, false);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, adl_add(g, a, b, "sum"));
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

static struct adl_optimizer *create(const struct adl_graph *g)
{
    struct adl_error err = {0};
    struct adl_optimizer *o =
        adl_optimizer_create(g, (const float *const[]){start[0], start[1]}, &err);
    CU_ASSERT_FATAL(o != NULL);
    CU_ASSERT_PTR_NULL(adl_optimizer_squares(o));
    TEST_OK(adl_optimizer_keep_squares(o, &err), &err);
    return o;
}

static void equals_pytorch(void)
{
    static const struct adl_adamw adamw = {0.8, 0.95, 1e-6, 0.1};
    struct adl_graph *g = two_layers();
    for (int threads = 0; threads < 3; threads++) {
        struct adl_error err = {0};
        struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
        struct adl_optimizer *o = create(g);
        adl_optimizer_set_head(o, 1);
        for (int step = 0; step < STEPS; step++) {
            for (int group = 0; group < 2; group++)
                for (int i = 0; i < WEIGHTS; i++)
                    adl_optimizer_grads(o)[group][i] = gradient(group, i, step + 1);
            adl_optimizer_step_adamw(o, &adamw, 0.01, 5, pool);
            for (int group = 0; group < 2; group++)
                test_close("weights", adl_optimizer_params(o)[group], expected[step][group],
                           WEIGHTS, 3e-7);
        }
        adl_optimizer_free(o);
        adl_pool_free(pool);
    }
    adl_graph_free(g);
}

/* Without gradient a step multiplies a weight by 1 - lr decay, or leaves it alone. */
static void weight_decay_is_apart(void)
{
    static const struct adl_adamw adamw = {0.9, 0.999, 1e-8, 0.1};
    static const struct adl_sgd sgd = {0, 0.1, false};
    struct adl_graph *g = two_layers();
    for (int kind = 0; kind < 2; kind++) {
        struct adl_optimizer *o = create(g);
        adl_optimizer_set_undecayed(o, 1);
        adl_optimizer_zero_grads(o);
        for (int step = 0; step < 3; step++) {
            if (kind)
                adl_optimizer_step(o, &sgd, 0.5, 1, NULL);
            else
                adl_optimizer_step_adamw(o, &adamw, 0.5, 1, NULL);
        }
        for (int i = 0; i < WEIGHTS; i++) {
            CU_ASSERT_DOUBLE_EQUAL((double)adl_optimizer_params(o)[0][i],
                                   (double)start[0][i] * pow(0.95, 3), 1e-6);
            CU_ASSERT_EQUAL(adl_optimizer_params(o)[1][i], start[1][i]);
        }
        adl_optimizer_free(o);
    }
    adl_graph_free(g);
}

TEST_SUITE(adamw, {"equals torch.optim.AdamW, also in groups", equals_pytorch},
           {"weight decay is apart from the gradient", weight_decay_is_apart});
