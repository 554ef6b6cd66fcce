/* Reads Accept-Encoding, and compresses answers that are made while the server runs. */

#include "server/http/coding.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/mem.h"

const char *const adl_coding_names[ADL_CODINGS] = {"identity", "gzip", "br"};

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

enum adl_coding adl_coding_choose(const char *accept, const size_t lengths[ADL_CODINGS])
{
    enum adl_coding best = ADL_CODING_IDENTITY;
    int weights[ADL_CODINGS] = {0};

    if (!accept)
        return ADL_CODING_IDENTITY;
    read_weights(accept, weights);
    for (int i = 0; i < ADL_CODINGS; i++)
        if (lengths[i] > 0 && weights[i] > 0 &&
            (weights[i] > weights[best] ||
             (weights[i] == weights[best] && lengths[i] < lengths[best])))
            best = (enum adl_coding)i;
    return best;
}

/* zlib's own memory comes from where all memory comes from. */
static voidpf zlib_alloc(voidpf unused, uInt items, uInt size)
{
    (void)unused;
    return adl_malloc(items, size);
}

static void zlib_free(voidpf unused, voidpf block)
{
    (void)unused;
    adl_free(block);
}

void *adl_coding_gzip(const void *bytes, size_t length, size_t *packed_length)
{
    /* Level 6 takes about 20 microseconds a kilobyte of JSON; 16 asks for gzip's frame. */
    z_stream z = {.zalloc = zlib_alloc, .zfree = zlib_free};
    void *packed = length < INT_MAX ? adl_malloc(length, 1) : NULL;
    int result;

    if (!packed)
        return NULL;
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        adl_free(packed);
        return NULL;
    }
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)length;
    z.next_out = packed;
    z.avail_out = (uInt)length; /* what does not fit would not be shorter */
    result = deflate(&z, Z_FINISH);
    *packed_length = z.total_out;
    deflateEnd(&z);
    if (result != Z_STREAM_END || *packed_length >= length) {
        adl_free(packed);
        return NULL;
    }
    return packed;
}
