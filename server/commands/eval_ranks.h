#ifndef ADL_SERVER_COMMANDS_EVAL_RANKS_H
#define ADL_SERVER_COMMANDS_EVAL_RANKS_H

/* What `eval` does under mpirun: the processes ("ranks") share the images, and rank 0 prints and
 * writes what one process would. */

#include "eval/evaluate.h"
#include "train/exchange.h"

/* Fails with ADL_ERR_ARG on a rank that has another program, processor path, command line, model
 * file (NULL: none) or data than rank 0. `exchange` may be NULL, here and below: one process. */
int adl_eval_ranks_compare(const struct adl_exchange *exchange, const char *command_line,
                           const char *model_path, const struct adl_dataset *dataset,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether this rank measures anything, and sets which part. What cannot be divided is left
 * to rank 0, which says so on standard error. */
bool adl_eval_ranks_take(const struct adl_exchange *exchange, const struct adl_dataset *dataset,
                         struct adl_evaluate_options *options);

/* Waits until rank 0 has written everything. To be called by all ranks, by rank 0 then. */
int adl_eval_ranks_wait(const struct adl_exchange *exchange, struct adl_error *err) ADL_MUST_CHECK;

#endif
