/* A session's memory is one block:
 *
 *   input x max_batch | outputs x max_batch | (arena | shared | scratch) x workers
 *
 * There are two ways to use several threads. As long as there are at least as many images
 * left as threads, each thread runs a whole image in an arena of its own: nothing has to be
 * synchronised, but the weights are read by every thread. The remaining images run one after
 * the other, each step divided among all threads, which is what a single image needs. Either
 * way, each output is computed by the same operations in the same order, so the results are
 * bit-identical. */

#include "plan/session.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "kernels/blas.h"
#include "kernels/conv.h"
#include "plan/ir.h"

struct adl_session {
    struct adl_plan *plan;
    struct adl_pool *pool;
    int max_batch;
    int workers;
    float *block;
    size_t block_floats;
    size_t worker_floats; /* arena, shared and scratch */
    double *seconds;      /* per executed step while profiling, else NULL */
    int *asked;           /* of each image, the class that is asked for; -1: none */
};

static size_t session_space(const struct adl_session *session, enum plan_space which)
{
    return session->plan->space_floats[which];
}

static float *session_input(const struct adl_session *session, int index)
{
    return session->block + (size_t)index * session_space(session, PLAN_SPACE_INPUT);
}

static float *session_outputs(const struct adl_session *session, int index)
{
    return session->block + (size_t)session->max_batch * session_space(session, PLAN_SPACE_INPUT) +
           (size_t)index * session_space(session, PLAN_SPACE_OUTPUT);
}

static float *session_arena(const struct adl_session *session, int worker)
{
    return session_outputs(session, session->max_batch) + (size_t)worker * session->worker_floats;
}

static float *session_shared(const struct adl_session *session, int worker)
{
    return session_arena(session, worker) + session_space(session, PLAN_SPACE_ARENA);
}

static float *session_scratch(const struct adl_session *session, int worker)
{
    return session_shared(session, worker) + session_space(session, PLAN_SPACE_SHARED);
}

static int session_size_block(struct adl_session *session, struct adl_error *err)
{
    size_t inputs, outputs, arenas, total;
    const struct adl_plan *plan = session->plan;
    if (adl_size_add(session_space(session, PLAN_SPACE_ARENA), plan->scratch_floats,
                     &session->worker_floats) < 0 ||
        adl_size_add(session->worker_floats, session_space(session, PLAN_SPACE_SHARED),
                     &session->worker_floats) < 0 ||
        adl_size_round_up(session->worker_floats, ADL_LINE_FLOATS, &session->worker_floats) < 0 ||
        adl_size_mul(session_space(session, PLAN_SPACE_INPUT), (size_t)session->max_batch,
                     &inputs) < 0 ||
        adl_size_mul(session_space(session, PLAN_SPACE_OUTPUT), (size_t)session->max_batch,
                     &outputs) < 0 ||
        adl_size_mul(session->worker_floats, (size_t)session->workers, &arenas) < 0 ||
        adl_size_add(inputs, outputs, &total) < 0 || adl_size_add(total, arenas, &total) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "a batch of %d image%s is too large",
                        session->max_batch, ADL_S(session->max_batch));
    session->block_floats = total;
    return 0;
}

/* Whether a convolution goes through OpenBLAS. */
static bool plan_calls_blas(const struct adl_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].algorithm == &adl_conv_blas)
            return true;
    return false;
}

struct adl_session *adl_session_create(struct adl_plan *plan, struct adl_pool *pool, int max_batch,
                                       struct adl_error *err)
{
    if (max_batch < 1 || max_batch > ADL_LIMIT_BATCH) {
        adl_fail(err, ADL_ERR_ARG, "a batch is 1 to %d images, not %d", ADL_LIMIT_BATCH, max_batch);
        return NULL;
    }
    struct adl_session *session = adl_calloc(1, sizeof *session);
    if (!session) {
        adl_fail_nomem(err, "a session");
        return NULL;
    }
    session->plan = adl_plan_ref(plan);
    session->pool = pool;
    session->max_batch = max_batch;
    session->workers = adl_pool_threads(pool);
    if (session_size_block(session, err) < 0)
        goto failed;
    if (plan_calls_blas(plan) && adl_blas_reserve(session->workers, err) < 0)
        goto failed;
    session->block = adl_malloc(session->block_floats, sizeof *session->block);
    session->asked = adl_malloc((size_t)max_batch, sizeof *session->asked);
    if (!session->block || !session->asked) {
        adl_fail_nomem(err, "a session");
        goto failed;
    }
    for (int i = 0; i < max_batch; i++)
        session->asked[i] = -1;
    adl_mem_large_pages(session->block, session->block_floats * sizeof *session->block);
    return session;
failed:
    adl_session_free(session);
    return NULL;
}

void adl_session_free(struct adl_session *session)
{
    if (!session)
        return;
    adl_free(session->block);
    adl_free(session->asked);
    adl_plan_unref(session->plan);
    adl_free(session);
}

const struct adl_plan *adl_session_plan(const struct adl_session *session)
{
    return session->plan;
}

float *adl_session_input(struct adl_session *session, int index)
{
    return session_input(session, index);
}

/* Returns the memory of image `index`, run in the arena of `worker`. */
static struct plan_bindings session_bind(const struct adl_session *session, int index, int worker)
{
    return (struct plan_bindings){.base =
                                      {
                                          [PLAN_SPACE_INPUT] = session_input(session, index),
                                          [PLAN_SPACE_OUTPUT] = session_outputs(session, index),
                                          [PLAN_SPACE_ARENA] = session_arena(session, worker),
                                          [PLAN_SPACE_SHARED] = session_shared(session, worker),
                                      },
                                  .asked = session->asked[index]};
}

/* --- one image per thread -------------------------------------------------------- */

static void session_run_image(void *context, size_t index, int worker)
{
    const struct adl_session *session = context;
    const struct adl_plan *plan = session->plan;
    struct plan_bindings bindings = session_bind(session, (int)index, worker);
    float *scratch = session_scratch(session, worker);
    for (int i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        for (size_t task = 0; task < step->prepare_tasks; task++)
            plan_step_prepare(plan, step, &bindings, task, scratch);
        for (size_t task = 0; task < step->tasks; task++)
            plan_step_run(plan, step, &bindings, task, scratch);
        for (size_t task = 0; task < step->finish_tasks; task++)
            plan_step_finish(plan, step, &bindings, task);
    }
}

/* --- one image on all threads ----------------------------------------------------- */

struct spread {
    const struct adl_session *session;
    const struct plan_step *step;
    struct plan_bindings bindings;
};

static void session_prepare_task(void *context, size_t task, int worker)
{
    const struct spread *spread = context;
    plan_step_prepare(spread->session->plan, spread->step, &spread->bindings, task,
                      session_scratch(spread->session, worker));
}

static void session_run_task(void *context, size_t task, int worker)
{
    const struct spread *spread = context;
    plan_step_run(spread->session->plan, spread->step, &spread->bindings, task,
                  session_scratch(spread->session, worker));
}

static void session_finish_task(void *context, size_t task, int worker)
{
    const struct spread *spread = context;
    (void)worker;
    plan_step_finish(spread->session->plan, spread->step, &spread->bindings, task);
}

static void session_spread_image(struct adl_session *session, int index)
{
    const struct adl_plan *plan = session->plan;
    struct spread spread = {.session = session, .bindings = session_bind(session, index, 0)};
    int live = 0;
    for (int i = 0; i < plan->step_count; i++) {
        spread.step = &plan->steps[i];
        if (spread.step->kind == PLAN_DEAD)
            continue;
        uint64_t start = session->seconds ? adl_clock_ns() : 0;
        if (spread.step->prepare_tasks)
            adl_pool_for(session->pool, spread.step->prepare_tasks, session_prepare_task, &spread);
        adl_pool_for(session->pool, spread.step->tasks, session_run_task, &spread);
        if (spread.step->finish_tasks)
            adl_pool_for(session->pool, spread.step->finish_tasks, session_finish_task, &spread);
        if (session->seconds)
            session->seconds[live] += (double)(adl_clock_ns() - start) * 1e-9;
        live++;
    }
}

void adl_session_run(struct adl_session *session, int batch)
{
    int whole = 0;
    if (!session->seconds && session->workers > 1)
        whole = batch / session->workers * session->workers;
    adl_pool_for(session->pool, (size_t)whole, session_run_image, session);
    for (int i = whole; i < batch; i++)
        session_spread_image(session, i);
    for (int i = 0; i < batch; i++)
        session->asked[i] = -1;
}

void adl_session_run_image(struct adl_session *session, int index, int worker)
{
    session_run_image(session, (size_t)index, worker);
    session->asked[index] = -1;
}

void adl_session_ask(struct adl_session *session, int index, int class_id)
{
    session->asked[index] = class_id;
}

const float *adl_session_output(const struct adl_session *session, enum adl_output which, int index)
{
    int value = session->plan->outputs[which];
    if (value < 0)
        return NULL;
    return session_outputs(session, index) + session->plan->values[value].offset;
}

size_t adl_session_bytes(const struct adl_session *session)
{
    return session->block_floats * sizeof *session->block;
}

int adl_session_value(const struct adl_session *session, int id, int index, float *out)
{
    const struct adl_plan *plan = session->plan;
    const struct plan_value *value = &plan->values[id];
    if (plan_producer(plan, id) < 0)
        return -1;
    struct plan_bindings bindings = session_bind(session, index, 0);
    const float *from = bindings.base[value->space] + value->offset;
    size_t channels = (size_t)value->shape.c;
    const uint8_t *bytes = (const uint8_t *)from + value->first;
    for (size_t i = 0; i < adl_shape_count(value->shape) / channels; i++)
        for (size_t c = 0; c < channels; c++)
            out[i * channels + c] =
                value->bytes
                    ? value->range.scale * (float)(bytes[i * value->ld + c] - value->range.zero)
                    : from[i * value->ld + c];
    return 0;
}

void adl_session_profile(struct adl_session *session, double *seconds)
{
    session->seconds = seconds;
}
