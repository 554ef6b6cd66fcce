/* Writes metrics.jsonl. The file is replaced as a whole for each line, so that it never ends in
 * half of one. */

#include "server/training/train_metrics.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/training/run_record.h"

/* Returns a value as JSON; NULL, which json_pack() leaves out, if it is NAN (not known). */
static json_t *number(double value)
{
    return isnan(value) ? NULL : json_real(value);
}

/* Adds the figures of masks that are numbers. */
static int add_masks(json_t *figures, const struct adl_mask_figures *masks)
{
    const struct {
        const char *key;
        double value;
    } members[] = {{"pxap", masks->pxap},
                   {"best_miou", masks->best_miou},
                   {"best_miou_threshold", masks->best_threshold},
                   {"peak_iou", masks->peak_iou}};

    for (size_t i = 0; i < ADL_COUNT(members); i++)
        if (isfinite(members[i].value) &&
            json_object_set_new(figures, members[i].key, json_real(members[i].value)) < 0)
            return -1;
    return 0;
}

json_t *adl_train_figures(const struct adl_evaluate_report *report)
{
    const struct adl_evaluation *f = &report->figures;
    json_t *figures =
        report->several ? json_pack("{s:I, s:I, s:f}", "images", (json_int_t)report->images,
                                    "labels", (json_int_t)report->labels, "mean_average_precision",
                                    report->label_figures.mean_precision)
                        : json_pack("{s:I, s:f, s:f}", "images", (json_int_t)report->images,
                                    "top1_cls", f->top1_cls, "top5_cls", f->top5_cls);
    if (figures && report->localized && report->several) {
        if (json_object_update_new(
                figures, json_pack("{s:f, s:f, s:f, s:f}", "gt_known_loc", f->gt_known_loc,
                                   "max_box_acc", f->max_box_acc, "max_box_acc_v2",
                                   f->max_box_acc_v2, "best_threshold", f->best_threshold)) < 0) {
            json_decref(figures);
            figures = NULL;
        }
        return figures;
    }
    if (figures && report->localized &&
        json_object_update_new(
            figures, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "gt_known_loc", f->gt_known_loc,
                               "top1_loc", f->top1_loc, "top5_loc", f->top5_loc, "max_box_acc",
                               f->max_box_acc, "max_box_acc_v2", f->max_box_acc_v2,
                               "best_threshold", f->best_threshold)) < 0) {
        json_decref(figures);
        figures = NULL;
    }
    if (figures && report->masked && add_masks(figures, &report->masks) < 0) {
        json_decref(figures);
        figures = NULL;
    }
    return figures;
}

/* Copies the lines of the epochs from `first` to before `epoch` to `kept`, and drops later lines,
 * which a run has written that was killed before it saved its state. */
static int keep_lines(const char *text, int first, int epoch, struct adl_str *kept)
{
    while (*text) {
        const char *start = text;
        json_t *line = adl_json_next_line(&text);
        const json_t *number = json_object_get(line, "epoch");
        json_int_t value = json_integer_value(number);
        if (json_is_integer(number) && value >= first && value < epoch) {
            adl_str_append(kept, start, strcspn(start, "\n"));
            adl_str_puts(kept, "\n");
        }
        json_decref(line);
    }
    return kept->failed ? -1 : 0;
}

/* Returns the first epoch whose line a line of `epoch` does not remove. What was there before a run
 * that began anew is of no use to it. */
static int first_kept(const struct adl_train_run *run, int epoch)
{
    bool has_first = epoch > 1 || run->settings->eval_first || run->state;
    return epoch > 0 && has_first ? 0 : epoch;
}

/* Writes the line of an epoch behind those of the epochs before. */
static int write_line(const struct adl_train_run *run, int epoch, const json_t *line,
                      struct adl_error *err)
{
    int result = -1, first = first_kept(run, epoch);
    size_t old_length;
    struct adl_str lines = {0};
    struct adl_error none = {0};
    char *path = adl_run_path(run->settings->out, ADL_RUN_METRICS, err), *old = NULL;
    char *text = adl_json_to_text(line, JSON_COMPACT | JSON_REAL_PRECISION(9), NULL, err);

    if (!path || !text)
        goto out;
    if (first < epoch)
        old = adl_file_read(path, ADL_LIMIT_METRICS_BYTES, &old_length, &none);
    if (none.kind && none.kind != ADL_ERR_NOT_FOUND) {
        adl_fail(err, none.kind, "%s", none.message);
        goto out;
    }
    if (old && keep_lines(old, first, epoch, &lines) < 0) {
        adl_fail_nomem(err, "the metrics");
        goto out;
    }
    adl_str_puts(&lines, text);
    adl_str_puts(&lines, "\n");
    if (lines.failed) {
        adl_fail_nomem(err, "the metrics");
        goto out;
    }
    result = adl_file_write(path, &(struct adl_file_piece){lines.data, lines.length}, 1, err);
out:
    adl_free(text);
    adl_free(old);
    adl_str_release(&lines);
    adl_free(path);
    return result;
}

/* Adds what this process exchanged with others for a batch, if there are any. */
static int add_traffic(json_t *line, const struct adl_shards_traffic *traffic)
{
    const struct adl_courier_stats *sums = &traffic->sums;
    double batches = (double)traffic->batches;

    if (traffic->batches == 0)
        return 0;
    return json_object_set_new(line, "exchange",
                               json_pack("{s:f, s:f, s:I, s:I}", "seconds", sums->busy_s / batches,
                                         "hidden_seconds", sums->hidden_s / batches, "sent_bytes",
                                         (json_int_t)(sums->sent_bytes / traffic->batches),
                                         "received_bytes",
                                         (json_int_t)(sums->received_bytes / traffic->batches)));
}

int adl_train_log_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                        const struct adl_evaluate_report *report, double val_loss, bool best,
                        struct adl_error *err)
{
    int result = -1, epoch = run->epoch + 1;
    double images = (double)run->sums.images;
    struct adl_frame_cache_stats cache = adl_frame_cache_stats(run->cache);
    json_t *line = json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:o*, s:b}", "epoch", epoch, "lr",
                             pace->lr, "train_loss", run->sums.loss / images,
                             run->settings->multi_label ? "train_labels" : "train_top1",
                             adl_train_right(run), "seconds", pace->seconds, "images_per_second",
                             pace->images_per_second, "val_loss", number(val_loss), "best", best);

    if (!line || add_traffic(line, &pace->traffic) < 0 ||
        (cache.images > 0 &&
         json_object_set_new(line, "cache",
                             json_pack("{s:I, s:f}", "images", (json_int_t)cache.images, "mib",
                                       (double)cache.bytes / ADL_MIB)) < 0) ||
        (report && json_object_set_new(line, "val", adl_train_figures(report)) < 0))
        adl_fail_nomem(err, "the metrics");
    else
        result = write_line(run, epoch, line, err);
    json_decref(line);
    return result;
}

int adl_train_log_first(const struct adl_train_run *run, const struct adl_evaluate_report *report,
                        double val_loss, struct adl_error *err)
{
    json_t *line = json_pack("{s:i, s:o*, s:b, s:o}", "epoch", 0, "val_loss", number(val_loss),
                             "best", 0, "val", adl_train_figures(report));
    int result = line ? write_line(run, 0, line, err) : adl_fail_nomem(err, "the metrics");
    json_decref(line);
    return result;
}
