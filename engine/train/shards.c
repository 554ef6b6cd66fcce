/* Joins the gradients and statistics of shards; see train/shards.h.
 *
 * Shards come in order, and joined ones lie on a stack, as in a binary counter: after n shards
 * there is an entry for each 1 among the bits of n, and a new shard is joined with the entries of
 * the same size, from the top. At the end the rest is joined from the top as well, which is the
 * tree of pairs for any number of shards.
 *
 * An entry is one array: the gradients, as the optimizer has them in one block, and after them, for
 * each array of running statistics, m r' and m, both 0 if the shard has left it as it was.
 *
 * With several ranks the gradients of the last own shard are not joined at once: bucket by bucket,
 * as its backward pass makes them final, the whole stack is handed to the courier, which joins it
 * in the same order, and the sum of this rank with those of others. Statistics, which are known by
 * the end of a forward pass, and the sums of struct adl_shard_sums follow. */

#include "train/shards.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/size.h"
#include "kernels/dispatch.h"
#include "train/buckets.h"
#include "train/narrow.h"

/* Of the stack: 2^16 shards, more than a batch has images, and the one that is being computed. */
#define MOST_ENTRIES ADL_PARCEL_ARRAYS
#define NUMBERS 5                  /* in struct adl_shard_sums */
#define ADD_FLOATS ((size_t)65536) /* of a task */

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
    struct adl_pool *pool;
    size_t grads, floats; /* of an entry: gradients, and all */
    struct statistic *statistics;
    int statistic_count;
    struct entry entries[MOST_ENTRIES];
    int entry_count; /* that have memory */
    int used;        /* on the stack, without the shard that is being computed */
    float *before;   /* statistics before the batch */
    float **open;    /* by parameter id: the gradients of the current shard */
    int param_count;
    float *const *params;                   /* of the batch */
    int own, closed;                        /* shards of this rank, and those that have ended */
    const struct adl_bf16_kernels *kernels; /* NULL: gradients are not rounded where joined */

    /* With several ranks. */
    struct adl_courier *courier; /* NULL: there is one */
    struct adl_buckets buckets;
    size_t most; /* floats of a bucket */
    int next;    /* the bucket that is handed over next */
    struct adl_tape_watch watch;
    double numbers[NUMBERS]; /* the sums of the batch */
    uint64_t batches;        /* that were exchanged with gradients */
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
        if (adl_param_is_trained(param))
            continue;
        shards->statistics[shards->statistic_count++] =
            (struct statistic){i, shards->floats, param->count};
        shards->floats += param->count + 1;
    }
    return 0;
}

/* Makes what an exchange with other ranks needs. */
static int make_courier(struct adl_shards *shards, const struct adl_graph *graph,
                        const struct adl_shards_exchange *exchange, struct adl_error *err)
{
    size_t least = exchange->least ? exchange->least : ADL_BUCKET_MIN;
    if (!exchange->ranks)
        return 0;
    shards->most = exchange->most ? exchange->most : ADL_BUCKET_MAX;
    if (adl_buckets_make(&shards->buckets, graph, least, shards->most, err) < 0)
        return -1;
    size_t rest = adl_ceil_div(shards->floats - shards->grads, shards->most);
    size_t most = ADL_MIN(shards->floats, shards->most) * sizeof(float);
    shards->courier = adl_courier_create(exchange->ranks, shards->buckets.count + (int)rest + 1,
                                         ADL_MAX(most, sizeof shards->numbers), err);
    return shards->courier ? 0 : -1;
}

static int choose_kernels(struct adl_shards *shards, struct adl_error *err)
{
    enum adl_isa isa;
    if (adl_isa_choose(ADL_ISA_AUTO, &isa, err) < 0)
        return -1;
    shards->kernels = adl_kernels_for(isa)->bf16;
    return 0;
}

static void passed(void *context, int node);

struct adl_shards *adl_shards_create(const struct adl_graph *graph, struct adl_optimizer *optimizer,
                                     int own, const struct adl_shards_exchange *exchange,
                                     struct adl_pool *pool, struct adl_error *err)
{
    struct adl_shards *shards = adl_calloc(1, sizeof *shards);
    if (!shards) {
        adl_fail_nomem(err, "the shards of a batch");
        return NULL;
    }
    shards->optimizer = optimizer;
    shards->own = own;
    shards->pool = pool;
    shards->watch = (struct adl_tape_watch){passed, shards};
    bool failed = find_statistics(shards, graph, err) < 0 ||
                  (exchange->narrow && choose_kernels(shards, err) < 0) ||
                  make_courier(shards, graph, exchange, err) < 0;
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
    adl_courier_free(shards->courier);
    adl_buckets_release(&shards->buckets);
    for (int i = 0; i < shards->entry_count; i++)
        adl_free(shards->entries[i].values);
    adl_free(shards->before);
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
    shards->used = shards->closed = shards->next = 0;
    if (shards->courier)
        adl_courier_begin(shards->courier);
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

/* --- joining ------------------------------------------------------------------------------- */

struct joining {
    const struct adl_shards *shards;
    float *to;
    const float *from;
    size_t count;
};

static void join_piece(void *context, size_t i, int worker)
{
    (void)worker;
    const struct joining *j = context;
    size_t first = i * ADD_FLOATS, count = ADL_MIN(ADD_FLOATS, j->count - first);
    adl_narrow_join(j->shards->kernels, j->to + first, j->from + first, count);
}

/* Joins the numbers of struct adl_shard_sums of the two entries on top of the stack. */
static void join_sums(struct adl_shard_sums *left, const struct adl_shard_sums *right)
{
    left->weight += right->weight;
    left->loss += right->loss;
    left->images += right->images;
    left->right += right->right;
    left->stop += right->stop;
}

/* Joins the two entries on top of the stack. */
static void join_top(struct adl_shards *shards)
{
    struct entry *right = &shards->entries[--shards->used], *left = right - 1;
    size_t plain = shards->kernels ? shards->grads : 0;
    if (shards->kernels) {
        struct joining j = {shards, left->values, right->values, shards->grads};
        adl_pool_for(shards->pool, adl_ceil_div(j.count, ADD_FLOATS), join_piece, &j);
    }
    adl_exchange_add(left->values + plain, right->values + plain, shards->floats - plain,
                     shards->pool);
    left->shards += right->shards;
    join_sums(&left->sums, &right->sums);
}

void adl_shards_close(struct adl_shards *shards, const struct adl_shard_sums *sums)
{
    struct entry *entry = &shards->entries[shards->used++];
    entry->sums = *sums;
    entry->shards = 1;
    shards->closed++;
    take_statistics(shards, entry);
    if (shards->courier && shards->closed == shards->own)
        return; /* the courier joins the stack */
    while (shards->used > 1 &&
           shards->entries[shards->used - 1].shards == shards->entries[shards->used - 2].shards)
        join_top(shards);
}

/* --- handing over ---------------------------------------------------------------------------- */

/* Hands a part of all entries of the stack to the courier, of which the last shard's is the top. */
static void hand_over(struct adl_shards *shards, size_t first, size_t count, bool narrow)
{
    int entries = shards->used + (shards->closed < shards->own);
    struct adl_parcel parcel = {.kind = narrow ? ADL_PARCEL_NARROW : ADL_PARCEL_FLOATS,
                                .kernels = shards->kernels,
                                .count = count,
                                .array_count = entries};
    for (int i = 0; i < entries; i++)
        parcel.arrays[i] = shards->entries[i].values + first;
    adl_courier_add(shards->courier, &parcel);
}

/* Hands over the buckets that are final once the backward pass has done `node`. */
static void passed(void *context, int node)
{
    struct adl_shards *shards = context;
    const struct adl_buckets *buckets = &shards->buckets;
    for (; shards->next < buckets->count && buckets->of[shards->next].node >= node; shards->next++)
        hand_over(shards, buckets->of[shards->next].first, buckets->of[shards->next].count,
                  shards->kernels != NULL);
}

const struct adl_tape_watch *adl_shards_watch(const struct adl_shards *shards)
{
    return shards->courier && shards->closed + 1 == shards->own ? &shards->watch : NULL;
}

/* Joins what there is in this rank with the others. */
static int join_ranks(struct adl_shards *shards, bool gradients, struct adl_error *err)
{
    struct adl_shard_sums *sums = &shards->entries[0].sums;
    if (gradients)
        passed(shards, -1);
    for (size_t first = shards->grads; first < shards->floats; first += shards->most)
        hand_over(shards, first, ADL_MIN(shards->most, shards->floats - first), false);
    for (; shards->used > 1; shards->used--)
        join_sums(&shards->entries[shards->used - 2].sums, &shards->entries[shards->used - 1].sums);
    const double numbers[NUMBERS] = {sums->weight, sums->loss, sums->images, sums->right,
                                     sums->stop};
    memcpy(shards->numbers, numbers, sizeof numbers);
    adl_courier_add(shards->courier, &(struct adl_parcel){.kind = ADL_PARCEL_DOUBLES,
                                                          .count = NUMBERS,
                                                          .arrays = {shards->numbers},
                                                          .array_count = 1});
    if (adl_courier_wait(shards->courier, err) < 0)
        return -1;
    *sums = (struct adl_shard_sums){shards->numbers[0], shards->numbers[1], shards->numbers[2],
                                    shards->numbers[3], shards->numbers[4]};
    shards->batches += gradients;
    return 0;
}

/* --- the result ------------------------------------------------------------------------------ */

struct gradient {
    float *to;
    const float *from;
    float factor;
    size_t count;
};

static void add_gradient(void *context, size_t i, int worker)
{
    (void)worker;
    const struct gradient *g = context;
    size_t last = ADL_MIN((i + 1) * ADD_FLOATS, g->count);
    for (size_t j = i * ADD_FLOATS; j < last; j++)
        g->to[j] += g->from[j] * g->factor;
}

/* Divides what all shards have given by their weights. */
static void spread(struct adl_shards *shards, bool gradients, const struct adl_shard_sums *sums)
{
    float *values = shards->entries[0].values;
    if (gradients) {
        struct gradient g = {adl_optimizer_all_grads(shards->optimizer, &shards->grads), values,
                             (float)(1 / sums->weight), shards->grads};
        adl_pool_for(shards->pool, adl_ceil_div(g.count, ADD_FLOATS), add_gradient, &g);
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
    struct entry *all = &shards->entries[0];
    if (shards->courier) {
        if (join_ranks(shards, gradients, err) < 0)
            return -1;
    } else {
        while (shards->used > 1)
            join_top(shards);
        if (shards->kernels && gradients)
            adl_narrow_round(shards->kernels, all->values, shards->grads);
    }
    *sums = all->sums;
    sums->loss = sums->weight > 0 ? sums->loss / sums->weight : 0;
    if (sums->images > 0)
        spread(shards, gradients, sums);
    return 0;
}

struct adl_shards_traffic adl_shards_traffic(const struct adl_shards *shards)
{
    struct adl_shards_traffic traffic = {0};
    if (shards && shards->courier)
        traffic = (struct adl_shards_traffic){adl_courier_stats(shards->courier), shards->batches};
    return traffic;
}

struct adl_shards_traffic adl_shards_traffic_since(const struct adl_shards *shards,
                                                   const struct adl_shards_traffic *before)
{
    struct adl_shards_traffic since = adl_shards_traffic(shards);
    since.batches -= before->batches;
    since.sums.busy_s -= before->sums.busy_s;
    since.sums.hidden_s -= before->sums.hidden_s;
    since.sums.sent_bytes -= before->sums.sent_bytes;
    since.sums.received_bytes -= before->sums.received_bytes;
    return since;
}

size_t adl_shards_bytes(const struct adl_shards *shards)
{
    if (!shards)
        return 0;
    return ((size_t)shards->entry_count * shards->floats + shards->floats - shards->grads) *
               sizeof(float) +
           (shards->courier ? adl_courier_bytes(shards->courier) : 0);
}
