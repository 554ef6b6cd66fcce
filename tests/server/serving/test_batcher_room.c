/* Who gets a place in a batcher where there are few: whose work is small, who was left behind, and
 * at whose expense. */

#include "support/test.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/serving/batcher_parts.h"
#include "support/batcher_fixture.h"
#include "support/server_fixture.h"

/* A client with fewer jobs takes the place of the last one of a client with more; one with as many
 * does not. */
static void full_queue_is_shared(void)
{
    struct adl_job many[4], one, another;
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_slow_picture(1500, &length);

    if (!bytes || !test_batcher_open(4))
        return;
    for (size_t i = 0; i < 4; i++) {
        many[i] = test_job(bytes, length);
        many[i].sender = (struct adl_sender){1, i};
        many[i].alone = true;
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &many[i], 1, &err), &err);
    }
    one = test_job(bytes, length);
    one.sender = (struct adl_sender){2, 9};
    another = one;
    another.sender.client = 1;
    CU_ASSERT(adl_batcher_full(test_batcher.batcher, another.sender));
    CU_ASSERT(!adl_batcher_full(test_batcher.batcher, one.sender));
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &another, 1, &err) < 0);
    adl_error_clear(&err);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &one, 1, &err), &err);
    test_batcher_wait(5);
    CU_ASSERT(one.err.kind == ADL_ERR_NONE && !one.pushed_out);
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT(many[i].pushed_out == (i == 3));
        CU_ASSERT_EQUAL(many[i].err.kind, i == 3 ? ADL_ERR_BUSY : ADL_ERR_NONE);
        adl_job_release(&many[i]);
    }
    adl_job_release(&one);
    test_batcher_close();
    adl_free(bytes);
}

/* A full queue of large work keeps a place for small work, in whatever order connections come and
 * though all have one address. */
static void large_work_leaves_places(void)
{
    enum { PLACES = 16 };
    struct adl_job large[PLACES], late, small[2];
    struct adl_error err = {0};

    if (!test_batcher_open(PLACES))
        return;
    test_batcher.held = true;
    for (uint64_t i = 0; i < PLACES; i++) {
        large[i] = test_held_job(false);
        large[i].read_ms = 1000;
        large[i].sender.connection = i;
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &large[i], 1, &err), &err);
    }
    late = test_held_job(false);
    late.read_ms = 1000;
    late.sender.connection = PLACES;
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &late, 1, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    adl_error_clear(&err);
    CU_ASSERT(!adl_batcher_full(test_batcher.batcher, late.sender));
    small[0] = small[1] = test_held_job(false);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &small[0], 1, &err), &err);
    /* A sixteenth of the places are kept, no more. */
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &small[1], 1, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    CU_ASSERT(adl_batcher_full(test_batcher.batcher, small[1].sender));
    test_batcher.held = false;
    test_batcher_wait(PLACES + 1);
    test_batcher_close();
}

/* Large pictures that take long before they come to the network are accepted in smaller numbers;
 * that is no reason to accept fewer small ones. */
static void slow_large_work_limits_itself(void)
{
    enum { SLOW = 16 };
    struct adl_job jobs[SLOW];
    struct adl_error err = {0};
    size_t length;
    void *bytes = test_slow_picture(3000, &length);

    test_batcher.most_wait_ms = 1;
    if (!bytes || !test_batcher_open(SLOW))
        return;
    test_batcher.most_wait_ms = 0;
    for (int i = 0; i < SLOW; i++)
        jobs[i] = test_job(bytes, length);
    /* At a time, so that the queue is never empty before the end. */
    TEST_OK(adl_batcher_submit(test_batcher.batcher, jobs, SLOW, &err), &err);
    test_batcher_wait(SLOW);
    CU_ASSERT(adl_batcher_limit(test_batcher.batcher, ADL_LANE_LARGE) < SLOW);
    CU_ASSERT_EQUAL(adl_batcher_limit(test_batcher.batcher, ADL_LANE_SMALL), SLOW);
    for (int i = 0; i < SLOW; i++)
        adl_job_release(&jobs[i]);
    test_batcher_close();
    adl_free(bytes);
}

/* Who is left behind finds a place also while few are accepted. */
static void low_limits_leave_places(void)
{
    enum { FEW = 7 };
    struct adl_job jobs[FEW], late;
    struct adl_error err = {0};

    if (!test_batcher_open(64))
        return;
    test_batcher.held = true;
    for (uint64_t i = 0; i < FEW; i++) {
        jobs[i] = test_held_job(false);
        jobs[i].sender = (struct adl_sender){1 + i, 0};
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &jobs[i], 1, &err), &err);
    }
    pthread_mutex_lock(&test_batcher.batcher->lock);
    test_batcher.batcher->admission[ADL_LANE_SMALL].limit = FEW;
    pthread_mutex_unlock(&test_batcher.batcher->lock);
    late = test_held_job(false);
    late.sender.client = 99;
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &late, 1, &err) < 0);
    adl_error_clear(&err);
    pthread_mutex_lock(&test_batcher.batcher->lock);
    adl_batcher_charge(test_batcher.batcher, &jobs[0].place, 100);
    adl_fair_begin(test_batcher.batcher->fair, &jobs[0].place);
    pthread_mutex_unlock(&test_batcher.batcher->lock);
    TEST_OK(adl_batcher_submit(test_batcher.batcher, &late, 1, &err), &err);
    test_batcher.held = false;
    test_batcher_wait(FEW + (err.kind == ADL_ERR_NONE));
    test_batcher_close();
}

/* Where small work has reached the limit of its lane, a large job loses its place for nothing. */
static void lanes_make_room_apart(void)
{
    enum { LARGE = 6, SMALL = 4 };
    struct adl_job large[LARGE], small[SMALL], late;
    struct adl_error err = {0};

    if (!test_batcher_open(32))
        return;
    test_batcher.held = true;
    for (uint64_t i = 0; i < LARGE; i++) {
        large[i] = test_held_job(false);
        large[i].read_ms = 1000;
        large[i].alone = true;
        large[i].sender = (struct adl_sender){1, i};
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &large[i], 1, &err), &err);
    }
    for (uint64_t i = 0; i < SMALL; i++) {
        small[i] = test_held_job(false);
        small[i].alone = true;
        small[i].sender = (struct adl_sender){2 + i, 0};
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &small[i], 1, &err), &err);
    }
    pthread_mutex_lock(&test_batcher.batcher->lock);
    test_batcher.batcher->admission[ADL_LANE_SMALL].limit = SMALL;
    pthread_mutex_unlock(&test_batcher.batcher->lock);
    late = test_held_job(false);
    late.sender.client = 99;
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, &late, 1, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    test_batcher.held = false;
    test_batcher_wait(LARGE + SMALL);
    for (int i = 0; i < LARGE; i++)
        CU_ASSERT(!large[i].pushed_out);
    test_batcher_close();
}

/* A form takes the places of all its images or of none. */
static void refused_form_takes_no_place(void)
{
    enum { MANY = 8, PARTS = 4 };
    struct adl_job many[MANY], form[PARTS];
    struct adl_error err = {0};

    if (!test_batcher_open(MANY))
        return;
    test_batcher.held = true;
    for (uint64_t i = 0; i < MANY; i++) {
        many[i] = test_held_job(false);
        many[i].alone = i >= MANY - 2; /* the others are of a form */
        many[i].sender.client = 1;
        TEST_OK(adl_batcher_submit(test_batcher.batcher, &many[i], 1, &err), &err);
    }
    for (int i = 0; i < PARTS; i++) {
        form[i] = test_held_job(false);
        form[i].sender.client = 2;
    }
    CU_ASSERT(adl_batcher_submit(test_batcher.batcher, form, PARTS, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    test_batcher.held = false;
    test_batcher_wait(MANY);
    for (int i = 0; i < MANY; i++)
        CU_ASSERT(!many[i].pushed_out);
    test_batcher_close();
}

/* However many clients push each other out while no worker has time to say so, the accounts
 * suffice. */
static void pushing_out_has_an_end(void)
{
    enum { PLACES = 160, CLIENTS = 80 };
    const size_t most = (size_t)PLACES * CLIENTS;
    struct adl_job *jobs = adl_calloc(most, sizeof *jobs);
    struct adl_error err = {0};
    size_t count = 0;

    if (!jobs || !test_batcher_open(PLACES))
        return;
    test_batcher.held = true;
    for (uint64_t client = 1; client <= CLIENTS; client++)
        for (int result = 0; result == 0 && count < most; count += result == 0) {
            jobs[count] = test_held_job(false);
            jobs[count].alone = true;
            jobs[count].sender = (struct adl_sender){client, count};
            result = adl_batcher_submit(test_batcher.batcher, &jobs[count], 1, &err);
            adl_error_clear(&err);
        }
    CU_ASSERT(count <= 2 * PLACES + 64);
    test_batcher.held = false;
    test_batcher_wait((int)count);
    test_batcher_close();
    adl_free(jobs);
}

TEST_SUITE(batcher_room, {"a full queue is shared", full_queue_is_shared},
           {"large work leaves places", large_work_leaves_places},
           {"slow large work limits itself", slow_large_work_limits_itself},
           {"low limits leave places", low_limits_leave_places},
           {"lanes make room apart", lanes_make_room_apart},
           {"a refused form takes no place", refused_form_takes_no_place},
           {"pushing out has an end", pushing_out_has_an_end});
