/* Writes the table of an experiment as text. */

#include "server/experiment/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/str.h"
#include "io/file.h"
#include "server/experiment/experiment_command.h"

#define NONE "–"
#define PLUS_MINUS " ± "

/* --- cells ----------------------------------------------------------------------------------- */

void adl_table_cell(struct adl_str *text, const struct adl_mean *m, int decimals)
{
    if (isnan(m->mean))
        adl_str_puts(text, NONE);
    else
        adl_str_printf(text, "%.*f", decimals, m->mean);
    if (!isnan(m->deviation))
        adl_str_printf(text, PLUS_MINUS "%.*f", decimals, m->deviation);
}

void adl_table_difference(struct adl_str *text, const struct adl_mean *m, int decimals)
{
    if (isnan(m->mean))
        adl_str_puts(text, NONE);
    else
        adl_str_printf(text, "%+.*f", decimals, m->mean);
    if (!isnan(m->deviation))
        adl_str_printf(text, PLUS_MINUS "%.*f", decimals, m->deviation / sqrt((double)m->count));
}

void adl_table_count(struct adl_str *text, double count)
{
    if (isnan(count))
        adl_str_puts(text, NONE);
    else if (count >= 1e9)
        adl_str_printf(text, "%.2f G", count / 1e9);
    else if (count >= 1e6)
        adl_str_printf(text, "%.2f M", count / 1e6);
    else if (count >= 1e4)
        adl_str_printf(text, "%.1f k", count / 1e3);
    else
        adl_str_printf(text, "%.0f", count);
}

void adl_table_seconds(struct adl_str *text, double seconds)
{
    if (isnan(seconds))
        adl_str_puts(text, NONE);
    else if (seconds < 120)
        adl_str_printf(text, "%.1f s", seconds);
    else if (seconds < 7200)
        adl_str_printf(text, "%.1f min", seconds / 60);
    else
        adl_str_printf(text, "%.1f h", seconds / 3600);
}

/* --- Markdown -------------------------------------------------------------------------------- */

/* Appends a text of the file as a cell of a table. */
static void put_text(struct adl_str *text, const char *words)
{
    for (; *words; words++)
        if (*words == '|')
            adl_str_puts(text, "\\|");
        else
            adl_str_append(text, *words == '\n' ? " " : words, 1);
}

static void put_head(struct adl_str *text, const struct adl_experiment *e, const char *second)
{
    adl_str_printf(text, "| | %s |", second);
    for (size_t i = 0; i < e->column_count; i++) {
        adl_str_puts(text, " ");
        put_text(text, e->columns[i].title);
        adl_str_puts(text, " |");
    }
    adl_str_puts(text, "\n|---|---|");
    for (size_t i = 0; i < e->column_count; i++)
        adl_str_puts(text, "---|");
    adl_str_puts(text, "\n");
}

static void put_row_title(struct adl_str *text, const struct adl_experiment *e, size_t row)
{
    adl_str_puts(text, "| ");
    put_text(text, e->rows[row].title);
    adl_str_puts(text, " |");
}

const char *adl_table_runs_by(const struct adl_experiment *e, bool several)
{
    if (!e->fold_count)
        return several ? "seeds" : "seed";
    if (e->seed_count == (size_t)e->fold_count)
        return several ? "folds" : "fold";
    return several ? "seeds and folds" : "seed and fold";
}

static void put_figures(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    bool baseline = false;

    put_head(text, e, "n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        put_row_title(text, e, row);
        adl_str_printf(text, " %zu |", adl_figures_count(f, row));
        for (size_t i = 0; i < e->column_count; i++) {
            const struct adl_mean mean = adl_figures_mean(f, row, i);
            adl_str_puts(text, " ");
            adl_table_cell(text, &mean, e->columns[i].decimals);
            adl_str_puts(text, " |");
            baseline |= !isnan(f->baselines[i]);
        }
        adl_str_puts(text, "\n");
    }
    if (!baseline)
        return;
    adl_str_puts(text, "| ");
    put_text(text, e->baseline);
    adl_str_puts(text, " | |");
    for (size_t i = 0; i < e->column_count; i++)
        if (isnan(f->baselines[i]))
            adl_str_puts(text, " |");
        else
            adl_str_printf(text, " %.*f |", e->columns[i].decimals, f->baselines[i]);
    adl_str_puts(text, "\n");
}

static void put_differences(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    bool any = false;

    for (size_t row = 0; row < e->row_count; row++) {
        size_t pairs = adl_figures_pairs(f, row);
        if (pairs == 0)
            continue;
        if (!any) {
            adl_str_puts(text, "\nDifferences to ");
            put_text(text, e->rows[e->reference].title);
            adl_str_printf(text, ", mean of the differences by %s ± its standard error:\n\n",
                           adl_table_runs_by(e, false));
            put_head(text, e, "pairs");
            any = true;
        }
        put_row_title(text, e, row);
        adl_str_printf(text, " %zu |", pairs);
        for (size_t i = 0; i < e->column_count; i++) {
            const struct adl_mean mean = adl_figures_difference(f, row, i);
            adl_str_puts(text, " ");
            adl_table_difference(text, &mean, e->columns[i].decimals);
            adl_str_puts(text, " |");
        }
        adl_str_puts(text, "\n");
    }
}

static void put_costs(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    adl_str_puts(text, "\n| | parameters | multiply-adds | training |\n|---|---|---|---|\n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        put_row_title(text, e, row);
        adl_str_puts(text, " ");
        adl_table_count(text, adl_figures_cost(f, row, ADL_COST_PARAMETERS).mean);
        adl_str_puts(text, " | ");
        adl_table_count(text, adl_figures_cost(f, row, ADL_COST_MULTIPLY_ADDS).mean);
        adl_str_puts(text, " | ");
        adl_table_seconds(text, adl_figures_cost(f, row, ADL_COST_SECONDS).mean);
        adl_str_puts(text, " |\n");
    }
    adl_str_puts(text,
                 "\nParameters and multiply-adds are those of inference, the time is the mean "
                 "of a run's epochs.\n");
}

static void put_options(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    adl_str_puts(text, "\n| | options of this row |\n|---|---|\n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        put_row_title(text, e, row);
        adl_str_puts(text, json_object_size(e->rows[row].own) ? " `" : " ");
        adl_experiment_options(e->rows[row].own, text);
        adl_str_puts(text, json_object_size(e->rows[row].own) ? "` |\n" : "|\n");
    }
    if (json_object_size(e->common)) {
        adl_str_puts(text, "\nOptions of all rows: `");
        adl_experiment_options(e->common, text);
        adl_str_puts(text, "`.\n");
    }
}

static void put_machines(struct adl_str *text, const struct adl_figures *f)
{
    const char *machine = f->machines;

    adl_str_puts(text, "\nAll runs together took ");
    if (f->seconds < 5400)
        adl_str_printf(text, "%.1f minutes", f->seconds / 60);
    else
        adl_str_printf(text, "%.1f hours", f->seconds / 3600);
    while (*machine) {
        size_t length = strcspn(machine, "\n");
        adl_str_printf(text, "%s on %.*s", machine == f->machines ? "" : "; and", (int)length,
                       machine);
        machine += length + 1;
    }
    adl_str_puts(text, ".\n");
}

void adl_table_markdown(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;
    bool any = false;

    put_figures(text, f);
    adl_str_printf(text,
                   "\nEach cell is the mean ± standard deviation over n runs with different %s.\n",
                   adl_table_runs_by(e, true));
    if (e->fold_count)
        adl_str_printf(
            text,
            "\nWhat is measured on `val` is measured on each of %d folds in turn, with "
            "the others as `train`. Folds share most of their training images, so that a "
            "standard error over folds is too small.\n",
            e->fold_count);
    for (size_t i = 0; e->notes[i]; i++)
        adl_str_printf(text, "\n%s\n", e->notes[i]);
    for (size_t row = 0; row < e->row_count; row++)
        any |= adl_figures_count(f, row) > 0;
    if (!any)
        return;
    if (!f->experiment->search_draws)
        put_differences(text, f);
    put_costs(text, f);
    put_options(text, f);
    put_machines(text, f);
}

/* --- comma-separated values ------------------------------------------------------------------ */

static void put_quoted(struct adl_str *text, const char *words, const char *more)
{
    adl_str_puts(text, "\"");
    for (const char *parts[] = {words, more, NULL}, **part = parts; *part; part++)
        for (const char *c = *part; *c; c++)
            adl_str_append(text, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    adl_str_puts(text, "\"");
}

static void put_number(struct adl_str *text, double value)
{
    adl_str_puts(text, ",");
    if (!isnan(value))
        adl_str_printf(text, "%.10g", value);
}

void adl_table_csv(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    adl_str_puts(text, "row,title,n");
    for (size_t i = 0; i < e->column_count; i++) {
        static const char *const endings[] = {"", " deviation", " difference", " difference error"};
        for (int k = 0; k < 4; k++) {
            adl_str_puts(text, ",");
            put_quoted(text, e->columns[i].title, endings[k]);
        }
    }
    adl_str_puts(text, ",parameters,multiply_adds,seconds\n");
    for (size_t row = 0; row < e->row_count; row++) {
        if (adl_figures_count(f, row) == 0)
            continue;
        adl_str_printf(text, "%s,", e->rows[row].name);
        put_quoted(text, e->rows[row].title, "");
        adl_str_printf(text, ",%zu", adl_figures_count(f, row));
        for (size_t i = 0; i < e->column_count; i++) {
            const struct adl_mean mean = adl_figures_mean(f, row, i);
            const struct adl_mean difference = adl_figures_difference(f, row, i);
            bool other = row != e->reference;
            put_number(text, mean.mean);
            put_number(text, mean.deviation);
            put_number(text, other ? difference.mean : (double)NAN);
            put_number(text,
                       other ? difference.deviation / sqrt((double)difference.count) : (double)NAN);
        }
        put_number(text, adl_figures_cost(f, row, ADL_COST_PARAMETERS).mean);
        put_number(text, adl_figures_cost(f, row, ADL_COST_MULTIPLY_ADDS).mean);
        put_number(text, adl_figures_cost(f, row, ADL_COST_SECONDS).mean);
        adl_str_puts(text, "\n");
    }
}

void adl_table_runs_csv(struct adl_str *text, const struct adl_figures *f)
{
    const struct adl_experiment *e = f->experiment;

    adl_str_printf(text, "row,seed%s", e->fold_count ? ",fold" : "");
    for (size_t i = 0; i < e->column_count; i++) {
        adl_str_puts(text, ",");
        put_quoted(text, e->columns[i].title, "");
    }
    adl_str_puts(text, ",seconds\n");
    for (size_t row = 0; row < e->row_count; row++)
        for (size_t seed = 0; seed < e->seed_count; seed++) {
            const struct adl_run_figures *run = adl_figures_at(f, row, seed);
            if (!run->complete)
                continue;
            adl_str_printf(text, "%s,%d", e->rows[row].name, e->seeds[seed]);
            if (e->fold_count)
                adl_str_printf(text, ",%d", e->folds[seed]);
            for (size_t i = 0; i < e->column_count; i++)
                put_number(text, run->values[i]);
            put_number(text, run->seconds);
            adl_str_puts(text, "\n");
        }
}

/* --- the place in another document ----------------------------------------------------------- */

/* Writes `text` with the table in its place into the file. */
static int write_document(const char *path, const char *text, const char *name, const char *table,
                          struct adl_error *err)
{
    struct adl_str out = {0};
    char begin[160], last[160];
    int result = -1;

    snprintf(begin, sizeof begin, "<!-- %s: begin", name);
    snprintf(last, sizeof last, "<!-- %s: end -->", name);
    const char *from = adl_text_line(text, begin), *to = adl_text_line(from ? from : text, last);
    if (!from != !to)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: has only one of the lines \"%s ... -->\" and \"%s\"", path, begin,
                        last);
    size_t before = from ? (size_t)(from - text) : strlen(text);
    adl_str_append(&out, text, before);
    if (!from)
        adl_str_puts(&out, before && text[before - 1] != '\n' ? "\n\n" : "\n");
    adl_str_printf(&out, "%s (written by adl-server experiment) -->\n%s%s", begin, table,
                   from ? to : last);
    adl_str_puts(&out, from ? "" : "\n");
    if (out.failed)
        adl_fail_nomem(err, "the document");
    else
        result = adl_file_write(path, &(struct adl_file_piece){out.data, out.length}, 1, err);
    adl_str_release(&out);
    return result;
}

int adl_table_put(const char *path, const char *name, const char *table, struct adl_error *err)
{
    struct adl_error unread = {0};
    char *text = adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread);

    if (!text && unread.kind != ADL_ERR_NOT_FOUND)
        return adl_fail(err, unread.kind, "%s", unread.message);
    int result = write_document(path, text ? text : "# Results\n", name, table, err);
    adl_free(text);
    return result;
}
