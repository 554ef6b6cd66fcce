/* Holds refusals back; see delay.h.
 *
 * A client that gets 503 and ignores Retry-After sends its next request when it has read the reply.
 * So the rate of refusals is the number of such clients divided by the time that one takes, and is
 * limited here by the time: with n requests held, n / rate seconds, from SHORTEST_MS to LONGEST_MS.
 * The rate is that of the answers, within bounds: a refusal takes some tenths of a millisecond of
 * processor time, far less than an answer, so whatever the machine, refusals take a small part. A
 * request that is held takes a connection and no thread.
 *
 * Lock. `lock` protects the list and `hurried`. The list is in the order of arrival; as the time
 * depends on the length of the list, a request may wait for the one before it. The lock is not held
 * during `release`. */

#include "server/http/delay.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/wait.h"

#define LEAST_RATE 25
#define MOST_RATE 400
#define SHORTEST_MS 20
#define LONGEST_MS 4000

struct adl_delay {
    void (*release)(struct adl_http_request *request);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct adl_http_request *first, **last;
    size_t count;
    double rate;  /* a second */
    bool hurried; /* nothing is held any more */
    bool joined;  /* the thread has ended; of the caller of adl_delay_hurry() */
};

static void *delay_run(void *argument)
{
    struct adl_delay *delay = argument;

    pthread_mutex_lock(&delay->lock);
    while (delay->first || !delay->hurried) {
        struct adl_http_request *request = delay->first;
        if (!request) {
            pthread_cond_wait(&delay->wake, &delay->lock);
            continue;
        }
        if (!delay->hurried && adl_clock_ns() < request->release_ns) {
            adl_cond_wait_until(&delay->wake, &delay->lock, request->release_ns);
            continue;
        }
        delay->first = request->next;
        if (!delay->first)
            delay->last = &delay->first;
        delay->count--;
        pthread_mutex_unlock(&delay->lock);
        delay->release(request);
        pthread_mutex_lock(&delay->lock);
    }
    pthread_mutex_unlock(&delay->lock);
    return NULL;
}

struct adl_delay *adl_delay_create(void (*release)(struct adl_http_request *request),
                                   struct adl_error *err)
{
    struct adl_delay *delay = adl_calloc(1, sizeof *delay);

    if (!delay) {
        adl_fail_nomem(err, "connections");
        return NULL;
    }
    delay->release = release;
    delay->rate = MOST_RATE;
    delay->last = &delay->first;
    pthread_mutex_init(&delay->lock, NULL);
    adl_cond_init(&delay->wake);
    if (pthread_create(&delay->thread, NULL, delay_run, delay) == 0)
        return delay;
    pthread_cond_destroy(&delay->wake);
    pthread_mutex_destroy(&delay->lock);
    adl_free(delay);
    adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread");
    return NULL;
}

void adl_delay_hurry(struct adl_delay *delay)
{
    pthread_mutex_lock(&delay->lock);
    delay->hurried = true;
    pthread_cond_signal(&delay->wake);
    pthread_mutex_unlock(&delay->lock);
    if (!delay->joined)
        pthread_join(delay->thread, NULL);
    delay->joined = true;
}

void adl_delay_free(struct adl_delay *delay)
{
    if (!delay)
        return;
    adl_delay_hurry(delay);
    pthread_cond_destroy(&delay->wake);
    pthread_mutex_destroy(&delay->lock);
    adl_free(delay);
}

void adl_delay_set_rate(struct adl_delay *delay, double answers_per_s)
{
    pthread_mutex_lock(&delay->lock);
    delay->rate = ADL_MIN(ADL_MAX(answers_per_s, LEAST_RATE), MOST_RATE);
    pthread_mutex_unlock(&delay->lock);
}

bool adl_delay_add(struct adl_delay *delay, struct adl_http_request *request)
{
    pthread_mutex_lock(&delay->lock);
    if (delay->hurried) {
        pthread_mutex_unlock(&delay->lock);
        return false;
    }
    double held_ms = (double)delay->count * 1000 / delay->rate;
    uint64_t ms = (uint64_t)ADL_MIN(ADL_MAX(held_ms, SHORTEST_MS), LONGEST_MS);
    request->release_ns = adl_clock_ns() + ms * 1000000;
    request->next = NULL;
    *delay->last = request;
    delay->last = &request->next;
    delay->count++;
    /* The thread waits for the first one, and later ones come after it. */
    if (delay->first == request)
        pthread_cond_signal(&delay->wake);
    pthread_mutex_unlock(&delay->lock);
    return true;
}
