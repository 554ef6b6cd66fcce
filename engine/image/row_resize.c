/* Resizes rows as they come; see row_resize.h.
 *
 * Pillow's first pass goes across the rows of the displayed image, its second one down the columns,
 * and each rounds to bytes, so their order matters to the result, but not when each is done. A pass
 * along the rows as stored needs one row; a pass across them needs as many rows as a pixel has
 * taps, 2 * scale + 1, which a window keeps.
 *
 *     orientation 1..4   row -> mirrored? -> pass along the row -> window -> pass across rows
 *     orientation 5..8   row -> mirrored? -> window -> pass across rows -> pass along the row
 *
 * In the second case the rows as stored are the columns of the displayed image: the pass across
 * them is the one that Pillow does first, and what comes out is a column. An image that is upside
 * down brings its last row first; then the weights of the pass across rows are reversed, and so is
 * the order of its output. A pass that keeps the size is left out. */

#include "image/row_resize.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/resize_filter.h"

struct adl_row_resizer {
    int width, height;                      /* as stored */
    bool mirrored, reversed, transposed;    /* what is done to rows, to their order, to both */
    struct adl_resize_filter along, across; /* without weights: a pass that is left out */
    uint8_t *line, *thin, *mixed;           /* rows: mirrored, after `along`, after `across` */
    /* Rows that `across` still needs, from row window_first on. */
    uint8_t *window;
    size_t window_bytes; /* of one row */
    int window_capacity, window_first, window_rows;
    int next; /* output of `across` */
    struct adl_image out;
};

/* The window is moved when it is full, each time by about half of its rows. */
static int window_capacity(int in_size, int size)
{
    const int taps = 2 * ((in_size + size - 1) / size) + 1;
    return ADL_MIN(2 * taps + 2, in_size);
}

static bool is_transposed(int orientation)
{
    return orientation >= 5;
}

size_t adl_row_resizer_bytes(int width, int height, int orientation, int out_width, int out_height)
{
    const bool turned = is_transposed(orientation);
    const size_t row = 3 * (size_t)width;
    const size_t along = (size_t)(turned ? out_height : out_width);
    const int across = turned ? out_width : out_height;
    const size_t window = turned ? row : 3 * along;
    /* Weights take 4 bytes for each tap, padded. */
    const size_t taps_along = 2 * ((size_t)width / along + 1) + ADL_RESIZE_TAPS;
    const size_t taps_across = 2 * ((size_t)height / (size_t)across + 1) + ADL_RESIZE_TAPS;

    return (size_t)(window_capacity(height, across) + 1) * window + row + 3 * along +
           along * (4 * taps_along + 8) + (size_t)across * (4 * taps_across + 8) +
           3 * (size_t)out_width * (size_t)out_height + sizeof(struct adl_row_resizer) +
           8 * ADL_ALIGNMENT + 16 * (taps_along + taps_across);
}

static int make_buffers(struct adl_row_resizer *r, int across, struct adl_error *err)
{
    const size_t along = r->along.block ? (size_t)r->along.size : (size_t)r->width;

    r->window_bytes = 3 * (r->transposed ? (size_t)r->width : along);
    if (r->across.block) {
        r->window_capacity = window_capacity(r->height, across);
        r->window = adl_malloc((size_t)r->window_capacity, r->window_bytes);
        r->mixed = adl_malloc(1, r->window_bytes);
    }
    r->line = r->mirrored ? adl_malloc((size_t)r->width, 3) : NULL;
    r->thin = adl_malloc(along, 3);
    if ((r->across.block && (!r->window || !r->mixed)) || (r->mirrored && !r->line) || !r->thin)
        return adl_fail_nomem(err, "resizing an image");
    return 0;
}

struct adl_row_resizer *adl_row_resizer_create(int width, int height, int orientation,
                                               int out_width, int out_height, struct adl_error *err)
{
    struct adl_row_resizer *r = adl_calloc(1, sizeof *r);
    int along, across;

    if (!r) {
        adl_fail_nomem(err, "resizing an image");
        return NULL;
    }
    r->width = width;
    r->height = height;
    r->transposed = is_transposed(orientation);
    r->mirrored = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    r->reversed = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    along = r->transposed ? out_height : out_width;
    across = r->transposed ? out_width : out_height;
    if (adl_image_init(&r->out, out_width, out_height, err) < 0)
        goto out;
    if (along != width && adl_resize_filter_init(&r->along, width, along, err) < 0)
        goto out;
    if (across != height && adl_resize_filter_init(&r->across, height, across, err) < 0)
        goto out;
    if (r->reversed && r->across.block)
        adl_resize_filter_reverse(&r->across);
    if (make_buffers(r, across, err) < 0)
        goto out;
    return r;
out:
    adl_row_resizer_free(r);
    return NULL;
}

void adl_row_resizer_free(struct adl_row_resizer *r)
{
    if (!r)
        return;
    adl_image_release(&r->out);
    adl_resize_filter_release(&r->along);
    adl_resize_filter_release(&r->across);
    adl_free(r->window);
    adl_free(r->mixed);
    adl_free(r->line);
    adl_free(r->thin);
    adl_free(r);
}

static void mirror(const uint8_t *rgb, int width, uint8_t *out)
{
    out += 3 * (size_t)(width - 1);
    for (int x = 0; x < width; x++, rgb += 3, out -= 3)
        memcpy(out, rgb, 3);
}

/* Does the pass along a row, and returns where its result is. */
static const uint8_t *pass_along(struct adl_row_resizer *r, const uint8_t *row)
{
    if (!r->along.block)
        return row;
    adl_resize_row(row, &r->along, r->thin);
    return r->thin;
}

/* Writes row `index` of what both passes gave: a column of the result if it is transposed. */
static void write_out(struct adl_row_resizer *r, int index, const uint8_t *row)
{
    const size_t w = (size_t)r->out.width, h = (size_t)r->out.height;
    const size_t count = r->transposed ? w : h;
    const size_t at = r->reversed ? count - 1 - (size_t)index : (size_t)index;

    if (!r->transposed) {
        memcpy(r->out.rgb + at * w * 3, row, w * 3);
        return;
    }
    for (size_t y = 0; y < h; y++)
        memcpy(r->out.rgb + (y * w + at) * 3, row + y * 3, 3);
}

/* Puts a row into the window and computes all output rows that it completes. */
static void pass_across(struct adl_row_resizer *r, const uint8_t *row)
{
    const struct adl_resize_filter *f = &r->across;

    if (r->window_rows == r->window_capacity) {
        const int gone = ADL_MIN(f->first[r->next] - r->window_first, r->window_rows);
        r->window_rows -= gone;
        r->window_first += gone;
        memmove(r->window, r->window + (size_t)gone * r->window_bytes,
                (size_t)r->window_rows * r->window_bytes);
    }
    memcpy(r->window + (size_t)r->window_rows * r->window_bytes, row, r->window_bytes);
    r->window_rows++;
    while (r->next < f->size &&
           f->first[r->next] + f->taps[r->next] <= r->window_first + r->window_rows) {
        const size_t first = (size_t)(f->first[r->next] - r->window_first);
        adl_resize_column(r->window + first * r->window_bytes, r->window_bytes, f, r->next,
                          r->mixed);
        write_out(r, r->next, r->transposed ? pass_along(r, r->mixed) : r->mixed);
        r->next++;
    }
}

void adl_row_resizer_put(struct adl_row_resizer *r, const uint8_t *rgb)
{
    if (r->mirrored) {
        mirror(rgb, r->width, r->line);
        rgb = r->line;
    }
    if (!r->across.block)
        write_out(r, r->next++, pass_along(r, rgb));
    else if (r->next < r->across.size)
        pass_across(r, r->transposed ? rgb : pass_along(r, rgb));
}

void adl_row_resizer_take(struct adl_row_resizer *r, struct adl_image *out)
{
    *out = r->out;
    r->out = (struct adl_image){0};
}
