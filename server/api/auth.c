/* Checks bearer tokens and host names.
 *
 * Tokens. A comparison that stops at the first different byte takes longer the more of the
 * leading bytes are right, and so lets an attacker guess a token byte by byte. Therefore only
 * the SHA-256 of each token is kept, and the digest of the given token is compared with all of
 * them in constant time. Digests all have the same length, so the time does not reveal the
 * length of a token either, and the tokens themselves are not kept in memory.
 *
 * Host names. A server on a loopback address trusts its machine, but any web page that the
 * user visits can send requests to it. With DNS rebinding, the page's host name is made to
 * resolve to 127.0.0.1; the browser then takes these requests for requests to the page's own
 * origin and lets the page read the answers. Such requests carry the page's host name in their
 * Host header, so only names that always mean this machine are accepted. */

#include "server/api/auth.h"

#include <arpa/inet.h>
#include <nettle/memops.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "io/file.h"

typedef char digest[65];

struct adl_auth {
    pthread_mutex_t lock;
    digest *tokens; /* under the lock */
    size_t count;
};

static void digest_of(const char *token, size_t length, digest out)
{
    struct adl_sha256 hash;
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, token, length);
    adl_sha256_hex(&hash, out);
}

struct adl_auth *adl_auth_create(struct adl_error *err)
{
    struct adl_auth *auth = adl_calloc(1, sizeof *auth);
    if (!auth) {
        adl_fail_nomem(err, "tokens");
        return NULL;
    }
    pthread_mutex_init(&auth->lock, NULL);
    return auth;
}

void adl_auth_free(struct adl_auth *auth)
{
    if (!auth)
        return;
    pthread_mutex_destroy(&auth->lock);
    adl_free(auth->tokens);
    adl_free(auth);
}

static int add_line(const char *path, int number, const char *line, size_t length, digest *tokens,
                    size_t *count, struct adl_error *err)
{
    while (length > 0 && strchr(" \t\r", line[length - 1]))
        length--;
    while (length > 0 && strchr(" \t", *line)) {
        line++;
        length--;
    }
    if (length == 0 || *line == '#')
        return 0;
    for (size_t i = 0; i < length; i++)
        if (line[i] <= ' ' || line[i] > '~')
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: line %d: a token consists of ASCII characters without blanks",
                            path, number);
    if (*count == ADL_LIMIT_TOKENS)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: more than %d tokens", path, ADL_LIMIT_TOKENS);
    digest_of(line, length, tokens[(*count)++]);
    return 0;
}

int adl_auth_read_tokens(struct adl_auth *auth, const char *path, struct adl_error *err)
{
    size_t length, count = 0;
    digest *tokens = NULL, *old;
    int number = 1, result = -1;
    char *text = adl_file_read(path, ADL_LIMIT_TOKEN_FILE_BYTES, &length, err);

    if (!text)
        return -1;
    tokens = adl_malloc(ADL_LIMIT_TOKENS, sizeof *tokens);
    if (!tokens) {
        adl_fail_nomem(err, "tokens");
        goto out;
    }
    for (size_t offset = 0; offset < length; number++) {
        const char *end = memchr(text + offset, '\n', length - offset);
        size_t line = end ? (size_t)(end - text) - offset : length - offset;
        ADL_TRY(add_line(path, number, text + offset, line, tokens, &count, err));
        offset += line + 1;
    }
    if (count == 0) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: contains no token; write one per line", path);
        goto out;
    }
    pthread_mutex_lock(&auth->lock);
    old = auth->tokens;
    auth->tokens = tokens;
    auth->count = count;
    pthread_mutex_unlock(&auth->lock);
    tokens = old;
    result = 0;
out:
    explicit_bzero(text, length);
    adl_free(text);
    adl_free(tokens);
    return result;
}

bool adl_auth_required(struct adl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    bool required = auth->count > 0;
    pthread_mutex_unlock(&auth->lock);
    return required;
}

enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header)
{
    static const char scheme[] = "Bearer ";
    const char *token = "";
    digest given;
    bool found = false;
    enum adl_auth_verdict verdict;

    if (header && !strncasecmp(header, scheme, sizeof scheme - 1))
        for (token = header + sizeof scheme - 1; *token == ' ';)
            token++;
    digest_of(token, strlen(token), given);
    pthread_mutex_lock(&auth->lock);
    /* Every token is compared, so that the time does not depend on which one matches. */
    for (size_t i = 0; i < auth->count; i++)
        found |= memeql_sec(given, auth->tokens[i], sizeof(digest)) != 0;
    verdict = found || auth->count == 0 ? ADL_AUTH_GRANTED
              : header                  ? ADL_AUTH_WRONG
                                        : ADL_AUTH_MISSING;
    pthread_mutex_unlock(&auth->lock);
    return verdict;
}

bool adl_auth_host_allowed(const char *host, const char *const *allowed, size_t allowed_count)
{
    char name[256];
    struct in6_addr six;
    struct in_addr four;
    size_t length;

    if (!host)
        return true;
    for (size_t i = 0; i < allowed_count; i++)
        if (!strcmp(allowed[i], "*") || !strcasecmp(allowed[i], host))
            return true;
    length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (length >= sizeof name || length > strlen(host))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)length, host);
    for (size_t i = 0; i < allowed_count; i++)
        if (!strcasecmp(allowed[i], name))
            return true;
    if (length > 0 && name[length - 1] == '.')
        name[--length] = '\0';
    if (!strcasecmp(name, "localhost") ||
        (length > 10 && !strcasecmp(name + length - 10, ".localhost")))
        return true;
    if (*name == '[') {
        name[length - 1] = '\0';
        return inet_pton(AF_INET6, name + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
    }
    return inet_pton(AF_INET, name, &four) == 1 && (ntohl(four.s_addr) >> 24) == 127;
}
