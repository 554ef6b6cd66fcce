/* train/shards, train/exchange: the same bits for any number of ranks, which are threads here, and
 * the gradient of the mean loss. */

#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/thread_ranks.h"
#include "train/loss.h"
#include "train/shards.h"
#include "train/tape.h"

enum { MAX_RANKS = THREAD_RANKS, MAX_PARAMS = 16, SIDE = 5, CLASSES = 3 };

static const struct adl_shards_exchange alone = {0};

/* --- a network ------------------------------------------------------------------------- */

static struct adl_graph *small_net(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
    struct adl_conv_attr attr = {.k = 4, .r = 3, .s = 3, .stride = 1, .bias = true};
    int x = adl_batchnorm(g, adl_conv(g, 0, "conv", attr), "bn", 1e-5);
    x = adl_linear(g, adl_global_avgpool(g, adl_relu(g, x, "relu"), "gap"), "fc", CLASSES, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, x);
    TEST_OK(adl_graph_finish(g, &err), &err);
    return g;
}

struct net {
    struct adl_graph *graph;
    struct adl_optimizer *optimizer;
};

static void open_net(struct net *net)
{
    struct adl_error err = {0};
    float *start[MAX_PARAMS];
    net->graph = small_net();
    int count = adl_graph_param_count(net->graph);
    for (int i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(net->graph, i);
        start[i] = adl_malloc(p->count, sizeof *start[i]);
        formula_param(p->name, p->role == ADL_PARAM_BN_VAR ? 1 : 0.1, 0.5, p->count, start[i]);
    }
    net->optimizer = adl_optimizer_create(net->graph, (const float *const *)start, &err);
    CU_ASSERT_FATAL(net->optimizer != NULL);
    for (int i = 0; i < count; i++)
        adl_free(start[i]);
}

static void close_net(struct net *net)
{
    adl_optimizer_free(net->optimizer);
    adl_graph_free(net->graph);
}

static bool is_statistic(const struct adl_param *param)
{
    return param->role == ADL_PARAM_BN_MEAN || param->role == ADL_PARAM_BN_VAR;
}

/* --- ranks -------------------------------------------------------------------------------- */

struct rank {
    int number, ranks, shards;
    bool narrow; /* gradients are rounded where they are joined */
    int last;    /* node that a watch is told of */
    struct net net;
    struct adl_shard_sums sums;
};

/* The images of shard k; shard 2 has none. */
static double images_of(int k)
{
    return k == 2 ? 0 : 3 + k % 2;
}

/* Value j of what shard k has as gradient or as new statistics of parameter i. */
static float drawn(int k, int i, size_t j)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, (uint64_t)k, (uint64_t)i, j);
    return (float)(adl_rng_uniform(&rng) - 0.5);
}

static void fill_shard(struct rank *rank, int k, float *const *grads)
{
    for (int i = 0; i < adl_graph_param_count(rank->net.graph); i++) {
        const struct adl_param *p = adl_graph_param(rank->net.graph, i);
        float *statistic = adl_optimizer_params(rank->net.optimizer)[i];
        CU_ASSERT_EQUAL(is_statistic(p), grads[i] == NULL);
        for (size_t j = 0; images_of(k) > 0 && j < p->count; j++)
            if (grads[i])
                grads[i][j] += (float)images_of(k) * drawn(k, i, j);
            else
                statistic[j] = drawn(k, i, j);
    }
}

/* Two batches, so that what one leaves behind would show. */
static void *rank_main(void *argument)
{
    struct rank *rank = argument;
    struct adl_error err = {0};
    const struct adl_exchange exchange = thread_exchange(&rank->number, rank->ranks);
    int first = 0, own = 0;
    CU_ASSERT_FATAL(adl_shards_divide(rank->shards, rank->ranks, rank->number, &first, &own));
    const struct adl_shards_exchange how = {.ranks = rank->ranks > 1 ? &exchange : NULL,
                                            .narrow = rank->narrow,
                                            .least = 16,
                                            .most = 40};
    struct adl_shards *shards =
        adl_shards_create(rank->net.graph, rank->net.optimizer, own, &how, NULL, &err);
    CU_ASSERT_FATAL(shards != NULL);
    for (int batch = 0; batch < 2; batch++) {
        adl_optimizer_zero_grads(rank->net.optimizer);
        adl_shards_begin(shards, adl_optimizer_params(rank->net.optimizer));
        for (int k = first; k < first + own; k++) {
            double images = images_of(k);
            fill_shard(rank, k, adl_shards_open(shards));
            const struct adl_tape_watch *watch = adl_shards_watch(shards);
            CU_ASSERT_EQUAL(watch != NULL, rank->ranks > 1 && k == first + own - 1);
            for (int i = adl_graph_node_count(rank->net.graph) - 1; watch && i >= rank->last; i--)
                watch->passed(watch->context, i);
            adl_shards_close(shards, &(struct adl_shard_sums){images, images * k, images, k, 0});
        }
        TEST_OK(adl_shards_join(shards, true, &rank->sums, &err), &err);
    }
    adl_shards_free(shards);
    return NULL;
}

static void run_ranks(struct rank *ranks, int count, int shards, bool narrow)
{
    pthread_t threads[MAX_RANKS];
    thread_ranks_begin();
    thread_ranks_delay();
    for (int r = 0; r < count; r++) {
        /* Some watch their last pass to the end, others only a part of it. */
        ranks[r] = (struct rank){
            .number = r, .ranks = count, .shards = shards, .narrow = narrow, .last = r % 3 * 2};
        open_net(&ranks[r].net);
    }
    for (int r = 0; r < count; r++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
    for (int r = 0; r < count; r++)
        pthread_join(threads[r], NULL);
}

static bool same_bits(const struct rank *a, const struct rank *b)
{
    bool same = memcmp(&a->sums, &b->sums, sizeof a->sums) == 0;
    for (int i = 0; i < adl_graph_param_count(a->net.graph); i++) {
        const struct adl_param *p = adl_graph_param(a->net.graph, i);
        float *const *x = is_statistic(p) ? adl_optimizer_params(a->net.optimizer)
                                          : adl_optimizer_grads(a->net.optimizer);
        float *const *y = is_statistic(p) ? adl_optimizer_params(b->net.optimizer)
                                          : adl_optimizer_grads(b->net.optimizer);
        same &= memcmp(x[i], y[i], p->count * sizeof(float)) == 0;
    }
    return same;
}

/* The definition, in double: weighted means over the shards. `tolerance` is of gradients. */
static void check_mean(const struct rank *rank, double tolerance)
{
    double images = 0, right = 0, loss = 0;
    for (int k = 0; k < rank->shards; k++) {
        images += images_of(k);
        right += k;
        loss += images_of(k) * k;
    }
    CU_ASSERT_DOUBLE_EQUAL(rank->sums.images, images, 0);
    CU_ASSERT_DOUBLE_EQUAL(rank->sums.right, right, 0);
    CU_ASSERT_DOUBLE_EQUAL(rank->sums.loss, loss / images, 1e-12 * loss);
    for (int i = 0; i < adl_graph_param_count(rank->net.graph); i++) {
        const struct adl_param *p = adl_graph_param(rank->net.graph, i);
        const float *found = is_statistic(p) ? adl_optimizer_params(rank->net.optimizer)[i]
                                             : adl_optimizer_grads(rank->net.optimizer)[i];
        for (size_t j = 0; j < p->count; j++) {
            double sum = 0;
            for (int k = 0; k < rank->shards; k++)
                sum += images_of(k) * (double)drawn(k, i, j);
            CU_ASSERT_DOUBLE_EQUAL(found[j], sum / images, is_statistic(p) ? 1e-6 : tolerance);
        }
    }
}

static void compare_ranks(int shards, int count, bool narrow, double tolerance)
{
    struct rank one, many[MAX_RANKS];
    run_ranks(&one, 1, shards, narrow);
    check_mean(&one, tolerance);
    run_ranks(many, count, shards, narrow);
    for (int r = 0; r < count; r++) {
        CU_ASSERT(same_bits(&one, &many[r]));
        close_net(&many[r].net);
    }
    close_net(&one.net);
}

static void test_any_number_of_ranks(void)
{
    static const int counts[][2] = {{1, 1}, {2, 2}, {3, 3}, {4, 2}, {4, 4}, {5, 5}, {6, 3},
                                    {6, 6}, {7, 7}, {8, 2}, {8, 4}, {8, 8}, {12, 3}};
    for (size_t i = 0; i < ADL_COUNT(counts); i++) {
        compare_ranks(counts[i][0], counts[i][1], false, 1e-6);
        /* Each term is rounded to 8 bits at each of its joins, at most 4, and at the end: off by
         * 2^-9 of at most 0.5 each time. */
        compare_ranks(counts[i][0], counts[i][1], true, 5 * 0.5 / 512);
    }
}

static void test_who_can_share(void)
{
    int first = -1, own = -1;
    CU_ASSERT(adl_shards_divide(6, 1, 0, &first, &own) && first == 0 && own == 6);
    CU_ASSERT(adl_shards_divide(6, 3, 2, &first, &own) && first == 4 && own == 2);
    CU_ASSERT(adl_shards_divide(6, 6, 5, &first, &own) && first == 5 && own == 1);
    CU_ASSERT(!adl_shards_divide(6, 2, 0, &first, &own)); /* 3 of 6 are no branch of the tree */
    CU_ASSERT(!adl_shards_divide(6, 4, 0, &first, &own));
    CU_ASSERT(!adl_shards_divide(2, 4, 0, &first, &own));
}

/* Statistics that no shard changes keep their bits, whatever the weights. */
static void test_frozen_statistics(void)
{
    struct adl_error err = {0};
    struct net net;
    struct adl_shard_sums sums;
    float before[MAX_PARAMS][64];

    open_net(&net);
    float *const *params = adl_optimizer_params(net.optimizer);
    for (int i = 0; i < adl_graph_param_count(net.graph); i++)
        if (is_statistic(adl_graph_param(net.graph, i)))
            memcpy(before[i], params[i], adl_graph_param(net.graph, i)->count * sizeof(float));
    struct adl_shards *shards = adl_shards_create(net.graph, net.optimizer, 3, &alone, NULL, &err);
    CU_ASSERT_FATAL(shards != NULL);
    adl_shards_begin(shards, params);
    for (int k = 0; k < 3; k++) {
        (void)adl_shards_open(shards);
        adl_shards_close(shards, &(struct adl_shard_sums){.weight = 0.3, .images = 7});
    }
    TEST_OK(adl_shards_join(shards, true, &sums, &err), &err);
    for (int i = 0; i < adl_graph_param_count(net.graph); i++)
        if (is_statistic(adl_graph_param(net.graph, i)))
            CU_ASSERT(!memcmp(before[i], params[i],
                              adl_graph_param(net.graph, i)->count * sizeof(float)));
    adl_shards_free(shards);
    close_net(&net);
}

/* --- the gradient of the mean loss --------------------------------------------------------- */

enum { IMAGES = 7, SHARDS = 3 };

struct batch {
    struct adl_tape *tape;
    struct adl_train_mode mode;
    float images[IMAGES * SIDE * SIDE * 3];
    int labels[IMAGES];
};

/* Returns the mean loss of a shard after a forward pass; with `weight` above 0, writes its gradient
 * times that to the tape. */
static double loss_of(struct batch *b, int k, float *const *params, double weight)
{
    size_t first = adl_part_first(IMAGES, SHARDS, (size_t)k);
    size_t count = adl_part_first(IMAGES, SHARDS, (size_t)k + 1) - first, image = SIDE * SIDE * 3;
    struct adl_targets targets = {.labels = b->labels + first, .smoothing = 0.1};
    float *grad = adl_tape_logits_grad(b->tape);

    memcpy(adl_tape_input(b->tape), b->images + first * image, count * image * sizeof(float));
    adl_tape_forward(b->tape, (int)count, params, &b->mode);
    double loss = adl_cross_entropy(adl_tape_logits(b->tape), &targets, count, CLASSES,
                                    weight > 0 ? grad : NULL, NULL);
    for (size_t i = 0; weight > 0 && i < count * CLASSES; i++)
        grad[i] *= (float)weight;
    return loss;
}

/* The mean of the shards' losses by their images: what the gradient is of. */
static double mean_loss(struct batch *b, float *const *params)
{
    double sum = 0;
    for (int k = 0; k < SHARDS; k++)
        sum += loss_of(b, k, params, 0) * (double)(adl_part_first(IMAGES, SHARDS, (size_t)k + 1) -
                                                   adl_part_first(IMAGES, SHARDS, (size_t)k));
    return sum / IMAGES;
}

/* Compares the gradient of one parameter along its own direction with a finite difference of the
 * mean loss. */
static void check_param(struct batch *b, struct net *net, int i)
{
    float *const *params = adl_optimizer_params(net->optimizer);
    const float *grad = adl_optimizer_grads(net->optimizer)[i];
    size_t count = adl_graph_param(net->graph, i)->count;
    float *saved = adl_malloc(count, sizeof *saved);
    double square = 0, step = 5e-3, loss[2];

    memcpy(saved, params[i], count * sizeof *saved);
    for (size_t j = 0; j < count; j++)
        square += (double)grad[j] * (double)grad[j];
    double norm = sqrt(square);
    for (int side = 0; side < 2; side++) {
        for (size_t j = 0; j < count; j++)
            params[i][j] = saved[j] + (float)((side ? step : -step) * (double)grad[j] / norm);
        loss[side] = mean_loss(b, params);
    }
    memcpy(params[i], saved, count * sizeof *saved);
    adl_free(saved);
    CU_ASSERT_DOUBLE_EQUAL((loss[1] - loss[0]) / (2 * step), norm, 0.01 * norm + 1e-5);
}

static void test_gradient(void)
{
    struct adl_error err = {0};
    struct net net;
    struct adl_shard_sums sums;
    struct batch b = {.mode = {.bn_momentum = 0.1}};

    open_net(&net);
    float *const *params = adl_optimizer_params(net.optimizer);
    formula_param("images", 0, 1, ADL_COUNT(b.images), b.images);
    for (int i = 0; i < IMAGES; i++)
        b.labels[i] = i % CLASSES;
    b.tape = adl_tape_create(net.graph, SIDE, SIDE, IMAGES, ADL_TAPE_SHARED, NULL, &err);
    struct adl_shards *shards =
        adl_shards_create(net.graph, net.optimizer, SHARDS, &alone, NULL, &err);
    CU_ASSERT_FATAL(b.tape && shards);
    adl_shards_begin(shards, params);
    for (int k = 0; k < SHARDS; k++) {
        double images = (double)(adl_part_first(IMAGES, SHARDS, (size_t)k + 1) -
                                 adl_part_first(IMAGES, SHARDS, (size_t)k));
        float *const *grads = adl_shards_open(shards);
        double loss = loss_of(&b, k, params, images / 8);
        adl_tape_backward(b.tape, params, &b.mode, grads);
        adl_shards_close(shards, &(struct adl_shard_sums){.weight = images / 8,
                                                          .loss = images / 8 * loss,
                                                          .images = images});
    }
    TEST_OK(adl_shards_join(shards, true, &sums, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(sums.loss, mean_loss(&b, params), 1e-6);
    /* The bias before batch norm has no gradient but rounding errors. */
    for (int i = 0; i < adl_graph_param_count(net.graph); i++)
        if (adl_optimizer_grads(net.optimizer)[i] &&
            strcmp(adl_graph_param(net.graph, i)->name, "conv.bias") != 0)
            check_param(&b, &net, i);
    adl_shards_free(shards);
    adl_tape_free(b.tape);
    close_net(&net);
}

/* --- watched passes -------------------------------------------------------------------------- */

/* Tells a watch, and gives the courier time to take what it is told of. */
static void passed_slowly(void *context, int node)
{
    const struct adl_tape_watch *watch = context;
    watch->passed(watch->context, node);
    nanosleep(&(struct timespec){0, 500000}, NULL);
}

/* The shards of a rank, with real passes. What is not final when it is handed over shows. */
static void *pass_main(void *argument)
{
    struct rank *rank = argument;
    struct adl_error err = {0};
    struct batch b = {.mode = {.bn_momentum = 0.1}};
    const struct adl_exchange exchange = thread_exchange(&rank->number, rank->ranks);
    const struct adl_shards_exchange how = {
        .ranks = rank->ranks > 1 ? &exchange : NULL, .least = 16, .most = 40};
    float *const *params = adl_optimizer_params(rank->net.optimizer);
    int first = 0, own = 0;

    CU_ASSERT_FATAL(adl_shards_divide(SHARDS, rank->ranks, rank->number, &first, &own));
    formula_param("images", 0, 1, ADL_COUNT(b.images), b.images);
    for (int i = 0; i < IMAGES; i++)
        b.labels[i] = i % CLASSES;
    b.tape = adl_tape_create(rank->net.graph, SIDE, SIDE, IMAGES, ADL_TAPE_SHARED, NULL, &err);
    struct adl_shards *shards =
        adl_shards_create(rank->net.graph, rank->net.optimizer, own, &how, NULL, &err);
    CU_ASSERT_FATAL(b.tape && shards);
    adl_shards_begin(shards, params);
    for (int k = first; k < first + own; k++) {
        float *const *grads = adl_shards_open(shards);
        struct adl_tape_watch slow = {passed_slowly, NULL};
        const struct adl_tape_watch *watch = adl_shards_watch(shards);
        memcpy(&slow.context, &watch, sizeof watch);
        loss_of(&b, k, params, 0.25 + k);
        adl_tape_backward_watched(b.tape, params, &b.mode, grads, watch ? &slow : NULL);
        adl_shards_close(shards, &(struct adl_shard_sums){.weight = 0.25 + k, .images = 2});
    }
    TEST_OK(adl_shards_join(shards, true, &rank->sums, &err), &err);
    adl_shards_free(shards);
    adl_tape_free(b.tape);
    return NULL;
}

static void test_watched_passes(void)
{
    struct rank one = {.ranks = 1}, many[SHARDS];
    pthread_t threads[SHARDS];
    open_net(&one.net);
    pass_main(&one);
    thread_ranks_begin();
    for (int r = 0; r < SHARDS; r++) {
        many[r] = (struct rank){.number = r, .ranks = SHARDS};
        open_net(&many[r].net);
    }
    for (int r = 0; r < SHARDS; r++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[r], NULL, pass_main, &many[r]), 0);
    for (int r = 0; r < SHARDS; r++)
        pthread_join(threads[r], NULL);
    for (int r = 0; r < SHARDS; r++) {
        CU_ASSERT(same_bits(&one, &many[r]));
        close_net(&many[r].net);
    }
    close_net(&one.net);
}

TEST_SUITE(shards, {"any number of ranks", test_any_number_of_ranks},
           {"who can share", test_who_can_share},
           {"frozen statistics keep their bits", test_frozen_statistics},
           {"the gradient of the mean loss", test_gradient},
           {"passes that are watched", test_watched_passes});
