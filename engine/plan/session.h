#ifndef ADL_PLAN_SESSION_H
#define ADL_PLAN_SESSION_H

/* A session: the memory for one concurrent run of a plan. One thread at a
 * time; nothing is allocated while running. */

#include "base/pool.h"
#include "plan/plan.h"

struct adl_session;

/* Room for batches of up to `max_batch` images. `pool` (may be NULL) is
 * borrowed; the plan is referenced. */
struct adl_session *adl_session_create(struct adl_plan *plan, struct adl_pool *pool, int max_batch,
                                       struct adl_error *err) ADL_MUST_CHECK;
void adl_session_free(struct adl_session *session);

/* Where the caller writes image `index`'s input: H x W x 3 floats (NHWC), as
 * adl_image_to_input makes them. */
float *adl_session_input(struct adl_session *session, int index);

/* Runs images 0..batch-1. The same bits for any batch and number of threads. */
void adl_session_run(struct adl_session *session, int batch);

/* Image `index`'s output of the last run, contiguous NHWC in
 * adl_plan_output_shape; NULL where the network has no such output. Valid
 * until the next run. */
const float *adl_session_output(const struct adl_session *session, enum adl_output which,
                                int index);

/* The plan the session runs. */
const struct adl_plan *adl_session_plan(const struct adl_session *session);

/* Bytes the session holds. */
size_t adl_session_bytes(const struct adl_session *session);

/* For tests: value `id` of image `index`, the last that ran, as contiguous NHWC
 * into `out`; -1 when no step makes it. Only with ADL_PASS_PLACE disabled does
 * every value still hold what its step wrote. One thread, batch of one. */
int adl_session_value(const struct adl_session *session, int id, int index, float *out);

/* From now on runs go image by image and add the seconds of each step to
 * `seconds[step]` (adl_plan_step_count of them, borrowed); NULL ends it. */
void adl_session_profile(struct adl_session *session, double *seconds);

#endif
