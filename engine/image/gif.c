/* Reads the first frame of GIF (CompuServe, GIF89a Specification) with a reader of its own:
 * colours of the file or of the frame, transparency over white, interlacing, and the frame's place
 * on the canvas, of which the rest is transparent and so white. A frame that goes beyond the
 * canvas makes it larger, as in browsers.
 *
 * The compression is LZW with codes of 3 to 12 bits. A code stands for the string of an earlier one
 * and a further byte; both are kept in tables of 4096 entries, and a new entry only refers to ones
 * with lower numbers, so that no string is longer than the table and none runs in a circle. Work is
 * bounded by the bytes of the file and the pixels of the frame together.
 *
 * The blocks are walked through to the mark of the end first, which is how a file that was cut off
 * is found, even one whose first frame is whole. */

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"

#define HEADER_BYTES 13
#define CODES 4096

struct gif {
    size_t width, height;   /* of the canvas */
    size_t left, top, w, h; /* the frame on it */
    bool interlaced;
    int transparent;      /* an index; -1: none */
    const uint8_t *table; /* RGB; NULL: none */
    size_t colours;       /* in it */
    const uint8_t *data;  /* of LZW: the first sub-block */
    const uint8_t *end;   /* of the file */
    unsigned literal_bits;
};

static int fail_corrupt(const char *what, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the GIF image is corrupt: %s", what);
}

static int fail_truncated(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the GIF image is truncated");
}

/* --- blocks ------------------------------------------------------------------------- */

/* Returns what follows the sub-blocks at p, or NULL if the file ends before. */
static const uint8_t *skip_sub_blocks(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        const size_t size = *p++;
        if (size == 0)
            return p;
        if ((size_t)(end - p) < size)
            return NULL;
        p += size;
    }
    return NULL;
}

/* Takes a table of colours, if there is one by the flags before it. */
static const uint8_t *take_table(struct gif *gif, unsigned flags, const uint8_t *p)
{
    const size_t colours = (size_t)2 << (flags & 7);

    if (!(flags & 0x80))
        return p;
    if ((size_t)(gif->end - p) < 3 * colours)
        return NULL;
    gif->table = p;
    gif->colours = colours;
    return p + 3 * colours;
}

/* Reads the image that begins behind its mark at p, or only passes over it. */
static const uint8_t *take_image(struct gif *gif, const uint8_t *p, bool first)
{
    struct gif frame = *gif;

    if (gif->end - p < 9)
        return NULL;
    const uint8_t *behind = take_table(&frame, p[8], p + 9);
    if (!behind || behind >= gif->end)
        return NULL;
    if (first) {
        frame.left = adl_codec_le16(p);
        frame.top = adl_codec_le16(p + 2);
        frame.w = adl_codec_le16(p + 4);
        frame.h = adl_codec_le16(p + 6);
        frame.interlaced = p[8] & 0x40;
        frame.literal_bits = behind[0];
        frame.data = behind + 1;
        *gif = frame;
    }
    return skip_sub_blocks(behind + 1, gif->end);
}

static int walk_blocks(struct gif *gif, const uint8_t *p, struct adl_error *err)
{
    while (p && p < gif->end) {
        const uint8_t *block = p + 1;
        switch (*p) {
        case ';': return gif->data ? 0 : fail_corrupt("it has no frame", err);
        case ',': p = take_image(gif, block, !gif->data); break;
        case '!': /* a label, and sub-blocks */
            if (gif->end - block < 1)
                return fail_truncated(err);
            /* The first sub-block of a graphic control has four bytes. */
            if (!gif->data && block[0] == 0xf9 && gif->end - block >= 6 && block[1] == 4)
                gif->transparent = block[2] & 1 ? block[5] : -1;
            p = skip_sub_blocks(block + 1, gif->end);
            break;
        default: return fail_corrupt("there is no block where one should begin", err);
        }
    }
    return fail_truncated(err);
}

static int read_blocks(const uint8_t *bytes, size_t length,
                       const struct adl_decode_options *options, struct gif *gif,
                       struct adl_error *err)
{
    *gif = (struct gif){.transparent = -1, .end = bytes + length};
    if (length < HEADER_BYTES)
        return fail_truncated(err);
    gif->width = adl_codec_le16(bytes + 6);
    gif->height = adl_codec_le16(bytes + 8);
    if (walk_blocks(gif, take_table(gif, bytes[10], bytes + HEADER_BYTES), err) < 0)
        return -1;
    if (gif->w < 1 || gif->h < 1)
        return fail_corrupt("its first frame has no pixels", err);
    if (gif->literal_bits < 1 || gif->literal_bits > 8)
        return fail_corrupt("its codes have an impossible size", err);
    gif->width = ADL_MAX(gif->width, gif->left + gif->w);
    gif->height = ADL_MAX(gif->height, gif->top + gif->h);
    return adl_codec_check_sides(gif->width, gif->height, options, err);
}

/* --- LZW ---------------------------------------------------------------------------- */

struct lzw {
    const uint8_t *next, *block_end; /* the rest of a sub-block */
    const uint8_t *end;              /* of the file */
    uint32_t bits;                   /* read and not used, the next one lowest */
    unsigned count;                  /* of them */
    unsigned literal_bits, width;    /* bits of a literal, and of the next code */
    unsigned known;                  /* codes that have a meaning */
    int before;                      /* the last code; -1: the table was cleared */
    uint8_t first;                   /* of the last string */
    unsigned held;                   /* bytes of `string` that are not given yet, its end first */
    uint16_t prefix[CODES];
    uint8_t suffix[CODES];
    uint8_t string[CODES];
};

static void clear_table(struct lzw *lzw)
{
    lzw->width = lzw->literal_bits + 1;
    lzw->known = (1u << lzw->literal_bits) + 2;
    lzw->before = -1;
}

static void start_lzw(struct lzw *lzw, const struct gif *gif)
{
    memset(lzw, 0, sizeof *lzw);
    lzw->next = lzw->block_end = gif->data;
    lzw->end = gif->end;
    lzw->literal_bits = gif->literal_bits;
    for (unsigned i = 0; i < 1u << gif->literal_bits; i++)
        lzw->suffix[i] = (uint8_t)i;
    clear_table(lzw);
}

/* Returns the next code; -1 at the end of the data. The sub-blocks have been walked through. */
static int next_code(struct lzw *lzw)
{
    while (lzw->count < lzw->width) {
        if (lzw->next == lzw->block_end) {
            const size_t size = *lzw->next;
            if (size == 0)
                return -1;
            lzw->next++;
            lzw->block_end = lzw->next + size;
        }
        lzw->bits |= (uint32_t)*lzw->next++ << lzw->count;
        lzw->count += 8;
    }
    const unsigned code = lzw->bits & ((1u << lzw->width) - 1);
    lzw->bits >>= lzw->width;
    lzw->count -= lzw->width;
    return (int)code;
}

/* Makes a string of the next codes. */
static int next_string(struct lzw *lzw, struct adl_error *err)
{
    const unsigned clear = 1u << lzw->literal_bits;
    int code;

    while ((code = next_code(lzw)) == (int)clear)
        clear_table(lzw);
    if (code < 0 || code == (int)clear + 1)
        return fail_corrupt("its pixels end too early", err);
    unsigned at = (unsigned)code;
    const bool repeats = at == lzw->known && lzw->before >= 0; /* the string that is being added */
    if ((at >= lzw->known && !repeats) || (lzw->before < 0 && at >= clear))
        return fail_corrupt("a code has no meaning", err);
    if (repeats) {
        lzw->string[lzw->held++] = lzw->first;
        at = (unsigned)lzw->before;
    }
    for (; at >= clear; at = lzw->prefix[at])
        lzw->string[lzw->held++] = lzw->suffix[at];
    lzw->first = lzw->suffix[at];
    lzw->string[lzw->held++] = lzw->first;
    /* A full table stays as it is until it is cleared. */
    if (lzw->before >= 0 && lzw->known < CODES) {
        lzw->prefix[lzw->known] = (uint16_t)lzw->before;
        lzw->suffix[lzw->known++] = lzw->first;
        if (lzw->known == 1u << lzw->width && lzw->width < 12)
            lzw->width++;
    }
    lzw->before = code;
    return 0;
}

static int next_pixels(struct lzw *lzw, uint8_t *indices, size_t count, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (lzw->held == 0 && next_string(lzw, err) < 0)
            return -1;
        indices[i] = lzw->string[--lzw->held];
    }
    return 0;
}

/* --- pixels ------------------------------------------------------------------------- */

/* The rows of an interlaced frame come in four passes. */
static const struct {
    size_t first, step;
} passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};

static int read_interlaced(struct lzw *lzw, const struct gif *gif, uint8_t *indices,
                           struct adl_error *err)
{
    for (size_t pass = 0; pass < ADL_COUNT(passes); pass++)
        for (size_t y = passes[pass].first; y < gif->h; y += passes[pass].step)
            if (next_pixels(lzw, indices + y * gif->w, gif->w, err) < 0)
                return -1;
    return 0;
}

/* Indices that the table does not have are black. */
static void colour_row(const struct gif *gif, const uint8_t *indices, uint8_t *rgb)
{
    for (size_t x = 0; x < gif->w; x++, rgb += 3) {
        if (indices[x] == gif->transparent)
            memset(rgb, 255, 3);
        else if (indices[x] < gif->colours)
            memcpy(rgb, gif->table + 3 * (size_t)indices[x], 3);
        else
            memset(rgb, 0, 3);
    }
}

/* The tables, and the indices of a row or of an interlaced frame. */
static size_t memory_needed(const struct gif *gif)
{
    return sizeof(struct lzw) + gif->w * (gif->interlaced ? gif->h : 1);
}

static int put_rows(struct lzw *lzw, const struct gif *gif, uint8_t *indices,
                    struct adl_row_target *target, struct adl_error *err)
{
    for (size_t y = 0; y < gif->height; y++) {
        uint8_t *line = target->line(target, (int)y);
        const bool covered = y >= gif->top && y - gif->top < gif->h;
        if (!covered || gif->w < gif->width)
            memset(line, 255, 3 * gif->width);
        if (covered) {
            uint8_t *row = indices + (gif->interlaced ? (y - gif->top) * gif->w : 0);
            if (!gif->interlaced && next_pixels(lzw, row, gif->w, err) < 0)
                return -1;
            colour_row(gif, row, line + 3 * gif->left);
        }
        if (target->row(target, (int)y, err) < 0)
            return -1;
    }
    return 0;
}

/* --- the codec ---------------------------------------------------------------------- */

static bool is_gif(const uint8_t *bytes, size_t length)
{
    return length >= 6 && (!memcmp(bytes, "GIF87a", 6) || !memcmp(bytes, "GIF89a", 6));
}

static int decode_gif(const void *bytes, size_t length, const struct adl_decode_options *options,
                      struct adl_row_target *target, struct adl_image_info *info,
                      struct adl_error *err)
{
    struct gif gif;
    int result = -1;

    if (read_blocks(bytes, length, options, &gif, err) < 0 ||
        adl_codec_check_memory(memory_needed(&gif), options, err) < 0)
        return -1;
    struct lzw *lzw = adl_malloc(memory_needed(&gif), 1);
    if (!lzw)
        return adl_fail_nomem(err, "a GIF image");
    uint8_t *indices = (uint8_t *)(lzw + 1);
    start_lzw(lzw, &gif);
    if (gif.interlaced)
        ADL_TRY(read_interlaced(lzw, &gif, indices, err));
    info->width = (int)gif.width;
    info->height = (int)gif.height;
    info->orientation = 1;
    ADL_TRY(target->begin(target, info, info->width, info->height, err));
    ADL_TRY(put_rows(lzw, &gif, indices, target, err));
    result = 0;
out:
    adl_free(lzw);
    return result;
}

static int examine_gif(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_codec_needs *needs, struct adl_error *err)
{
    struct gif gif;

    if (read_blocks(bytes, length, options, &gif, err) < 0)
        return -1;
    needs->width = (int)gif.width;
    needs->height = (int)gif.height;
    needs->orientation = 1;
    needs->bytes = memory_needed(&gif);
    needs->ns_per_pixel = 6;
    return 0;
}

const struct adl_codec adl_codec_gif = {ADL_IMAGE_GIF, is_gif, decode_gif, examine_gif, NULL};
