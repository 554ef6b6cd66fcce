#ifndef ADL_SERVER_EXPERIMENT_SEARCH_H
#define ADL_SERVER_EXPERIMENT_SEARCH_H

/* A random search: in place of each row there are N rows with options that are drawn at random, and
 * the table ranks them. */

#include "server/experiment/figures.h"

/* Sorts the rows of each search by the column experiment->search_column, the highest first; those
 * without a figure are last. The figures have to be read again then. Fails with ADL_ERR_NOMEM. */
int adl_search_rank(struct adl_experiment *experiment, const struct adl_figures *figures,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Returns a new experiment, whose rows are the best of each search, as JSON text, which the caller
 * frees. `figures` are those of ranked rows. Fails with ADL_ERR_NOMEM. */
char *adl_search_best(const struct adl_experiment *experiment, const struct adl_figures *figures,
                      size_t *length, struct adl_error *err) ADL_MUST_CHECK;

#endif
