#ifndef ADL_SERVER_API_JOB_PICTURES_H
#define ADL_SERVER_API_JOB_PICTURES_H

/* Localizes the pictures of a folder at the lowest priority, for one job at a time. */

#include <stdatomic.h>

#include "server/api/params.h"
#include "server/serving/job_results.h"

struct adl_server;

/* How far a job is. Any thread may read it, and set `stop`. */
struct adl_job_progress {
    _Atomic bool stop;
    _Atomic long images; /* of the folder; -1: not known yet */
    _Atomic size_t done, failed;
};

struct adl_job_task {
    struct adl_server *server;
    int root; /* the directory of --jobs */
    const char *folder;
    const struct adl_params *params;
    struct adl_job_results *results;
    struct adl_job_progress *progress;
};

/* Adds a line for each picture, in the order of their paths: what /localize answers, with "file",
 * or {"file", "error"}. Fails with ADL_ERR_CANCELLED soon after `stop` was set, and if the folder
 * cannot be listed, the model does not exist any more or the results cannot be kept. All jobs of
 * the batcher are finished when it returns. */
int adl_job_pictures_run(const struct adl_job_task *task, struct adl_error *err) ADL_MUST_CHECK;

#endif
