#ifndef ADL_SERVER_API_FOLDER_JOBS_H
#define ADL_SERVER_API_FOLDER_JOBS_H

/* The jobs of serve --jobs: folders whose pictures are localized one after the other, while nobody
 * waits on the connection. One thread does one job at a time, in the order in which they came.
 * Jobs are known by random ids, and only to the token that made them. All functions are
 * thread-safe. */

#include <jansson.h>
#include <stdint.h>

#include "server/api/params.h"
#include "server/http/problem.h"
#include "server/serving/metrics.h"

struct adl_folder_jobs;
struct adl_server;

#define ADL_FOLDER_JOB_ID_BYTES 32 /* hexadecimal digits of 128 random bits */

/* Opens the directory of --jobs, for at most `most` jobs. Fails with ADL_ERR_NOT_FOUND, ADL_ERR_ARG
 * (no directory), ADL_ERR_IO or ADL_ERR_NOMEM. */
struct adl_folder_jobs *adl_folder_jobs_open(struct adl_server *server, const char *dir,
                                             size_t most, struct adl_error *err) ADL_MUST_CHECK;
/* Starts the thread, when the server has a batcher. Fails with ADL_ERR_NOMEM. */
int adl_folder_jobs_start(struct adl_folder_jobs *jobs, struct adl_error *err) ADL_MUST_CHECK;
/* Cancels all jobs and takes no more. NULL is ignored, here and below. */
void adl_folder_jobs_stop(struct adl_folder_jobs *jobs);
/* Joins the thread after that; returns false if it has not ended within `ms`, as on a file system
 * that hangs: then nothing that it uses may be freed. */
bool adl_folder_jobs_finish(struct adl_folder_jobs *jobs, unsigned ms) ADL_MUST_CHECK;
void adl_folder_jobs_free(struct adl_folder_jobs *jobs);

/* Returns the directory, for job_folder.h. */
int adl_folder_jobs_root(const struct adl_folder_jobs *jobs);

/* What a client asks for; the texts and the JSON are copied. */
struct adl_folder_job_request {
    const char *owner; /* who may see it: the digest of a token; "": there are no tokens */
    const char *folder;
    const struct adl_params *params;
    const json_t *parameters; /* as they were given */
};

/* Adds a job; *job becomes its description, which the caller releases, and `id` its id. When there
 * are as many jobs as may be, one that has ended goes, one of the owner's first. Returns the
 * problem if there is none, or no memory, with a sentence for the client and, for Retry-After,
 * *wait_s. */
enum adl_problem adl_folder_jobs_add(struct adl_folder_jobs *jobs,
                                     const struct adl_folder_job_request *request, json_t **job,
                                     char id[ADL_FOLDER_JOB_ID_BYTES + 1], unsigned *wait_s,
                                     struct adl_error *err);

/* Return {"jobs": [...]}, or the description of one, NULL when out of memory; *found says whether
 * the owner has such a job. */
json_t *adl_folder_jobs_list(struct adl_folder_jobs *jobs, const char *owner) ADL_MUST_CHECK;
json_t *adl_folder_jobs_describe(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                                 bool *found) ADL_MUST_CHECK;

/* Cancels a job that has not ended, and *job becomes its description, NULL when out of memory; or
 * forgets one that has, and says so. Returns whether the owner has such a job. */
bool adl_folder_jobs_delete(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                            bool *forgotten, json_t **job);

/* Opens the lines of a job as adl_job_results_open() does. Fails with ADL_ERR_NOT_FOUND if the
 * owner has no such job. *length is 0, and *fd is -1, before it begins. */
int adl_folder_jobs_results(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                            size_t from, int *fd, uint64_t *offset, size_t *length,
                            struct adl_error *err) ADL_MUST_CHECK;

/* Counts the jobs in each state. */
void adl_folder_jobs_count(struct adl_folder_jobs *jobs, size_t counts[ADL_JOB_STATES]);

#endif
