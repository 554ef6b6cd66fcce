/* server/serving/turns: threads get the lock in the order in which they asked for it. */

#include "support/test.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "server/serving/turns.h"

enum { THREADS = 8 };

static struct adl_turns turns;
static int order[THREADS], came; /* written by who has the lock */

static void *take(void *argument)
{
    adl_turns_take(&turns);
    order[came++] = (int)(intptr_t)argument;
    adl_turns_pass(&turns);
    return NULL;
}

static uint64_t asked(void)
{
    pthread_mutex_lock(&turns.lock);
    uint64_t number = turns.given;
    pthread_mutex_unlock(&turns.lock);
    return number;
}

/* The thread that has the lock asks for it again at once, and comes last all the same. */
static void first_come_first_served(void)
{
    pthread_t threads[THREADS];
    const struct timespec moment = {.tv_nsec = 1000000};

    adl_turns_init(&turns);
    came = 0;
    adl_turns_take(&turns);
    CU_ASSERT_FALSE(adl_turns_wanted(&turns));
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take, (void *)(intptr_t)i), 0);
        while (asked() < (uint64_t)i + 2)
            nanosleep(&moment, NULL);
    }
    CU_ASSERT_TRUE(adl_turns_wanted(&turns));
    adl_turns_pass(&turns);
    adl_turns_take(&turns);
    CU_ASSERT_EQUAL(came, THREADS);
    CU_ASSERT_FALSE(adl_turns_wanted(&turns));
    adl_turns_pass(&turns);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(order[i], i);
    }
    adl_turns_destroy(&turns);
}

TEST_SUITE(turns, {"first come, first served", first_come_first_served});
