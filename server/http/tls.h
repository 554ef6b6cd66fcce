#ifndef ADL_SERVER_HTTP_TLS_H
#define ADL_SERVER_HTTP_TLS_H

/* The certificate and key of a server that speaks TLS, which can be replaced while it runs, and the
 * authorities whose clients it takes. There is at most one per process.
 *
 * A program that was built without TLS (make TLS=) has none: adl_tls_create() fails. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct adl_tls;
struct MHD_Connection;

/* TLS 1.2 with forward secrecy and authenticated encryption alone, and TLS 1.3. */
#define ADL_TLS_PRIORITIES                                                                         \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"      \
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

/* Reads PEM files: the certificate followed by those of its authorities, the key of the first, and,
 * unless NULL, the authorities one of which has to have signed the certificate of each client.
 * Fails with what is wrong with which file, also if the key belongs to another certificate. */
struct adl_tls *adl_tls_create(const char *certificate, const char *key, const char *client_ca,
                               struct adl_error *err) ADL_MUST_CHECK;
/* Reads the certificate and the key again, for connections that begin from now on. On failure the
 * old ones stay. Not thread-safe with itself, but with everything else. */
int adl_tls_reload(struct adl_tls *tls, struct adl_error *err) ADL_MUST_CHECK;
/* To be called when no connection uses it any more. NULL is ignored. */
void adl_tls_free(struct adl_tls *tls);

/* Returns the seconds since 1970 at which the certificate expires. Thread-safe. */
int64_t adl_tls_expires(struct adl_tls *tls);

/* Returns the authorities of clients as PEM; NULL: none are asked for. */
const char *adl_tls_client_ca(const struct adl_tls *tls);
/* Returns what libmicrohttpd takes as MHD_OPTION_HTTPS_CERT_CALLBACK, a function. */
void *adl_tls_callback(void);

/* Sends bytes on the session of a connection, without waiting; returns how many, or -1. */
ssize_t adl_tls_send(struct MHD_Connection *connection, const void *bytes, size_t length);

#endif
