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
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

struct adl_auth {
    pthread_mutex_t lock;
    struct adl_token *tokens; /* under the lock */
    size_t count;
};

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

/* Takes over what is left of the rates, so that a reload gives nobody more. Called under the
 * lock. */
static void keep_rates(const struct adl_auth *auth, struct adl_token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < auth->count; k++)
            if (tokens[i].rate > 0 && auth->tokens[k].rate > 0 &&
                !strcmp(tokens[i].digest, auth->tokens[k].digest)) {
                tokens[i].left = ADL_MIN(auth->tokens[k].left, tokens[i].left);
                tokens[i].left_at_ns = auth->tokens[k].left_at_ns;
            }
}

int adl_auth_read_tokens(struct adl_auth *auth, const char *path, struct adl_error *err)
{
    size_t count;
    struct adl_token *tokens = adl_tokens_read(path, &count, err), *old;

    if (!tokens)
        return -1;
    pthread_mutex_lock(&auth->lock);
    keep_rates(auth, tokens, count);
    old = auth->tokens;
    auth->tokens = tokens;
    auth->count = count;
    pthread_mutex_unlock(&auth->lock);
    adl_free(old);
    return 0;
}

bool adl_auth_file_is_open(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IROTH);
}

bool adl_auth_required(struct adl_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    bool required = auth->count > 0;
    pthread_mutex_unlock(&auth->lock);
    return required;
}

/* Takes one request off the rate of a token, if one is left. Called under the lock. */
static bool take(struct adl_token *token, struct adl_auth_answer *answer)
{
    const double each_s = (double)token->window_s / token->rate;
    uint64_t now = adl_clock_ns();
    bool taken;

    if (token->left_at_ns > 0)
        token->left += adl_clock_ms(token->left_at_ns, now) / 1e3 / each_s;
    token->left = ADL_MIN(token->left, (double)token->rate);
    token->left_at_ns = now;
    taken = token->left >= 1;
    if (taken)
        token->left -= 1;
    answer->rate = token->rate;
    answer->window_s = token->window_s;
    answer->left = (unsigned)token->left;
    answer->wait_s = 1 + (unsigned)((1 - ADL_MIN(token->left, 1.0)) * each_s);
    answer->reset_s = 1 + (unsigned)(((double)token->rate - token->left) * each_s);
    return taken;
}

enum adl_auth_verdict adl_auth_check(struct adl_auth *auth, const char *header, unsigned rights,
                                     struct adl_auth_answer *answer)
{
    static const char scheme[] = "Bearer ";
    const char *text = NULL; /* of a token; another scheme has none */
    char given[65];
    struct adl_token *found = NULL;
    enum adl_auth_verdict verdict = ADL_AUTH_GRANTED;

    *answer = (struct adl_auth_answer){.name = ""};
    if (header && !strncasecmp(header, scheme, sizeof scheme - 1))
        for (text = header + sizeof scheme - 1; *text == ' ';)
            text++;
    adl_token_digest(text ? text : "", text ? strlen(text) : 0, given);
    pthread_mutex_lock(&auth->lock);
    /* Every token is compared, so that the time does not depend on which one matches. */
    for (size_t i = auth->count; i-- > 0;)
        if (memeql_sec(given, auth->tokens[i].digest, sizeof given))
            found = &auth->tokens[i];
    if (found) {
        snprintf(answer->name, sizeof answer->name, "%s", found->name);
        memcpy(answer->digest, found->digest, sizeof answer->digest);
    }
    if (auth->count == 0)
        verdict = ADL_AUTH_GRANTED;
    else if (!found)
        verdict = text ? ADL_AUTH_WRONG : ADL_AUTH_MISSING;
    else if (found->expires > 0 && (int64_t)time(NULL) >= found->expires)
        verdict = ADL_AUTH_EXPIRED;
    else if (found->rate > 0 && !take(found, answer))
        verdict = ADL_AUTH_LIMITED;
    else if (rights & ~found->rights)
        verdict = ADL_AUTH_FORBIDDEN;
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
