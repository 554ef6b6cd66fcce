/* server/http/proxies: which address is the client's. The expected ones follow from what
 * proxies append, as nginx documents for real_ip_recursive and MDN for X-Forwarded-For. */

#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/http/proxies.h"

/* The client for a peer ("unix": a Unix socket) and header lines, which '|' separates. */
static void client_of(const char *const *trusted, size_t count, const char *peer, const char *lines,
                      char text[ADL_PROXIES_TEXT])
{
    struct adl_error err = {0};
    struct sockaddr_storage address = {0};
    struct sockaddr_in *four = (void *)&address;
    struct sockaddr_in6 *six = (void *)&address;
    char copy[500];
    const char *values[8];
    size_t lines_count = 0;

    if (!strcmp(peer, "unix"))
        address.ss_family = AF_UNIX;
    else if (inet_pton(AF_INET, peer, &four->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, peer, &six->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    snprintf(copy, sizeof copy, "%s", lines);
    for (char *save = NULL, *line = strtok_r(copy, "|", &save); line;
         line = strtok_r(NULL, "|", &save))
        values[lines_count++] = line;
    struct adl_proxies *proxies = adl_proxies_create(trusted, count, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(proxies);
    adl_proxies_client(proxies, (const struct sockaddr *)&address, values, lines_count, text);
    adl_proxies_free(proxies);
}

static void finds_the_client(void)
{
    static const char *const trusted[] = {"127.0.0.1",     "10.0.0.0/8", "192.168.4.0/22",
                                          "2001:db8::/33", "unix",       "::ffff:203.0.113.0/120"};
    static const struct {
        const char *peer, *lines, *client;
    } cases[] = {
        /* Not a proxy's word. */
        {"198.51.100.7", "", "198.51.100.7"},
        {"198.51.100.7", "1.2.3.4", "198.51.100.7"},
        {"11.0.0.1", "1.2.3.4", "11.0.0.1"},
        {"127.0.0.2", "1.2.3.4", "127.0.0.2"},
        {"2001:db8:8000::1", "1.2.3.4", "2001:db8:8000::1"},
        {"192.168.8.1", "1.2.3.4", "192.168.8.1"},
        /* One proxy; the client may have written what is left of its own address. */
        {"127.0.0.1", "", "127.0.0.1"},
        {"127.0.0.1", "1.2.3.4", "1.2.3.4"},
        {"127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
        {"127.0.0.1", "127.0.0.1, 1.2.3.4", "1.2.3.4"},
        {"127.0.0.1", "nonsense, 1.2.3.4", "1.2.3.4"},
        {"192.168.7.255", "1.2.3.4", "1.2.3.4"},
        {"2001:db8:7fff::1", "2001:DB8:ffff::0:1", "2001:db8:ffff::1"},
        {"203.0.113.9", "1.2.3.4", "1.2.3.4"},
        {"::ffff:127.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"},
        {"unix", "1.2.3.4", "1.2.3.4"},
        {"unix", "", "unix"},
        /* A chain of proxies, in one line and in several. */
        {"127.0.0.1", "6.6.6.6, 1.2.3.4, 10.1.1.1, 10.2.2.2", "1.2.3.4"},
        {"127.0.0.1", "6.6.6.6|1.2.3.4, 10.1.1.1|10.2.2.2", "1.2.3.4"},
        {"127.0.0.1", "1.2.3.4|10.1.1.1", "1.2.3.4"},
        {"127.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
        /* Ports, blanks, empty elements. */
        {"127.0.0.1", "1.2.3.4:5678", "1.2.3.4"},
        {"127.0.0.1", "[2001:db8:ffff::1]:5678", "2001:db8:ffff::1"},
        {"127.0.0.1", "[2001:db8:ffff::1]", "2001:db8:ffff::1"},
        {"127.0.0.1", " \t1.2.3.4\t ,, ,", "1.2.3.4"},
        {"127.0.0.1", ", ,", "127.0.0.1"},
        /* What is no address ends the walk. */
        {"127.0.0.1", "1.2.3.4, unknown", "127.0.0.1"},
        {"127.0.0.1", "1.2.3.4, 10.1.1.1x, 10.2.2.2", "10.2.2.2"},
        {"127.0.0.1", "1.2.3.4, [::1", "127.0.0.1"},
        {"127.0.0.1", "1.2.3.4, [::1]x", "127.0.0.1"},
        {"127.0.0.1", "fe80::1%eth0", "127.0.0.1"},
        {"127.0.0.1",
         "11111111111111111111111111111111111111111111111111111111111111111111111111111111",
         "127.0.0.1"},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char text[ADL_PROXIES_TEXT];
        client_of(trusted, ADL_COUNT(trusted), cases[i].peer, cases[i].lines, text);
        if (strcmp(text, cases[i].client) != 0)
            TEST_FAIL("%s, \"%s\": %s, expected %s", cases[i].peer, cases[i].lines, text,
                      cases[i].client);
        client_of(NULL, 0, cases[i].peer, cases[i].lines, text);
        if (!strstr(cases[i].peer, "::ffff:"))
            CU_ASSERT_STRING_EQUAL(text, cases[i].peer);
    }
}

static void takes_networks_of_every_length(void)
{
    for (int prefix = 0; prefix <= 128; prefix++) {
        char word[60], text[ADL_PROXIES_TEXT], peer[60];
        uint8_t bytes[16];
        const char *words[] = {word};
        /* The bit behind the prefix differs; then the last bit of the prefix. */
        for (int flipped = prefix; flipped >= prefix - 1 && flipped >= 0; flipped--) {
            snprintf(word, sizeof word, "2001:db8:a5a5:5a5a:c3c3:3c3c:1234:fedc/%d", prefix);
            inet_pton(AF_INET6, "2001:db8:a5a5:5a5a:c3c3:3c3c:1234:fedc", bytes);
            if (flipped < 128)
                bytes[flipped / 8] ^= (uint8_t)(128 >> flipped % 8);
            inet_ntop(AF_INET6, bytes, peer, sizeof peer);
            client_of(words, 1, peer, "1.2.3.4", text);
            CU_ASSERT_STRING_EQUAL(text, flipped == prefix ? "1.2.3.4" : peer);
        }
    }
}

static void refuses_what_is_no_network(void)
{
    static const char *const words[] = {"",           "localhost",    "10.0.0.0/33", "10.0.0.0/",
                                        "10.0.0.0/x", "10.0.0.0/8x",  "10.0.0/8",    "::/129",
                                        "/8",         "10.0.0.0/-1",  "10.0.0.0/+8", "10.0.0.0/8/8",
                                        "1.2.3.4:80", "10.0.0.0/0008"};

    for (size_t i = 0; i < ADL_COUNT(words); i++) {
        struct adl_error err = {0};
        struct adl_proxies *proxies = adl_proxies_create(&words[i], 1, &err);
        if (proxies || err.kind != ADL_ERR_ARG)
            TEST_FAIL("\"%s\" is taken", words[i]);
        adl_proxies_free(proxies);
    }
}

TEST_SUITE(proxies, {"finds the client", finds_the_client},
           {"takes networks of every length", takes_networks_of_every_length},
           {"refuses what is no network", refuses_what_is_no_network});
