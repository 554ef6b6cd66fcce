#ifndef ADL_SERVER_HTTP_PROXIES_H
#define ADL_SERVER_HTTP_PROXIES_H

/* Finds the client's address behind reverse proxies: from which peers X-Forwarded-For is
 * trusted, and which of its addresses is the client's. */

#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

/* Immutable after create. */
struct adl_proxies;

/* Size of the text of an IP address, or of "unix". */
#define ADL_PROXIES_TEXT 64

/* Creates the set of trusted proxies. Each word is an address, a network ADDRESS/PREFIX, or
 * "unix" for every peer of a Unix socket. Fails with ADL_ERR_ARG and a message that quotes the
 * word. */
struct adl_proxies *adl_proxies_create(const char *const *words, size_t count,
                                       struct adl_error *err) ADL_MUST_CHECK;
void adl_proxies_free(struct adl_proxies *proxies);

/* Writes the address of the client into `text`: the address of the connection's peer, unless
 * the peer is a trusted proxy. `values` are the values of the X-Forwarded-For headers in their
 * order; each proxy has appended the address of the peer that connected to it. They are read
 * from the right, and the first address that does not belong to a trusted proxy is the
 * client's. The elements to its left were written by the client and may be false. If all are
 * trusted, the leftmost address is used; if an element is not an address, the one to its right.
 * If `proxies` is NULL, no proxy is trusted. If `peer` is NULL, the text is empty. */
void adl_proxies_client(const struct adl_proxies *proxies, const struct sockaddr *peer,
                        const char *const *values, size_t count, char text[ADL_PROXIES_TEXT]);

#endif
