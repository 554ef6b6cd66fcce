/* See batcher_fixture.h. */

#include "support/batcher_fixture.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "support/server_fixture.h"
#include "support/test.h"

struct test_batcher test_batcher;

bool test_batcher_open_of(const char *model, size_t capacity)
{
    struct adl_error err = {0};
    struct adl_batcher_config config = {.decode_threads = 2,
                                        .capacity = capacity,
                                        .memory = 64 * ADL_MIB,
                                        .metrics = &test_batcher.metrics,
                                        .most_wait_ms = test_batcher.most_wait_ms};

    memset(&test_batcher.metrics, 0, sizeof test_batcher.metrics);
    test_batcher.finished = 0;
    test_batcher.registry = model ? adl_registry_create(2, &err) : NULL;
    if (!test_batcher.registry)
        return false;
    TEST_OK(adl_registry_add(test_batcher.registry, model, &err), &err);
    TEST_OK(adl_registry_load(test_batcher.registry, "default", false, NULL, &err), &err);
    test_batcher.served = adl_registry_acquire(test_batcher.registry, "", &err);
    config.registry = test_batcher.registry;
    test_batcher.batcher = adl_batcher_create(&config, &err);
    if (!test_batcher.served || !test_batcher.batcher)
        TEST_FAIL("%s", err.message);
    return test_batcher.served && test_batcher.batcher;
}

bool test_batcher_open(size_t capacity)
{
    return test_batcher_open_of(test_small_model(), capacity);
}

void test_batcher_close(void)
{
    adl_batcher_free(test_batcher.batcher);
    adl_served_release(test_batcher.served);
    adl_registry_free(test_batcher.registry);
}

static void on_finished(struct adl_job *job)
{
    (void)job;
    test_batcher.finished++;
}

struct adl_job test_job(const void *bytes, size_t length)
{
    return (struct adl_job){
        .bytes = bytes,
        .length = length,
        .served = test_batcher.served,
        .query = {.class_id = -1, .top_k = 2, .map = {.threshold = 0.3}},
        .deadline_ns = adl_clock_ns() + (uint64_t)20000000000,
        .finished = on_finished,
    };
}

void test_batcher_wait(int count)
{
    adl_batcher_wait_idle(test_batcher.batcher);
    CU_ASSERT_EQUAL(test_batcher.finished, count);
}

/* Takes the place of decoding until it is let go, and fails then. */
static int hold(struct adl_job *job, struct adl_error *err)
{
    (void)job;
    while (test_batcher.held)
        poll(NULL, 0, 1);
    return adl_fail(err, ADL_ERR_FORMAT, "held");
}

struct adl_job test_held_job(bool background)
{
    struct adl_job job = test_job(NULL, 0);
    job.read = hold;
    job.background = background;
    return job;
}
