/* Implements `experiment`, which trains and measures the rows of a table (server/experiment/). */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "io/file.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/experiment/experiment_command.h"
#include "server/experiment/experiment_read.h"
#include "server/experiment/page.h"
#include "server/experiment/run_settings.h"
#include "server/experiment/runs.h"
#include "server/experiment/search.h"
#include "server/experiment/table.h"
#include "server/tasks/directory.h"
#include "server/training/mpi_start.h"

static int write_file(const struct adl_experiment *e, const char *name, const struct adl_str *text,
                      struct adl_error *err)
{
    struct adl_str path = {0};
    int result = -1;

    adl_str_printf(&path, "%s/%s", e->out, name);
    if (path.failed || text->failed)
        adl_fail_nomem(err, "the table");
    else
        result =
            adl_file_write(path.data, &(struct adl_file_piece){text->data, text->length}, 1, err);
    adl_str_release(&path);
    return result;
}

/* Ranks the rows of a search, reads their figures again, and writes the best settings. Some of the
 * rows alone leave the best settings of all as they are. */
static int rank(struct adl_experiment *e, struct adl_figures *figures, struct adl_error *err)
{
    struct adl_str best = {0};

    if (adl_search_rank(e, figures, err) < 0)
        return -1;
    adl_figures_release(figures);
    if (adl_figures_read(figures, e, err) < 0)
        return -1;
    if (e->partial)
        return 0;
    best.data = adl_search_best(e, figures, &best.length, err);
    int result = best.data ? write_file(e, "best.json", &best, err) : -1;
    adl_str_release(&best);
    return result;
}

/* Writes the table in all its forms, and Markdown to standard output. */
static int write_tables(struct adl_experiment *e, struct adl_error *err)
{
    struct adl_figures figures;
    struct adl_str markdown = {0}, rows = {0}, runs = {0}, page = {0};
    int result = -1;

    ADL_TRY(adl_figures_read(&figures, e, err));
    ADL_TRY(adl_make_directories(e->out, err));
    if (e->search_draws)
        ADL_TRY(rank(e, &figures, err));
    fputs(figures.left_out, stderr);
    adl_table_markdown(&markdown, &figures);
    adl_table_csv(&rows, &figures);
    adl_table_runs_csv(&runs, &figures);
    ADL_TRY(write_file(e, "table.md", &markdown, err));
    ADL_TRY(write_file(e, "table.csv", &rows, err));
    ADL_TRY(write_file(e, "runs.csv", &runs, err));
    fputs(markdown.data, stdout);
    if (e->settings->results)
        ADL_TRY(adl_table_put(e->settings->results, e->name, markdown.data, err));
    ADL_TRY(adl_experiment_page(&page, &figures, err));
    ADL_TRY(write_file(e, "table.html", &page, err));
    result = 0;
out:
    adl_str_release(&markdown);
    adl_str_release(&rows);
    adl_str_release(&runs);
    adl_str_release(&page);
    adl_figures_release(&figures);
    return result;
}

static int list(const struct adl_experiment *e, struct adl_error *err)
{
    struct adl_str text = {0};
    int result = adl_experiment_list(e, &text, err);

    if (result == 0)
        fputs(text.data, stdout);
    adl_str_release(&text);
    return result;
}

static const struct adl_command *find(const struct adl_options *options, const char *name)
{
    const struct adl_command *const *command = options->commands;
    while (strcmp((*command)->name, name) != 0)
        command++;
    return *command;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct adl_experiment_settings *s = settings;
    const struct adl_experiment_commands commands = {.train = find(options, "train"),
                                                     .calibrate = find(options, "calibrate"),
                                                     .eval = find(options, "eval"),
                                                     .info = find(options, "info")};
    struct adl_experiment e;
    /* mpirun ends all processes if one fails, so what is left to say is said by the first, which
     * has tried what another has failed at. */
    const bool follows = adl_mpi_started_rank() > 0;
    size_t failures = 0;
    int result = -1;

    ADL_TRY(adl_experiment_read(&e, options->operands[0], s, &commands, err));
    ADL_TRY(adl_run_settings_identify(&e, err));
    if (s->list) {
        result = follows ? 0 : list(&e, err);
        goto out;
    }
    if (s->results)
        ADL_TRY(adl_file_check_place(s->results, err));
    if (!s->table_only)
        ADL_TRY(adl_experiment_run(&e, &failures, err));
    if (follows) {
        result = 0;
        goto out;
    }
    ADL_TRY(write_tables(&e, err));
    if (failures)
        adl_fail(err, ADL_ERR_IO, "%zu of %zu run%s failed; the same command repeats %s", failures,
                 e.row_count * e.seed_count, ADL_S(e.row_count * e.seed_count),
                 failures == 1 ? "it" : "them");
    else
        result = 0;
out:
    adl_experiment_release(&e);
    return result;
}

static const struct adl_option table[] = {
    {"data", ADL_STRING(struct adl_experiment_settings, data), .letter = 'd', .metavar = "DIR|FILE",
     .default_note = "what FILE says", .help = "data set, in place of all paths of FILE's data"},
    {"images", ADL_STRING(struct adl_experiment_settings, images), .metavar = "DIR",
     .help = "its images, if they are not in --data"},
    {"metadata", ADL_STRING(struct adl_experiment_settings, metadata), .metavar = "DIR",
     .help = "its lists, if they are not in --data"},
    ADL_OPTION_TRUE_MASKS(struct adl_experiment_settings, masks),
    {"init", ADL_STRING(struct adl_experiment_settings, init), .metavar = "PATH",
     .help = "pretrained weights of all rows; if it is a directory, that of the files that FILE "
             "names; none: random weights"},
    {"out", ADL_STRING(struct adl_experiment_settings, out), .letter = 'o', .metavar = "DIR",
     .default_note = "FILE without .json",
     .help = "where the runs and tables are written; several processes may share it"},
    {"rows", ADL_STRING(struct adl_experiment_settings, rows), .metavar = "NAME,...",
     .default_note = "all", .help = "only these rows"},
    {"seeds", ADL_STRING(struct adl_experiment_settings, seeds), .metavar = "N,...",
     .default_note = "what FILE says", .help = "these seeds"},
    {"set", ADL_LIST(struct adl_experiment_settings, set), .metavar = "NAME=VALUE",
     .help = "an option of train for all rows, as epochs=1, which overrides FILE; NAME for a flag, "
             "NAME= leaves an option of FILE out"},
    ADL_OPTION_THREADS(struct adl_experiment_settings, .help = "number of threads of each run"),
    {"list", ADL_FLAG(struct adl_experiment_settings, list),
     .help = "print the commands that make the table, and run none"},
    {"table-only", ADL_FLAG(struct adl_experiment_settings, table_only),
     .help = "write the table of the runs that are finished"},
    {"results", ADL_STRING(struct adl_experiment_settings, results), .metavar = "FILE",
     .help = "also write the table into a Markdown file, between two comments with the name of the "
             "experiment; its other text is kept"},
    {0},
};

const struct adl_command adl_command_experiment = {
    .name = "experiment",
    .summary = "Train and measure the rows of a table",
    .usage = "[options] FILE",
    .description =
        "FILE is a JSON file that says which trainings are compared: rows, or products such as "
        "methods by architectures, with options of train, seeds, and how each trained model is "
        "calibrated and evaluated (docs/experiments). Each run has a directory OUT/ROW/seedN. What "
        "is finished is not repeated and what is unfinished is resumed, so the same command can "
        "be given until all runs are finished, also on several machines that share OUT, or by "
        "mpirun: each process takes the next row that none has, and the first writes the tables. "
        "Ctrl-C or SIGTERM saves first. table.md, table.csv, runs.csv and table.html in OUT have "
        "means and deviations over the seeds, differences to the first row, and costs; the page "
        "also curves and photographs.",
    .examples = "  adl-server experiment docs/experiments/objects104.json --data objects104 \\\n"
                "      --init mobilenet_v1.safetensors --out out\n"
                "  adl-server experiment --list docs/experiments/cub.json --init none --data cub\n"
                "  adl-server experiment --rows cam,adl --seeds 1 --set epochs=1 methods.json\n",
    .options = table,
    .min_operands = 1,
    .max_operands = 1,
    .settings_bytes = sizeof(struct adl_experiment_settings),
    .run = run,
};
