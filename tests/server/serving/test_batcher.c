/* server/serving/batcher and registry within this process: every job is finished exactly
 * once, whatever its outcome. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "server/serving/batcher.h"
#include "support/batcher_fixture.h"
#include "support/head.h"
#include "support/server_fixture.h"

enum { JOBS = 40 };

static bool always_gone(const struct adl_job *job)
{
    (void)job;
    return true;
}

/* The answer to an image is the same in any batch, also beside corrupt images. */
static void answers_do_not_depend_on_company(void)
{
    struct adl_job alone, jobs[JOBS];
    struct adl_error err = {0};
    size_t length;
    int apart = 0; /* ran while another thread ran another */
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open(JOBS))
        return;
    alone = test_job(bytes, length);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &alone, 1, &err), &err);
    test_batcher_wait(1);
    CU_ASSERT_EQUAL_FATAL(alone.predictions.count, 2);
    for (int i = 0; i < JOBS; i++)
        jobs[i] = test_job(bytes, i % 5 == 4 ? length / 2 : length);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, jobs, JOBS, &err), &err);
    test_batcher_wait(1 + JOBS);
    for (int i = 0; i < JOBS; i++) {
        if (i % 5 == 4) {
            CU_ASSERT_EQUAL(jobs[i].err.kind, ADL_ERR_FORMAT);
            continue;
        }
        CU_ASSERT_EQUAL(jobs[i].err.kind, ADL_ERR_NONE);
        CU_ASSERT_EQUAL_FATAL(jobs[i].predictions.count, 2);
        for (size_t p = 0; p < 2; p++) {
            const struct adl_prediction *a = &alone.predictions.items[p];
            const struct adl_prediction *b = &jobs[i].predictions.items[p];
            CU_ASSERT(a->class_id == b->class_id && a->score == b->score);
            CU_ASSERT(!memcmp(a->cam, b->cam,
                              (size_t)alone.predictions.cam_w * (size_t)alone.predictions.cam_h *
                                  sizeof(float)));
            CU_ASSERT_PTR_NULL(b->place.map);
        }
        CU_ASSERT(jobs[i].timing.decode > 0 && jobs[i].timing.inference > 0);
        apart += jobs[i].batch == 2;
    }
    CU_ASSERT_EQUAL(alone.batch, 1);
    CU_ASSERT(apart > 0);
    CU_ASSERT_EQUAL(test_batcher.served->named->metrics.images[ADL_OUTCOME_OK],
                    1 + JOBS - JOBS / 5);
    CU_ASSERT_EQUAL(test_batcher.served->named->metrics.images[ADL_OUTCOME_CORRUPT], JOBS / 5);
    for (int i = 0; i < JOBS; i++)
        adl_job_release(&jobs[i]);
    adl_job_release(&alone);
    test_batcher_close();
    adl_free(bytes);
}

/* The client leaves while its image is decoded. */
static bool gone_later(const struct adl_job *job)
{
    return (*(_Atomic int *)job->context)++ > 0;
}

/* A job that is dropped before the network does not count as one that took no time, or for ever. */
static void dropped_jobs_are_not_timed(void)
{
    struct adl_error err = {0};
    _Atomic int asked = 0;
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);
    struct adl_job job;

    if (!bytes || !test_batcher_open(JOBS))
        return;
    job = test_job(bytes, length);
    job.abandoned = gone_later;
    job.context = &asked;
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &job, 1, &err), &err);
    test_batcher_wait(1);
    CU_ASSERT_EQUAL(job.err.kind, ADL_ERR_CANCELLED);
    CU_ASSERT(job.timing.decode > 0);
    CU_ASSERT_EQUAL(job.batch, 0);
    CU_ASSERT_EQUAL(adl_batcher_retry_after_s(test_batcher.batcher), 1);
    adl_job_release(&job);
    test_batcher_close();
    adl_free(bytes);
}

static void *take_network(void *done)
{
    adl_registry_compute_lock(test_batcher.registry);
    *(int *)done = test_batcher.finished;
    adl_registry_compute_unlock(test_batcher.registry);
    return NULL;
}

/* Who asks for the network, to load a model, does not wait until the queue is empty. */
static void loading_has_its_turn(void)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    struct adl_job jobs[JOBS];
    struct adl_error err = {0};
    int done = JOBS;
    pthread_t thread;
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open(JOBS))
        return;
    adl_registry_compute_lock(test_batcher.registry);
    for (int i = 0; i < JOBS; i++)
        jobs[i] = test_job(bytes, length);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, jobs, JOBS, &err), &err);
    while (!adl_registry_compute_wanted(test_batcher.registry)) /* by the engine */
        nanosleep(&moment, NULL);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, take_network, &done), 0);
    nanosleep(&moment, NULL);
    adl_registry_compute_unlock(test_batcher.registry);
    pthread_join(thread, NULL);
    CU_ASSERT(done < JOBS / 2);
    test_batcher_wait(JOBS);
    for (int i = 0; i < JOBS; i++)
        adl_job_release(&jobs[i]);
    test_batcher_close();
    adl_free(bytes);
}

/* Writes the small model with a few-box head, whose grid is finer than that of the last map. */
static const char *model_with_head(void)
{
    static char path[300];
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(test_small_model(), NULL, &err);

    TEST_OK(model ? 0 : -1, &err);
    test_give_head(model, "batcher");
    snprintf(path, sizeof path, "%s/test_batcher.batcher-head.safetensors", test_tmp_dir());
    TEST_OK(adl_model_save(model, path, &err), &err);
    adl_model_free(model);
    return path;
}

/* Requests with the few-box head and without it have maps of two grids, so they are not run
 * together; each gets what it would have got alone. */
static void grids_are_not_mixed(void)
{
    struct adl_job alone[2], jobs[JOBS];
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open_of(model_with_head(), JOBS))
        return;
    for (int head = 0; head < 2; head++) {
        alone[head] = test_job(bytes, length);
        alone[head].query.map.foreground = head ? test_batcher.served->model->foreground : NULL;
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &alone[head], 1, &err), &err);
        test_batcher_wait(head + 1);
    }
    CU_ASSERT(alone[1].predictions.cam_h > alone[0].predictions.cam_h);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = test_job(bytes, length);
        jobs[i].query.map.foreground = i % 3 ? test_batcher.served->model->foreground : NULL;
    }
    TEST_OK(adl_batcher_submit(test_batcher.batcher, jobs, JOBS, &err), &err);
    test_batcher_wait(2 + JOBS);
    for (int i = 0; i < JOBS; i++) {
        const struct adl_predictions *a = &alone[i % 3 != 0].predictions, *b = &jobs[i].predictions;
        CU_ASSERT_EQUAL(jobs[i].err.kind, ADL_ERR_NONE);
        CU_ASSERT_FATAL(a->cam_h == b->cam_h && a->cam_w == b->cam_w && b->count == 2);
        CU_ASSERT(!memcmp(a->items[0].cam, b->items[0].cam,
                          (size_t)a->cam_w * (size_t)a->cam_h * sizeof(float)));
        adl_job_release(&jobs[i]);
    }
    adl_job_release(&alone[0]);
    adl_job_release(&alone[1]);
    test_batcher_close();
    adl_free(bytes);
}

static void drops_what_nobody_waits_for(void)
{
    struct adl_job jobs[3];
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open(8))
        return;
    for (size_t i = 0; i < 3; i++)
        jobs[i] = test_job(bytes, length);
    jobs[0].abandoned = always_gone;
    jobs[1].deadline_ns = adl_clock_ns();
    TEST_OK(adl_batcher_submit(test_batcher.batcher, jobs, 3, &err), &err);
    test_batcher_wait(3);
    CU_ASSERT_EQUAL(jobs[0].err.kind, ADL_ERR_CANCELLED);
    CU_ASSERT_EQUAL(jobs[1].err.kind, ADL_ERR_BUSY);
    CU_ASSERT_EQUAL(jobs[2].err.kind, ADL_ERR_NONE);
    CU_ASSERT_EQUAL(test_batcher.metrics.abandoned_disconnected, 1);
    CU_ASSERT_EQUAL(test_batcher.metrics.abandoned_deadline, 1);
    for (size_t i = 0; i < 3; i++)
        adl_job_release(&jobs[i]);
    test_batcher_close();
    adl_free(bytes);
}

static void has_a_bound(void)
{
    struct adl_job big[6], small;
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_slow_picture(1500, &length);

    if (!bytes || !test_batcher_open(4))
        return;
    /* More jobs than the capacity are accepted when there are no others, and then none. */
    for (size_t i = 0; i < 6; i++)
        big[i] = test_job(bytes, length);
    small = test_job(bytes, length);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, big, 6, &err), &err);
    CU_ASSERT(adl_batcher_full(test_batcher.batcher, (struct adl_sender){7, 0}));
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &small, 1, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    unsigned after = adl_batcher_retry_after_s(test_batcher.batcher);
    CU_ASSERT(after >= 1 && after <= 60);
    adl_batcher_abort(test_batcher.batcher);
    test_batcher_wait(6);
    CU_ASSERT(!adl_batcher_full(test_batcher.batcher, (struct adl_sender){7, 0}));
    CU_ASSERT_EQUAL(test_batcher.served->named->depth, 0);
    CU_ASSERT_EQUAL(adl_batcher_stuck_ms(test_batcher.batcher), 0);
    CU_ASSERT_EQUAL(big[5].err.kind, ADL_ERR_BUSY);
    adl_error_clear(&err);
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &small, 1, &err) < 0);
    for (size_t i = 0; i < 6; i++)
        adl_job_release(&big[i]);
    test_batcher_close();
    adl_free(bytes);
}

/* Memory is reserved from the header; what an answer keeps is given back by the submitter. */
static void memory_is_reserved(void)
{
    struct adl_job job;
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open(4))
        return;
    job = test_job(bytes, length);
    job.answer.bytes_per_pixel = 64.0 * ADL_MIB / (50 * 70);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &job, 1, &err), &err);
    test_batcher_wait(1);
    CU_ASSERT_EQUAL(job.err.kind, ADL_ERR_LIMIT);
    CU_ASSERT(strstr(job.err.message, "--memory") != NULL);
    CU_ASSERT_EQUAL(adl_batcher_memory(test_batcher.batcher), 0);
    job = test_job(bytes, length);
    job.answer.bytes = 1000000;
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &job, 1, &err), &err);
    test_batcher_wait(2);
    CU_ASSERT_EQUAL(job.err.kind, ADL_ERR_NONE);
    CU_ASSERT(adl_batcher_memory(test_batcher.batcher) >= 1000000);
    CU_ASSERT_EQUAL(adl_batcher_keep(test_batcher.batcher, &job, 1234), 1234);
    CU_ASSERT_EQUAL(adl_batcher_memory(test_batcher.batcher), 1234);
    CU_ASSERT(adl_batcher_keep_more(test_batcher.batcher, 64 * ADL_MIB, &err) < 0);
    adl_batcher_give_back(test_batcher.batcher, 1234);
    CU_ASSERT_EQUAL(adl_batcher_memory(test_batcher.batcher), 0);
    adl_job_release(&job);
    test_batcher_close();
    adl_free(bytes);
}

/* A job that waits for memory ends at its deadline, and at once when the server stops, even if the
 * memory never comes. */
static void waiting_for_memory_ends(void)
{
    struct adl_job holder, waiting[2];
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_picture(TEST_PNG, 50, 70, &length);

    if (!bytes || !test_batcher_open(4))
        return;
    holder = test_job(bytes, length);
    holder.answer.bytes = 50 * ADL_MIB;
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &holder, 1, &err), &err);
    test_batcher_wait(1);
    for (size_t i = 0; i < 2; i++) {
        waiting[i] = test_job(bytes, length);
        waiting[i].answer.bytes = 20 * ADL_MIB;
    }
    waiting[0].deadline_ns = adl_clock_ns() + 100000000;
    TEST_OK(adl_batcher_submit(test_batcher.batcher, waiting, 2, &err), &err);
    for (int i = 0; i < 500 && test_batcher.finished < 2; i++) {
        poll(NULL, 0, 10);
        adl_batcher_tick(test_batcher.batcher);
    }
    CU_ASSERT_EQUAL(test_batcher.finished, 2);
    adl_batcher_abort(test_batcher.batcher);
    test_batcher_wait(3);
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(waiting[i].err.kind, ADL_ERR_BUSY);
        adl_job_release(&waiting[i]);
    }
    adl_batcher_give_back(test_batcher.batcher,
                          adl_batcher_keep(test_batcher.batcher, &holder, SIZE_MAX));
    CU_ASSERT_EQUAL(adl_batcher_memory(test_batcher.batcher), 0);
    adl_job_release(&holder);
    test_batcher_close();
    adl_free(bytes);
}

/* Each allocation for an image fails in turn: the job reports it, nothing leaks, and the
 * next job succeeds. */
static void survives_lack_of_memory(void)
{
    struct adl_error err = {0};
    size_t length;
    int tried = 0;
    void *bytes = test_picture(TEST_PNG, 20, 30, &length);

    if (!bytes || !test_batcher_open(4))
        return;
    for (uint64_t n = 1;; n++) {
        size_t blocks = adl_mem_stats().live_blocks;
        struct adl_job job = test_job(bytes, length);
        adl_mem_fail_nth(n);
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &job, 1, &err), &err);
        test_batcher_wait(++tried);
        adl_mem_fail_nth(0);
        adl_job_release(&job);
        if (adl_mem_stats().live_blocks != blocks)
            TEST_FAIL("allocation %d: %zu blocks, %zu before", (int)n, adl_mem_stats().live_blocks,
                      blocks);
        if (job.err.kind == ADL_ERR_NONE)
            break;
        CU_ASSERT_EQUAL(job.err.kind, ADL_ERR_NOMEM);
    }
    CU_ASSERT(tried > 5);
    test_batcher_close();
    adl_free(bytes);
}

static void checks_names_of_models(void)
{
    static const char *const bad[] = {"=x", "a b=x", "a/=", "a=", "default=x", ""};
    struct adl_error err = {0};
    struct adl_registry *r = adl_registry_create(1, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    TEST_OK(adl_registry_add(r, "dir/with=sign.safetensors", &err), &err);
    TEST_OK(adl_registry_add(r, "my.birds-2_x=y=z", &err), &err);
    struct adl_registry_table *table = adl_registry_table(r);
    CU_ASSERT_STRING_EQUAL(table->entries[0].named->name, "default");
    CU_ASSERT_STRING_EQUAL(table->entries[0].path, "dir/with=sign.safetensors");
    CU_ASSERT_STRING_EQUAL(table->entries[1].named->name, "my.birds-2_x");
    CU_ASSERT_STRING_EQUAL(table->entries[1].path, "y=z");
    adl_registry_table_release(table);
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        adl_error_clear(&err);
        if (adl_registry_add(r, bad[i], &err) == 0)
            TEST_FAIL("\"%s\" is accepted", bad[i]);
    }
    CU_ASSERT_EQUAL(adl_registry_count(r), 2);
    CU_ASSERT(!adl_registry_ready(r));
    adl_error_clear(&err);
    CU_ASSERT_PTR_NULL(adl_registry_acquire(r, "", &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    adl_error_clear(&err);
    CU_ASSERT_PTR_NULL(adl_registry_acquire(r, "nope", &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
    adl_registry_free(r);
}

/* A version in use stays valid until it is released, whatever is loaded meanwhile. */
static void old_versions_live_as_long_as_they_are_held(void)
{
    struct adl_error err = {0};
    if (!test_batcher_open(4))
        return;
    size_t blocks = adl_mem_stats().live_blocks;
    for (int i = 0; i < 3; i++)
        TEST_OK(adl_registry_load(test_batcher.registry, "default", false, NULL, &err), &err);
    struct adl_served *now = adl_registry_acquire(test_batcher.registry, "", &err);
    CU_ASSERT_PTR_NOT_EQUAL(now, test_batcher.served);
    CU_ASSERT_STRING_EQUAL(now->model->digest, test_batcher.served->model->digest);
    adl_served_release(test_batcher.served);
    test_batcher.served = now;
    if (adl_mem_stats().live_blocks != blocks)
        TEST_FAIL("%zu blocks, %zu before", adl_mem_stats().live_blocks, blocks);
    test_batcher_close();
}

/* Returns the milliseconds for which adl_batcher_wait_quiet() waits, at most `most_ms`. */
static double quiet_after(unsigned quiet_ms, unsigned most_ms)
{
    const uint64_t begin = adl_clock_ns();
    adl_batcher_wait_quiet(test_batcher.batcher, quiet_ms, begin + (uint64_t)most_ms * 1000000);
    return adl_clock_ms(begin, adl_clock_ns());
}

/* A job in the background takes no place of others, and waits for a gap between them. */
static void background_waits_for_a_gap(void)
{
    struct adl_error err = {0};
    struct adl_job behind[2], first, second;

    if (!test_batcher_open(1))
        return;
    test_batcher.held = true;
    CU_ASSERT(quiet_after(0, 60000) < 30000);
    for (int i = 0; i < 2; i++) {
        behind[i] = test_held_job(true);
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &behind[i], 1, &err), &err);
    }
    CU_ASSERT(quiet_after(0, 60000) < 30000);
    first = test_held_job(false);
    second = test_held_job(false);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &first, 1, &err), &err);
    CU_ASSERT_EQUAL(adl_batcher_submit(test_batcher.batcher, &second, 1, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    CU_ASSERT(quiet_after(0, 100) >= 100);
    test_batcher.held = false;
    test_batcher_wait(3);
    CU_ASSERT(quiet_after(0, 60000) < 30000);
    const uint64_t begin = adl_clock_ns();
    test_batcher.held = true;
    first = test_held_job(false);
    adl_error_clear(&err);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &first, 1, &err), &err);
    test_batcher.held = false;
    adl_batcher_wait_quiet(test_batcher.batcher, 100, begin + (uint64_t)60000 * 1000000);
    CU_ASSERT_EQUAL(test_batcher.finished, 4);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) >= 100);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 30000);
    adl_batcher_wait_idle(test_batcher.batcher);
    /* The end is not waited for. */
    adl_batcher_abort(test_batcher.batcher);
    CU_ASSERT(quiet_after(60000, 60000) < 30000);
    test_batcher_close();
}

TEST_SUITE(batcher, {"answers do not depend on company", answers_do_not_depend_on_company},
           {"dropped jobs are not timed", dropped_jobs_are_not_timed},
           {"loading has its turn", loading_has_its_turn},
           {"grids are not mixed", grids_are_not_mixed},
           {"drops what nobody waits for", drops_what_nobody_waits_for},
           {"has a bound", has_a_bound}, {"background waits for a gap", background_waits_for_a_gap},
           {"memory is reserved", memory_is_reserved},
           {"waiting for memory ends", waiting_for_memory_ends},
           {"survives lack of memory", survives_lack_of_memory},
           {"checks names of models", checks_names_of_models},
           {"old versions live as long as they are held",
            old_versions_live_as_long_as_they_are_held});
