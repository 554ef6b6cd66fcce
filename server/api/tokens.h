#ifndef ADL_SERVER_API_TOKENS_H
#define ADL_SERVER_API_TOKENS_H

/* Reads a token file. A line is a bearer token, and what it is allowed:
 *
 *     TOKEN [name=NAME] [expires=DATE] [rights=RIGHT,...] [rate=N/s|m|h]
 *
 * Blanks separate; empty lines and lines that begin with # are ignored. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What a token may be allowed to do; a set of them is the sum. */
enum adl_right {
    ADL_RIGHT_LOCALIZE = 1, /* /localize, jobs, and what people draw */
    ADL_RIGHT_MODELS = 2,   /* to see models, training runs and the state of the server */
    ADL_RIGHT_METRICS = 4,
    ADL_RIGHT_ADMIN = 8 /* to change the server */
};
extern const char *const adl_right_names[]; /* in the order of their bits; ends with NULL */

#define ADL_TOKEN_NAME_BYTES 64

struct adl_token {
    char digest[65]; /* SHA-256 of the token, in hexadecimal; the token itself is not kept */
    char name[ADL_TOKEN_NAME_BYTES + 1]; /* letters, digits and "._-"; "": none */
    int64_t expires;                     /* seconds since 1970; 0: never */
    unsigned rights;                     /* of enum adl_right */
    unsigned rate, window_s;             /* so many requests in so many seconds; 0: no limit */

    /* The requests that are left of the rate, and when that was so (base/clock.h); for auth.c. */
    double left;
    uint64_t left_at_ns;
};

/* Returns the tokens of a file, at least one, to be freed with adl_free, and sets *count. Without
 * rights=, a token has all of them but ADL_RIGHT_ADMIN. Fails if the file cannot be read or is
 * larger than ADL_LIMIT_TOKEN_FILE_BYTES, with ADL_ERR_FORMAT if a line is malformed or there is no
 * token, with ADL_ERR_LIMIT if there are more than ADL_LIMIT_TOKENS. */
struct adl_token *adl_tokens_read(const char *path, size_t *count,
                                  struct adl_error *err) ADL_MUST_CHECK;

/* Writes the digest of a token. */
void adl_token_digest(const char *token, size_t length, char digest[65]);

#endif
