#ifndef ADL_SERVER_HTTP_PROBLEM_H
#define ADL_SERVER_HTTP_PROBLEM_H

/* The errors of the HTTP interface as problem documents (RFC 9457). One table has a row
 * for each kind: its name, used in its type /problems/NAME, its status, its title and
 * the remedy. */

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

enum adl_problem {
    ADL_PROBLEM_NONE, /* no error; has no row */
    ADL_PROBLEM_MALFORMED_REQUEST,
    ADL_PROBLEM_BAD_PARAMETER,
    ADL_PROBLEM_UNKNOWN_CLASS,
    ADL_PROBLEM_UNAUTHORIZED,
    ADL_PROBLEM_UNKNOWN_HOST,
    ADL_PROBLEM_FORBIDDEN,
    ADL_PROBLEM_UNKNOWN_PATH,
    ADL_PROBLEM_UNKNOWN_MODEL,
    ADL_PROBLEM_UNKNOWN_MODEL_FILE,
    ADL_PROBLEM_UNKNOWN_PICTURE,
    ADL_PROBLEM_UNKNOWN_FOLDER,
    ADL_PROBLEM_UNKNOWN_JOB,
    ADL_PROBLEM_METHOD_NOT_ALLOWED,
    ADL_PROBLEM_NOT_ACCEPTABLE,
    ADL_PROBLEM_CLIENT_TOO_SLOW,
    ADL_PROBLEM_PICTURE_CONFLICT,
    ADL_PROBLEM_MODEL_CONFLICT,
    ADL_PROBLEM_LENGTH_REQUIRED,
    ADL_PROBLEM_BODY_TOO_LARGE,
    ADL_PROBLEM_IMAGE_TOO_LARGE,
    ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    ADL_PROBLEM_CORRUPT_IMAGE,
    ADL_PROBLEM_UNUSABLE_MODEL,
    ADL_PROBLEM_CLIENT_GONE,
    ADL_PROBLEM_RATE_LIMITED,
    ADL_PROBLEM_TOO_MANY_JOBS,
    ADL_PROBLEM_INTERNAL,
    ADL_PROBLEM_RELOAD_FAILED,
    ADL_PROBLEM_UNKNOWN_CODING,
    ADL_PROBLEM_QUEUE_FULL,
    ADL_PROBLEM_LOADING,
    ADL_PROBLEM_DRAINING,
    ADL_PROBLEM_DEADLINE_EXCEEDED,
    ADL_PROBLEM_OUT_OF_MEMORY,
    ADL_PROBLEM_STORE_FULL,
    ADL_PROBLEM_COUNT
};

struct adl_problem_row {
    const char *name;   /* "queue-full" */
    int status;         /* HTTP status */
    const char *title;  /* the same for every occurrence */
    const char *remedy; /* what the user can do, in a sentence or two */
};

/* Returns the row of a problem other than ADL_PROBLEM_NONE. */
const struct adl_problem_row *adl_problem_row(enum adl_problem problem);

/* Returns the problem with a name of `length` bytes; ADL_PROBLEM_NONE if there is none. */
enum adl_problem adl_problem_find(const char *name, size_t length);

/* Returns the problem for a kind of error, as far as the kind alone decides it. */
enum adl_problem adl_problem_of(enum adl_error_kind kind);

/* Returns {"type", "title", "status", "detail", "request_id"}, or NULL if there is not enough
 * memory. `request_id` may be NULL. If `detail` is not UTF-8, its bytes beyond ASCII become
 * "?". */
json_t *adl_problem_json(enum adl_problem problem, const char *detail,
                         const char *request_id) ADL_MUST_CHECK;

/* Appends a short HTML page about one problem, or about all of them for ADL_PROBLEM_NONE. */
void adl_problem_page(enum adl_problem problem, struct adl_str *out);

#endif
