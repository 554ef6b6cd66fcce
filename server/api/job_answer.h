#ifndef ADL_SERVER_API_JOB_ANSWER_H
#define ADL_SERVER_API_JOB_ANSWER_H

/* What the handlers that compute images share: what is refused before the body is read, what the
 * views of a map may cost, and what a job that failed is answered with. */

#include "server/api/server.h"

/* Refuses a request without a body, with one that is larger than --max-body, or with an encoded
 * one. Returns whether it goes on; if not, the request is answered. */
bool adl_check_body(struct adl_exchange *exchange);

/* Returns how long a map of this rule takes for `classes` classes, as a multiple of the image
 * alone. */
double adl_map_cost(const struct adl_model *model, const struct adl_map_rule *map, int classes);

/* Classes whose maps the model's own rule may always have: the page asks for so many. */
#define ADL_OWN_CLASSES 5

/* Checks that the views of a map neither take too long for `classes` classes nor too much memory.
 * What the model's own rule needs for ADL_OWN_CLASSES classes is always allowed. Fails with a
 * message for the client. */
int adl_check_views(const struct adl_server *server, const struct adl_served *served,
                    const struct adl_map_rule *map, int classes,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Answers that the queue is full, with Retry-After. */
void adl_answer_queue_full(struct adl_exchange *exchange, const char *detail);
/* Returns the problem to answer for a job that failed. */
enum adl_problem adl_job_problem(const struct adl_exchange *exchange, const struct adl_job *job);
/* Answers with a problem of a job, with Retry-After where it is one of those that pass. */
void adl_answer_job_problem(struct adl_exchange *exchange, enum adl_problem problem,
                            const char *detail);

/* Adds up what the log says about the images. */
void adl_note_job_times(struct adl_exchange *exchange, const struct adl_job *jobs, size_t count);
/* Notes how long the answer took, in the log and in the metrics. */
void adl_note_encode_time(struct adl_exchange *exchange, uint64_t begin_ns);

#endif
