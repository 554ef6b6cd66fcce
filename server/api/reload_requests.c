/* Keeps the requests that wait for a reload, and handles POST /reload. The main thread reloads and
 * answers; a request that comes while a reload is going on waits for the next one, because the
 * files may have changed after they were read.
 *
 * The lock protects the two lists and `closed`. It is held while a request is suspended, so that
 * nobody resumes it before. */

#include "server/api/reload_requests.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/plural.h"
#include "server/api/server.h"

struct adl_reload_requests {
    void (*ask)(void);
    pthread_mutex_t lock;
    struct adl_exchange *current, *next;
    bool closed;
};

struct adl_reload_requests *adl_reload_requests_create(void (*ask)(void), struct adl_error *err)
{
    struct adl_reload_requests *requests = adl_calloc(1, sizeof *requests);

    if (!requests) {
        adl_fail_nomem(err, "requests");
        return NULL;
    }
    requests->ask = ask;
    pthread_mutex_init(&requests->lock, NULL);
    return requests;
}

void adl_reload_requests_free(struct adl_reload_requests *requests)
{
    if (!requests)
        return;
    pthread_mutex_destroy(&requests->lock);
    adl_free(requests);
}

static void answer(struct adl_exchange *exchange, const struct adl_error *result)
{
    struct adl_registry *registry = exchange->server->registry;

    if (!result)
        adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
    else if (result->kind)
        adl_answer_problem(exchange, ADL_PROBLEM_RELOAD_FAILED, 0, "%s", result->message);
    else
        adl_answer_json(exchange, json_pack("{s:s, s:I}", "status", "reloaded", "models",
                                            (json_int_t)adl_registry_count(registry)));
}

static void answer_all(struct adl_exchange *list, const struct adl_error *result)
{
    while (list) {
        struct adl_exchange *exchange = list;
        list = exchange->next_reload;
        answer(exchange, result);
        adl_http_resume(exchange->http);
    }
}

bool adl_reload_requests_add(struct adl_reload_requests *requests, struct adl_exchange *exchange)
{
    pthread_mutex_lock(&requests->lock);
    bool waits = !requests->closed;
    if (waits) {
        adl_http_suspend(exchange->http);
        exchange->next_reload = requests->next;
        requests->next = exchange;
    }
    pthread_mutex_unlock(&requests->lock);
    if (!waits)
        answer(exchange, NULL);
    return waits;
}

/* Takes a list, so that its requests are answered without the lock. */
static struct adl_exchange *take(struct adl_reload_requests *requests, struct adl_exchange **list)
{
    pthread_mutex_lock(&requests->lock);
    struct adl_exchange *taken = *list;
    *list = NULL;
    pthread_mutex_unlock(&requests->lock);
    return taken;
}

void adl_reload_requests_begin(struct adl_reload_requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    requests->current = requests->next;
    requests->next = NULL;
    pthread_mutex_unlock(&requests->lock);
}

void adl_reload_requests_answer(struct adl_reload_requests *requests,
                                const struct adl_error *result)
{
    answer_all(take(requests, &requests->current), result);
}

void adl_reload_requests_close(struct adl_reload_requests *requests)
{
    pthread_mutex_lock(&requests->lock);
    requests->closed = true;
    pthread_mutex_unlock(&requests->lock);
    answer_all(take(requests, &requests->current), NULL);
    answer_all(take(requests, &requests->next), NULL);
}

/* --- POST /reload ------------------------------------------------------------------- */

/* A body means nothing, so it is not kept. */
void adl_api_reload_begin(struct adl_exchange *exchange)
{
    (void)exchange;
}

void adl_api_reload(struct adl_exchange *exchange)
{
    struct adl_reload_requests *requests = exchange->server->reload_requests;

    if (adl_reload_requests_add(requests, exchange))
        requests->ask();
}
