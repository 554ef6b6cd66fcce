#ifndef ADL_SERVER_API_AUTH_H
#define ADL_SERVER_API_AUTH_H

/* Access control: bearer tokens (RFC 6750) from a file, and the host names under which a
 * server on a loopback address answers (against DNS rebinding). */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct adl_auth;

/* Creates an access control without tokens, which grants every request. */
struct adl_auth *adl_auth_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_auth_free(struct adl_auth *auth);

/* Replaces the tokens by those of a file: one per line; empty lines and lines that begin
 * with # are ignored. Fails, and keeps the old tokens, if the file cannot be read, is larger
 * than ADL_LIMIT_TOKEN_FILE_BYTES, or contains no token, a token with characters other than
 * visible ASCII ones, or more than ADL_LIMIT_TOKENS tokens. Thread-safe. */
int adl_auth_read_tokens(struct adl_auth *auth, const char *path,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether requests need a token. Thread-safe. */
bool adl_auth_required(struct adl_auth *auth);

enum adl_auth_verdict { ADL_AUTH_GRANTED, ADL_AUTH_MISSING, ADL_AUTH_WRONG };

/* Checks an Authorization header (NULL: none). The time that this takes does not depend on
 * the contents of the tokens. Thread-safe. */
enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header);

/* Returns whether a Host header (with or without a port) names this machine: localhost,
 * *.localhost, a loopback address, or one of the `allowed_count` names in `allowed` ("*"
 * allows all). NULL, as HTTP/1.0 permits, is allowed. */
bool adl_auth_host_allowed(const char *host, const char *const *allowed, size_t allowed_count);

#endif
