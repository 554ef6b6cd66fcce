/* train/optimizer: what it starts from, what a step updates, and clipping by norm. */

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

/* The network, the values it starts from and an optimizer of both. */
struct setup {
    struct adl_graph *graph;
    float *start[MAX_PARAMS];
    struct adl_optimizer *optimizer;
};

static struct adl_optimizer *create(const struct setup *setup, struct adl_error *err)
{
    return adl_optimizer_create(setup->graph, (const float *const *)setup->start, err);
}

static void open_setup(struct setup *setup)
{
    struct adl_error err = {0};
    setup->graph = small_net();
    for (int i = 0; i < adl_graph_param_count(setup->graph); i++) {
        const struct adl_param *p = adl_graph_param(setup->graph, i);
        setup->start[i] = adl_malloc(p->count, sizeof *setup->start[i]);
        formula_param(p->name, 0.5, 0.25, p->count, setup->start[i]);
    }
    setup->optimizer = create(setup, &err);
    CU_ASSERT_FATAL(setup->optimizer != NULL);
}

static void close_setup(struct setup *setup)
{
    adl_optimizer_free(setup->optimizer);
    for (int i = 0; i < adl_graph_param_count(setup->graph); i++)
        adl_free(setup->start[i]);
    adl_graph_free(setup->graph);
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
    struct setup s;
    size_t all = 0, trainable = 0;
    open_setup(&s);
    for (int i = 0; i < adl_graph_param_count(s.graph); i++) {
        const struct adl_param *p = adl_graph_param(s.graph, i);
        const float *value = adl_optimizer_params(s.optimizer)[i];
        const float *velocity = adl_optimizer_velocities(s.optimizer)[i];
        CU_ASSERT(value != s.start[i]);
        CU_ASSERT(memcmp(value, s.start[i], p->count * sizeof(float)) == 0);
        CU_ASSERT_EQUAL(adl_optimizer_grads(s.optimizer)[i] == NULL, is_running(p));
        CU_ASSERT_EQUAL(velocity == NULL, is_running(p));
        for (size_t j = 0; !is_running(p) && j < p->count; j++)
            CU_ASSERT_EQUAL(velocity[j], 0);
        all += p->count;
        trainable += is_running(p) ? 0 : p->count;
    }
    CU_ASSERT_EQUAL(adl_optimizer_bytes(s.optimizer), (all + 2 * trainable) * sizeof(float));
    CU_ASSERT_EQUAL(trainable, adl_graph_trainable(s.graph));
    close_setup(&s);
}

static void check_step(int threads)
{
    struct adl_error err = {0};
    struct adl_sgd sgd = {.momentum = 0.9, .weight_decay = 0, .nesterov = false};
    struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
    struct setup s;
    open_setup(&s);
    int head = adl_graph_find_param(s.graph, "fc.weight");
    adl_optimizer_set_head(s.optimizer, head);
    fill_grads(s.graph, s.optimizer, 1);
    adl_optimizer_step(s.optimizer, &sgd, 0.125, 8, pool);
    for (int i = 0; i < adl_graph_param_count(s.graph); i++) {
        const struct adl_param *p = adl_graph_param(s.graph, i);
        float change = is_running(p) ? 0 : i == head ? 1 : 0.125f;
        for (size_t j = 0; j < p->count; j++)
            CU_ASSERT_EQUAL(adl_optimizer_params(s.optimizer)[i][j], s.start[i][j] - change);
    }
    adl_optimizer_zero_grads(s.optimizer);
    for (int i = 0; i < adl_graph_param_count(s.graph); i++) {
        const float *grad = adl_optimizer_grads(s.optimizer)[i];
        const float *velocity = adl_optimizer_velocities(s.optimizer)[i];
        for (size_t j = 0; grad && j < adl_graph_param(s.graph, i)->count; j++)
            CU_ASSERT(grad[j] == 0 && velocity[j] == 1);
    }
    close_setup(&s);
    adl_pool_free(pool);
}

/* Heads learn at their own rate, running statistics not at all, on any number of
 * threads. */
static void steps_each_group(void)
{
    for (int threads = 0; threads <= 3; threads++)
        check_step(threads);
}

/* torch.nn.utils.clip_grad_norm_([(1, -2, 3), (0.5, 4)], 2.5) in float64: the norm is
 * 5.5, and the gradients become these. */
static void clips_as_pytorch(void)
{
    static const float grads[5] = {1, -2, 3, 0.5f, 4};
    static const double clipped[5] = {0.45454537190084143, -0.9090907438016829, 1.3636361157025243,
                                      0.22727268595042072, 1.8181814876033657};
    struct setup s;
    open_setup(&s);
    /* Three in one parameter, two in another; all others are zero. */
    float *conv = adl_optimizer_grads(s.optimizer)[adl_graph_find_param(s.graph, "conv.weight")];
    float *fc = adl_optimizer_grads(s.optimizer)[adl_graph_find_param(s.graph, "fc.bias")];
    memcpy(conv, grads, 3 * sizeof *conv);
    memcpy(fc, grads + 3, 2 * sizeof *fc);
    /* A limit above the norm, and no limit, change nothing. */
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(s.optimizer, 6), 5.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(s.optimizer, 0), 5.5, 1e-12);
    CU_ASSERT(memcmp(conv, grads, 3 * sizeof *conv) == 0);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(s.optimizer, 2.5), 5.5, 1e-12);
    test_close("clipped", conv, clipped, 3, 1e-7);
    test_close("clipped", fc, clipped + 3, 2, 2e-7);
    CU_ASSERT_DOUBLE_EQUAL(adl_optimizer_clip(s.optimizer, 0), 2.5, 1e-5);
    close_setup(&s);
}

/* Takes a step and lets every value, running statistics too, become `value`; then averages. */
static void step_and_average(struct setup *s, float value, struct adl_pool *pool)
{
    static const struct adl_sgd sgd = {0};
    adl_optimizer_step(s->optimizer, &sgd, 0, 1, NULL);
    for (int i = 0; i < adl_graph_param_count(s->graph); i++)
        for (size_t j = 0; j < adl_graph_param(s->graph, i)->count; j++)
            adl_optimizer_params(s->optimizer)[i][j] = value;
    adl_optimizer_average(s->optimizer, 0.25, pool);
}

/* In Python: a = 1; for t, p in enumerate([0.5, -0.25, 2, 3], 1): d = min(0.25, (1 + t) / (10 +
 * t)); a = d * a + (1 - d) * p */
static void averages_by_the_formula(void)
{
    static const float values[] = {0.5f, -0.25f, 2, 3};
    static const double averages[] = {0.5909090909090909, -0.03977272727272727, 1.4900568181818183,
                                      2.6225142045454546};
    for (int threads = 0; threads <= 3; threads++) {
        struct adl_error err = {0};
        struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
        struct setup s;
        open_setup(&s);
        size_t bytes = adl_optimizer_bytes(s.optimizer), all = 0;
        CU_ASSERT_PTR_NULL(adl_optimizer_averages(s.optimizer));
        CU_ASSERT_PTR_EQUAL(adl_optimizer_evaluated(s.optimizer),
                            adl_optimizer_params(s.optimizer));
        for (int i = 0; i < adl_graph_param_count(s.graph); i++)
            for (size_t j = 0; j < adl_graph_param(s.graph, i)->count; j++, all++)
                adl_optimizer_params(s.optimizer)[i][j] = 1;
        TEST_OK(adl_optimizer_keep_averages(s.optimizer, &err), &err);
        CU_ASSERT_EQUAL(adl_optimizer_bytes(s.optimizer), bytes + all * sizeof(float));
        float *const *kept = adl_optimizer_averages(s.optimizer);
        CU_ASSERT_PTR_EQUAL(adl_optimizer_evaluated(s.optimizer), kept);
        for (size_t t = 0; t < 4; t++) {
            step_and_average(&s, values[t], pool);
            CU_ASSERT_EQUAL(adl_optimizer_steps(s.optimizer), t + 1);
            for (int i = 0; i < adl_graph_param_count(s.graph); i++)
                for (size_t j = 0; j < adl_graph_param(s.graph, i)->count; j++)
                    CU_ASSERT_DOUBLE_EQUAL((double)kept[i][j], averages[t], 3e-7);
        }
        close_setup(&s);
        adl_pool_free(pool);
    }
}

/* The average of what does not change stays as it is, to the bit. */
static void averages_of_constants_are_exact(void)
{
    static const struct adl_sgd sgd = {0};
    struct adl_error err = {0};
    struct setup s;
    open_setup(&s);
    TEST_OK(adl_optimizer_keep_averages(s.optimizer, &err), &err);
    for (int t = 0; t < 50; t++) {
        adl_optimizer_step(s.optimizer, &sgd, 0, 1, NULL);
        adl_optimizer_average(s.optimizer, 0.999, NULL);
    }
    for (int i = 0; i < adl_graph_param_count(s.graph); i++)
        CU_ASSERT(!memcmp(adl_optimizer_averages(s.optimizer)[i], s.start[i],
                          adl_graph_param(s.graph, i)->count * sizeof(float)));
    close_setup(&s);
}

static void out_of_memory_is_an_error(void)
{
    struct setup s;
    open_setup(&s);
    size_t blocks = adl_mem_stats().live_blocks;
    for (uint64_t n = 1;; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        struct adl_optimizer *o = create(&s, &err);
        bool made = o && adl_optimizer_keep_averages(o, &err) == 0 &&
                    adl_optimizer_keep_squares(o, &err) == 0;
        adl_mem_fail_nth(0);
        if (!made)
            adl_optimizer_free(o);
        if (made) {
            CU_ASSERT(n > 3);
            adl_optimizer_free(o);
            break;
        }
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    close_setup(&s);
}

TEST_SUITE(optimizer, {"starts from a copy", starts_from_a_copy},
           {"steps each group at its rate", steps_each_group},
           {"clips as clip_grad_norm_", clips_as_pytorch},
           {"averages by the formula", averages_by_the_formula},
           {"averages of constants are exact", averages_of_constants_are_exact},
           {"out of memory is an error", out_of_memory_is_an_error});
