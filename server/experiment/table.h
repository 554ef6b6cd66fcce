#ifndef ADL_SERVER_EXPERIMENT_TABLE_H
#define ADL_SERVER_EXPERIMENT_TABLE_H

/* The table of an experiment as Markdown, as comma-separated values and in another document. */

#include "base/str.h"
#include "server/experiment/figures.h"

/* Appends a figure as "mean ± deviation"; "–" where there is none. */
void adl_table_cell(struct adl_str *text, const struct adl_mean *mean, int decimals);
/* Appends a difference as "+mean ± standard error". */
void adl_table_difference(struct adl_str *text, const struct adl_mean *mean, int decimals);
/* Returns what the runs of a row differ in: "seed", "fold" or "seed and fold", or, of several runs,
 * "seeds" and so on. */
const char *adl_table_runs_by(const struct adl_experiment *experiment, bool several);
/* Append a count as 12.3 M, and a duration. */
void adl_table_count(struct adl_str *text, double count);
void adl_table_seconds(struct adl_str *text, double seconds);

/* Appends the table, the differences to the reference, the cost and the options of the rows as
 * Markdown. Rows without a complete run are left out. */
void adl_table_markdown(struct adl_str *text, const struct adl_figures *figures);

/* Appends a line for each row: mean, deviation, difference to the reference and its standard error
 * of each column, and the cost. An empty field is not known. */
void adl_table_csv(struct adl_str *text, const struct adl_figures *figures);
/* Appends a line for each complete run. */
void adl_table_runs_csv(struct adl_str *text, const struct adl_figures *figures);

/* Replaces what stands in the Markdown file between the lines "<!-- NAME: begin ... -->" and
 * "<!-- NAME: end -->" by `table`; all other text is kept. Both are appended to a file that lacks
 * them, and a missing file is made. Fails with ADL_ERR_IO, ADL_ERR_LIMIT and ADL_ERR_NOMEM, and
 * with ADL_ERR_FORMAT if only one of the two lines is there. */
int adl_table_put(const char *path, const char *name, const char *table,
                  struct adl_error *err) ADL_MUST_CHECK;

#endif
