/* Counts connections by address; see crowd.h. */

#include "server/http/crowd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/hash.h"

unsigned adl_crowd_bucket(const struct adl_crowd *crowd, const struct sockaddr *address)
{
    uint8_t key[8] = {0};
    uint64_t hash = ADL_FNV_BASIS ^ crowd->seed;

    if (address && address->sa_family == AF_INET) {
        memcpy(key, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *six =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        memcpy(key, six->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    } else {
        return 0;
    }
    for (size_t i = 0; i < sizeof key; i++)
        hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
    return 1 + (unsigned)((hash ^ hash >> 32) % (ADL_CROWD_BUCKETS - 1));
}

unsigned adl_crowd_bucket_of(const struct adl_crowd *crowd, const char *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return adl_crowd_bucket(crowd, (const struct sockaddr *)(const void *)&four);
    if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1)
        return adl_crowd_bucket(crowd, (const struct sockaddr *)(const void *)&six);
    return 0;
}
