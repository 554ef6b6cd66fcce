/* Parses the trusted networks, and finds the client's address in X-Forwarded-For. */

#include "server/http/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

/* An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1), as sockets that listen on
 * both families report it, is kept as the IPv4 address. */
struct address {
    int family; /* AF_INET, AF_INET6, AF_UNIX (without bytes), or AF_UNSPEC: none */
    uint8_t bytes[16];
};

struct network {
    struct address base;
    unsigned prefix; /* number of leading bits that are compared */
};

struct adl_proxies {
    size_t count;
    struct network networks[];
};

static unsigned bits_of(int family)
{
    return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

static void unmap(struct address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (address->family != AF_INET6 || memcmp(address->bytes, mapped, sizeof mapped) != 0)
        return;
    address->family = AF_INET;
    memmove(address->bytes, address->bytes + sizeof mapped, 4);
    memset(address->bytes + 4, 0, 12);
}

static bool read_address(const char *text, struct address *address)
{
    *address = (struct address){0};
    if (inet_pton(AF_INET, text, address->bytes) == 1)
        address->family = AF_INET;
    else if (inet_pton(AF_INET6, text, address->bytes) == 1)
        address->family = AF_INET6;
    return address->family != AF_UNSPEC;
}

static bool is_in(const struct network *network, const struct address *address)
{
    unsigned whole = network->prefix / 8, rest = network->prefix % 8;

    if (network->base.family != address->family ||
        memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || (network->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_trusted(const struct adl_proxies *proxies, const struct address *address)
{
    for (size_t i = 0; proxies && i < proxies->count; i++)
        if (is_in(&proxies->networks[i], address))
            return true;
    return false;
}

/* --- the option --------------------------------------------------------------------- */

static bool read_network(const char *word, struct network *network)
{
    size_t length = strcspn(word, "/");
    char text[ADL_PROXIES_TEXT];
    unsigned long prefix;
    char *end;

    *network = (struct network){0};
    if (!strcmp(word, "unix")) {
        network->base.family = AF_UNIX;
        return true;
    }
    if (length >= sizeof text)
        return false;
    memcpy(text, word, length);
    text[length] = '\0';
    if (!read_address(text, &network->base))
        return false;
    prefix = bits_of(network->base.family);
    if (word[length]) {
        if (word[length + 1] < '0' || word[length + 1] > '9' || strlen(word + length + 1) > 3)
            return false;
        prefix = strtoul(word + length + 1, &end, 10);
        if (*end || prefix > bits_of(network->base.family))
            return false;
    }
    if (network->base.family == AF_INET6 && prefix >= 96) {
        unmap(&network->base);
        prefix -= network->base.family == AF_INET ? 96 : 0;
    }
    network->prefix = (unsigned)prefix;
    return true;
}

struct adl_proxies *adl_proxies_create(const char *const *words, size_t count,
                                       struct adl_error *err)
{
    struct adl_proxies *proxies =
        adl_calloc(1, sizeof *proxies + count * sizeof proxies->networks[0]);

    if (!proxies) {
        adl_fail_nomem(err, "the trusted proxies");
        return NULL;
    }
    for (; proxies->count < count; proxies->count++)
        if (!read_network(words[proxies->count], &proxies->networks[proxies->count])) {
            adl_fail(err, ADL_ERR_ARG,
                     "--trusted-proxy %s: has to be an IP address, a network such as "
                     "10.0.0.0/8, or unix",
                     adl_name_quote(words[proxies->count], strlen(words[proxies->count])).text);
            adl_free(proxies);
            return NULL;
        }
    return proxies;
}

void adl_proxies_free(struct adl_proxies *proxies)
{
    adl_free(proxies);
}

/* --- the header ----------------------------------------------------------------------- */

/* Reads an element of the list: an address, to which some proxies append a port. */
static bool read_element(const char *begin, size_t length, struct address *address)
{
    char text[ADL_PROXIES_TEXT];
    char *start = text, *end;

    if (length >= sizeof text)
        return false;
    memcpy(text, begin, length);
    text[length] = '\0';
    if (*text == '[') {
        start = text + 1;
        end = strchr(start, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        *end = '\0';
    } else if ((end = strchr(text, ':')) && end == strrchr(text, ':')) {
        *end = '\0'; /* with more than one colon, it is IPv6 without a port */
    }
    if (!read_address(start, address))
        return false;
    unmap(address);
    return true;
}

/* Finds the last element in the first `*length` bytes of a list, and reduces *length to the
 * bytes before it. Returns whether there is one. Empty elements are skipped (RFC 9110,
 * 5.6.1). */
static bool take_last(const char *list, size_t *length, const char **element, size_t *size)
{
    size_t end = *length, begin;

    while (end > 0 && strchr(", \t", list[end - 1]))
        end--;
    for (begin = end; begin > 0 && list[begin - 1] != ',';)
        begin--;
    *length = begin;
    while (begin < end && strchr(" \t", list[begin]))
        begin++;
    *element = list + begin;
    *size = end - begin;
    return *size > 0;
}

static void read_peer(const struct sockaddr *peer, struct address *address)
{
    *address = (struct address){0};
    if (!peer)
        return;
    if (peer->sa_family == AF_INET)
        memcpy(address->bytes, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    else if (peer->sa_family == AF_INET6)
        memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    else if (peer->sa_family != AF_UNIX)
        return;
    address->family = peer->sa_family;
    unmap(address);
}

void adl_proxies_client(const struct adl_proxies *proxies, const struct sockaddr *peer,
                        const char *const *values, size_t count, char text[ADL_PROXIES_TEXT])
{
    struct address hop, next;
    const char *element;
    size_t size;

    read_peer(peer, &hop);
    for (size_t i = count; i > 0 && is_trusted(proxies, &hop); i--) {
        size_t length = strlen(values[i - 1]);
        while (is_trusted(proxies, &hop) && take_last(values[i - 1], &length, &element, &size)) {
            if (!read_element(element, size, &next))
                goto out;
            hop = next;
        }
    }
out:
    *text = '\0';
    if (hop.family == AF_UNIX)
        snprintf(text, ADL_PROXIES_TEXT, "unix");
    else if (hop.family != AF_UNSPEC)
        inet_ntop(hop.family, hop.bytes, text, ADL_PROXIES_TEXT);
}
