/* `serve --queue-time`: when images wait for too long, fewer are accepted, and as many as before
 * when they do not. */

#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/server_fixture.h"

enum { CLIENTS = 24, QUEUE = 64 };

static struct test_service service;
static void *slow;
static size_t slow_length;
static _Atomic bool over;
static _Atomic int served, refused, other;

/* Sends one picture after the other, whatever the answer. */
static void *insist(void *argument)
{
    (void)argument;
    while (!over) {
        struct test_reply reply = test_post(&service.server, "/localize",
                                            "Content-Type: image/jpeg\r\n", slow, slow_length);
        if (reply.status == 200)
            served++;
        else if (reply.status == 503)
            refused++;
        else
            other++;
        test_reply_release(&reply);
    }
    return NULL;
}

static void accepts_fewer_when_they_wait(void)
{
    static const char *const more[] = {"--queue", "64", "--queue-time", "0.02", NULL};
    static const char limit[] = "\nadl_queue_limit{lane=\"large\"} ";
    pthread_t threads[CLIENTS];
    double least = QUEUE;

    slow = test_slow_picture(TEST_SLOWDOWN > 1 ? 2000 : 4000, &slow_length);
    over = false;
    if (!slow || !test_service_open(&service, 64, 48, more))
        return;
    CU_ASSERT_EQUAL(test_metric(&service.server, limit), QUEUE);
    for (int i = 0; i < CLIENTS; i++)
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, insist, NULL) == 0);
    for (int i = 0; i < 2400 && (least > CLIENTS / 2 || refused < 5); i++) {
        usleep(50000);
        least = ADL_MIN(least, test_metric(&service.server, limit));
    }
    over = true;
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT(least >= 1 && least <= CLIENTS / 2);
    if (refused < 5 || served == 0 || other > 0)
        TEST_FAIL("%d refused, %d served, %d other", refused, served, other);
    /* One that comes alone finds the queue as it was. */
    struct test_reply reply =
        test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n", service.jpeg,
                  service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(test_metric(&service.server, limit), QUEUE);
    test_service_close(&service);
    adl_free(slow);
}

TEST_SUITE(server_overload, {"accepts fewer when they wait", accepts_fewer_when_they_wait});
