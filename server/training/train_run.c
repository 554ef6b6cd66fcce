/* Trains the epochs of a run.
 *
 * An epoch consists of the same steps as in the reference implementation: the learning rate is
 * set, the training images are used once in random order, the network is evaluated on val, and
 * the files are saved. The model's threshold becomes the one that is best on val.
 *
 * A run gives the same bits for any number of threads, and however often it is interrupted and
 * resumed. There are three reasons for this. Every random number is derived from the seed and
 * from its purpose (epoch, batch, image, layer), never drawn from a shared sequence. Sums over a
 * batch are split by the shapes, not by the number of threads. The state is saved only between
 * optimizer steps, where it consists of the weights, their averages, the momentum and the position
 * alone; a run that is stopped in the middle of an epoch keeps the order of its images and
 * continues after the last batch. The evaluation changes no weight, so it can be aborted and
 * repeated.
 *
 * Within long epochs the state is saved every --save-minutes, so that a crash costs
 * no more than that. */

#include "server/training/train_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/tasks/directory.h"
#include "server/tasks/progress.h"
#include "server/training/run_record.h"
#include "server/training/train_early_stop.h"
#include "server/training/train_evaluate.h"
#include "server/training/train_files.h"
#include "server/training/train_find_lr.h"
#include "server/training/train_log.h"
#include "server/training/train_metrics.h"
#include "server/training/train_prepare.h"
#include "server/training/train_ranks.h"
#include "server/training/train_statistics.h"
#include "server/training/train_step.h"
#include "server/training/train_step_log.h"
#include "server/training/train_tensorboard.h"

/* --- training ---------------------------------------------------------------------- */

/* Returns whether the state can be saved now: accumulated gradients are not part of it. */
static bool between_steps(const struct adl_train_run *run)
{
    return run->batch % (size_t)run->settings->accumulate == 0;
}

static int save_position(struct adl_train_run *run, struct adl_error *err)
{
    adl_train_follow(run);
    if (adl_train_save_model(run, ADL_RUN_LAST, err) < 0 || adl_train_save_state(run, err) < 0)
        return -1;
    run->saved_ns = adl_clock_ns();
    return 0;
}

/* A run ends as diverged when the loss of a batch, or after the first epoch the mean loss of an
 * epoch, is this many times adl_train_guessing_loss().
 *
 * A loss above that of guessing is common: the first steps of a high rate push the logits
 * of a new classifier far apart, and normalisation brings many such runs back. Runs of
 * mobilenet_v1 on 54 images of 3 classes, from random and from pretrained weights: at rates
 * up to 0.2 the worst batch had 149 times the loss of guessing, the worst epoch after the
 * first 21 times, and the loss came down to that of guessing or below; at rates from 1 it
 * had 1314 times or more, the worst epoch after the first 384 times or more, and it never
 * came down. The limits lie between these values. They are multiples of the loss of guessing
 * because losses grow in proportion to it with the number of classes. */
#define BATCH_LOSS_LIMIT 200
#define EPOCH_LOSS_LIMIT 50

static int fail_loss(const struct adl_train_run *run, double loss, const char *where,
                     struct adl_error *err)
{
    char symptom[200];
    snprintf(symptom, sizeof symptom,
             "the loss of %s in epoch %d is %.3g, where guessing among %d class%s has %.2g", where,
             run->epoch + 1, loss, run->model->arch.num_classes,
             ADL_ES(run->model->arch.num_classes), adl_train_guessing_loss(run));
    return adl_train_fail_diverged(run, symptom, err);
}

/* Trains the rest of the epoch. Returns 1 if it was stopped before the end, after
 * saving; 0 at the end. */
static int train_epoch(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_progress *progress = &run->progress;
    struct adl_batch batch;
    size_t batches = adl_loader_batches(run->loader);
    bool stopped = false;
    int more;

    if (!run->follows)
        adl_progress_start(progress, "images", run->train->count);
    run->progressing = !run->follows;
    run->judged = false;
    json_decref(run->model->metrics); /* of other weights than those that are saved from here on */
    run->model->metrics = NULL;
    run->group = SIZE_MAX;
    adl_loader_start_epoch(run->loader, (uint64_t)run->epoch, run->batch);
    while ((more = adl_loader_next(run->loader, &batch, err)) > 0) {
        double loss;
        int trained = adl_train_batch(run, &batch, &loss, err);
        if (trained == 0)
            continue;
        if (trained < 0) {
            more = -1;
            break;
        }
        if (!(loss < BATCH_LOSS_LIMIT * adl_train_guessing_loss(run))) {
            more = fail_loss(run, loss, "a batch", err);
            break;
        }
        if (adl_train_step_log_add(run, batch.number, loss, err) < 0) {
            more = -1;
            break;
        }
        run->batch = batch.number + 1;
        snprintf(progress->note, sizeof progress->note, "epoch %d/%d, loss %.3f, %s %.1f %%",
                 run->epoch + 1, run->settings->epochs, run->sums.loss / (double)run->sums.images,
                 run->settings->multi_label ? "labels" : "top-1", adl_train_right(run));
        if (run->progressing)
            adl_progress_update(progress, run->sums.images);
        bool due = adl_clock_ms(run->saved_ns, adl_clock_ns()) >
                   60e3 * (double)run->settings->save_minutes;
        if ((*run->stop || due) && between_steps(run) && run->batch < batches) {
            if (save_position(run, err) < 0)
                more = -1;
            stopped = *run->stop;
            if (stopped || more < 0)
                break;
        }
    }
    if (run->progressing)
        adl_progress_finish(progress);
    run->progressing = false;
    double mean = run->sums.images ? run->sums.loss / (double)run->sums.images : 0;
    if (more == 0 && run->sums.images == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read",
                        run->train->count, ADL_S(run->train->count));
    if (more == 0 && run->epoch > 0 && mean > EPOCH_LOSS_LIMIT * adl_train_guessing_loss(run))
        return fail_loss(run, mean, "all batches", err);
    return more < 0 ? -1 : stopped;
}

/* Returns whether an epoch replaces the best one. With a small val split, many epochs have the
 * same measure; between those the loss decides, which also measures how confident the network
 * is. If the loss is equal too, or not known, the later epoch is better. An epoch whose measure is
 * NAN never replaces the best one. */
static bool is_best(const struct adl_train_run *run, double measure, double loss)
{
    return measure > run->best || (measure == run->best && !(loss > run->best_loss));
}

/* Evaluates; returns 1 if the evaluation was stopped. If it was stopped or failed, saves the
 * trained epoch, so that a resumed run continues with the evaluation. */
static int evaluate_or_save(struct adl_train_run *run, struct adl_evaluate_report *report,
                            double *loss, struct adl_error *err)
{
    struct adl_error why = {0}, *saving = &why;
    if (adl_train_evaluate(run, report, loss, err) == 0)
        return 0;
    bool stopped = err->kind == ADL_ERR_CANCELLED;
    if (stopped) {
        adl_error_clear(err);
        saving = err;
    }
    int saved = save_position(run, saving);
    return stopped && saved == 0 ? 1 : -1;
}

static void call_on_event(const struct adl_train_run *run, enum adl_train_event_kind kind)
{
    const struct adl_train_event event = {.kind = kind,
                                          .dir = run->settings->out,
                                          .evaluation =
                                              run->evaluation.images ? &run->evaluation : NULL,
                                          .epoch = run->epoch,
                                          .epochs = run->settings->epochs,
                                          .model = run->judged ? run->model : NULL,
                                          .val = run->val,
                                          .pool = run->pool,
                                          .stop = run->asked};
    if (!run->follows && run->on_event && !run->settings->no_report)
        run->on_event(&event);
}

static void begin_epoch(struct adl_train_run *run, int epoch)
{
    run->epoch = epoch;
    run->batch = 0;
    run->sums = (struct adl_train_sums){0};
}

/* Evaluates a trained epoch, updates the best one, and writes the run's files. Returns 1 if this
 * was stopped. */
static int judge_epoch(struct adl_train_run *run, const struct adl_train_pace *pace,
                       struct adl_error *err)
{
    struct adl_evaluate_report report = {0};
    double loss = NAN;
    int result = run->val ? evaluate_or_save(run, &report, &loss, err) : 0;
    if (result != 0)
        return result;
    result = -1;
    if (run->val && !isfinite(adl_train_measure(&report))) {
        adl_train_fail_diverged(run, "the accuracy on val is not a number", err);
        goto out;
    }
    bool best = !run->val || is_best(run, adl_train_measure(&report), loss);
    if (report.localized) {
        run->model->map.threshold = report.figures.best_threshold;
        adl_train_use_best_threshold(&report.figures);
    } else if (report.masked && isfinite(report.masks.best_miou)) {
        run->model->map.threshold = report.masks.best_threshold;
    }
    adl_train_print_epoch(run, pace, &report, best);
    json_decref(run->model->metrics);
    run->model->metrics = run->val ? adl_train_figures(&report) : NULL;
    if (run->val && !run->model->metrics) {
        adl_fail_nomem(err, "the figures");
        goto out;
    }
    ADL_TRY(adl_train_log_epoch(run, pace, run->val ? &report : NULL, loss, best, err));
    run->val_errors = report.errors;
    if (best) {
        if (run->val)
            ADL_TRY(adl_train_save_predictions(run, err));
        run->best = run->val ? adl_train_measure(&report) : -1;
        run->best_loss = loss;
        run->best_epoch = run->epoch + 1;
        adl_evaluate_report_release(&run->evaluation);
        run->evaluation = report;
        report = (struct adl_evaluate_report){0};
    }
    begin_epoch(run, run->epoch + 1);
    if (best)
        ADL_TRY(adl_train_save_model(run, ADL_RUN_BEST, err));
    ADL_TRY(save_position(run, err));
    ADL_TRY(adl_train_tensorboard_follow(run, err));
    run->judged = true;
    if (run->epoch < run->settings->epochs)
        call_on_event(run, ADL_TRAIN_EPOCH_DONE);
    result = 0;
out:
    adl_evaluate_report_release(&report);
    return result;
}

/* Measures this process's part of val for process 0, which judges the epoch and decides what
 * follows from a failure; here it is only said. */
static void help_to_evaluate(struct adl_train_run *run)
{
    struct adl_evaluate_report report = {0};
    struct adl_error err = {0};
    double loss;

    if (!adl_train_divides_val(run))
        return;
    if (adl_train_evaluate(run, &report, &loss, &err) < 0 && err.kind != ADL_ERR_CANCELLED)
        fprintf(stderr, "adl-server: train: process %d: %s\n", run->settings->exchange->rank,
                err.message);
    adl_evaluate_report_release(&report);
}

static int finish_epoch(struct adl_train_run *run, const struct adl_train_pace *pace,
                        struct adl_error *err)
{
    if (adl_train_check_finite(run, err) < 0)
        return -1;
    int refreshed = adl_train_refresh_statistics(run, err);
    if (refreshed < 0)
        return -1;
    if (refreshed > 0)
        return save_position(run, err) < 0 ? -1 : 1;
    adl_train_follow(run);
    if (run->follows)
        help_to_evaluate(run);
    int result = run->follows ? 0 : judge_epoch(run, pace, err);
    if (result < 0)
        return -1;
    result = adl_train_share_epoch(run, result, err);
    if (result == 0 && run->follows)
        begin_epoch(run, run->epoch + 1);
    return result;
}

/* Evaluates the weights that a run begins with, as epoch 0 (--eval-first). This changes nothing in
 * the run: its threshold and its best epoch are those of the epochs that it trains. */
static int evaluate_first(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_evaluate_report report = {0};
    double loss = NAN;
    if (!run->settings->eval_first || !run->val || run->epoch > 0 || run->batch > 0)
        return 0;
    if (run->follows) {
        help_to_evaluate(run);
        return 0;
    }
    int result = adl_train_evaluate(run, &report, &loss, err);
    if (result == 0) {
        if (report.localized)
            adl_train_use_best_threshold(&report.figures);
        adl_train_print_epoch(run, NULL, &report, false);
        result = adl_train_log_first(run, &report, loss, err);
    }
    adl_evaluate_report_release(&report);
    return result;
}

/* Trains and finishes one epoch. Returns 1 if it was stopped, after saving. */
static int run_epoch(struct adl_train_run *run, struct adl_error *err)
{
    size_t batches = adl_loader_batches(run->loader), before = run->sums.images;
    if (adl_train_enter_round(run, err) < 0)
        return -1;
    uint64_t start = adl_clock_ns();
    struct adl_shards_traffic traffic = adl_shards_traffic(run->parts);
    int result = train_epoch(run, err);
    if (result != 0)
        return result;
    struct adl_train_pace pace = {.lr = adl_train_rate(run, batches - 1),
                                  .seconds = adl_clock_ms(start, adl_clock_ns()) / 1000,
                                  .traffic = adl_shards_traffic_since(run->parts, &traffic)};
    /* `seconds` does not include the images that another process trained before a resume. */
    if (pace.seconds > 0)
        pace.images_per_second = (double)(run->sums.images - before) / pace.seconds;
    return finish_epoch(run, &pace, err);
}

/* Finds a learning rate instead of training; all that is left of it is what the event is for. */
static int find_rate(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_train_rates rates = {0};
    int result = adl_make_directory(run->settings->out, err);
    if (result == 0)
        result = adl_train_find_rate(run, &rates, err);
    if (result == 0 && run->on_event)
        run->on_event(&(struct adl_train_event){.kind = ADL_TRAIN_RATE_FOUND,
                                                .dir = run->settings->out,
                                                .rates = &rates,
                                                .pool = run->pool,
                                                .stop = run->stop});
    adl_train_rates_release(&rates);
    return result;
}

/* Trains the epochs that are left. */
static int run_epochs(struct adl_train_run *run, struct adl_error *err)
{
    bool stopped = false;
    int result = evaluate_first(run, err);
    while (result == 0 && !stopped && run->epoch < run->settings->epochs &&
           !adl_train_stops_early(run)) {
        result = run_epoch(run, err);
        stopped = result > 0 || *run->stop;
        if (result > 0)
            result = 0;
    }
    if (result == 0) {
        call_on_event(run, *run->stop ? ADL_TRAIN_STOPPED : ADL_TRAIN_DONE);
        adl_train_log_end(run);
    }
    return result;
}

int adl_train_run(const struct adl_train_settings *settings, const char *command,
                  const volatile sig_atomic_t *stop, adl_train_event_fn *on_event,
                  struct adl_error *err)
{
    struct adl_train_run run = {.settings = settings,
                                .command = command,
                                .asked = stop,
                                .stop = stop,
                                .follows = settings->exchange && settings->exchange->rank > 0,
                                .shards = 1,
                                .own_shards = 1,
                                .on_event = on_event,
                                .lock = -1,
                                .step_log = {.file = -1}};
    if (settings->exchange)
        run.stop = &run.agreed;
    bool previews = settings->augment_preview;
    int result = previews ? adl_train_prepare_preview(&run, err) : adl_train_prepare(&run, err);

    if (result == 0 && !previews) {
        adl_train_log_start(&run);
        result = settings->find_lr ? find_rate(&run, err) : run_epochs(&run, err);
    }
    adl_train_release(&run);
    return result;
}
