/* Hands a suspended request to a thread for errands. */

#include "server/api/later.h"

#include <stddef.h>

#include "server/api/server.h"

static void answer_now(struct adl_errand *errand)
{
    struct adl_exchange *exchange =
        (struct adl_exchange *)((char *)errand - offsetof(struct adl_exchange, errand));
    /* The request belongs to its I/O thread from the resume on. */
    struct adl_http_request *http = exchange->http;

    exchange->answer_later(exchange);
    adl_http_resume(http);
}

static void refuse_now(struct adl_errand *errand)
{
    struct adl_exchange *exchange =
        (struct adl_exchange *)((char *)errand - offsetof(struct adl_exchange, errand));
    struct adl_http_request *http = exchange->http;

    adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
    adl_http_resume(http);
}

void adl_later_submit(struct adl_errands *thread, struct adl_exchange *exchange,
                      adl_later_fn *answer)
{
    struct adl_http_request *http = exchange->http;

    exchange->errand.run = answer_now;
    exchange->errand.refuse = refuse_now;
    exchange->answer_later = answer;
    /* Suspended first: from the moment it is handed over, the thread may resume it. */
    adl_http_suspend(http);
    if (adl_errands_give(thread, &exchange->errand))
        return;
    adl_answer_problem(exchange, ADL_PROBLEM_QUEUE_FULL, 1,
                       "too many requests wait for files; try again shortly");
    adl_http_resume(http);
}
