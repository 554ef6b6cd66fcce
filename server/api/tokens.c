/* Reads a token file; see tokens.h. */

#include "server/api/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/size.h"
#include "io/file.h"

const char *const adl_right_names[] = {"localize", "models", "metrics", "admin", NULL};

#define USUAL_RIGHTS (ADL_RIGHT_LOCALIZE | ADL_RIGHT_MODELS | ADL_RIGHT_METRICS)
#define MOST_REQUESTS 1000000

/* Where an error is. */
struct place {
    const char *path;
    int line;
    struct adl_error *err;
};

void adl_token_digest(const char *token, size_t length, char digest[65])
{
    struct adl_sha256 hash;
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, token, length);
    adl_sha256_hex(&hash, digest);
}

static int fail(const struct place *place, const char *what)
{
    return adl_fail(place->err, ADL_ERR_FORMAT, "%s: line %d: %s", place->path, place->line, what);
}

static int read_name(struct adl_token *token, const char *value, const struct place *place)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";

    if (!*value || strlen(value) > ADL_TOKEN_NAME_BYTES || value[strspn(value, allowed)])
        return fail(place, "name= has to have 1 to 64 letters, digits, dots, _ and -");
    snprintf(token->name, sizeof token->name, "%s", value);
    return 0;
}

/* "2027-01-31", which is the beginning of that day in UTC, or "2027-01-31T12:00:00Z". */
static int read_expiry(struct adl_token *token, const char *value, const struct place *place)
{
    struct tm parts = {0}, given;
    const char *end = strptime(value, "%Y-%m-%d", &parts);

    if (end && *end == 'T')
        end = strptime(end, "T%H:%M:%SZ", &parts);
    given = parts;
    token->expires = end && !*end ? (int64_t)timegm(&parts) : 0;
    /* timegm() takes the 31st of April for the 1st of May. */
    if (token->expires <= 0 || parts.tm_mday != given.tm_mday || parts.tm_sec != given.tm_sec)
        return fail(place, "expires= has to be a date such as 2027-01-31, or a time such as "
                           "2027-01-31T12:00:00Z");
    return 0;
}

static int read_rights(struct adl_token *token, char *value, const struct place *place)
{
    char *rest = NULL;

    token->rights = 0;
    for (char *one = strtok_r(value, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        unsigned bit = 0;
        while (adl_right_names[bit] && strcmp(adl_right_names[bit], one) != 0)
            bit++;
        if (!adl_right_names[bit])
            return fail(place, "rights= has to list localize, models, metrics, admin");
        token->rights |= 1U << bit;
    }
    return token->rights ? 0 : fail(place, "rights= lists none; leave the line out instead");
}

static int read_rate(struct adl_token *token, const char *value, const struct place *place)
{
    char *end = NULL;
    unsigned long number = *value >= '0' && *value <= '9' ? strtoul(value, &end, 10) : 0;

    token->window_s = !end || strlen(end) != 2 || *end != '/' ? 0
                      : end[1] == 's'                         ? 1
                      : end[1] == 'm'                         ? 60
                      : end[1] == 'h'                         ? 3600
                                                              : 0;
    if (token->window_s == 0 || number < 1 || number > MOST_REQUESTS)
        return fail(place, "rate= has to be a number of requests, at most a million, a second, "
                           "minute or hour: 10/s, 600/m or 5000/h");
    token->rate = (unsigned)number;
    token->left = (double)number;
    return 0;
}

static int read_property(struct adl_token *token, char *word, const struct place *place)
{
    char *value = strchr(word, '=');

    if (value) {
        *value++ = '\0';
        if (!strcmp(word, "name"))
            return read_name(token, value, place);
        if (!strcmp(word, "expires"))
            return read_expiry(token, value, place);
        if (!strcmp(word, "rights"))
            return read_rights(token, value, place);
        if (!strcmp(word, "rate"))
            return read_rate(token, value, place);
    }
    return fail(place, "a token has no blanks; after it there may be name=, expires=, rights= and "
                       "rate=");
}

/* Reads one line, which is changed. Returns 1 if it has a token, 0 if not, -1 on errors. */
static int read_line(char *line, struct adl_token *token, const struct place *place)
{
    static const char blanks[] = " \t\r";
    char *rest = NULL, *word;

    if (line[strspn(line, blanks)] == '#')
        return 0;
    for (const char *c = line; *c; c++)
        if ((*c < ' ' && !strchr(blanks, *c)) || *c > '~')
            return fail(place, "a token consists of ASCII characters without blanks");
    word = strtok_r(line, blanks, &rest);
    if (!word)
        return 0;
    *token = (struct adl_token){.rights = USUAL_RIGHTS};
    adl_token_digest(word, strlen(word), token->digest);
    while ((word = strtok_r(NULL, blanks, &rest)))
        if (read_property(token, word, place) < 0)
            return -1;
    return 1;
}

struct adl_token *adl_tokens_read(const char *path, size_t *count, struct adl_error *err)
{
    struct place place = {.path = path, .line = 1, .err = err};
    struct adl_token *tokens = NULL, token;
    size_t length;
    char *text = adl_file_read(path, ADL_LIMIT_TOKEN_FILE_BYTES, &length, err);
    int result = -1;

    *count = 0;
    if (!text)
        return NULL;
    tokens = adl_malloc(ADL_LIMIT_TOKENS, sizeof *tokens);
    if (!tokens) {
        adl_fail_nomem(err, "tokens");
        goto out;
    }
    for (size_t offset = 0; offset < length; place.line++) {
        char *line = text + offset, *end = memchr(line, '\n', length - offset);
        size_t size = end ? (size_t)(end - line) : length - offset;
        if (memchr(line, '\0', size)) {
            fail(&place, "a token consists of ASCII characters without blanks");
            goto out;
        }
        line[size] = '\0'; /* the text ends with a NUL */
        int found = read_line(line, &token, &place);
        if (found < 0)
            goto out;
        if (found && *count == ADL_LIMIT_TOKENS) {
            adl_fail(err, ADL_ERR_LIMIT, "%s: more than %d tokens", path, ADL_LIMIT_TOKENS);
            goto out;
        }
        if (found)
            tokens[(*count)++] = token;
        offset += size + 1;
    }
    if (*count == 0) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: contains no token; write one per line", path);
        goto out;
    }
    result = 0;
out:
    explicit_bzero(text, length);
    adl_free(text);
    if (result == 0)
        return tokens;
    adl_free(tokens);
    *count = 0;
    return NULL;
}
