/* The pieces of one job on several workers: each is done once, failures end the rest, and nobody
 * else waits for them. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/serving/batcher.h"
#include "support/server_fixture.h"

enum { WORKERS = 3, MOST = 4000 };

static struct adl_metrics metrics;
static struct adl_registry *registry;
static struct adl_batcher *batcher;
static struct adl_served *served;
static void *bytes;
static size_t length;
static _Atomic int finished;

static bool open_batcher(void)
{
    struct adl_error err = {0};
    struct adl_batcher_config config = {
        /* An image that takes more than a 64th of the memory is large. */
        .decode_threads = WORKERS,
        .capacity = 64,
        .memory = 1024 * ADL_MIB,
        .metrics = &metrics};

    memset(&metrics, 0, sizeof metrics);
    finished = 0;
    bytes = test_picture(TEST_PNG, 50, 70, &length);
    registry = bytes ? adl_registry_create(2, &err) : NULL;
    if (!registry)
        return false;
    TEST_OK(adl_registry_add(registry, test_small_model(), &err), &err);
    TEST_OK(adl_registry_load(registry, "default", false, NULL, &err), &err);
    served = adl_registry_acquire(registry, "", &err);
    config.registry = registry;
    batcher = adl_batcher_create(&config, &err);
    if (!served || !batcher)
        TEST_FAIL("%s", err.message);
    return served && batcher;
}

static void close_batcher(void)
{
    adl_batcher_free(batcher);
    adl_served_release(served);
    adl_registry_free(registry);
    adl_free(bytes);
}

/* What finished() of a job shares, and what came of it. */
struct work {
    size_t n;
    size_t fails_at; /* this piece fails; MOST: none does */
    size_t ms;       /* that a piece computes for */
    bool meets;      /* pieces wait for others that are done at the same time */
    _Atomic int times[MOST];
    _Atomic int inside, most, begun;
    _Atomic bool gone;
    _Atomic bool failed; /* the piece that fails has run */
    int result;
    struct adl_error err;
};

static int piece(void *of_body, size_t i, const struct adl_pause *pause, struct adl_error *err)
{
    struct work *w = of_body;
    uint64_t end = adl_clock_ns() + w->ms * 1000000;

    CU_ASSERT_PTR_NOT_NULL(pause);
    atomic_fetch_add(&w->times[i], 1);
    atomic_fetch_add(&w->begun, 1);
    int now = atomic_fetch_add(&w->inside, 1) + 1;
    for (int most = w->most; now > most && !atomic_compare_exchange_weak(&w->most, &most, now);)
        ;
    /* The first pieces wait until all workers are there, for at most five seconds. */
    for (int waited = 0; w->meets && w->most < WORKERS && waited < 5000; waited++)
        poll(NULL, 0, 1);
    while (adl_clock_ns() < end)
        ;
    /* Those that come later do not run while the one that fails still does, and leave time to note
     * the failure. */
    if (i > w->fails_at) {
        for (int waited = 0; !w->failed && waited < 5000; waited++)
            poll(NULL, 0, 1);
        poll(NULL, 0, 10);
    }
    w->failed |= i == w->fails_at;
    atomic_fetch_sub(&w->inside, 1);
    return i == w->fails_at ? adl_fail(err, ADL_ERR_FORMAT, "piece %zu", i) : 0;
}

static bool is_gone(const struct adl_job *job)
{
    const struct work *w = job->context;

    return w && w->gone;
}

static void share(struct adl_job *job)
{
    struct work *w = job->context;

    CU_ASSERT_PTR_NOT_NULL_FATAL(job->pause);
    CU_ASSERT_EQUAL(job->place.lane, job->run_cost > 1 ? ADL_LANE_LARGE : ADL_LANE_SMALL);
    if (w)
        w->result = adl_pause_for(job->pause, w->n, piece, w, &w->err);
    adl_batcher_give_back(batcher, adl_batcher_keep(batcher, job, 0));
    finished++;
}

/* A job of a client; it is large if its network run costs more than two plain images. */
static struct adl_job job_of(struct work *w, uint64_t client, bool large)
{
    return (struct adl_job){
        .bytes = bytes,
        .length = length,
        .served = served,
        .query = {.class_id = -1, .top_k = 1, .map = {.threshold = 0.3}},
        .sender = {client, client},
        .deadline_ns = adl_clock_ns() + (uint64_t)60000000000,
        .run_cost = large ? 3 : 1,
        .abandoned = is_gone,
        .finished = share,
        .context = w,
    };
}

static struct work *new_work(size_t n)
{
    struct work *w = adl_calloc(1, sizeof *w);

    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    w->n = n;
    w->fails_at = MOST;
    return w;
}

static void run(struct work *w, bool large)
{
    struct adl_error err = {0};
    struct adl_job job = job_of(w, 1, large);

    TEST_OK(adl_batcher_submit(batcher, &job, 1, &err), &err);
    adl_batcher_wait_idle(batcher);
    CU_ASSERT_EQUAL(job.err.kind, ADL_ERR_NONE);
    adl_job_release(&job);
}

static void each_once_on_all_workers(void)
{
    if (!open_batcher())
        return;
    for (int large = 0; large < 2; large++) {
        struct work *w = new_work(200);
        w->meets = large;
        run(w, large);
        CU_ASSERT_EQUAL(w->result, 0);
        for (size_t i = 0; i < w->n; i++)
            CU_ASSERT_EQUAL(w->times[i], 1);
        CU_ASSERT_EQUAL(w->most, large ? WORKERS : 1);
        adl_free(w);
    }
    CU_ASSERT_EQUAL(adl_batcher_stuck_ms(batcher), 0);
    close_batcher();
}

/* The first failure is returned, and ends what has not begun. */
static void failures_end_the_rest(void)
{
    if (!open_batcher())
        return;
    for (size_t at = 0; at < 40; at += 13) {
        struct work *w = new_work(MOST);
        w->fails_at = at;
        run(w, true);
        CU_ASSERT_EQUAL(w->result, -1);
        CU_ASSERT_EQUAL(w->err.kind, ADL_ERR_FORMAT);
        /* Pieces before it that others have taken may not have run yet, and do not either. */
        CU_ASSERT(w->times[at] == 1 && w->begun < MOST);
        adl_free(w);
    }
    close_batcher();
}

/* A client that goes away, or a server that stops, ends the pieces too; it is counted once. */
static void abandoned_work_ends(void)
{
    if (!open_batcher())
        return;
    for (int stopped = 0; stopped < 2; stopped++) {
        struct adl_error err = {0};
        struct work *w = new_work(MOST);
        w->ms = 2;
        struct adl_job job = job_of(w, 1, true);
        TEST_OK(adl_batcher_submit(batcher, &job, 1, &err), &err);
        while (w->begun < 10)
            poll(NULL, 0, 1);
        if (stopped)
            adl_batcher_abort(batcher);
        w->gone = !stopped;
        adl_batcher_wait_idle(batcher);
        CU_ASSERT_EQUAL(w->result, -1);
        CU_ASSERT_EQUAL(w->err.kind, stopped ? ADL_ERR_BUSY : ADL_ERR_CANCELLED);
        CU_ASSERT(w->begun < MOST);
        CU_ASSERT_EQUAL(w->inside, 0);
        adl_job_release(&job);
        adl_free(w);
    }
    CU_ASSERT_EQUAL(metrics.abandoned_disconnected, 1);
    close_batcher();
}

/* While one client's pieces keep all workers of large work busy, another one's small and large jobs
 * are done between them: none waits for all pieces, nor for a large part of them. */
static void nobody_waits_for_all_pieces(void)
{
    struct adl_error err = {0};
    struct work *w;

    if (!open_batcher())
        return;
    w = new_work(MOST);
    w->ms = 1;
    struct adl_job job = job_of(w, 1, true);
    TEST_OK(adl_batcher_submit(batcher, &job, 1, &err), &err);
    while (w->begun < 100)
        poll(NULL, 0, 1);
    for (int i = 0; i < 6; i++) {
        struct adl_job other = job_of(NULL, 2, i % 2);
        int before = w->begun, was = finished;
        TEST_OK(adl_batcher_submit(batcher, &other, 1, &err), &err);
        while (finished == was)
            poll(NULL, 0, 1);
        if (w->begun - before > MOST / 10)
            TEST_FAIL("%s job waited for %d pieces", i % 2 ? "a large" : "a small",
                      w->begun - before);
        CU_ASSERT_EQUAL(other.err.kind, ADL_ERR_NONE);
        adl_job_release(&other);
    }
    CU_ASSERT(w->begun < MOST);
    w->gone = true;
    adl_batcher_wait_idle(batcher);
    adl_job_release(&job);
    adl_free(w);
    close_batcher();
}

/* Two jobs share their pieces at the same time. */
static void several_share_at_once(void)
{
    struct adl_error err = {0};
    struct work *works[WORKERS];
    struct adl_job jobs[WORKERS];

    if (!open_batcher())
        return;
    for (int i = 0; i < WORKERS; i++) {
        works[i] = new_work(500);
        jobs[i] = job_of(works[i], (uint64_t)i, true);
        TEST_OK(adl_batcher_submit(batcher, &jobs[i], 1, &err), &err);
    }
    adl_batcher_wait_idle(batcher);
    for (int i = 0; i < WORKERS; i++) {
        CU_ASSERT_EQUAL(works[i]->result, 0);
        CU_ASSERT_EQUAL(works[i]->begun, 500);
        adl_job_release(&jobs[i]);
        adl_free(works[i]);
    }
    close_batcher();
}

TEST_SUITE(batcher_share, {"each once, on all workers", each_once_on_all_workers},
           {"failures end the rest", failures_end_the_rest},
           {"abandoned work ends", abandoned_work_ends},
           {"nobody waits for all pieces", nobody_waits_for_all_pieces},
           {"several share at once", several_share_at_once});
