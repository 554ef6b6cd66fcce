/* Finds the built-in files, whose bytes are in assets.S, and the coding in which one is sent. */

#include "server/api/assets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"

const char *const adl_coding_names[ADL_CODINGS] = {"identity", "gzip", "br"};

#define ASSET(number, path, type, policy, etag, etag_gz, etag_br)                                  \
    extern const char asset_##number[], asset_##number##_end[], asset_##number##_gz[],             \
        asset_##number##_gz_end[], asset_##number##_br[], asset_##number##_br_end[];
#include "server/api/asset_list.h"
#undef ASSET

static const struct adl_asset assets[] = {
#define ASSET(number, path, type, policy, etag, etag_gz, etag_br)                                  \
    {path,                                                                                         \
     type,                                                                                         \
     policy,                                                                                       \
     {{asset_##number, asset_##number##_end, etag},                                                \
      {asset_##number##_gz, asset_##number##_gz_end, etag_gz},                                     \
      {asset_##number##_br, asset_##number##_br_end, etag_br}}},
#include "server/api/asset_list.h"
#undef ASSET
};

size_t adl_asset_length(const struct adl_asset *asset, enum adl_coding coding)
{
    return (size_t)(asset->codings[coding].end - asset->codings[coding].data);
}

const struct adl_asset *adl_asset_find(const char *path)
{
    for (size_t i = 0; i < ADL_COUNT(assets); i++)
        if (!strcmp(assets[i].path, path))
            return &assets[i];
    return NULL;
}

/* --- Accept-Encoding ------------------------------------------------------------------------- */

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && !strncasecmp(text, word, length);
}

/* Reads a weight, ";q=0.25", in thousandths; 1000 if there is none. What is not a weight counts as
 * none: a client that writes it badly still said that it takes the coding. */
static int weight_of(const char *text)
{
    int weight = 0, unit = 1000;

    text = skip_blanks(text);
    if (*text != ';')
        return 1000;
    text = skip_blanks(text + 1);
    if (strncasecmp(text, "q=", 2) != 0 || (text[2] != '0' && text[2] != '1'))
        return 1000;
    weight = (text[2] - '0') * unit;
    text += text[3] == '.' ? 4 : 3;
    while (*text >= '0' && *text <= '9' && unit > 1) {
        unit /= 10;
        weight += (*text++ - '0') * unit;
    }
    return weight > 1000 ? 1000 : weight;
}

/* Fills in the weight of each coding, in thousandths; 0: refused. */
static void read_weights(const char *accept, int weights[ADL_CODINGS])
{
    int others = -1; /* of "*" */
    bool named[ADL_CODINGS] = {false};

    for (const char *next = accept; *next;) {
        const char *word = skip_blanks(next);
        size_t length = strcspn(word, " \t;,");
        int weight = weight_of(word + length);

        if (is_word(word, length, "*"))
            others = weight;
        for (int coding = 0; coding < ADL_CODINGS; coding++)
            if (is_word(word, length, adl_coding_names[coding]) ||
                (coding == ADL_CODING_GZIP && is_word(word, length, "x-gzip"))) {
                named[coding] = true;
                weights[coding] = weight;
            }
        next = word + strcspn(word, ",");
        next += *next == ',';
    }
    for (int coding = 0; coding < ADL_CODINGS; coding++)
        if (!named[coding])
            weights[coding] = others >= 0 ? others : 0;
    /* Whatever is not named is refused, except for the file as it is, which comes last. */
    if (!named[ADL_CODING_IDENTITY] && others < 0)
        weights[ADL_CODING_IDENTITY] = 1;
}

enum adl_coding adl_asset_choose(const struct adl_asset *asset, const char *accept)
{
    enum adl_coding best = ADL_CODING_IDENTITY;
    int weights[ADL_CODINGS] = {0};

    if (!accept)
        return ADL_CODING_IDENTITY;
    read_weights(accept, weights);
    for (int i = 0; i < ADL_CODINGS; i++) {
        enum adl_coding coding = (enum adl_coding)i;
        size_t length = adl_asset_length(asset, coding);
        if (length > 0 && weights[coding] > 0 &&
            (weights[coding] > weights[best] ||
             (weights[coding] == weights[best] && length < adl_asset_length(asset, best))))
            best = coding;
    }
    return best;
}
