/* Prepares a run in the order in which mistakes should be found: what is cheap to check comes
 * first, and a new run creates its directory when its settings are known to be valid. */

#include "server/training/train_prepare.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "methods/methods.h"
#include "server/tasks/directory.h"
#include "server/training/run_lock.h"
#include "server/training/train_augment.h"
#include "server/training/train_balance.h"
#include "server/training/train_config.h"
#include "server/training/train_files.h"
#include "server/training/train_freeze.h"
#include "server/training/train_log.h"
#include "server/training/train_model.h"
#include "server/training/train_open.h"
#include "server/training/train_preview.h"
#include "server/training/train_ranks.h"
#include "server/training/train_recipe.h"
#include "server/training/train_statistics.h"
#include "server/training/train_step.h"
#include "server/training/train_step_log.h"
#include "server/training/train_tensorboard.h"

static int make_cache(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    const struct adl_frame_cache_options options = {
        .memory_bytes = (size_t)s->cache_memory * ADL_MIB,
        .images = run->train->count + (run->val ? run->val->count : 0),
        .dir = s->cache,
        .dir_bytes = ADL_LIMIT_FRAME_FILES_BYTES};
    if (s->cache && adl_make_directory(s->cache, err) < 0)
        return -1;
    run->cache = adl_frame_cache_create(&options, err);
    return run->cache ? 0 : -1;
}

static int make_loader(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_loader_options options = {
        .augment = adl_train_augment(s),
        .batch = (size_t)s->batch_size,
        .balanced = s->balance == ADL_BALANCE_SAMPLE,
        .seed = (uint64_t)s->seed,
        .threads = adl_pool_threads(run->pool),
        .frames = {.cache = run->cache, .fast = adl_train_decodes_fast(s)},
        .broken = adl_train_log_skipped,
        .broken_class = adl_train_log_broken_class,
        .context = run,
    };
    if (s->exchange) {
        options.shards = (size_t)run->shards;
        options.first_shard = (size_t)run->first_shard;
        options.own_shards = (size_t)run->own_shards;
    }
    memcpy(options.mean, run->model->mean, sizeof options.mean);
    memcpy(options.std, run->model->std, sizeof options.std);
    run->loader = adl_loader_create(run->train, &options, err);
    return run->loader ? 0 : -1;
}

/* Remarks on networks of a method of several that no epoch trains (adl_train_round_of). */
static void remark_on_rounds(struct adl_train_run *run)
{
    int rounds = adl_arch_rounds(&run->model->arch) ? run->model->arch.rounds : 1;
    int left = rounds - run->settings->epochs;

    if (left > 0)
        adl_str_printf(&run->remarks,
                       "%d epoch%s cannot train the networks of %d rounds: %d of them %s a copy of "
                       "an earlier one\n",
                       run->settings->epochs, ADL_S(run->settings->epochs), rounds, left,
                       left == 1 ? "stays" : "stay");
}

int adl_train_prepare(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;

    /* Checked before the data is read, which takes time, and again when the directory is opened,
     * because another run may have created it in between. */
    if (adl_train_check_jitter(s, err) < 0 || adl_train_check_balance(s, err) < 0 ||
        (!s->find_lr && adl_train_check_dir(run, err) < 0) || adl_train_open_data(run, err) < 0)
        return -1;
    /* A new run creates its directory later, when its settings are known to be valid. */
    if (s->resume && (adl_train_open_dir(run, err) < 0 || adl_train_read_state(run, err) < 0))
        return -1;
    adl_train_choose_recipe(run);
    s = run->settings;
    if (adl_train_scale_rate(run, err) < 0)
        return -1;
    if (adl_train_choose_shards(run, err) < 0 || adl_train_make_model(run, err) < 0 ||
        adl_train_limit_val(run, err) < 0)
        return -1;
    adl_train_choose_by_method(run);
    remark_on_rounds(run);
    if (adl_train_find_frozen(run, err) < 0 || adl_train_make_config(run, err) < 0)
        return -1;
    if (!s->resume && !s->find_lr && adl_train_open_dir(run, err) < 0)
        return -1;
    run->pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!run->pool || make_cache(run, err) < 0 || make_loader(run, err) < 0)
        return -1;
    run->optimizer = adl_optimizer_of(&s->method.optimizer, run->model, err);
    if (!run->optimizer)
        return -1;
    if (s->ema > 0 && adl_optimizer_keep_averages(run->optimizer, err) < 0)
        return -1;
    adl_train_freeze(run);
    if (adl_train_make_shards(run, err) < 0 || adl_train_weigh_classes(run, err) < 0)
        return -1;
    if (s->multi_label) {
        run->present = adl_malloc((size_t)s->batch_size * (size_t)run->model->arch.num_classes,
                                  sizeof *run->present);
        if (!run->present)
            return adl_fail_nomem(err, "the labels of a batch");
    }
    run->partners = adl_calloc((size_t)s->batch_size, sizeof *run->partners);
    if (!run->partners)
        return adl_fail_nomem(err, "a batch");
    run->mode = adl_method_mode(&s->method, run->model->arch.methods);
    run->mode.frozen_params = run->frozen;
    run->schedule = (struct adl_schedule){(enum adl_schedule_kind)s->schedule,
                                          s->method.optimizer.lr,
                                          s->lr_decay,
                                          s->lr_decay_frequency,
                                          s->epochs,
                                          s->warmup_epochs};
    run->best = -1;
    run->best_loss = NAN;
    run->saved_ns = adl_clock_ns();
    if (s->resume && adl_train_load_state(run, err) < 0)
        return -1;
    if (adl_train_enter_round(run, err) < 0 || adl_train_check_statistics(run, err) < 0 ||
        adl_train_compare_ranks(run, err) < 0)
        return -1;
    if (s->find_lr)
        return 0;
    if (adl_train_tensorboard_open(run, err) < 0 || adl_train_step_log_open(run, err) < 0)
        return -1;
    return adl_train_save_record(run, err);
}

int adl_train_prepare_preview(struct adl_train_run *run, struct adl_error *err)
{
    if (run->settings->resume)
        return adl_fail(err, ADL_ERR_ARG, "--augment-preview and --resume exclude each other");
    if (adl_train_preview_check(run->settings->augment_preview, err) < 0 ||
        adl_train_check_jitter(run->settings, err) < 0 || adl_train_open_data(run, err) < 0)
        return -1;
    adl_train_choose_recipe(run);
    if (adl_train_make_model(run, err) < 0)
        return -1;
    return adl_train_preview(run, err);
}

void adl_train_release(struct adl_train_run *run)
{
    adl_train_step_log_close(run);
    adl_run_unlock(run->settings->out, run->lock);
    json_decref(run->config);
    json_decref(run->origin);
    json_decref(run->data);
    json_decref(run->state);
    adl_train_tensorboard_close(run);
    adl_str_release(&run->remarks);
    adl_evaluate_report_release(&run->evaluation);
    adl_free(run->frozen);
    adl_free(run->class_weights);
    adl_free(run->present);
    adl_free(run->partners);
    adl_free(run->places);
    adl_shards_free(run->parts);
    adl_optimizer_free(run->optimizer);
    adl_train_free_tape(run);
    adl_loader_free(run->loader);
    adl_frame_cache_free(run->cache);
    adl_pool_free(run->pool);
    adl_model_free(run->model);
    adl_dataset_free(run->val);
    adl_dataset_free(run->train);
}
