#ifndef ADL_SERVER_API_AUTH_H
#define ADL_SERVER_API_AUTH_H

/* Access control: bearer tokens (RFC 6750) from a file, and the host names under which a
 * server on a loopback address answers (against DNS rebinding). */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "server/api/tokens.h"

struct adl_auth;

/* Creates an access control without tokens, which grants every request. */
struct adl_auth *adl_auth_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_auth_free(struct adl_auth *auth);

/* Replaces the tokens by those of a file (tokens.h). A token that was there before keeps what is
 * left of its rate. Fails as adl_tokens_read() does, and keeps the old tokens then. Thread-safe. */
int adl_auth_read_tokens(struct adl_auth *auth, const char *path,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether everybody on this machine can read the file. */
bool adl_auth_file_is_open(const char *path);
/* What to say about that. */
#define ADL_AUTH_OPEN_FILE "everybody on this machine can read the token file; chmod 600 it"

/* Returns whether requests need a token. Thread-safe. */
bool adl_auth_required(struct adl_auth *auth);

enum adl_auth_verdict {
    ADL_AUTH_GRANTED,
    ADL_AUTH_MISSING,
    ADL_AUTH_WRONG,
    ADL_AUTH_EXPIRED,
    ADL_AUTH_FORBIDDEN, /* the token does not have the rights */
    ADL_AUTH_LIMITED    /* it has used up its rate */
};

/* What is known about the token of a request, whatever the verdict. */
struct adl_auth_answer {
    char name[ADL_TOKEN_NAME_BYTES + 1]; /* "": no token, or one without a name */
    char digest[65];                     /* as in struct adl_token; "": no token is needed */
    unsigned rate, window_s;             /* 0: it has no rate, or was refused before */
    unsigned left;                       /* requests that it may make now */
    unsigned wait_s, reset_s;            /* until it may make one; until it has its whole rate */
};

/* Checks an Authorization header (NULL: none) for a request that needs `rights` (a set of enum
 * adl_right), and takes the request off the token's rate, one that is forbidden too. The time that
 * this takes does not depend on the contents of the tokens. Thread-safe. */
enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header, unsigned rights,
                                     struct adl_auth_answer *answer);

/* Returns whether a Host header (with or without a port) names this machine: localhost,
 * *.localhost, a loopback address, or one of the `allowed_count` names in `allowed` ("*"
 * allows all). NULL, as HTTP/1.0 permits, is allowed. */
bool adl_auth_host_allowed(const char *host, const char *const *allowed, size_t allowed_count);

#endif
