#ifndef ADL_SERVER_EXPERIMENT_PAGE_H
#define ADL_SERVER_EXPERIMENT_PAGE_H

/* The page about an experiment: the table, the differences, the costs, the learning curves of all
 * rows, and the same photographs under each row. One file without scripts, as the report of a
 * training run. */

#include "base/str.h"
#include "server/experiment/figures.h"

/* Appends the page. What cannot be read for the curves and the photographs is left out with a note
 * or a line on standard error. Fails with ADL_ERR_NOMEM. */
int adl_experiment_page(struct adl_str *page, const struct adl_figures *figures,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
