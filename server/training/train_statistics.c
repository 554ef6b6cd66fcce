/* Estimates the running statistics of batch norm anew.
 *
 * While a network is trained, batch norm keeps running averages of the means and variances of its
 * inputs, and uses them at inference. A method that masks maps or mixes images trains on other
 * maps than those the network meets later, so these averages describe the wrong maps. Before each
 * evaluation, and so at the end of a run, some batches of plain images are therefore run through
 * the network with the methods' layers switched off, and the averages become the plain means of
 * what these batches give, as torch.optim.swa_utils.update_bn() does it: batch i of 0, 1, ... is
 * averaged in with weight 1 / (i + 1).
 *
 * The batches are those that open an epoch of their own, so they are the same after each epoch and
 * whether or not the run was interrupted. Training does not read the running statistics, so it
 * gives the same weights with and without this. With --ema it is the averaged weights that are run,
 * and their averages of the running statistics that are replaced. */

#include "server/training/train_statistics.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "server/training/train_ranks.h"

/* The epoch of the loader whose batches are used. Epochs of training are smaller numbers. */
#define STATISTICS_EPOCH (UINT64_C(1) << 32)

int adl_train_check_statistics(const struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_graph *graph = run->model->graph;
    int images = run->lockstep ? run->settings->batch_size : adl_train_part_images(run);

    if (images > 1 || run->mode.frozen_batchnorm)
        return 0;
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (node->def != &adl_op_batchnorm || (run->frozen && run->frozen[node->params[2]]))
            continue;
        struct adl_shape shape = adl_tape_shape(run->tape, node->output);
        if (shape.h == 1 && shape.w == 1)
            return adl_fail(err, ADL_ERR_ARG,
                            "batch norm at \"%s\" has one value a channel for one image, which has "
                            "no variance: take a larger --batch-size%s or --crop-size, or "
                            "--frozen-batchnorm",
                            adl_graph_value(graph, node->output)->name,
                            run->shards > 1 ? ", --sync-batchnorm" : "");
    }
    return 0;
}

/* Returns whether the network is trained on other maps than it meets at inference. */
static bool trains_on_other_maps(const struct adl_train_run *run)
{
    struct adl_method_set methods = run->model->arch.methods;
    return (run->mode.method_layers && adl_method_set_has_layers(methods)) ||
           adl_method_set_changes_images(methods) || run->round > 1;
}

/* Runs all shards of a batch forward together, so that their statistics are those of the batch. */
static int run_together(struct adl_train_run *run, const struct adl_batch *batch,
                        float *const *params, const struct adl_train_mode *mode,
                        struct adl_error *err)
{
    size_t image = adl_shape_count(adl_tape_shape(run->tape, 0)), own = (size_t)run->own_shards;
    struct adl_train_mode *modes = adl_calloc(own, sizeof *modes);
    int *images = adl_calloc(own, sizeof *images), result = -1;

    for (int k = 0; modes && images && k < run->own_shards; k++) {
        struct adl_train_range range = adl_train_shard_range(run, batch, run->first_shard + k);
        modes[k] = *mode;
        images[k] = (int)range.count;
        memcpy(adl_tape_input(adl_lockstep_tape(run->lockstep, k)),
               batch->input + range.first * image, range.count * image * sizeof(float));
    }
    if (!modes || !images)
        adl_fail_nomem(err, "the shards of a batch");
    else
        result = adl_lockstep_forward(run->lockstep, images, params, modes, err);
    adl_free(modes);
    adl_free(images);
    return result;
}

/* Runs a batch forward, so that the running statistics among `params` are updated; with shards they
 * become the mean of what the shards give. Returns 0 if no process has an image of it. */
static int run_batch(struct adl_train_run *run, const struct adl_batch *batch, float *const *params,
                     const struct adl_train_mode *mode, struct adl_error *err)
{
    size_t image = adl_shape_count(adl_tape_shape(run->tape, 0));
    struct adl_shard_sums sums;

    if (!run->parts) {
        memcpy(adl_tape_input(run->tape), batch->input, batch->count * image * sizeof(float));
        adl_tape_forward(run->tape, (int)batch->count, params, mode);
        return 1;
    }
    if (run->lockstep && run_together(run, batch, params, mode, err) < 0)
        return -1;
    adl_shards_begin(run->parts, params);
    for (int shard = run->first_shard; shard < run->first_shard + run->own_shards; shard++) {
        struct adl_train_range range = adl_train_shard_range(run, batch, shard);
        (void)adl_shards_open(run->parts);
        if (range.count > 0 && !run->lockstep) {
            memcpy(adl_tape_input(run->tape), batch->input + range.first * image,
                   range.count * image * sizeof(float));
            adl_tape_forward(run->tape, (int)range.count, params, mode);
        }
        sums = (struct adl_shard_sums){.images = (double)range.count,
                                       .stop = shard == run->first_shard && *run->asked};
        adl_shards_close(run->parts, &sums);
    }
    if (adl_shards_join(run->parts, false, &sums, err) < 0)
        return -1;
    adl_train_heed(run, &sums);
    return sums.images > 0;
}

/* Returns how many batches are used. The last one of an epoch is left out unless it is the only
 * one, since it may be a single image, whose statistics say little. */
static size_t batch_count(const struct adl_train_run *run)
{
    size_t wanted = (size_t)run->settings->batchnorm_batches;
    size_t batches = adl_loader_batches(run->loader);
    return ADL_MIN(wanted, ADL_MAX(batches, 2) - 1);
}

int adl_train_refresh_statistics(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_train_mode mode = run->mode;
    size_t count = batch_count(run);
    struct adl_batch batch;

    if (mode.frozen_batchnorm || !trains_on_other_maps(run))
        return 0;
    mode.method_layers = false;
    adl_loader_start_epoch(run->loader, STATISTICS_EPOCH, 0);
    for (size_t i = 0; i < count;) {
        int more = adl_loader_next(run->loader, &batch, err);
        if (more <= 0)
            return more;
        mode.bn_momentum = 1 / (double)(i + 1);
        mode.bn_momentum_for_all = true;
        int ran = run_batch(run, &batch, adl_optimizer_evaluated(run->optimizer), &mode, err);
        if (ran < 0)
            return -1;
        i += (size_t)ran;
        if (*run->stop && run->trained)
            return 1;
    }
    return 0;
}
