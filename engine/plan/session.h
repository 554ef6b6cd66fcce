#ifndef ADL_PLAN_SESSION_H
#define ADL_PLAN_SESSION_H

/* A session: the memory for running a plan on batches of images. A session is used by one
 * thread at a time (which may use a pool); several sessions may run the same plan
 * concurrently. Nothing is allocated while running. */

#include "base/pool.h"
#include "plan/plan.h"

struct adl_session;

/* Creates a session for batches of up to `max_batch` images (1 .. ADL_LIMIT_BATCH). The pool
 * (NULL: the calling thread alone) is borrowed and has to outlive the session; the session
 * keeps a reference to the plan. Returns NULL with the reason in `err` if max_batch is out of
 * range or memory runs out. */
struct adl_session *adl_session_create(struct adl_plan *plan, struct adl_pool *pool, int max_batch,
                                       struct adl_error *err) ADL_MUST_CHECK;
void adl_session_free(struct adl_session *session);

/* Returns where the caller writes the input of image `index` (0 .. max_batch-1): H x W x 3
 * floats (NHWC), as adl_image_to_input computes them. */
float *adl_session_input(struct adl_session *session, int index);

/* Runs the images 0 .. batch-1. Results are bit-identical for any batch size and number of
 * threads. */
void adl_session_run(struct adl_session *session, int batch);

/* Runs image `index` alone on the calling thread, in the memory of worker `worker` (0 .. the pool's
 * threads - 1). Several threads may do so at the same time, each with an image and a worker of its
 * own, but not while adl_session_run() runs. The same bits as from adl_session_run(). */
void adl_session_run_image(struct adl_session *session, int index, int worker);

/* Asks for a class in image `index` at the next run, for networks whose class map depends on it
 * (ops/erase.c): they then treat this class as the best. Without it, and in all other networks, an
 * image's outputs depend on the image alone. */
void adl_session_ask(struct adl_session *session, int index, int class_id);

/* Returns an output of image `index` from the last run, contiguous NHWC with the shape
 * adl_plan_output_shape; NULL if the network has no such output. Valid until the next run. */
const float *adl_session_output(const struct adl_session *session, enum adl_output which,
                                int index);

/* Computes what the features are weighted by in the map of a class of image `index` of the last
 * run, as many floats as the features have channels: the class's row of the classifier's derivative
 * at this image. For plans of which adl_plan_class_count is not 0; any thread may call it. */
void adl_session_class_weights(const struct adl_session *session, int index, size_t class_id,
                               float *weights);

/* Returns the plan that the session runs. */
const struct adl_plan *adl_session_plan(const struct adl_session *session);

/* Returns the bytes of memory that the session holds. */
size_t adl_session_bytes(const struct adl_session *session);

/* For tests and to find the ranges of maps: copies value `id` of image `index`, the last image that
 * ran, to `out` as contiguous NHWC; returns -1 if no step computes it. Values still hold what their
 * steps wrote only in a plan without ADL_PASS_PLACE, after a run of one image on one thread. */
int adl_session_value(const struct adl_session *session, int id, int index, float *out);

/* Starts profiling: from now on images run one after the other, and the seconds of each
 * step are added to seconds[step] (adl_plan_step_count elements, borrowed). NULL ends
 * it. */
void adl_session_profile(struct adl_session *session, double *seconds);

#endif
