/* train/optimizer: what it starts from, what it updates, the norm it keeps. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "train/optimizer.h"

/* A convolution with batch norm and a classifier: every role of a parameter. */
static struct adl_graph *small_net(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){5, 5, 3}, &err);
    struct adl_conv_attr attr = {.k = 4, .r = 3, .s = 3, .stride = 1, .bias = true};
    int x = adl_batchnorm(g, adl_conv(g, 0, "conv", attr), "bn", 1e-5);
    x = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", 2, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

#define MAX_PARAMS 16

static void make_start(const struct adl_graph *g, float *start[MAX_PARAMS])
{
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        const struct adl_param *p = adl_graph_param(g, i);
        start[i] = adl_malloc(p->count, sizeof **start);
        formula_param(p->name, 0.5, 0.25, p->count, start[i]);
    }
}

static void free_start(const struct adl_graph *g, float *start[MAX_PARAMS])
{
    for (int i = 0; i < adl_graph_param_count(g); i++)
        adl_free(start[i]);
}

static bool is_running(const struct adl_param *p)
{
    return p->role == ADL_PARAM_BN_MEAN || p->role == ADL_PARAM_BN_VAR;
}

static void fill_grads(const struct adl_graph *g, const struct adl_optimizer *o, float value)
{
    for (int i = 0; i < adl_graph_param_count(g); i++)
        for (size_t j = 0; adl_optimizer_grads(o)[i] && j < adl_graph_param(g, i)->count; j++)
            adl_optimizer_grads(o)[i][j] = value;
}

static void starts_from_a_copy(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = small_net();
    float *start[MAX_PARAMS];
    make_start(g, start);
    struct adl_optimizer *o = adl_optimizer_create(g, (const float *const *)start, &err);
    CU_ASSERT_FATAL(o != NULL);
    size_t all = 0, trainable = 0;
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        const struct adl_param *p = adl_graph_param(g, i);
        CU_ASSERT(adl_optimizer_params(o)[i] != start[i]);
        CU_ASSERT(memcmp(adl_optimizer_params(o)[i], start[i], p->count * sizeof(float)) == 0);
        CU_ASSERT_EQUAL(adl_optimizer_grads(o)[i] == NULL, is_running(p));
        CU_ASSERT_EQUAL(adl_optimizer_velocities(o)[i] == NULL, is_running(p));
        for (size_t j = 0; !is_running(p) && j < p->count; j++)
            CU_ASSERT_EQUAL(adl_optimizer_velocities(o)[i][j], 0);
        all += p->count;
        trainable += is_running(p) ? 0 : p->count;
    }
    CU_ASSERT_EQUAL(adl_optimizer_bytes(o), (all + 2 * trainable) * sizeof(float));
    CU_ASSERT_EQUAL(trainable, adl_graph_trainable(g));
    adl_optimizer_free(o);
    free_start(g, start);
    adl_graph_free(g);
}

/* Heads at their own rate, running statistics not at all, on any threads. */
static void steps_each_group(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = small_net();
    struct adl_sgd sgd = {.momentum = 0.9, .weight_decay = 0, .nesterov = false};
    float *start[MAX_PARAMS];
    make_start(g, start);
    int head = adl_graph_find_param(g, "fc.weight");
    for (int threads = 0; threads <= 3; threads++) {
        struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
        struct adl_optimizer *o = adl_optimizer_create(g, (const float *const *)start, &err);
        CU_ASSERT_FATAL(o != NULL);
        adl_optimizer_set_head(o, head);
        fill_grads(g, o, 1);
        adl_optimizer_step(o, &sgd, 0.125, 8, pool);
        for (int i = 0; i < adl_graph_param_count(g); i++) {
            const struct adl_param *p = adl_graph_param(g, i);
            float change = is_running(p) ? 0 : i == head ? 1 : 0.125f;
            for (size_t j = 0; j < p->count; j++)
                CU_ASSERT_EQUAL(adl_optimizer_params(o)[i][j], start[i][j] - change);
        }
        adl_optimizer_zero_grads(o);
        for (int i = 0; i < adl_graph_param_count(g); i++)
            for (size_t j = 0; adl_optimizer_grads(o)[i] && j < adl_graph_param(g, i)->count; j++)
                CU_ASSERT(adl_optimizer_grads(o)[i][j] == 0 &&
                          adl_optimizer_velocities(o)[i][j] == 1);
        adl_optimizer_free(o);
        adl_pool_free(pool);
    }
    free_start(g, start);
    adl_graph_free(g);
}

/* torch.nn.utils.clip_grad_norm_([(1, -2, 3), (0.5, 4)], 2.5) in float64: the
 * norm is 5.5, the gradients become these. */
static void clips_as_pytorch(void)
{
    static const float grads[5] = {1, -2, 3, 0.5f, 4};
    static const double clipped[5] = {0.45454537190084143, -0.9090907438016829, 1.3636361157025243,
                                      0.22727268595042072, 1.8181814876033657};
    struct adl_error err = {0};
    struct adl_graph *g = small_net();
    float *start[MAX_PARAMS];
    make_start(g, start);
    struct adl_optimizer *o = adl_optimizer_create(g, (const float *const *)start, &err);
    CU_ASSERT_FATAL(o != NULL);
    /* Three in one parameter, two in another. */
    float *conv = adl_optimizer_grads(o)[adl_graph_find_param(g, "conv.weight")];
    float *fc = adl_optimizer_grads(o)[adl_graph_find_param(g, "fc.bias")];
    memcpy(conv, grads, 3 * sizeof *conv);
    memcpy(fc, grads + 3, 2 * sizeof *fc);
    /* Nothing to do: a larger limit, and none. */
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(o, 6), 5.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(o, 0), 5.5, 1e-12);
    CU_ASSERT(memcmp(conv, grads, 3 * sizeof *conv) == 0);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(o, 2.5), 5.5, 1e-12);
    test_close("clipped", conv, clipped, 3, 1e-7);
    test_close("clipped", fc, clipped + 3, 2, 2e-7);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(o, 0), 2.5, 1e-5);
    adl_optimizer_free(o);
    free_start(g, start);
    adl_graph_free(g);
}

static void out_of_memory_is_an_error(void)
{
    struct adl_graph *g = small_net();
    float *start[MAX_PARAMS];
    make_start(g, start);
    size_t blocks = adl_mem_stats().live_blocks;
    for (uint64_t n = 1;; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        struct adl_optimizer *o = adl_optimizer_create(g, (const float *const *)start, &err);
        adl_mem_fail_nth(0);
        if (o) {
            CU_ASSERT(n > 3);
            adl_optimizer_free(o);
            break;
        }
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    free_start(g, start);
    adl_graph_free(g);
}

TEST_SUITE(optimizer, {"starts from a copy", starts_from_a_copy},
           {"steps each group at its rate", steps_each_group},
           {"clips as clip_grad_norm_", clips_as_pytorch},
           {"out of memory is an error", out_of_memory_is_an_error});
