/* Runs errands in one thread: a list with a lock and a condition. */

#include "server/serving/errands.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wait.h"

struct adl_errands {
    pthread_t thread;
    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t changed;
    struct adl_errand *first, **end;
    size_t count; /* given and not done */
    bool finishing;
};

static void *run_errands(void *argument)
{
    struct adl_errands *e = argument;

    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->first && !e->finishing)
            pthread_cond_wait(&e->changed, &e->lock);
        struct adl_errand *errand = e->first;
        if (!errand)
            break;
        e->first = errand->next;
        if (!e->first)
            e->end = &e->first;
        pthread_mutex_unlock(&e->lock);
        errand->run(errand);
        pthread_mutex_lock(&e->lock);
        e->count--;
        pthread_cond_broadcast(&e->changed);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

struct adl_errands *adl_errands_start(struct adl_error *err)
{
    struct adl_errands *e = adl_calloc(1, sizeof *e);

    if (!e) {
        adl_fail_nomem(err, "the thread that writes files");
        return NULL;
    }
    e->end = &e->first;
    pthread_mutex_init(&e->lock, NULL);
    adl_cond_init(&e->changed);
    if (pthread_create(&e->thread, NULL, run_errands, e) != 0) {
        adl_fail(err, ADL_ERR_NOMEM, "cannot start the thread that writes files");
        pthread_cond_destroy(&e->changed);
        pthread_mutex_destroy(&e->lock);
        adl_free(e);
        return NULL;
    }
    return e;
}

static bool is_full(const struct adl_errands *e)
{
    return e->finishing || e->count >= ADL_LIMIT_ERRANDS;
}

bool adl_errands_full(struct adl_errands *e)
{
    pthread_mutex_lock(&e->lock);
    bool full = is_full(e);
    pthread_mutex_unlock(&e->lock);
    return full;
}

bool adl_errands_give(struct adl_errands *e, struct adl_errand *errand)
{
    pthread_mutex_lock(&e->lock);
    bool taken = !is_full(e);
    if (taken) {
        errand->next = NULL;
        *e->end = errand;
        e->end = &errand->next;
        e->count++;
        pthread_cond_broadcast(&e->changed);
    }
    pthread_mutex_unlock(&e->lock);
    return taken;
}

bool adl_errands_finish(struct adl_errands *e, unsigned patience_ms)
{
    struct adl_errand *left = NULL;
    const uint64_t until_ns = adl_clock_ns() + (uint64_t)patience_ms * 1000000;
    bool done;

    if (!e)
        return true;
    pthread_mutex_lock(&e->lock);
    e->finishing = true;
    pthread_cond_broadcast(&e->changed);
    while (e->count > 0 && adl_cond_wait_until(&e->changed, &e->lock, until_ns))
        ;
    done = e->count == 0;
    if (!done) {
        left = e->first;
        e->first = NULL;
        e->end = &e->first;
    }
    pthread_mutex_unlock(&e->lock);
    while (left) {
        struct adl_errand *errand = left;
        left = errand->next;
        errand->refuse(errand);
    }
    return done;
}

void adl_errands_free(struct adl_errands *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->finishing = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    adl_free(e);
}
