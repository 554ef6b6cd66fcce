/* Joins the gradients and statistics of shards; see train/shards.h.
 *
 * Shards come in order, and joined ones lie on a stack, as in a binary counter: after n shards
 * there is an entry for each 1 among the bits of n, and a new shard is joined with the entries of
 * the same size, from the top. At the end the rest is joined from the top as well, which is the
 * tree of pairs for any number of shards.
 *
 * An entry is one array: the gradients, as the optimizer has them in one block, and after them, for
 * each array of running statistics, m r' and m, both 0 if the shard has left it as it was. */

#include "train/shards.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

/* Of the stack: 2^16 shards, more than a batch has images, and the one that is being computed. */
#define MOST_ENTRIES 18

struct entry {
    float *values; /* gradients, then statistics */
    int shards;    /* that are joined in it */
    struct adl_shard_sums sums;
};

/* Where the running statistics of a parameter lie behind the gradients. */
struct statistic {
    int param;
    size_t offset, count;
};

struct adl_shards {
    struct adl_optimizer *optimizer;
    const struct adl_exchange *exchange;
    struct adl_pool *pool;
    size_t grads, floats; /* of an entry: gradients, and all */
    struct statistic *statistics;
    int statistic_count;
    struct entry entries[MOST_ENTRIES];
    int entry_count; /* that have memory */
    int used;        /* on the stack, without the shard that is being computed */
    float *before;   /* statistics before the batch */
    float *bucket;   /* NULL: there is one rank */
    size_t bucket_floats;
    float **open; /* by parameter id: the gradients of the current shard */
    int param_count;
    float *const *params; /* of the batch */
};

bool adl_shards_divide(int shards, int ranks, int rank, int *first, int *own)
{
    if (ranks < 1 || shards < ranks || shards % ranks != 0)
        return false;
    int block = shards / ranks;
    if (ranks > 1 && (block & (block - 1)) != 0)
        return false;
    *first = rank * block;
    *own = block;
    return true;
}

static int find_statistics(struct adl_shards *shards, const struct adl_graph *graph,
                           struct adl_error *err)
{
    shards->param_count = adl_graph_param_count(graph);
    shards->statistics = adl_calloc((size_t)shards->param_count, sizeof *shards->statistics);
    shards->open = adl_calloc((size_t)shards->param_count, sizeof *shards->open);
    if (!shards->statistics || !shards->open)
        return adl_fail_nomem(err, "the shards of a batch");
    (void)adl_optimizer_all_grads(shards->optimizer, &shards->grads);
    shards->floats = shards->grads;
    for (int i = 0; i < shards->param_count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        if (param->role != ADL_PARAM_BN_MEAN && param->role != ADL_PARAM_BN_VAR)
            continue;
        shards->statistics[shards->statistic_count++] =
            (struct statistic){i, shards->floats, param->count};
        shards->floats += param->count + 1;
    }
    return 0;
}

struct adl_shards *adl_shards_create(const struct adl_graph *graph, struct adl_optimizer *optimizer,
                                     int own, const struct adl_exchange *exchange,
                                     struct adl_pool *pool, struct adl_error *err)
{
    struct adl_shards *shards = adl_calloc(1, sizeof *shards);
    if (!shards) {
        adl_fail_nomem(err, "the shards of a batch");
        return NULL;
    }
    shards->optimizer = optimizer;
    shards->exchange = exchange;
    shards->pool = pool;
    bool failed = find_statistics(shards, graph, err) < 0;
    /* The stack holds floor(log2(own)) + 1 entries before two are joined. */
    for (int rest = own; !failed && (rest > 0 || shards->entry_count < 1); rest /= 2) {
        struct entry *entry = &shards->entries[shards->entry_count++];
        entry->values = adl_malloc(shards->floats, sizeof *entry->values);
        failed = !entry->values;
    }
    if (!failed) {
        shards->before = adl_malloc(shards->floats - shards->grads + 1, sizeof *shards->before);
        failed = !shards->before;
    }
    if (!failed && exchange) {
        shards->bucket_floats = ADL_MIN(shards->floats, ADL_EXCHANGE_FLOATS);
        shards->bucket = adl_malloc(shards->bucket_floats, sizeof *shards->bucket);
        failed = !shards->bucket;
    }
    if (!failed)
        return shards;
    adl_shards_free(shards);
    adl_fail_nomem(err, "the shards of a batch");
    return NULL;
}

void adl_shards_free(struct adl_shards *shards)
{
    if (!shards)
        return;
    for (int i = 0; i < shards->entry_count; i++)
        adl_free(shards->entries[i].values);
    adl_free(shards->before);
    adl_free(shards->bucket);
    adl_free(shards->statistics);
    adl_free(shards->open);
    adl_free(shards);
}

/* Returns the statistics of before the batch of a parameter. */
static float *before_of(const struct adl_shards *shards, const struct statistic *statistic)
{
    return shards->before + (statistic->offset - shards->grads);
}

void adl_shards_begin(struct adl_shards *shards, float *const *params)
{
    shards->params = params;
    shards->used = 0;
    for (int i = 0; i < shards->statistic_count; i++) {
        const struct statistic *s = &shards->statistics[i];
        memcpy(before_of(shards, s), params[s->param], s->count * sizeof(float));
    }
}

float *const *adl_shards_open(struct adl_shards *shards)
{
    struct entry *entry = &shards->entries[shards->used];
    float *const *grads = adl_optimizer_grads(shards->optimizer);
    const float *block = adl_optimizer_all_grads(shards->optimizer, &shards->grads);

    memset(entry->values, 0, shards->floats * sizeof *entry->values);
    for (int i = 0; i < shards->param_count; i++)
        shards->open[i] = grads[i] ? entry->values + (grads[i] - block) : NULL;
    return shards->open;
}

/* Writes the statistics behind the gradients, and undoes their changes. */
static void take_statistics(struct adl_shards *shards, struct entry *entry)
{
    float images = (float)entry->sums.images;
    for (int i = 0; i < shards->statistic_count; i++) {
        const struct statistic *s = &shards->statistics[i];
        float *now = shards->params[s->param], *sum = entry->values + s->offset;
        const float *before = before_of(shards, s);
        if (memcmp(now, before, s->count * sizeof *now) == 0)
            continue;
        for (size_t j = 0; j < s->count; j++)
            sum[j] = images * now[j];
        sum[s->count] = images;
        memcpy(now, before, s->count * sizeof *now);
    }
}

/* Joins the two entries on top of the stack. */
static void join_top(struct adl_shards *shards)
{
    struct entry *right = &shards->entries[--shards->used], *left = right - 1;
    adl_exchange_add(left->values, right->values, shards->floats, shards->pool);
    left->shards += right->shards;
    left->sums.weight += right->sums.weight;
    left->sums.loss += right->sums.loss;
    left->sums.images += right->sums.images;
    left->sums.right += right->sums.right;
    left->sums.stop += right->sums.stop;
}

void adl_shards_close(struct adl_shards *shards, const struct adl_shard_sums *sums)
{
    struct entry *entry = &shards->entries[shards->used++];
    entry->sums = *sums;
    entry->shards = 1;
    take_statistics(shards, entry);
    while (shards->used > 1 &&
           shards->entries[shards->used - 1].shards == shards->entries[shards->used - 2].shards)
        join_top(shards);
}

/* Divides what all shards have given by their weights. */
static void spread(struct adl_shards *shards, bool gradients, const struct adl_shard_sums *sums)
{
    float *values = shards->entries[0].values;
    if (gradients) {
        float *grads = adl_optimizer_all_grads(shards->optimizer, &shards->grads);
        float factor = (float)(1 / sums->weight);
        for (size_t i = 0; factor != 1 && i < shards->grads; i++)
            values[i] *= factor;
        adl_exchange_add(grads, values, shards->grads, shards->pool);
    }
    for (int i = 0; i < shards->statistic_count; i++) {
        const struct statistic *s = &shards->statistics[i];
        const float *sum = values + s->offset;
        for (size_t j = 0; sum[s->count] > 0 && j < s->count; j++)
            shards->params[s->param][j] = sum[j] / sum[s->count];
    }
}

int adl_shards_join(struct adl_shards *shards, bool gradients, struct adl_shard_sums *sums,
                    struct adl_error *err)
{
    while (shards->used > 1)
        join_top(shards);
    struct entry *all = &shards->entries[0];
    size_t first = gradients ? 0 : shards->grads, floats = shards->floats - first;
    double numbers[] = {all->sums.weight, all->sums.loss, all->sums.images, all->sums.right,
                        all->sums.stop},
           bucket[ADL_COUNT(numbers)];

    if (adl_exchange_sum_doubles(shards->exchange, numbers, ADL_COUNT(numbers), bucket, err) < 0 ||
        adl_exchange_copy(shards->exchange, numbers, sizeof numbers, err) < 0)
        return -1;
    *sums = (struct adl_shard_sums){numbers[0], numbers[0] > 0 ? numbers[1] / numbers[0] : 0,
                                    numbers[2], numbers[3], numbers[4]};
    if (!(sums->images > 0))
        return 0;
    if (adl_exchange_sum(shards->exchange, all->values + first, floats, shards->bucket,
                         shards->pool, err) < 0 ||
        adl_exchange_copy(shards->exchange, all->values + first, floats * sizeof(float), err) < 0)
        return -1;
    spread(shards, gradients, sums);
    return 0;
}

size_t adl_shards_bytes(const struct adl_shards *shards)
{
    if (!shards)
        return 0;
    return ((size_t)shards->entry_count * shards->floats + shards->floats - shards->grads +
            shards->bucket_floats) *
           sizeof(float);
}
