#ifndef ADL_SERVER_HTTP_PROBLEM_H
#define ADL_SERVER_HTTP_PROBLEM_H

/* What can go wrong with a request, as problem documents (RFC 9457). One table
 * has a row for each kind: its name in /problems/NAME, its status, what it
 * means and what to do. */

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

enum adl_problem {
    ADL_PROBLEM_NONE, /* no row: all is well */
    ADL_PROBLEM_MALFORMED_REQUEST,
    ADL_PROBLEM_BAD_PARAMETER,
    ADL_PROBLEM_UNKNOWN_CLASS,
    ADL_PROBLEM_UNAUTHORIZED,
    ADL_PROBLEM_UNKNOWN_HOST,
    ADL_PROBLEM_UNKNOWN_PATH,
    ADL_PROBLEM_UNKNOWN_MODEL,
    ADL_PROBLEM_METHOD_NOT_ALLOWED,
    ADL_PROBLEM_NOT_ACCEPTABLE,
    ADL_PROBLEM_CLIENT_TOO_SLOW,
    ADL_PROBLEM_LENGTH_REQUIRED,
    ADL_PROBLEM_BODY_TOO_LARGE,
    ADL_PROBLEM_IMAGE_TOO_LARGE,
    ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    ADL_PROBLEM_CORRUPT_IMAGE,
    ADL_PROBLEM_CLIENT_GONE,
    ADL_PROBLEM_INTERNAL,
    ADL_PROBLEM_UNKNOWN_CODING,
    ADL_PROBLEM_QUEUE_FULL,
    ADL_PROBLEM_LOADING,
    ADL_PROBLEM_DRAINING,
    ADL_PROBLEM_DEADLINE_EXCEEDED,
    ADL_PROBLEM_OUT_OF_MEMORY,
    ADL_PROBLEM_COUNT
};

struct adl_problem_row {
    const char *name;   /* "queue-full" */
    int status;         /* of HTTP */
    const char *title;  /* the same for every occurrence */
    const char *remedy; /* what to do, a sentence or two */
};

const struct adl_problem_row *adl_problem_row(enum adl_problem problem);

/* By name of `length` bytes; ADL_PROBLEM_NONE when there is none. */
enum adl_problem adl_problem_find(const char *name, size_t length);

/* The one map from error kinds to problems. */
enum adl_problem adl_problem_of(enum adl_error_kind kind);

/* {"type", "title", "status", "detail", "request_id"}; NULL is out of memory.
 * `request_id` may be NULL. Bytes of `detail` that are no UTF-8 become "?". */
json_t *adl_problem_json(enum adl_problem problem, const char *detail,
                         const char *request_id) ADL_MUST_CHECK;

/* A short page for people: one problem, or the list of all of them (NONE). */
void adl_problem_page(enum adl_problem problem, struct adl_str *out);

#endif
