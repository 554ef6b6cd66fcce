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

/* One class's activation map of image `index`: h x w of the features, summed
 * over channels (or the class's channel of a class map), not normalised. */
void adl_session_cam(const struct adl_session *session, int index, int class_id, float *cam);

/* Bytes the session holds. */
size_t adl_session_bytes(const struct adl_session *session);

/* For tests, with every pass that hides values disabled: value `id` of image
 * `index` in the last run as contiguous NHWC into `out`; -1 when the plan does
 * not keep it. */
int adl_session_value(const struct adl_session *session, int id, int index, float *out);

/* Seconds spent in each step when profiling is on: adds to `seconds[step]`. */
void adl_session_profile(struct adl_session *session, double *seconds);

#endif
