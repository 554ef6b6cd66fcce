/* Prints and writes the figures of each class, and the confusion matrix.
 *
 * One table names the columns; the table on the terminal, the JSON and the CSV are made from it. */

#include "server/commands/eval_classes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/confusion.h"
#include "io/json_text.h"
#include "server/commands/eval_boxes.h"
#include "server/tasks/csv_out.h"

/* Width of the class name column. */
#define NAME_COLUMNS 32

json_t *adl_eval_number(double value, bool measured)
{
    return measured ? json_real(value) : json_null();
}

static double percent(size_t part, size_t whole)
{
    return (double)part / (double)whole * 100;
}

const char *adl_eval_class_name(const struct adl_eval_classes *classes, size_t class_id, char *text,
                                size_t size)
{
    if (classes->dataset->classes && class_id < classes->dataset->class_count)
        return classes->dataset->classes[class_id];
    if (classes->model)
        return adl_model_label(classes->model, (int)class_id, text, size);
    snprintf(text, size, "class %zu", class_id);
    return text;
}

/* --- columns ------------------------------------------------------------------------- */

enum { COLUMNS = 10 };

static const struct {
    const char *key, *head;
} columns[COLUMNS] = {
    {"top1_cls", "Top-1 Cls"},   {"top5_cls", "Top-5 Cls"},    {"gt_known_loc", "GT-known"},
    {"top1_loc", "Top-1 Loc"},   {"top5_loc", "Top-5 Loc"},    {"pxap", "PxAP"},
    {"iou_foreground", "IoU"},   {"iou_background", "IoU bg"}, {"miou", "mIoU"},
    {"average_precision", "AP"}, /* with several labels an image alone */
};

/* Fills in the figures of a class; NaN where nothing was measured. Returns whether it has images.
 */
static bool fill_row(const struct adl_evaluate_report *r, size_t class_id, double row[COLUMNS])
{
    const struct adl_evaluate_class *c = &r->classes[class_id];
    const struct {
        size_t part;
        bool measured;
    } counts[] = {{c->top1, r->classified},
                  {c->top5, r->classified},
                  {c->gt_known, r->localized},
                  {c->top1_loc, r->both},
                  {c->top5_loc, r->both}};

    for (size_t k = 0; k < COLUMNS; k++)
        row[k] = NAN;
    if (c->images == 0)
        return false;
    for (size_t k = 0; k < ADL_COUNT(counts); k++)
        if (counts[k].measured)
            row[k] = percent(counts[k].part, c->images);
    if (r->several)
        row[9] = c->precision;
    if (r->masked) {
        const struct adl_mask_class *m = &r->masks.classes[class_id];
        row[5] = m->pxap;
        row[6] = m->foreground;
        row[7] = m->background;
        row[8] = (m->foreground + m->background) / 2;
    }
    return true;
}

/* Returns whether a column has figures at all. */
static bool is_measured(const struct adl_evaluate_report *r, size_t column)
{
    return column < 2    ? r->classified
           : column == 2 ? r->localized
           : column < 5  ? r->both
           : column < 9  ? r->masked
                         : r->several;
}

/* Returns the number of columns that the files have. */
static size_t column_count(const struct adl_evaluate_report *r)
{
    return r->several ? COLUMNS : COLUMNS - 1;
}

/* --- output -------------------------------------------------------------------------- */

json_t *adl_eval_classes_json(const struct adl_eval_classes *classes)
{
    const struct adl_evaluate_report *r = classes->report;
    json_t *list = json_array();

    for (size_t i = 0; i < r->class_count; i++) {
        const struct adl_evaluate_class *c = &r->classes[i];
        double figures[COLUMNS];
        char text[40];
        if (!fill_row(r, i, figures))
            continue;
        json_t *row =
            json_pack("{s:i, s:o, s:i, s:i}", "class_id", (int)i, "label",
                      adl_json_from_text(adl_eval_class_name(classes, i, text, sizeof text)),
                      "images", (int)c->images, "errors", (int)c->errors);
        int failed = row ? 0 : -1;
        for (size_t k = 0; k < column_count(r); k++)
            failed |= json_object_set_new(row, columns[k].key,
                                          adl_eval_number(figures[k], isfinite(figures[k])));
        json_t *boxes = adl_eval_boxes_json(r, classes->dataset, (int)i, false);
        failed |= json_is_object(boxes) ? json_object_update(row, boxes) : boxes ? 0 : -1;
        json_decref(boxes);
        if (json_array_append_new(list, row) < 0 || failed) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void adl_eval_classes_print(const struct adl_eval_classes *classes)
{
    const struct adl_evaluate_report *r = classes->report;

    printf("\n%-*s %7s", NAME_COLUMNS, "class", "images");
    for (size_t k = 0; k < COLUMNS; k++)
        if (is_measured(r, k))
            printf(" %9s", columns[k].head);
    putchar('\n');
    for (size_t i = 0; i < r->class_count; i++) {
        double figures[COLUMNS];
        char text[40];
        if (!fill_row(r, i, figures))
            continue;
        printf("%-*.*s %7zu", NAME_COLUMNS, NAME_COLUMNS,
               adl_eval_class_name(classes, i, text, sizeof text), r->classes[i].images);
        for (size_t k = 0; k < COLUMNS; k++) {
            if (!is_measured(r, k))
                continue;
            if (isfinite(figures[k]))
                printf(" %9.1f", figures[k]);
            else
                printf(" %9s", "-");
        }
        putchar('\n');
    }
}

int adl_eval_classes_csv(const struct adl_eval_classes *classes, const char *path,
                         struct adl_error *err)
{
    const struct adl_evaluate_report *r = classes->report;
    struct adl_str csv = {0};

    adl_str_puts(&csv, "class_id,label,images,errors");
    for (size_t k = 0; k < column_count(r); k++)
        adl_str_printf(&csv, ",%s", columns[k].key);
    adl_str_puts(&csv, "\n");
    for (size_t i = 0; i < r->class_count; i++) {
        double figures[COLUMNS];
        char text[40];
        if (!fill_row(r, i, figures))
            continue;
        adl_str_printf(&csv, "%zu,", i);
        adl_csv_put_text(&csv, adl_eval_class_name(classes, i, text, sizeof text));
        adl_str_printf(&csv, ",%zu,%zu", r->classes[i].images, r->classes[i].errors);
        for (size_t k = 0; k < column_count(r); k++) {
            adl_str_puts(&csv, ",");
            if (isfinite(figures[k]))
                adl_str_printf(&csv, "%.12g", figures[k]);
        }
        adl_str_puts(&csv, "\n");
    }
    return adl_csv_write(&csv, path, err);
}

/* --- confusion ----------------------------------------------------------------------- */

/* Appends the row of a true class; its cells begin at *next, which moves behind them. */
static void put_counts(struct adl_str *csv, const struct adl_confusion *confusion, size_t *next,
                       int truth, size_t class_count)
{
    for (size_t k = 0; k < class_count; k++) {
        const struct adl_confusion_cell *cell = confusion->cells + *next;
        bool found =
            *next < confusion->count && cell->truth == truth && (size_t)cell->predicted == k;
        adl_str_printf(csv, ",%zu", found ? cell->images : 0);
        *next += found;
    }
    adl_str_puts(csv, "\n");
}

int adl_eval_confusion_csv(const struct adl_eval_classes *classes, const char *path,
                           struct adl_error *err)
{
    size_t class_count = classes->model->class_count, next = 0;
    struct adl_confusion confusion;
    struct adl_str csv = {0};
    char text[40];

    if (adl_confusion_count(&confusion, classes->dataset, classes->places, err) < 0)
        return -1;
    adl_str_puts(&csv, "true\\predicted");
    for (size_t k = 0; k < class_count; k++) {
        adl_str_puts(&csv, ",");
        adl_csv_put_text(&csv, adl_eval_class_name(classes, k, text, sizeof text));
    }
    adl_str_puts(&csv, "\n");
    for (size_t i = 0; i < class_count; i++) {
        adl_csv_put_text(&csv, adl_eval_class_name(classes, i, text, sizeof text));
        put_counts(&csv, &confusion, &next, (int)i, class_count);
    }
    adl_confusion_release(&confusion);
    return adl_csv_write(&csv, path, err);
}
