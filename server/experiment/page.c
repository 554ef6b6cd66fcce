/* Writes the page about an experiment, with the parts of the report of a training run. */

#include "server/experiment/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "io/file.h"
#include "server/experiment/experiment_command.h"
#include "server/experiment/gallery.h"
#include "server/experiment/table.h"
#include "server/report/report_parts.h"

/* A difference of more standard errors is printed in the colour of text, others are greyed. */
#define SURE 2

/* Appends Markdown as text: what stands between backticks as code. */
static void put_markdown(struct adl_str *page, const char *text)
{
    bool code = false;

    while (*text) {
        size_t length = strcspn(text, "`");
        char *part = adl_strndup(text, length);
        if (part)
            adl_html_text(page, part);
        page->failed |= !part;
        adl_free(part);
        text += length;
        if (*text == '`' && (code || strchr(text + 1, '`'))) {
            adl_str_puts(page, code ? "</code>" : "<code>");
            code = !code;
        } else if (*text) {
            adl_str_puts(page, "`");
        }
        text += *text == '`';
    }
}

static void put_head(struct adl_str *page, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    size_t done = 0, all = e->row_count * e->seed_count;
    size_t folds = e->fold_count ? (size_t)e->fold_count : 1, seeds = e->seed_count / folds;

    for (size_t row = 0; row < e->row_count; row++)
        done += adl_figures_count(f, row);
    adl_str_puts(page, "<header id=\"experiment\"><h1>");
    adl_html_text(page, e->title);
    adl_str_printf(page, "</h1>\n<p class=\"sub\">%zu row%s, %zu seed%s", e->row_count,
                   ADL_S(e->row_count), seeds, ADL_S(seeds));
    if (folds > 1)
        adl_str_printf(page, ", %zu folds", folds);
    adl_str_printf(page, ": %zu of %zu run%s finished</p>\n", done, all, ADL_S(all));
    for (size_t i = 0; e->notes[i]; i++) {
        adl_str_puts(page, "<p class=\"note\">");
        put_markdown(page, e->notes[i]);
        adl_str_puts(page, "</p>\n");
    }
    adl_str_puts(page, "</header>\n");
}

/* --- tables ---------------------------------------------------------------------------------- */

static void put_columns(struct adl_str *page, const struct adl_experiment *e, const char *second)
{
    adl_str_printf(page,
                   "<div class=\"wide-table\"><table><thead><tr><th></th>"
                   "<th class=\"num\">%s</th>",
                   second);
    for (size_t i = 0; i < e->column_count; i++) {
        adl_str_puts(page, "<th class=\"num\">");
        adl_html_text(page, e->columns[i].title);
        adl_str_puts(page, "</th>");
    }
    adl_str_puts(page, "</tr></thead><tbody>\n");
}

static void put_title(struct adl_str *page, const char *title, size_t count)
{
    adl_str_puts(page, "<tr><td>");
    adl_html_text(page, title);
    adl_str_puts(page, "</td><td class=\"num\">");
    if (count)
        adl_str_printf(page, "%zu", count);
    adl_str_puts(page, "</td>");
}

/* Returns the highest mean of a column; NaN if there is none. */
static double best_of(const struct adl_figures *f, size_t column)
{
    double best = (double)NAN;
    for (size_t row = 0; row < f->experiment->row_count; row++)
        best = fmax(best, adl_figures_mean(f, row, column).mean);
    return best;
}

static void put_figures(struct adl_str *page, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    bool baseline = false;

    adl_str_puts(page, "<section id=\"table\"><h2>Figures</h2>\n");
    adl_html_note(
        page,
        "Mean ± standard deviation over n runs with different %s; the highest mean of each "
        "column is bold.",
        adl_table_runs_by(e, true));
    put_columns(page, e, "n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        put_title(page, e->rows[row].title, adl_figures_count(f, row));
        for (size_t i = 0; i < e->column_count; i++) {
            const struct adl_mean mean = adl_figures_mean(f, row, i);
            adl_str_printf(page, "<td class=\"num%s\">", mean.mean >= best_of(f, i) ? " best" : "");
            adl_table_cell(page, &mean, e->columns[i].decimals);
            adl_str_puts(page, "</td>");
            baseline |= !isnan(f->baselines[i]);
        }
        adl_str_puts(page, "</tr>\n");
    }
    if (baseline) {
        put_title(page, e->baseline, 0);
        for (size_t i = 0; i < e->column_count; i++)
            if (isnan(f->baselines[i]))
                adl_str_puts(page, "<td></td>");
            else
                adl_str_printf(page, "<td class=\"num\">%.*f</td>", e->columns[i].decimals,
                               f->baselines[i]);
        adl_str_puts(page, "</tr>\n");
    }
    adl_str_puts(page, "</tbody></table></div></section>\n");
}

static void put_difference(struct adl_str *page, const struct adl_mean *m, int decimals)
{
    bool sure = m->count > 1 && fabs(m->mean) > SURE * m->deviation / sqrt((double)m->count);

    adl_str_printf(page, "<td class=\"num %s\">", sure ? "sure" : "unsure");
    adl_table_difference(page, m, decimals);
    adl_str_puts(page, "</td>");
}

static void put_differences(struct adl_str *page, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    if (e->search_draws || adl_figures_count(f, e->reference) == 0 || e->row_count < 2)
        return;
    adl_str_puts(page, "<section id=\"differences\"><h2>Differences to ");
    adl_html_text(page, e->rows[e->reference].title);
    adl_str_puts(page, "</h2>\n");
    adl_html_note(page,
                  "Mean of the differences by %s ± its standard error; those within %d standard "
                  "errors, or of a single one, are grey.",
                  adl_table_runs_by(e, false), SURE);
    put_columns(page, e, "pairs");
    for (size_t row = 0; row < e->row_count; row++) {
        size_t pairs = adl_figures_pairs(f, row);
        if (pairs == 0)
            continue;
        put_title(page, e->rows[row].title, pairs);
        for (size_t i = 0; i < e->column_count; i++) {
            const struct adl_mean mean = adl_figures_difference(f, row, i);
            put_difference(page, &mean, e->columns[i].decimals);
        }
        adl_str_puts(page, "</tr>\n");
    }
    adl_str_puts(page, "</tbody></table></div></section>\n");
}

static void put_costs(struct adl_str *page, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    double longest = 0;

    for (size_t row = 0; row < e->row_count; row++)
        longest = fmax(longest, adl_figures_cost(f, row, ADL_COST_SECONDS).mean);
    adl_str_puts(page, "<section id=\"cost\"><h2>Cost</h2>\n");
    adl_html_note(page, "Parameters and multiply-adds at inference; the time is the mean of a "
                        "run's epochs.");
    adl_str_puts(page, "<div class=\"wide-table\"><table><thead><tr><th></th>"
                       "<th class=\"num\">parameters</th><th class=\"num\">multiply-adds</th>"
                       "<th>training</th></tr></thead><tbody>\n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        double seconds = adl_figures_cost(f, row, ADL_COST_SECONDS).mean;
        adl_str_puts(page, "<tr><td>");
        adl_html_text(page, e->rows[row].title);
        adl_str_puts(page, "</td><td class=\"num\">");
        adl_table_count(page, adl_figures_cost(f, row, ADL_COST_PARAMETERS).mean);
        adl_str_puts(page, "</td><td class=\"num\">");
        adl_table_count(page, adl_figures_cost(f, row, ADL_COST_MULTIPLY_ADDS).mean);
        adl_str_printf(page, "</td><td><div class=\"bar l0\"><i style=\"--v:%.1f%%\"></i><span>",
                       seconds > 0 && longest > 0 ? 100 * seconds / longest : 0);
        adl_table_seconds(page, seconds);
        adl_str_puts(page, "</span></div></td></tr>\n");
    }
    adl_str_puts(page, "</tbody></table></div></section>\n");
}

static void put_options(struct adl_str *page, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    adl_str_puts(page, "<section id=\"options\"><h2>Options</h2>\n<p>Of all rows:</p>"
                       "<code class=\"command\">");
    for (size_t row = 0; row <= e->row_count; row++) {
        struct adl_str text = {0};
        adl_experiment_options(row ? e->rows[row - 1].own : e->common, &text);
        if (row) {
            adl_str_puts(page, "<tr><td>");
            adl_html_text(page, e->rows[row - 1].title);
            adl_str_puts(page, "</td><td><code>");
        }
        adl_html_text(page, text.data ? text.data : "");
        adl_str_puts(page, row ? "</code></td></tr>\n"
                               : "</code>\n<div class=\"wide-table\"><table><tbody>\n");
        page->failed |= text.failed;
        adl_str_release(&text);
    }
    adl_str_puts(page, "</tbody></table></div></section>\n");
}

/* --- learning curves ------------------------------------------------------------------------- */

/* What is drawn of each epoch. */
enum quantity { LOSS, TRAIN_TOP1, VAL_TOP1, VAL_LOC, QUANTITIES };

/* Sums over the seeds of a row, by quantity and epoch. */
struct curves {
    size_t rows, epochs;
    double *sums, *counts; /* [quantity][row][epoch]; the former become means */
    double *x;             /* numbers of the epochs */
};

static double *at(const struct curves *c, double *values, int quantity, size_t row)
{
    return values + ((size_t)quantity * c->rows + row) * c->epochs;
}

/* Reads metrics.jsonl of a run; without the file there are no epochs. */
static int read_epochs(const struct adl_experiment *e, size_t row, size_t seed,
                       struct adl_report_epochs *epochs, struct adl_error *err)
{
    struct adl_arena arena = {0};
    struct adl_error unread = {0};
    const char *path = adl_experiment_path(e, row, seed, ADL_RUN_METRICS, &arena, err);
    char *text = path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread) : NULL;
    int result = path ? adl_report_epochs_parse(text ? text : "", epochs, err) : -1;

    adl_free(text);
    adl_arena_release(&arena);
    return result;
}

/* Adds a run to the sums of its row. */
static void add_run(struct curves *c, size_t row, const struct adl_report_epochs *epochs)
{
    for (size_t i = 0; i < epochs->count; i++) {
        const double loc =
            isnan(epochs->max_box_acc_v2[i]) ? epochs->pxap[i] : epochs->max_box_acc_v2[i];
        const double values[QUANTITIES] = {epochs->loss[i], epochs->train_top1[i],
                                           epochs->val_top1[i], loc};
        size_t epoch = (size_t)epochs->epoch[i] - 1;
        for (int q = 0; q < QUANTITIES && epoch < c->epochs; q++)
            if (isfinite(values[q])) {
                at(c, c->sums, q, row)[epoch] += values[q];
                at(c, c->counts, q, row)[epoch]++;
            }
    }
}

/* Makes the means of runs that were read, one row after the other. */
static int make_means(struct curves *c, const struct adl_report_epochs *runs, size_t seeds,
                      struct adl_error *err)
{
    size_t count;

    for (size_t i = 0; i < c->rows * seeds; i++)
        if (runs[i].count)
            c->epochs = ADL_MAX(c->epochs, (size_t)runs[i].epoch[runs[i].count - 1]);
    if (c->epochs > ADL_LIMIT_METRICS_BYTES / 64 ||
        adl_size_mul(QUANTITIES * c->rows, c->epochs, &count) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "the runs have too many epochs to draw");
    double *block = adl_calloc(2 * count + c->epochs + 1, sizeof *block);
    if (!block)
        return adl_fail_nomem(err, "the curves");
    c->sums = block;
    c->counts = block + count;
    c->x = block + 2 * count;
    for (size_t i = 0; i < c->rows * seeds; i++)
        add_run(c, i / seeds, &runs[i]);
    for (size_t i = 0; i < count; i++)
        c->sums[i] = c->counts[i] > 0 ? c->sums[i] / c->counts[i] : (double)NAN;
    for (size_t i = 0; i < c->epochs; i++)
        c->x[i] = (double)(i + 1);
    return 0;
}

static int make_curves(struct curves *c, const struct adl_experiment *e, struct adl_error *err)
{
    size_t count = c->rows * e->seed_count, read = 0;
    struct adl_report_epochs *runs = adl_calloc(count, sizeof *runs);

    if (!runs)
        return adl_fail_nomem(err, "the curves");
    while (read < count &&
           read_epochs(e, read / e->seed_count, read % e->seed_count, &runs[read], err) == 0)
        read++;
    int result = read == count ? make_means(c, runs, e->seed_count, err) : -1;
    for (size_t i = 0; i < count; i++)
        adl_report_epochs_release(&runs[i]);
    adl_free(runs);
    return result;
}

static int put_curves(struct adl_str *page, const struct adl_figures *f, struct adl_error *err)
{
    static const char *const titles[QUANTITIES] = {"Training loss", "Top-1 on train, %",
                                                   "Top-1 on val, %", "Localization on val, %"};
    const struct adl_experiment *e = f->experiment;
    struct curves c = {.rows = ADL_MIN(e->row_count, ADL_CHART_LINES)};
    int result = make_curves(&c, e, err);

    adl_str_puts(page, "<section id=\"curves\"><h2>Learning curves</h2>\n");
    adl_html_note(page,
                  "Mean over the runs of a row. Localization is MaxBoxAccV2, or PxAP with masks.%s",
                  c.rows < e->row_count ? " Only the first rows are drawn." : "");
    adl_str_puts(page, "<div class=\"charts\">\n");
    for (int q = 0; result == 0 && q < QUANTITIES; q++) {
        struct adl_chart chart = {.title = titles[q],
                                  .x_name = "epoch",
                                  .x = c.x,
                                  .count = c.epochs,
                                  .line_count = c.rows,
                                  .percent = q != LOSS,
                                  .whole_x = true,
                                  .mark_x = (double)NAN};
        for (size_t row = 0; row < c.rows; row++)
            chart.lines[row] = (struct adl_chart_line){e->rows[row].title, at(&c, c.sums, q, row)};
        adl_chart_write(page, &chart);
    }
    adl_str_puts(page, "</div></section>\n");
    adl_free(c.sums);
    return result;
}

/* --- the page -------------------------------------------------------------------------------- */

int adl_experiment_page(struct adl_str *page, const struct adl_figures *f, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;

    adl_html_start(page, e->title);
    put_head(page, f);
    put_figures(page, f);
    put_differences(page, f);
    put_costs(page, f);
    if (put_curves(page, f, err) < 0)
        return -1;
    if (e->gallery_images) {
        adl_str_puts(page, "<section id=\"gallery\"><h2>The same photographs under every row</h2>\n"
                           "<p class=\"note\">Each is overlaid with the map of its true class, as "
                           "the model of the first run makes it; <i class=\"sample\"></i>predicted "
                           "box <i class=\"sample dashed\"></i>true box. The percentage is the "
                           "probability of the true class.</p>\n");
        if (adl_experiment_gallery(page, f, err) < 0)
            return -1;
        adl_str_puts(page, "</section>\n");
    }
    put_options(page, f);
    adl_html_end(page);
    return page->failed ? adl_fail_nomem(err, "the page") : 0;
}
