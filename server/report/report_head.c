/* Writes the head of the report: which network was trained how, on which data and machine,
 * and the figures of its best epoch. All of it comes from run.json and metrics.jsonl. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/plural.h"

#include "server/options/method_options.h"
#include "server/report/report_parts.h"
#include "server/training/train_config.h"

static void put_fact(struct adl_str *page, const char *name, const char *value)
{
    adl_str_puts(page, "<dt>");
    adl_html_text(page, name);
    adl_str_puts(page, "</dt><dd>");
    adl_html_text(page, value);
    adl_str_puts(page, "</dd>\n");
}

static void put_fact_of(struct adl_str *page, const char *name, const char *fmt, ...)
    ADL_PRINTF(3, 4);

static void put_fact_of(struct adl_str *page, const char *name, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_fact(page, name, text);
}

static void put_tile(struct adl_str *page, const char *name, const char *unit, double value)
{
    if (isfinite(value))
        adl_str_printf(page, "<div class=\"tile\"><b>%.*f%s</b><span>%s</span></div>\n",
                       *unit ? 1 : 3, value, unit, name);
}

/* Appends the figures of the best epoch; nothing before there is one. */
static void put_tiles(struct adl_str *page, const struct adl_report_epochs *epochs)
{
    size_t best = 0;
    while (best < epochs->count && epochs->epoch[best] != epochs->best_epoch)
        best++;
    if (best == epochs->count)
        return;
    adl_str_printf(page,
                   "<div class=\"tiles\">\n<div class=\"tile\"><b>%d</b>"
                   "<span>best epoch</span></div>\n",
                   epochs->best_epoch);
    put_tile(page, "MaxBoxAccV2", " %", epochs->max_box_acc_v2[best]);
    put_tile(page, "MaxBoxAcc", " %", epochs->max_box_acc[best]);
    put_tile(page, "PxAP", " %", epochs->pxap[best]);
    put_tile(page, "mean IoU", " %", epochs->miou[best]);
    put_tile(page, epochs->several ? "mAP, val" : "top-1, val", " %", epochs->val_top1[best]);
    put_tile(page, epochs->several ? "labels, train" : "top-1, train", " %",
             epochs->train_top1[best]);
    put_tile(page, "threshold", "",
             isfinite(epochs->threshold[best]) ? epochs->threshold[best]
                                               : epochs->miou_threshold[best]);
    adl_str_puts(page, "</div>\n");
}

/* Names the measure that chose the best epoch, as adl_train_measure() takes it. */
static const char *measure_of(const struct adl_run_record *record,
                              const struct adl_report_epochs *epochs)
{
    if (record->val_images == 0)
        return "the last one: there is no val split";
    if (record->val_boxes)
        return "by MaxBoxAccV2 on val";
    if (epochs->count > 0 && isfinite(epochs->pxap[epochs->count - 1]))
        return "by PxAP on val";
    return epochs->several ? "by mean average precision on val" : "by top-1 on val";
}

static void put_time(struct adl_str *page, const struct adl_report_epochs *epochs)
{
    double seconds = 0;
    for (size_t i = 0; i < epochs->count; i++)
        seconds += isfinite(epochs->seconds[i]) ? epochs->seconds[i] : 0;
    if (seconds < 120)
        put_fact_of(page, "Training took", "%.1f s", seconds);
    else if (seconds < 7200)
        put_fact_of(page, "Training took", "%.0f min", seconds / 60);
    else
        put_fact_of(page, "Training took", "%.1f h", seconds / 3600);
}

/* Appends every setting that affects the result; nested ones are named "outer inner". */
static void put_settings(struct adl_str *page, const char *prefix, const json_t *settings)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? " " : "", key);
        if (json_is_object(value))
            put_settings(page, name, value);
        else
            put_fact(page, name, adl_train_config_text(key, value).text);
    }
}

/* Appends the methods and what differs in their options from the defaults. */
static void put_method(struct adl_str *page, const json_t *config)
{
    const char *name = json_string_value(json_object_get(config, "method"));
    union adl_method_value values[ADL_METHOD_VALUES], defaults[ADL_METHOD_VALUES];
    const struct adl_method_option *option;
    struct adl_str text = {0};

    adl_method_recall(config, values);
    adl_method_defaults(defaults);
    adl_str_puts(&text, name ? name : "unknown");
    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++) {
        if (option->kind == ADL_METHOD_NUMBER && fabs(values[i].number - defaults[i].number) > 0)
            adl_str_printf(&text, ", %s %g", option->name, values[i].number);
        else if (option->kind == ADL_METHOD_INTEGER && values[i].integer != defaults[i].integer)
            adl_str_printf(&text, ", %s %d", option->name, values[i].integer);
        else if (option->kind == ADL_METHOD_CHOICE && values[i].integer != defaults[i].integer)
            adl_str_printf(&text, ", %s %s", option->name, option->choices[values[i].integer]);
        else if (option->kind == ADL_METHOD_FLAG && values[i].flag)
            adl_str_printf(&text, ", %s", option->name);
    }
    put_fact(page, "Method", text.data ? text.data : "");
    page->failed |= text.failed;
    adl_str_release(&text);
}

void adl_report_head(struct adl_str *page, const struct adl_run_record *record,
                     const struct adl_report_epochs *epochs)
{
    const char *method = json_string_value(json_object_get(record->config, "method"));
    int done = epochs->count ? (int)epochs->epoch[epochs->count - 1] : 0;

    adl_str_puts(page, "<header id=\"run\"><h1>Training report</h1>\n<p class=\"sub\">");
    adl_html_text(page, record->network);
    adl_str_printf(page, "%s: %d of %d epoch%s</p>\n",
                   !method || !strcmp(method, adl_methods[0]->name) ? ", without a method" : "",
                   done, record->epochs, ADL_S(record->epochs));
    put_tiles(page, epochs);
    adl_str_puts(page, "<code class=\"command\">");
    adl_html_text(page, record->command);
    adl_str_puts(page, "</code>\n<dl>\n");
    put_fact(page, "Network", record->network);
    put_method(page, record->config);
    put_fact(page, "Data", record->data);
    put_fact_of(page, "Images", "%zu to train on, %zu to validate, %zu class%s",
                record->train_images, record->val_images, record->classes, ADL_ES(record->classes));
    if (epochs->best_epoch)
        put_fact_of(page, "Best epoch", "%d, %s", epochs->best_epoch, measure_of(record, epochs));
    put_time(page, epochs);
    put_fact_of(page, "Seed", "%.0f", json_number_value(json_object_get(record->config, "seed")));
    put_fact_of(page, "Program", "%.60s, %.30s path, %d thread%s", record->program,
                record->cpu_path, record->threads, ADL_S(record->threads));
    put_fact(page, "Processor", record->processor);
    put_fact_of(page, "BLAS", "%.100s, %.60s", record->blas_version, record->blas_threading);
    adl_str_puts(page, "</dl>\n<details><summary>All settings</summary><dl>\n");
    put_settings(page, "", record->config);
    adl_str_puts(page, "</dl></details></header>\n");
}
