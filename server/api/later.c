/* A thread with a ring of requests. */

#include "server/api/later.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "server/api/server.h"

struct waiting {
    struct adl_exchange *exchange;
    adl_later_fn *answer;
};

struct adl_later {
    pthread_t thread;
    pthread_mutex_t lock; /* protects everything below */
    pthread_cond_t wake, idle;
    struct waiting *ring;
    size_t capacity, first, count;
    bool busy, draining, ending;
};

static void answer_one(const struct waiting *next, bool draining)
{
    /* The request belongs to its I/O thread from the resume on. */
    struct adl_http_request *http = next->exchange->http;

    if (draining)
        adl_answer_problem(next->exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
    else
        next->answer(next->exchange);
    adl_http_resume(http);
}

static void *later_main(void *context)
{
    struct adl_later *later = context;

    pthread_mutex_lock(&later->lock);
    for (;;) {
        while (later->count == 0 && !later->ending)
            pthread_cond_wait(&later->wake, &later->lock);
        if (later->count == 0)
            break;
        struct waiting next = later->ring[later->first];
        bool draining = later->draining;
        later->first = (later->first + 1) % later->capacity;
        later->count--;
        later->busy = true;
        pthread_mutex_unlock(&later->lock);
        answer_one(&next, draining);
        pthread_mutex_lock(&later->lock);
        later->busy = false;
        if (later->count == 0)
            pthread_cond_broadcast(&later->idle);
    }
    pthread_mutex_unlock(&later->lock);
    return NULL;
}

struct adl_later *adl_later_create(size_t capacity, struct adl_error *err)
{
    struct adl_later *later = adl_calloc(1, sizeof *later);

    if (later)
        later->ring = adl_calloc(capacity, sizeof *later->ring);
    if (!later || !later->ring) {
        adl_free(later);
        adl_fail_nomem(err, "the requests that wait for files");
        return NULL;
    }
    later->capacity = capacity;
    pthread_mutex_init(&later->lock, NULL);
    pthread_cond_init(&later->wake, NULL);
    pthread_cond_init(&later->idle, NULL);
    int error = pthread_create(&later->thread, NULL, later_main, later);
    if (error == 0)
        return later;
    adl_fail(err, ADL_ERR_IO, "cannot start a thread: %s", strerror(error));
    adl_free(later->ring);
    adl_free(later);
    return NULL;
}

void adl_later_free(struct adl_later *later)
{
    if (!later)
        return;
    pthread_mutex_lock(&later->lock);
    later->ending = true;
    pthread_cond_signal(&later->wake);
    pthread_mutex_unlock(&later->lock);
    pthread_join(later->thread, NULL);
    pthread_cond_destroy(&later->idle);
    pthread_cond_destroy(&later->wake);
    pthread_mutex_destroy(&later->lock);
    adl_free(later->ring);
    adl_free(later);
}

void adl_later_submit(struct adl_later *later, struct adl_exchange *exchange, adl_later_fn *answer)
{
    struct adl_http_request *http = exchange->http;
    bool full;

    /* Suspended first: from the moment it is in the ring, the thread may resume it. */
    adl_http_suspend(http);
    pthread_mutex_lock(&later->lock);
    full = later->count == later->capacity;
    if (!full) {
        later->ring[(later->first + later->count++) % later->capacity] =
            (struct waiting){exchange, answer};
        pthread_cond_signal(&later->wake);
    }
    pthread_mutex_unlock(&later->lock);
    if (full) {
        adl_answer_problem(exchange, ADL_PROBLEM_QUEUE_FULL, 1,
                           "too many requests wait for files of runs");
        adl_http_resume(http);
    }
}

void adl_later_drain(struct adl_later *later)
{
    if (!later)
        return;
    pthread_mutex_lock(&later->lock);
    later->draining = true;
    while (later->count > 0 || later->busy)
        pthread_cond_wait(&later->idle, &later->lock);
    pthread_mutex_unlock(&later->lock);
}
