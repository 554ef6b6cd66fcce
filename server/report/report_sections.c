/* Writes the report's curves, from metrics.jsonl, and its threshold curves and table of
 * classes, from an evaluation. */

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "io/json_text.h"
#include "server/report/report_parts.h"

/* --- metrics.jsonl ------------------------------------------------------------------ */

#define COLUMNS 13

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void read_line(const json_t *line, size_t i, struct adl_report_epochs *epochs)
{
    const json_t *val = json_object_get(line, "val");

    epochs->epoch[i] = number_of(line, "epoch");
    epochs->lr[i] = number_of(line, "lr");
    epochs->loss[i] = number_of(line, "train_loss");
    epochs->train_top1[i] = number_of(line, "train_top1");
    if (json_object_get(line, "train_labels")) {
        epochs->several = true;
        epochs->train_top1[i] = number_of(line, "train_labels");
    }
    epochs->seconds[i] = number_of(line, "seconds");
    epochs->val_top1[i] = number_of(val, epochs->several ? "mean_average_precision" : "top1_cls");
    epochs->gt_known[i] = number_of(val, "gt_known_loc");
    epochs->max_box_acc[i] = number_of(val, "max_box_acc");
    epochs->max_box_acc_v2[i] = number_of(val, "max_box_acc_v2");
    epochs->threshold[i] = number_of(val, "best_threshold");
    epochs->pxap[i] = number_of(val, "pxap");
    epochs->miou[i] = number_of(val, "best_miou");
    epochs->miou_threshold[i] = number_of(val, "best_miou_threshold");
}

int adl_report_epochs_parse(const char *text, struct adl_report_epochs *epochs,
                            struct adl_error *err)
{
    size_t lines = 1;
    for (const char *end = text; (end = strchr(end, '\n')); end++)
        lines++;
    double *block = adl_malloc(lines, COLUMNS * sizeof *block);

    *epochs = (struct adl_report_epochs){.epoch = block};
    if (!block)
        return adl_fail_nomem(err, "the curves");
    double **columns[] = {&epochs->lr,          &epochs->loss,           &epochs->train_top1,
                          &epochs->seconds,     &epochs->val_top1,       &epochs->gt_known,
                          &epochs->max_box_acc, &epochs->max_box_acc_v2, &epochs->threshold,
                          &epochs->pxap,        &epochs->miou,           &epochs->miou_threshold};
    _Static_assert(ADL_COUNT(columns) + 1 == COLUMNS, "a column each");
    for (size_t i = 0; i < ADL_COUNT(columns); i++)
        *columns[i] = block + (i + 1) * lines;
    while (*text) {
        json_t *line = adl_json_next_line(&text);
        double number = number_of(line, "epoch");
        /* A damaged line has no epoch; a line out of order would break the curves. */
        if (number >= 0 && number < 1e9 &&
            (epochs->count == 0 || number > epochs->epoch[epochs->count - 1])) {
            read_line(line, epochs->count++, epochs);
            if (json_is_true(json_object_get(line, "best")))
                epochs->best_epoch = (int)number;
        }
        json_decref(line);
    }
    return 0;
}

void adl_report_epochs_release(struct adl_report_epochs *epochs)
{
    adl_free(epochs->epoch);
    *epochs = (struct adl_report_epochs){0};
}

/* --- curves -------------------------------------------------------------------------- */

static bool has_number(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            return true;
    return false;
}

void adl_report_curves(struct adl_str *page, const struct adl_report_epochs *epochs)
{
    struct adl_chart chart = {.title = "Training loss",
                              .x_name = "epoch",
                              .x = epochs->epoch,
                              .count = epochs->count,
                              .lines = {{"loss", epochs->loss}},
                              .line_count = 1,
                              .whole_x = true,
                              .mark_x = epochs->best_epoch > 0 ? epochs->best_epoch : (double)NAN,
                              .mark_name = "best epoch"};

    adl_str_puts(page, "<section id=\"curves\"><h2>Curves</h2>\n");
    adl_html_note(page, "One point per epoch, from metrics.jsonl.");
    adl_str_puts(page, "<div class=\"charts\">\n");
    adl_chart_write(page, &chart);
    chart.title = epochs->several ? "Classification, %" : "Classification, top-1 %";
    chart.percent = true;
    chart.lines[0] =
        (struct adl_chart_line){epochs->several ? "labels, train" : "train", epochs->train_top1};
    if (has_number(epochs->val_top1, epochs->count)) {
        chart.lines[1] =
            (struct adl_chart_line){epochs->several ? "mAP, val" : "val", epochs->val_top1};
        chart.line_count = 2;
    }
    adl_chart_write(page, &chart);
    if (has_number(epochs->max_box_acc, epochs->count)) {
        chart.title = "Localization on val, %";
        chart.lines[0] = (struct adl_chart_line){"MaxBoxAcc", epochs->max_box_acc};
        chart.lines[1] = (struct adl_chart_line){"MaxBoxAccV2", epochs->max_box_acc_v2};
        chart.line_count = 2;
        adl_chart_write(page, &chart);
    }
    if (has_number(epochs->pxap, epochs->count)) {
        chart.title = "Maps against the masks of val, %";
        chart.lines[0] = (struct adl_chart_line){"PxAP", epochs->pxap};
        chart.lines[1] = (struct adl_chart_line){"mean IoU", epochs->miou};
        chart.line_count = 2;
        adl_chart_write(page, &chart);
    }
    chart.title = "Learning rate";
    chart.percent = false;
    chart.log_y = true;
    chart.lines[0] = (struct adl_chart_line){"learning rate", epochs->lr};
    chart.line_count = 1;
    adl_chart_write(page, &chart);
    adl_str_puts(page, "</div>\n");
    if (!has_number(epochs->val_top1, epochs->count))
        adl_html_note(
            page,
            "The data has no val split, so nothing was measured on images outside of training.");
    else if (!has_number(epochs->max_box_acc, epochs->count) &&
             !has_number(epochs->pxap, epochs->count))
        adl_html_note(page, "The val split has no boxes, so localization could not be measured.");
    adl_str_puts(page, "</section>\n");
}

/* --- thresholds ---------------------------------------------------------------------- */

/* Fills 1 + ADL_EVAL_IOUS rows of counts->steps values: the thresholds, then for each IoU the
 * percentage of images that are localized at each threshold. `correct` holds the number of
 * those images, by IoU and threshold. */
static void fill_percentages(const struct adl_evaluator *counts, const uint64_t *correct,
                             double *block)
{
    for (size_t step = 0; step < counts->steps; step++)
        block[step] = (double)step * counts->interval;
    for (size_t i = 0; i < ADL_EVAL_IOUS * counts->steps; i++)
        block[counts->steps + i] = 100 * (double)correct[i] / (double)counts->localized;
}

void adl_report_thresholds(struct adl_str *page, const struct adl_evaluate_report *evaluation)
{
    adl_str_puts(page, "<section id=\"thresholds\"><h2>Threshold of the map</h2>\n");
    const struct adl_evaluator *counts = evaluation ? &evaluation->counts : NULL;
    if (evaluation && !evaluation->localized && evaluation->masked) {
        adl_html_note(page,
                      "The map is cut where it exceeds a threshold. On val, the cut has the "
                      "highest mean IoU with the masks, %.1f %%, at the threshold %.3f.",
                      evaluation->masks.best_miou, evaluation->masks.best_threshold);
        adl_str_puts(page, "</section>\n");
        return;
    }
    if (!counts || !evaluation->localized || counts->localized == 0) {
        adl_html_note(page, evaluation
                                ? "The val split has no boxes, so there is no threshold to choose."
                                : "There is no evaluation of val to show here.");
        adl_str_puts(page, "</section>\n");
        return;
    }
    double *block = adl_malloc(counts->steps, (1 + ADL_EVAL_IOUS) * sizeof *block);
    page->failed |= !block;
    adl_html_note(page,
                  "A box encloses the region where the normalised map exceeds a threshold. The "
                  "curves show, for each threshold, the percentage of the %zu %s%s whose box is "
                  "right. MaxBoxAcc is the maximum at IoU 0.5 for the largest contour, MaxBoxAccV2 "
                  "the mean of the three maxima for all contours. The model keeps the threshold "
                  "%.3f.",
                  evaluation->several ? evaluation->labels : evaluation->images,
                  evaluation->several ? "label" : "image",
                  ADL_S(evaluation->several ? evaluation->labels : evaluation->images),
                  evaluation->figures.best_threshold);
    adl_str_puts(page, "<div class=\"charts\">\n");
    for (int all = 0; block && all < 2; all++) {
        size_t n = counts->steps;
        fill_percentages(counts, all ? counts->all : counts->largest, block);
        const struct adl_chart chart = {.title = all ? "All contours, % of images"
                                                     : "Largest contour, % of images",
                                        .x_name = "threshold",
                                        .x = block,
                                        .count = n,
                                        .lines = {{"IoU 0.3", block + n},
                                                  {"IoU 0.5", block + 2 * n},
                                                  {"IoU 0.7", block + 3 * n}},
                                        .line_count = 3,
                                        .percent = true,
                                        .mark_x = evaluation->figures.best_threshold,
                                        .mark_name = "chosen"};
        adl_chart_write(page, &chart);
    }
    adl_str_puts(page, "</div></section>\n");
    adl_free(block);
}

/* --- classes ------------------------------------------------------------------------- */

struct row {
    size_t class_id;
    size_t images;
    double accuracy, localization;
};

/* Orders rows by localization, then by accuracy, both ascending. */
static int compare_rows(const void *a, const void *b)
{
    const struct row *first = a, *second = b;
    if (first->localization != second->localization)
        return first->localization < second->localization ? -1 : 1;
    if (first->accuracy != second->accuracy)
        return first->accuracy < second->accuracy ? -1 : 1;
    return first->class_id < second->class_id ? -1 : 1;
}

static void put_bar(struct adl_str *page, int color, double percent)
{
    adl_str_printf(page,
                   "<td><div class=\"bar l%d\"><span>%.1f</span><i style=\"--v:%.1f%%\"></i>"
                   "</div></td>",
                   color, percent, percent);
}

static void put_table(struct adl_str *page, const struct row *rows, size_t count,
                      const struct adl_evaluate_report *evaluation, const json_t *labels)
{
    adl_str_printf(page,
                   "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>class</th>"
                   "<th class=\"num\">images</th>%s<th>%s %%</th></tr></thead><tbody>\n",
                   evaluation->localized ? "<th>localized %</th>"
                   : evaluation->masked  ? "<th>IoU %</th>"
                                         : "",
                   evaluation->several ? "AP" : "top-1");
    for (size_t i = 0; i < count; i++) {
        const char *label = json_string_value(json_array_get(labels, rows[i].class_id));
        adl_str_puts(page, "<tr><td>");
        if (label)
            adl_html_text(page, label);
        else
            adl_str_printf(page, "class %zu", rows[i].class_id);
        adl_str_printf(page, "</td><td class=\"num\">%zu</td>", rows[i].images);
        if (evaluation->localized || evaluation->masked)
            put_bar(page, 0, rows[i].localization);
        put_bar(page, 1, rows[i].accuracy);
        adl_str_puts(page, "</tr>\n");
    }
    adl_str_puts(page, "</tbody></table></div>\n");
}

/* Returns how well a class is localized, in percent: by boxes, or else by masks. */
static double localization_of(const struct adl_evaluate_report *evaluation, size_t class_id)
{
    const struct adl_evaluate_class *class = &evaluation->classes[class_id];

    if (!evaluation->localized && evaluation->masked)
        return fmax(evaluation->masks.classes[class_id].foreground, 0); /* NaN: 0 */
    return 100 * (double)class->gt_known / (double)class->images;
}

int adl_report_classes(struct adl_str *page, const struct adl_evaluate_report *evaluation,
                       const json_t *labels, struct adl_error *err)
{
    adl_str_puts(page, "<section id=\"classes\"><h2>Classes</h2>\n");
    if (!evaluation) {
        adl_html_note(page, "There is no evaluation of val to show here.");
        adl_str_puts(page, "</section>\n");
        return 0;
    }
    size_t count = 0;
    struct row *rows = adl_malloc(evaluation->class_count, sizeof *rows);
    if (!rows)
        return adl_fail_nomem(err, "the table of classes");
    for (size_t i = 0; i < evaluation->class_count; i++) {
        const struct adl_evaluate_class *class = &evaluation->classes[i];
        double images = (double)class->images;
        if (class->images == 0)
            continue;
        rows[count++] = (struct row){
            .class_id = i,
            .images = class->images,
            .accuracy = evaluation->several ? class->precision : 100 * (double)class->top1 / images,
            .localization = localization_of(evaluation, i)};
    }
    if (count)
        qsort(rows, count, sizeof *rows, compare_rows);
    if (evaluation->localized)
        adl_html_note(page,
                      "Classes that are hardest to localize come first. \"Localized\" is the "
                      "percentage of a class's images whose box has an IoU of at least 0.5 at the "
                      "threshold %.3f; \"%s\" is the %s. A class that "
                      "is recognised but not localized is recognised by its surroundings, or by a "
                      "part of the object.",
                      evaluation->counts.model_threshold, evaluation->several ? "AP" : "top-1",
                      evaluation->several ? "average precision" : "percentage that is recognised");
    else if (evaluation->masked)
        adl_html_note(page,
                      "Classes whose maps fit their masks least come first. \"IoU\" is the "
                      "intersection over union of the cut map and the mask over all pixels of a "
                      "class's images; \"top-1\" is the percentage that is recognised.");
    else
        adl_html_note(page, "Classes that are hardest to recognise come first. There are no boxes "
                            "to measure localization.");
    put_table(page, rows, count, evaluation, labels);
    adl_str_puts(page, "</section>\n");
    adl_free(rows);
    return 0;
}
