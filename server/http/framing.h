#ifndef ADL_SERVER_HTTP_FRAMING_H
#define ADL_SERVER_HTTP_FRAMING_H

/* Checks whether every program that parses a request understands it in the same way. If a
 * proxy and this server disagree about where a request ends, one of them takes a part of its
 * body for a second request (request smuggling). */

#include <microhttpd.h>
#include <stdbool.h>

/* Why a request cannot be trusted: its end, its host or its headers could be read in
 * more than one way (RFC 9112, 3.2, 5 and 6). */
enum adl_http_framing {
    ADL_HTTP_FRAMING_CLEAR,     /* it can be trusted */
    ADL_HTTP_FRAMING_SYNTAX,    /* a malformed line (RFC 9112, 3 and 5) */
    ADL_HTTP_FRAMING_HOST,      /* no Host header in HTTP/1.1, more than one, or a malformed one */
    ADL_HTTP_FRAMING_LENGTHS,   /* more than one Content-Length header */
    ADL_HTTP_FRAMING_LENGTH,    /* Content-Length is not a decimal number */
    ADL_HTTP_FRAMING_TOO_LONG,  /* Content-Length exceeds 64 bits */
    ADL_HTTP_FRAMING_AMBIGUOUS, /* Transfer-Encoding with Content-Length, with another
                                   Transfer-Encoding, or in HTTP/1.0 */
    ADL_HTTP_FRAMING_UNKNOWN    /* a Transfer-Encoding other than "chunked" */
};

/* The target of a request as it arrived: the library's pointers into the request line. */
struct adl_http_target {
    const char *text, *end; /* NULL: none was seen */
    bool malformed;         /* contains a blank or a control character, or is missing */
};

/* Returns the target whose NUL-terminated text is `text`, which may be NULL. */
struct adl_http_target adl_http_target_read(const char *text);

/* Checks the head of a request when the library has parsed all headers and none of the body.
 * `version` and `method` are the library's pointers into the request line; an empty method
 * means that it is not known. */
enum adl_http_framing adl_http_framing_of(struct MHD_Connection *connection,
                                          const struct adl_http_target *target, const char *method,
                                          const char *version);

#endif
