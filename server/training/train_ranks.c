/* Shares the work of a run among processes.
 *
 * All ranks read the data and, of a resumed run, its state; each decodes and computes the shards
 * of its own alone, and takes the same steps with the joined gradients, so that weights, averages
 * and position are equal on all of them at any time. That is why rank 0 can write everything, and
 * why a run may be resumed by another number of ranks.
 *
 * A signal may reach the ranks at different times, or one of them only. What a rank was asked
 * travels with the sums of each batch, and all of them stop after the batch in which it arrived. */

#include "server/training/train_ranks.h"

#include <string.h>

#include "base/limits.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/training/ranks_equal.h"

static int ranks_of(const struct adl_train_run *run)
{
    return run->settings->exchange ? run->settings->exchange->ranks : 1;
}

int adl_train_choose_shards(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    int ranks = ranks_of(run);
    json_int_t recorded =
        json_integer_value(json_object_get(json_object_get(run->state, "config"), "shards"));

    run->shards = s->shards ? s->shards : ranks;
    if (!s->shards && run->state)
        run->shards = recorded >= 1 && recorded <= ADL_LIMIT_BATCH ? (int)recorded : 1;
    if (run->shards > s->batch_size)
        return adl_fail(err, ADL_ERR_ARG,
                        "%d shards are more than the %d image%s of a batch; give a larger "
                        "--batch-size or fewer --shards%s",
                        run->shards, s->batch_size, ADL_S(s->batch_size),
                        s->shards ? "" : " or processes");
    if (adl_shards_divide(run->shards, ranks, s->exchange ? s->exchange->rank : 0,
                          &run->first_shard, &run->own_shards))
        return 0;
    return adl_fail(err, ADL_ERR_ARG,
                    "%d processes cannot share a batch of %d shard%s: each has to have 1, 2, 4, 8, "
                    "... of them; start another number of processes%s",
                    ranks, run->shards, ADL_S(run->shards),
                    run->state ? "" : ", or give --shards a multiple of it by such a number");
}

int adl_train_record_shards(json_t *config, const struct adl_train_run *run)
{
    if (run->shards == 1)
        return 0;
    if (run->settings->sync_batchnorm &&
        json_object_set_new(config, "sync_batchnorm", json_true()) < 0)
        return -1;
    int precision = run->settings->exchange_precision;
    if (precision != 0 &&
        json_object_set_new(config, "exchange_precision",
                            json_string(adl_train_precision_names[precision])) < 0)
        return -1;
    return json_object_set_new(config, "shards", json_integer(run->shards));
}

int adl_train_make_shards(struct adl_train_run *run, struct adl_error *err)
{
    if (run->shards == 1)
        return 0;
    const struct adl_shards_exchange exchange = {.ranks = run->settings->exchange,
                                                 .narrow = run->settings->exchange_precision != 0};
    run->parts = adl_shards_create(run->model->graph, run->optimizer, run->own_shards, &exchange,
                                   run->pool, err);
    return run->parts ? 0 : -1;
}

int adl_train_part_images(const struct adl_train_run *run)
{
    return (int)adl_ceil_div((size_t)run->settings->batch_size, (size_t)run->shards);
}

struct adl_train_range adl_train_shard_range(const struct adl_train_run *run,
                                             const struct adl_batch *batch, int shard)
{
    size_t shards = (size_t)run->shards, first = 0, end;
    size_t from = adl_part_first(batch->planned, shards, (size_t)shard);
    size_t to = adl_part_first(batch->planned, shards, (size_t)shard + 1);

    while (first < batch->count && batch->places[first] < from)
        first++;
    for (end = first; end < batch->count && batch->places[end] < to;)
        end++;
    return (struct adl_train_range){first, end - first};
}

int adl_train_compare_ranks(struct adl_train_run *run, struct adl_error *err)
{
    if (!run->settings->exchange)
        return 0;
    json_t *all =
        json_pack("{s:O, s:O, s:i, s:I, s:i}", "config", run->config, "data", run->data, "epoch",
                  run->epoch, "batch", (json_int_t)run->batch, "epochs", run->settings->epochs);
    int result =
        adl_ranks_compare(run->settings->exchange, all, "options, data or saved state", err);
    json_decref(all);
    return result;
}

void adl_train_heed(struct adl_train_run *run, const struct adl_shard_sums *sums)
{
    if (sums->stop > 0)
        run->agreed = 1;
}

int adl_train_share_epoch(struct adl_train_run *run, int result, struct adl_error *err)
{
    struct {
        double best, best_loss;
        int best_epoch, result, agreed;
    } found;
    memset(&found, 0, sizeof found);
    found.best = run->best;
    found.best_loss = run->best_loss;
    found.best_epoch = run->best_epoch;
    found.result = result;
    found.agreed = run->agreed || (run->settings->exchange && *run->asked);
    if (!run->settings->exchange)
        return result;
    if (adl_exchange_copy(run->settings->exchange, &found, sizeof found, err) < 0)
        return -1;
    run->best = found.best;
    run->best_loss = found.best_loss;
    run->best_epoch = found.best_epoch;
    run->agreed = found.agreed;
    return found.result;
}
