/* train/lockstep: shards with joint sums compute what one batch computes, and the same bits for any
 * number of ranks, which are threads here. The yardstick is train/tape on the whole batch, which is
 * compared with PyTorch elsewhere. */

#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/thread_ranks.h"
#include "train/lockstep.h"
#include "train/loss.h"
#include "train/shards.h"

enum { MAX_PARAMS = 24, SIDE = 6, CLASSES = 3, IMAGES = 11, SHARDS = 4, STEPS = 2 };

/* Shard 2 has no image, and the others have different numbers of them. */
static const int images_of[SHARDS] = {4, 2, 0, 5};

/* Two batch norms in turn, one of which clamps, and one that is read twice. */
static struct adl_graph *net_of(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
    const struct adl_conv_attr attr = adl_conv_centred(4, 3, 3, 1);
    int x = adl_batchnorm(g, adl_conv(g, 0, "conv1", attr), "bn1", 1e-5);
    int y = adl_relu(g, x, "relu1");
    int z = adl_batchnorm(g, adl_conv(g, y, "conv2", attr), "bn2", 1e-5);
    z = adl_relu(g, adl_add(g, z, y, "add"), "relu2");
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS,
                         adl_linear(g, adl_global_avgpool(g, z, "gap"), "fc", CLASSES, true));
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

struct rank {
    int number, ranks;
    enum adl_tape_memory memory;
    struct adl_graph *graph;
    struct adl_optimizer *optimizer;
    float logits[IMAGES * CLASSES]; /* of the last step; of own shards */
};

static void open_rank(struct rank *rank)
{
    struct adl_error err = {0};
    float *start[MAX_PARAMS];
    rank->graph = net_of();
    int count = adl_graph_param_count(rank->graph);
    CU_ASSERT_FATAL(count <= MAX_PARAMS);
    for (int i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(rank->graph, i);
        start[i] = adl_malloc(p->count, sizeof *start[i]);
        formula_param(p->name, p->role == ADL_PARAM_BN_VAR ? 1 : 0.2, 0.5, p->count, start[i]);
    }
    rank->optimizer = adl_optimizer_create(rank->graph, (const float *const *)start, &err);
    CU_ASSERT_FATAL(rank->optimizer != NULL);
    for (int i = 0; i < count; i++)
        adl_free(start[i]);
}

static void close_rank(struct rank *rank)
{
    adl_optimizer_free(rank->optimizer);
    adl_graph_free(rank->graph);
}

/* The images of a step. They are far from 0, where the running mean begins: sums about that lose
 * more than those about the mean itself. */
static void images_at(int step, float *images)
{
    formula_param(step == 0 ? "first" : "second", 30, 1, (size_t)IMAGES * SIDE * SIDE * 3, images);
}

static int label_of(int image)
{
    return image % CLASSES;
}

/* Computes the loss of `count` images from number `first` on, and writes its gradient, so that the
 * loss of the batch is the mean over all images. */
static void write_loss(struct adl_tape *tape, int first, int count)
{
    int labels[IMAGES];
    for (int i = 0; i < count; i++)
        labels[i] = label_of(first + i);
    struct adl_targets targets = {.labels = labels};
    float *grad = adl_tape_logits_grad(tape);
    adl_cross_entropy(adl_tape_logits(tape), &targets, (size_t)count, CLASSES, grad, NULL);
    for (int i = 0; i < count * CLASSES; i++)
        grad[i] *= (float)count / IMAGES;
}

static void take_step(const struct rank *rank)
{
    const struct adl_sgd sgd = {.momentum = 0.9};
    adl_optimizer_step(rank->optimizer, &sgd, 0.1, 1, NULL);
}

/* The yardstick: the whole batch on one tape. */
static void run_whole(struct rank *rank)
{
    struct adl_error err = {0};
    struct adl_train_mode mode = {.bn_momentum = 0.1};
    float *const *params = adl_optimizer_params(rank->optimizer);
    struct adl_tape *tape =
        adl_tape_create(rank->graph, SIDE, SIDE, IMAGES, rank->memory, NULL, &err);
    CU_ASSERT_FATAL(tape != NULL);
    for (int step = 0; step < STEPS; step++) {
        adl_optimizer_zero_grads(rank->optimizer);
        images_at(step, adl_tape_input(tape));
        adl_tape_forward(tape, IMAGES, params, &mode);
        memcpy(rank->logits, adl_tape_logits(tape), sizeof rank->logits);
        write_loss(tape, 0, IMAGES);
        adl_tape_backward(tape, params, &mode, adl_optimizer_grads(rank->optimizer));
        if (step + 1 < STEPS)
            take_step(rank);
    }
    adl_tape_free(tape);
}

/* One step of the own shards of a rank, from number `first` on. */
static void run_step(struct rank *rank, struct adl_lockstep *lockstep, struct adl_shards *shards,
                     int step, int first, int own)
{
    struct adl_error err = {0};
    struct adl_train_mode modes[SHARDS];
    struct adl_shard_sums sums;
    float *const *params = adl_optimizer_params(rank->optimizer);
    float images[IMAGES * SIDE * SIDE * 3];
    int from[SHARDS + 1] = {0};

    images_at(step, images);
    for (int k = 0; k < SHARDS; k++)
        from[k + 1] = from[k] + images_of[k];
    for (int k = 0; k < own; k++) {
        modes[k] = (struct adl_train_mode){.bn_momentum = 0.1};
        memcpy(adl_tape_input(adl_lockstep_tape(lockstep, k)),
               images + (size_t)from[first + k] * SIDE * SIDE * 3,
               (size_t)images_of[first + k] * SIDE * SIDE * 3 * sizeof *images);
    }
    TEST_OK(adl_lockstep_forward(lockstep, images_of + first, params, modes, &err), &err);
    for (int k = 0; k < own; k++) {
        struct adl_tape *tape = adl_lockstep_tape(lockstep, k);
        int count = images_of[first + k];
        memcpy(rank->logits + (size_t)from[first + k] * CLASSES, adl_tape_logits(tape),
               (size_t)count * CLASSES * sizeof(float));
        if (count > 0)
            write_loss(tape, from[first + k], count);
    }
    TEST_OK(adl_lockstep_backward(lockstep, params, modes, &err), &err);
    adl_optimizer_zero_grads(rank->optimizer);
    adl_shards_begin(shards, params);
    for (int k = 0; k < own; k++) {
        double count = images_of[first + k];
        adl_lockstep_add_grads(lockstep, k, adl_shards_open(shards));
        adl_shards_close(shards,
                         &(struct adl_shard_sums){.weight = count / IMAGES, .images = count});
    }
    TEST_OK(adl_shards_join(shards, true, &sums, &err), &err);
}

static void *rank_main(void *argument)
{
    struct rank *rank = argument;
    struct adl_error err = {0};
    const struct adl_exchange some = thread_exchange(&rank->number, rank->ranks);
    const struct adl_exchange *exchange = rank->ranks > 1 ? &some : NULL;
    int first = 0, own = 0;
    CU_ASSERT_FATAL(adl_shards_divide(SHARDS, rank->ranks, rank->number, &first, &own));
    struct adl_shards *shards = adl_shards_create(
        rank->graph, rank->optimizer, own,
        &(struct adl_shards_exchange){.ranks = exchange, .least = 20, .most = 90}, NULL, &err);
    struct adl_lockstep *lockstep =
        adl_lockstep_create(rank->optimizer, rank->graph, 1, SIDE, SIDE, IMAGES, own, rank->memory,
                            exchange, NULL, &err);
    CU_ASSERT_FATAL(shards != NULL && lockstep != NULL);
    CU_ASSERT(adl_lockstep_bytes(lockstep) >
              (size_t)own * adl_tape_bytes(adl_lockstep_tape(lockstep, 0)));
    for (int step = 0; step < STEPS; step++) {
        run_step(rank, lockstep, shards, step, first, own);
        if (step + 1 < STEPS)
            take_step(rank);
    }
    adl_lockstep_free(lockstep);
    adl_shards_free(shards);
    return NULL;
}

static void run_ranks(struct rank *ranks, int count, enum adl_tape_memory memory)
{
    pthread_t threads[THREAD_RANKS];
    thread_ranks_begin();
    for (int r = 0; r < count; r++) {
        ranks[r] = (struct rank){.number = r, .ranks = count, .memory = memory};
        open_rank(&ranks[r]);
    }
    for (int r = 0; r < count; r++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
    for (int r = 0; r < count; r++)
        pthread_join(threads[r], NULL);
}

/* Returns the largest difference of gradients and statistics, in parts of the largest value of each
 * array. */
static double difference(const struct rank *a, const struct rank *b)
{
    double worst = 0;
    for (int i = 0; i < adl_graph_param_count(a->graph); i++) {
        const struct adl_param *p = adl_graph_param(a->graph, i);
        float *const *grads = adl_optimizer_grads(a->optimizer);
        const float *x = grads[i] ? grads[i] : adl_optimizer_params(a->optimizer)[i];
        const float *y =
            grads[i] ? adl_optimizer_grads(b->optimizer)[i] : adl_optimizer_params(b->optimizer)[i];
        double most = 0, off = 0;
        for (size_t j = 0; j < p->count; j++) {
            most = ADL_MAX(most, fabs((double)x[j]));
            off = ADL_MAX(off, fabs((double)x[j] - (double)y[j]));
        }
        worst = ADL_MAX(worst, off / most);
    }
    return worst;
}

static void test_as_one_batch(void)
{
    struct rank whole = {.memory = ADL_TAPE_SHARED}, parts;
    open_rank(&whole);
    run_whole(&whole);
    run_ranks(&parts, 1, ADL_TAPE_SHARED);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        CU_ASSERT_DOUBLE_EQUAL(parts.logits[i], whole.logits[i], 2e-5);
    CU_ASSERT(difference(&whole, &parts) < 1e-4);
    close_rank(&whole);
    close_rank(&parts);
}

static void test_any_number_of_ranks(void)
{
    static const enum adl_tape_memory memories[] = {ADL_TAPE_SHARED, ADL_TAPE_BF16};
    for (size_t m = 0; m < ADL_COUNT(memories); m++) {
        struct rank one, many[SHARDS];
        run_ranks(&one, 1, memories[m]);
        for (int count = 2; count <= SHARDS; count *= 2) {
            run_ranks(many, count, memories[m]);
            for (int r = 0; r < count; r++) {
                CU_ASSERT(difference(&one, &many[r]) == 0);
                close_rank(&many[r]);
            }
        }
        close_rank(&one);
    }
}

TEST_SUITE(lockstep, {"shards give what one batch gives", test_as_one_batch},
           {"any number of ranks", test_any_number_of_ranks});
