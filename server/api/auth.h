#ifndef ADL_SERVER_API_AUTH_H
#define ADL_SERVER_API_AUTH_H

/* Who may ask: bearer tokens (RFC 6750) from a file, and the names under which
 * a server on loopback answers (against DNS rebinding). */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct adl_auth;

/* No token yet: everyone may ask. */
struct adl_auth *adl_auth_create(struct adl_error *err) ADL_MUST_CHECK;
void adl_auth_free(struct adl_auth *auth);

/* Takes the tokens of a file in place of the old ones: one a line, blank lines
 * and lines that begin with # aside. Fails, and keeps the old ones, when there
 * is none, when one has a blank or control character in it, or when there are
 * too many. Thread-safe. */
int adl_auth_read_tokens(struct adl_auth *auth, const char *path,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Whether any token is set. */
bool adl_auth_required(struct adl_auth *auth);

enum adl_auth_verdict { ADL_AUTH_GRANTED, ADL_AUTH_MISSING, ADL_AUTH_WRONG };

/* Judges an Authorization header (NULL: there is none). The time it takes tells
 * nothing about the tokens. Thread-safe. */
enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header);

/* Whether a Host header (with or without a port, NULL: HTTP/1.0) names this
 * machine: localhost, *.localhost, an address of loopback, or one of the
 * `allowed_count` names in `allowed` ("*" allows all). */
bool adl_auth_host_allowed(const char *host, const char *const *allowed, size_t allowed_count);

#endif
