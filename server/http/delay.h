#ifndef ADL_SERVER_HTTP_DELAY_H
#define ADL_SERVER_HTTP_DELAY_H

/* Holds refusals back for a moment. Clients that try again at once would otherwise be refused
 * thousands of times a second, which takes the time of the requests that are served. */

#include "base/error.h"
#include "server/http/request.h"

struct adl_delay;

/* Starts the thread that releases requests by calling `release`. Fails with ADL_ERR_NOMEM. */
struct adl_delay *adl_delay_create(void (*release)(struct adl_http_request *request),
                                   struct adl_error *err) ADL_MUST_CHECK;
/* Releases all requests at once; from now on adl_delay_add() takes none. One thread at a time. */
void adl_delay_hurry(struct adl_delay *delay);
/* NULL is ignored. */
void adl_delay_free(struct adl_delay *delay);

/* Tells how many requests are served a second now; that many are refused, as far as the time that a
 * refusal may take allows it. */
void adl_delay_set_rate(struct adl_delay *delay, double answers_per_s);

/* Takes over a suspended request, and releases it later: the later, the more are held. Returns
 * false, and leaves it with the caller, after adl_delay_hurry(). */
bool adl_delay_add(struct adl_delay *delay, struct adl_http_request *request);

#endif
