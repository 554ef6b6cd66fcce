#ifndef ADL_SERVER_HTTP_POST_H
#define ADL_SERVER_HTTP_POST_H

/* Sends one request to another server, over plain HTTP/1.1: for a collector beside this one. */

#include <stddef.h>

#include "base/error.h"

struct adl_http_endpoint {
    char host[256]; /* a name, or an address without brackets */
    char port[6];
    char authority[280]; /* for the header Host */
    char path[512];      /* with the query */
};

/* Reads "http://HOST[:PORT][/PATH]"; without a path, or with "/" alone, `path` is taken. Fails with
 * ADL_ERR_ARG, also for https, which needs a proxy on this machine. */
int adl_http_endpoint_parse(const char *url, const char *path, struct adl_http_endpoint *to,
                            struct adl_error *err) ADL_MUST_CHECK;

struct adl_http_post_answer {
    int status;
    unsigned retry_after_s; /* 0: not given, or given as a date */
};

/* Posts a body on a new connection, and reads the head of the answer. Each address of the host, and
 * then the exchange, may take `timeout_ms`. Looking up a name may take longer. Fails with
 * ADL_ERR_IO. */
int adl_http_post(const struct adl_http_endpoint *to, const char *type, const void *body,
                  size_t length, unsigned timeout_ms, struct adl_http_post_answer *answer,
                  struct adl_error *err) ADL_MUST_CHECK;

#endif
