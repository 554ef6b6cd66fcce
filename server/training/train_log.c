/* Prints the messages of a training run to standard error. */

#include "server/training/train_log.h"

#include <stdio.h>

#include "base/plural.h"
#include "data/labels.h"
#include "server/tasks/dataset_log.h"
#include "server/tasks/progress.h"
#include "server/training/train_early_stop.h"

/* Erases the progress bar, if one is drawn, before a message. */
static void clear_progress(struct adl_train_run *run)
{
    if (run->progressing)
        adl_progress_clear(&run->progress);
}

void adl_train_log_skipped(void *context, size_t index, const char *reason)
{
    struct adl_train_run *run = context;
    clear_progress(run);
    fprintf(stderr, "adl-server: train: skipped %s: %s\n", run->train->images[index].id, reason);
}

void adl_train_log_broken_class(void *context, int class_id)
{
    struct adl_train_run *run = context;
    clear_progress(run);
    if (run->train->classes)
        fprintf(stderr, "adl-server: train: warning: no image of %s can be read\n",
                run->train->classes[class_id]);
    else
        fprintf(stderr, "adl-server: train: warning: no image of class %d can be read\n", class_id);
}

void adl_train_log_unreadable_val(void *progress, const char *reason)
{
    adl_progress_clear(progress);
    fprintf(stderr, "adl-server: train: val: %s\n", reason);
}

void adl_train_log_broken_val(struct adl_train_run *run, const struct adl_evaluate_report *report)
{
    for (size_t i = 0; !run->val_reported && i < report->class_count; i++) {
        const struct adl_evaluate_class *c = &report->classes[i];
        if (c->images == 0 || c->errors < c->images)
            continue;
        if (run->val->classes)
            fprintf(stderr, "adl-server: train: warning: no image of %s in val can be read\n",
                    run->val->classes[i]);
        else
            fprintf(stderr,
                    "adl-server: train: warning: no image of class %zu in val can be read\n", i);
    }
    run->val_reported = true;
}

void adl_train_print_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                           const struct adl_evaluate_report *report, bool best)
{
    if (pace)
        fprintf(stderr, "epoch %d/%d: loss %.4f, %s %.2f %%", run->epoch + 1, run->settings->epochs,
                run->sums.loss / (double)run->sums.images,
                run->settings->multi_label ? "labels" : "top-1", adl_train_right(run));
    /* 0: this process has only evaluated the epoch. */
    if (pace && pace->images_per_second > 0)
        fprintf(stderr, ", %.1f images/s", pace->images_per_second);
    if (pace && pace->traffic.batches > 0)
        fprintf(stderr, ", exchange %.0f ms a batch, %.0f %% of it hidden",
                1000 * pace->traffic.sums.busy_s / (double)pace->traffic.batches,
                100 * pace->traffic.sums.hidden_s / pace->traffic.sums.busy_s);
    if (run->val)
        fprintf(stderr, "%s val: %s %.2f %%",
                pace ? ";" : "before training:", report->several ? "mAP" : "top-1",
                report->several ? report->label_figures.mean_precision : report->figures.top1_cls);
    if (report->localized)
        fprintf(stderr, ", MaxBoxAcc %.2f, V2 %.2f at threshold %.3f", report->figures.max_box_acc,
                report->figures.max_box_acc_v2, report->figures.best_threshold);
    if (report->masked)
        fprintf(stderr, ", PxAP %.2f, mIoU %.2f at threshold %.3f", report->masks.pxap,
                report->masks.best_miou, report->masks.best_threshold);
    fprintf(stderr, "%s\n", best && run->val ? " (best)" : "");
}

void adl_train_log_start(const struct adl_train_run *run)
{
    char text[128];
    if (run->follows)
        return;
    adl_log_dataset(run->train, "train", true);
    if (run->val)
        adl_log_dataset(run->val, "train", false);
    fputs(run->settings->remarks ? run->settings->remarks : "", stderr);
    if (run->remarks.data && !run->remarks.failed)
        fputs(run->remarks.data, stderr);
    /* The description names the methods that change the network. */
    struct adl_method_set methods = run->model->arch.methods;
    bool named = methods.bits && methods.bits == adl_method_set_network(methods).bits;
    adl_arch_describe(&run->model->arch, text, sizeof text);
    size_t tapes = run->lockstep ? adl_lockstep_bytes(run->lockstep) : adl_tape_bytes(run->tape);
    fprintf(stderr, "%s%s%s: %zu training image%s of %zu class%s, %zu for validation; %.1f GiB\n",
            text, named ? "" : ", ", named ? "" : adl_method_set_text(methods).text,
            run->train->count, ADL_S(run->train->count), run->train->class_count,
            ADL_ES(run->train->class_count), run->val ? adl_dataset_image_count(run->val) : 0,
            (double)(tapes + adl_optimizer_bytes(run->optimizer) + adl_shards_bytes(run->parts)) /
                1073741824);
}

void adl_train_log_end(const struct adl_train_run *run)
{
    struct adl_frame_cache_stats cache = adl_frame_cache_stats(run->cache);
    size_t broken = adl_loader_broken_count(run->loader);
    if (run->follows)
        return;
    if (adl_train_stops_early(run))
        fprintf(stderr,
                "ended early, %d epoch%s after the best one; %s/best.safetensors is from "
                "epoch %d\n",
                run->epoch - run->best_epoch, ADL_S(run->epoch - run->best_epoch),
                run->settings->out, run->best_epoch);
    else if (run->epoch < run->settings->epochs)
        fprintf(stderr, "stopped in epoch %d; the same command with --resume continues\n",
                run->epoch + 1);
    else if (!run->best_epoch)
        fprintf(stderr, "done; %s/last.safetensors is from epoch %d\n", run->settings->out,
                run->epoch);
    else
        fprintf(stderr, "done; %s/best.safetensors is from epoch %d\n", run->settings->out,
                run->best_epoch);
    if (cache.fail.kind)
        fprintf(stderr, "adl-server: train: the cache was not written to the end: %s\n",
                cache.fail.message);
    if (broken)
        fprintf(stderr, "%zu image%s could not be read and %s skipped\n", broken, ADL_S(broken),
                broken == 1 ? "was" : "were");
    if (run->val_errors)
        fprintf(stderr, "%zu image%s of val could not be read and count%s as wrong\n",
                run->val_errors, ADL_S(run->val_errors), run->val_errors == 1 ? "s" : "");
}
