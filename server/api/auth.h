#ifndef ADL_SERVER_API_AUTH_H
#define ADL_SERVER_API_AUTH_H

/* Access control: bearer tokens (RFC 6750) from a file, and the host names under which a
 * server on a loopback address answers (against DNS rebinding). */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct adl_auth;

/* Without tokens, every request is granted. */
struct adl_auth *adl_auth_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_auth_free(struct adl_auth *auth);

/* Replaces the tokens by those of a file: one per line; empty lines and lines that begin
 * with # are ignored. Fails, and keeps the old tokens, when the file cannot be read, has
 * no token, a token with blanks or characters beyond ASCII, or more than
 * ADL_LIMIT_TOKENS. Thread-safe. */
int adl_auth_read_tokens(struct adl_auth *auth, const char *path,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Whether requests need a token. */
bool adl_auth_required(struct adl_auth *auth);

enum adl_auth_verdict { ADL_AUTH_GRANTED, ADL_AUTH_MISSING, ADL_AUTH_WRONG };

/* Judges an Authorization header (NULL: none). The time it takes does not depend on the
 * contents of the tokens. Thread-safe. */
enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header);

/* Whether a Host header (with or without a port; NULL: HTTP/1.0) names this machine:
 * localhost, *.localhost, a loopback address, or one of the
 * `allowed_count` names in `allowed` ("*" allows all). */
bool adl_auth_host_allowed(const char *host, const char *const *allowed, size_t allowed_count);

#endif
