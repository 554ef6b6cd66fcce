/* Reads the boxes of AVIF and HEIC files (ISO/IEC 14496-12, ISO/IEC 23008-12): how large the
 * primary image is, so that limits are checked before libheif sees the file, and that in a process
 * that never opens libheif.
 *
 * A box is a length, a name of four letters, and its content, which may be boxes. `meta` has the
 * number of the primary item (`pitm`) and properties of items: `ipco` lists them, and `ipma` says
 * which belong to an item, in the order in which they change it: its size (`ispe`), a part of it
 * (`clap`), quarters of a turn (`irot`). Where the pixels are is left to libheif, which checks it;
 * that the file has all of its `mdat` is how one that was cut off is found here. */

#include "image/heif_header.h"

#include <string.h>

#include "base/size.h"

struct span {
    const uint8_t *at, *end;
};

static int fail_corrupt(const char *what, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the AVIF or HEIC image is corrupt: %s", what);
}

static int fail_truncated(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the AVIF or HEIC image is truncated");
}

static uint32_t number(const uint8_t *p, size_t bytes)
{
    uint32_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

/* Takes a number from the front; 0 if there are too few bytes, which then are gone. */
static uint32_t take(struct span *span, size_t bytes)
{
    if ((size_t)(span->end - span->at) < bytes) {
        span->at = span->end;
        return 0;
    }
    span->at += bytes;
    return number(span->at - bytes, bytes);
}

/* Takes the next box from the front: its name, and its content. Returns false if there is none, or
 * none that is whole. */
static bool take_box(struct span *span, char name[4], struct span *content)
{
    const size_t left = (size_t)(span->end - span->at);
    size_t header = 8, size;

    if (left < 8)
        return false;
    size = number(span->at, 4);
    memcpy(name, span->at + 4, 4);
    if (size == 1) {
        if (left < 16 || number(span->at + 8, 4) != 0)
            return false;
        header = 16;
        size = number(span->at + 12, 4);
    } else if (size == 0) { /* to the end */
        size = left;
    }
    if (size < header || size > left)
        return false;
    *content = (struct span){span->at + header, span->at + size};
    span->at += size;
    return true;
}

static bool find_box(struct span span, const char *wanted, struct span *content)
{
    char name[4];

    while (take_box(&span, name, content))
        if (!memcmp(name, wanted, 4))
            return true;
    return false;
}

/* Finds a property by its number, from 1 on. */
static bool property(struct span all, uint32_t index, char name[4], struct span *content)
{
    while (index-- > 0)
        if (!take_box(&all, name, content))
            return false;
    return true;
}

/* A side of a part of the image: a fraction, rounded. */
static size_t fraction(struct span *span)
{
    const uint64_t over = take(span, 4), under = take(span, 4);
    return under ? (size_t)((over + under / 2) / under) : 0;
}

/* Changes the sides as a property does. */
static void apply(const char name[4], struct span content, struct adl_heif_header *header)
{
    if (!memcmp(name, "ispe", 4)) {
        take(&content, 4); /* version and flags */
        header->width = header->stored_width = take(&content, 4);
        header->height = header->stored_height = take(&content, 4);
    } else if (!memcmp(name, "clap", 4)) {
        header->width = fraction(&content);
        header->height = fraction(&content);
    } else if (!memcmp(name, "irot", 4) && take(&content, 1) & 1) {
        const size_t width = header->width;
        header->width = header->height;
        header->height = width;
    }
}

/* Applies what one `ipma` says of an item; returns false if it says nothing. An item is named
 * once, so that a file cannot have properties looked up without end. */
static bool apply_associations(struct span ipma, struct span all, uint32_t item,
                               struct adl_heif_header *header)
{
    const uint32_t version = take(&ipma, 4), items = take(&ipma, 4);
    const size_t id_bytes = version >> 24 ? 4 : 2, index_bytes = version & 1 ? 2 : 1;

    for (uint32_t i = 0; i < items && ipma.at < ipma.end; i++) {
        const uint32_t id = take(&ipma, id_bytes), count = take(&ipma, 1);
        for (uint32_t k = 0; k < count; k++) {
            const uint32_t index = take(&ipma, index_bytes) & (index_bytes == 2 ? 0x7fff : 0x7f);
            struct span content;
            char name[4];
            if (id == item && index && property(all, index, name, &content))
                apply(name, content, header);
        }
        if (id == item)
            return true;
    }
    return false;
}

static int read_meta(struct span meta, struct adl_heif_header *header, struct adl_error *err)
{
    struct span primary, properties, all, content;
    char name[4];

    take(&meta, 4); /* version and flags */
    if (!find_box(meta, "pitm", &primary) || !find_box(meta, "iprp", &properties) ||
        !find_box(properties, "ipco", &all))
        return fail_corrupt("it names no primary image", err);
    const uint32_t version = take(&primary, 4), item = take(&primary, version >> 24 ? 4 : 2);
    while (take_box(&properties, name, &content))
        if (!memcmp(name, "ipma", 4) && apply_associations(content, all, item, header))
            break;
    return header->width ? 0 : fail_corrupt("it does not say how large its image is", err);
}

bool adl_heif_matches(const uint8_t *bytes, size_t length)
{
    static const char brands[][5] = {"avif", "avis", "heic", "heix", "heim",
                                     "heis", "hevc", "hevx", "mif1", "msf1"};

    if (length < 12 || memcmp(bytes + 4, "ftyp", 4) != 0)
        return false;
    for (size_t i = 0; i < ADL_COUNT(brands); i++)
        if (!memcmp(bytes + 8, brands[i], 4))
            return true;
    return false;
}

int adl_heif_header_read(const uint8_t *bytes, size_t length,
                         const struct adl_decode_options *options, struct adl_heif_header *header,
                         struct adl_error *err)
{
    struct span file = {bytes, bytes + length}, meta = {0}, content;
    bool pixels = false;
    char name[4];

    *header = (struct adl_heif_header){0};
    while (!meta.at || !pixels) {
        if (!take_box(&file, name, &content))
            return fail_truncated(err);
        if (!memcmp(name, "meta", 4))
            meta = content;
        pixels |= !memcmp(name, "mdat", 4);
    }
    if (read_meta(meta, header, err) < 0)
        return -1;
    if (adl_codec_check_sides(header->stored_width, header->stored_height, options, err) < 0)
        return -1;
    if (header->width > header->stored_width + header->stored_height ||
        header->height > header->stored_width + header->stored_height)
        return fail_corrupt("a part of its image is larger than all of it", err);
    return adl_codec_check_sides(header->width, header->height, options, err);
}
