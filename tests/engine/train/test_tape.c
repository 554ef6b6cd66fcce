/* train/tape: sharing memory and recomputing values change no bit of a step; what a tape
 * refuses; and running out of memory. */

#include "support/test.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "models/arch.h"
#include "support/methods.h"
#include "support/nets.h"
#include "train/init.h"
#include "train/optimizer.h"
#include "train/tape.h"
#include "train/tape_parts.h"
#include "train/tape_run.h"

enum { BATCH = 2, SIDE = 48, CLASSES = 5 };

struct run {
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
};

static int open_run(struct run *run, const struct adl_graph *graph, const float *const *start,
                    enum adl_tape_memory memory, struct adl_pool *pool)
{
    struct adl_error err = {0};
    run->tape = adl_tape_create(graph, SIDE, SIDE, BATCH, memory, pool, &err);
    run->optimizer = run->tape ? adl_optimizer_create(graph, start, &err) : NULL;
    TEST_OK(run->optimizer ? 0 : -1, &err);
    return run->optimizer ? 0 : -1;
}

/* Takes two steps: the remains of the first in shared places must have no effect. */
static void take_steps(struct run *run, const struct adl_train_mode *mode)
{
    struct adl_sgd sgd = {0.9, 1e-4, true};
    float *const *params = adl_optimizer_params(run->optimizer);
    for (uint64_t step = 0; step < 2; step++) {
        struct adl_rng rng;
        adl_rng_seed(&rng, step, 0, 0);
        for (size_t i = 0; i < (size_t)BATCH * SIDE * SIDE * 3; i++)
            adl_tape_input(run->tape)[i] = (float)adl_rng_normal(&rng);
        adl_tape_forward(run->tape, BATCH, params, mode);
        for (int i = 0; i < BATCH * CLASSES; i++)
            adl_tape_logits_grad(run->tape)[i] = (float)adl_rng_normal(&rng);
        adl_optimizer_zero_grads(run->optimizer);
        adl_tape_backward(run->tape, params, mode, adl_optimizer_grads(run->optimizer));
        adl_optimizer_step(run->optimizer, &sgd, 0.01, 1, NULL);
    }
}

/* Fails where parameters differ or a gradient is all zero. */
static void compare(const char *name, const struct adl_graph *graph, const struct run *shared,
                    const struct run *kept)
{
    float *const *a = adl_optimizer_params(shared->optimizer);
    float *const *b = adl_optimizer_params(kept->optimizer);
    float *const *grads = adl_optimizer_grads(shared->optimizer);
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        if (memcmp(a[i], b[i], param->count * sizeof(float)) != 0)
            TEST_FAIL("%s: %s differs", name, param->name);
        bool some = !grads[i];
        for (size_t j = 0; !some && j < param->count; j++)
            some = grads[i][j] != 0;
        if (!some)
            TEST_FAIL("%s: no gradient reaches %s", name, param->name);
    }
    if (memcmp(adl_tape_logits(shared->tape), adl_tape_logits(kept->tape),
               sizeof(float) * BATCH * CLASSES) != 0)
        TEST_FAIL("%s: the logits differ", name);
    if (adl_tape_bytes(shared->tape) >= adl_tape_bytes(kept->tape))
        TEST_FAIL("%s: sharing saves no memory", name);
}

static void check_network(const char *name, bool per_image)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    struct run shared = {0}, kept = {0};
    if (test_net_arch(&arch, name, CLASSES) < 0)
        return;
    struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    struct adl_pool *pool = adl_pool_create(2, &err);
    CU_ASSERT_FATAL(graph && pool);
    int count = adl_graph_param_count(graph);
    float **start = adl_calloc((size_t)count, sizeof *start);
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        start[i] = adl_malloc(param->count, sizeof **start);
        adl_init_param(param, 1, start[i]);
    }
    struct adl_train_mode mode = {
        .bn_momentum = 0.1,
        .dropout = true,
        .method_layers = true,
        .method_values =
            test_method_values("adl-drop-rate", 0.5, "adl-per-image", (double)per_image, NULL)};
    if (open_run(&shared, graph, (const float *const *)start, ADL_TAPE_SHARED, pool) == 0 &&
        open_run(&kept, graph, (const float *const *)start, ADL_TAPE_KEPT, NULL) == 0) {
        take_steps(&shared, &mode);
        take_steps(&kept, &mode);
        compare(name, graph, &shared, &kept);
    }
    for (int i = 0; i < count; i++)
        adl_free(start[i]);
    adl_free(start);
    adl_optimizer_free(shared.optimizer);
    adl_optimizer_free(kept.optimizer);
    adl_tape_free(shared.tape);
    adl_tape_free(kept.tape);
    adl_pool_free(pool);
    adl_graph_free(graph);
}

static void sharing_changes_no_bit(void)
{
    static const char *const names[] = {"vgg16_adl", "resnet50_cam", "resnet50_se_adl",
                                        "inception_v3_cam", "inception_v3_adl"};
    for (size_t i = 0; !TEST_WATCHED && i < sizeof names / sizeof *names; i++)
        check_network(names[i], false);
    check_network("mobilenet_v1_025_relu6_adl", true);
}

static struct adl_graph *small_graph(void)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    CU_ASSERT_FATAL(test_net_arch(&arch, "mobilenet_v1_025_relu6_adl", CLASSES) == 0);
    struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    TEST_OK(graph ? 0 : -1, &err);
    return graph;
}

static void refuses_bad_batches(void)
{
    struct adl_graph *graph = small_graph();
    for (int batch = 0; batch <= ADL_LIMIT_BATCH + 1; batch += ADL_LIMIT_BATCH + 1) {
        struct adl_error err = {0};
        CU_ASSERT(adl_tape_create(graph, SIDE, SIDE, batch, ADL_TAPE_SHARED, NULL, &err) == NULL);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
    adl_graph_free(graph);
}

/* The last batch of an epoch is smaller and may need more scratch: fewer images are
 * divided into more runs. */
static void has_scratch_for_smaller_batches(void)
{
    static const int most[] = {4, 9, 17};
    struct adl_graph *graph = small_graph();
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        struct adl_error err = {0};
        struct adl_tape *tape =
            adl_tape_create(graph, SIDE, SIDE, most[i], ADL_TAPE_SHARED, NULL, &err);
        TEST_OK(tape ? 0 : -1, &err);
        size_t room = tape ? tape->floats - tape->scratch : 0;
        for (int node = 0; tape && node < adl_graph_node_count(graph); node++)
            for (int batch = 1; batch <= most[i]; batch++) {
                struct tape_call_arrays arrays;
                struct adl_train_call call = tape_shapes(tape, node, batch, &arrays);
                const struct adl_op_train *train = call.node->def->train;
                size_t needed = train->scratch_floats ? train->scratch_floats(&call) : 0;
                if (needed > room)
                    TEST_FAIL("node %d of %d images, at most %d: %zu floats of scratch, %zu needed",
                              node, batch, most[i], room, needed);
            }
        adl_tape_free(tape);
    }
    adl_graph_free(graph);
}

static void out_of_memory_is_an_error(void)
{
    struct adl_graph *graph = small_graph();
    size_t blocks = adl_mem_stats().live_blocks;
    struct adl_tape *tape = NULL;
    for (uint64_t n = 1; !tape; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        tape = adl_tape_create(graph, SIDE, SIDE, 2, ADL_TAPE_SHARED, NULL, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(tape || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == blocks));
    }
    adl_tape_free(tape);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    adl_graph_free(graph);
}

TEST_SUITE(tape, {"sharing memory changes no bit", sharing_changes_no_bit},
           {"refuses batches of a bad size", refuses_bad_batches},
           {"has scratch for smaller batches", has_scratch_for_smaller_batches},
           {"out of memory is an error", out_of_memory_is_an_error});
TEST_SLOW(sharing_changes_no_bit);
