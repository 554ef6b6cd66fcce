#ifndef ADL_SERVER_API_RELOAD_REQUESTS_H
#define ADL_SERVER_API_RELOAD_REQUESTS_H

/* Requests that wait for the end of a reload: POST /reload on the listener of --admin-listen.
 * All functions are thread-safe. */

#include <stdbool.h>

#include "base/error.h"

struct adl_exchange;
struct adl_reload_requests;

/* `ask` makes the server reload soon (adl_lifecycle_ask_reload()). */
struct adl_reload_requests *adl_reload_requests_create(void (*ask)(void),
                                                       struct adl_error *err) ADL_MUST_CHECK;
/* Frees the list, in which no request may wait. NULL is ignored. */
void adl_reload_requests_free(struct adl_reload_requests *requests);

/* Suspends a request, which the end of the next reload to begin answers; to be called in the hook
 * `complete`. After adl_reload_requests_close(), answers it at once instead, and returns false. */
bool adl_reload_requests_add(struct adl_reload_requests *requests, struct adl_exchange *exchange);

/* To be called when a reload begins: those that wait now wait for its end. */
void adl_reload_requests_begin(struct adl_reload_requests *requests);
/* To be called at its end: answers them. `result` has the kind ADL_ERR_NONE if all went well. */
void adl_reload_requests_answer(struct adl_reload_requests *requests,
                                const struct adl_error *result);
/* Answers all that the server is shutting down. */
void adl_reload_requests_close(struct adl_reload_requests *requests);

#endif
