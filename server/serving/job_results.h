#ifndef ADL_SERVER_SERVING_JOB_RESULTS_H
#define ADL_SERVER_SERVING_JOB_RESULTS_H

/* The lines that a job has answered so far, in a file without a name: they take disk, and no memory
 * but eight bytes each, may be read while others are added, and are gone with the process. All
 * functions are thread-safe. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_job_results;

/* Returns the directory of such files: TMPDIR, or /tmp. */
const char *adl_job_results_folder(void);

/* Makes a file there. Fails with ADL_ERR_IO or ADL_ERR_NOMEM. */
struct adl_job_results *adl_job_results_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_job_results_free(struct adl_job_results *results); /* NULL is ignored */

/* Adds a line, without its line feed, for one thread at a time. Fails with ADL_ERR_LIMIT if all
 * lines would have more than ADL_LIMIT_JOB_RESULT_BYTES, with ADL_ERR_IO and with ADL_ERR_NOMEM;
 * then the line is not added. */
int adl_job_results_add(struct adl_job_results *results, const char *line, size_t length,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Returns the number of lines. */
size_t adl_job_results_count(struct adl_job_results *results);

/* Opens the lines from number `from` (0: all) to the last one: the descriptor, which the caller
 * closes, and where they are in the file. Fails with ADL_ERR_IO if there are too many open
 * files. */
int adl_job_results_open(struct adl_job_results *results, size_t from, int *fd, uint64_t *offset,
                         size_t *length, struct adl_error *err) ADL_MUST_CHECK;

#endif
