/* Who a request counts for, when work is shared out: see serving/fair.h. With tokens it is the
 * token, since several clients may have one address and a client several; without, the address. Of
 * an IPv6 address only the network counts, as every client has 2^64 addresses of its own. */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "server/api/server.h"

/* Replaces an IPv6 address by that of its network, whose prefix has 64 bits. */
static void shorten(char *address, size_t size)
{
    struct in6_addr six;

    if (inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
        return;
    memset(six.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &six, address, (socklen_t)size);
}

struct adl_sender adl_sender_of(const struct adl_exchange *exchange)
{
    const struct adl_http_request *http = exchange->http;
    /* Its digest: one token can be written in many ways in the header. */
    const char *token = *exchange->owner ? exchange->owner : NULL;
    char address[ADL_PROXIES_TEXT];

    snprintf(address, sizeof address, "%s", http->remote);
    shorten(address, sizeof address);
    return (struct adl_sender){
        .client =
            adl_hash_text(ADL_FNV_BASIS ^ exchange->server->hash_seed, token ? token : address),
        .connection = (uint64_t)(uintptr_t)http->connection,
    };
}
