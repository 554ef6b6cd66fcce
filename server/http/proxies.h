#ifndef ADL_SERVER_HTTP_PROXIES_H
#define ADL_SERVER_HTTP_PROXIES_H

/* Whose X-Forwarded-For is believed, and which address of it is the client's. */

#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

/* Immutable after create. */
struct adl_proxies;

/* Text of an IP address, or "unix". */
#define ADL_PROXIES_TEXT 64

/* Each word is an address, a network ADDRESS/PREFIX, or "unix" for whoever connects to a
 * Unix socket. Fails with ARG and the word. */
struct adl_proxies *adl_proxies_create(const char *const *words, size_t count,
                                       struct adl_error *err) ADL_MUST_CHECK;
void adl_proxies_free(struct adl_proxies *proxies);

/* Writes the address of the client: that of the connection's peer, unless the peer is a
 * trusted proxy. `values` are those of the X-Forwarded-For headers in their order; each
 * proxy has appended the address that it was connected from. They are read from the right,
 * and the first address that is not a trusted proxy's is the client's. What is left of it
 * was written by the client, and may be anything. If all are trusted, it is the leftmost
 * one; at an element that is no address, the one to its right. `proxies` NULL: no proxy is
 * trusted. `peer` may be NULL, and the text is then empty. */
void adl_proxies_client(const struct adl_proxies *proxies, const struct sockaddr *peer,
                        const char *const *values, size_t count, char text[ADL_PROXIES_TEXT]);

#endif
