/* Follows borders after S. Suzuki and K. Abe, "Topological structural analysis of digitized
 * binary images by border following", CVGIP 30 (1985), algorithm 1, as OpenCV implements it.
 *
 * The rows are scanned from top to bottom, each from left to right. Two kinds of steps matter:
 *
 *   background, foreground   the pixel on the right may begin an outer border
 *   foreground, background   the pixel on the left may begin the border of a hole
 *
 * If no earlier border has passed through that pixel, it begins a new border, which is followed
 * once around: from each border pixel the neighbours are searched counter-clockwise, beginning
 * after the pixel that the walk came from, and the first foreground pixel is the next one.
 * Every pixel of the border gets the border's number in `labels`; the number is negative if
 * the pixel to the right of it is background that the walk has examined. The sign makes a
 * single scan sufficient:
 *
 *   - a label of 0 where a step enters the foreground means that no border has passed here;
 *   - a label of 0 or above where a step leaves the foreground means that the border of this
 *     background has not been followed yet, so a hole begins;
 *   - the label of the last pixel before a run of background names the border around it, from
 *     which the parent of the next border follows: a new outer border lies in the hole that
 *     the previous border bounds, or beside the region that it bounds (table 1 of the paper).
 *
 * The scan examines only steps, found eight bytes at a time, so most of the time goes into
 * following borders: O(pixels / 8 + border pixels). Contours are numbered in the order of
 * discovery; OpenCV returns them as a depth-first walk of the tree with siblings in reverse order,
 * which contour_put_in_order() reproduces, since ties between areas go to the first contour.
 *
 * The area is that of the polygon through the pixel centres, by the shoelace formula
 * 2 A = sum of x_i * y_(i+1) - x_(i+1) * y_i, accumulated in integers while following. */

#include "wsol/contour.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

struct adl_contour_node {
    struct adl_contour contour; /* its parent is an index of a node, not of an item */
    int last_child;             /* the child discovered last, or -1 */
    int previous_sibling;       /* the sibling discovered just before, or -1 */
    int rank;                   /* index among the items */
};

/* The eight directions, counter-clockwise from east. */
enum { EAST = 0, WEST = 4 };
static const int step_x[8] = {1, 1, 0, -1, -1, -1, 0, 1};
static const int step_y[8] = {0, -1, -1, -1, 0, 1, 1, 1};

/* contour_next_change() compares words of this many pixels. */
#define WORD 8

void adl_contour_finder_release(struct adl_contour_finder *finder)
{
    adl_free(finder->items);
    adl_free(finder->inside);
    adl_free(finder->labels);
    adl_free(finder->nodes);
    memset(finder, 0, sizeof *finder);
}

static int contour_reserve_plane(struct adl_contour_finder *finder, size_t pixels,
                                 struct adl_error *err)
{
    if (pixels <= finder->plane_capacity)
        return 0;
    adl_free(finder->inside);
    adl_free(finder->labels);
    finder->plane_capacity = 0;
    finder->inside = adl_malloc(pixels + WORD, sizeof *finder->inside);
    finder->labels = adl_malloc(pixels, sizeof *finder->labels);
    if (!finder->inside || !finder->labels)
        return adl_fail_nomem(err, "the image to find contours in");
    finder->plane_capacity = pixels;
    return 0;
}

static int contour_reserve(struct adl_contour_finder *finder, struct adl_error *err)
{
    struct adl_contour_node *nodes =
        adl_array_grow(finder->nodes, &finder->node_capacity, finder->count + 1, sizeof *nodes);
    if (!nodes)
        return adl_fail_nomem(err, "contours");
    finder->nodes = nodes;
    struct adl_contour *items =
        adl_array_grow(finder->items, &finder->capacity, finder->count + 1, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "contours");
    finder->items = items;
    return 0;
}

/* Pixels thresholded at once. */
#define LANES 16
typedef uint8_t lanes __attribute__((vector_size(LANES)));

/* Thresholds the image into `inside`, with a margin of background around it, and clears the
 * labels. The margin saves every test of whether a neighbour is inside the image. */
static void contour_fill(struct adl_contour_finder *finder, const uint8_t *bytes, size_t height,
                         size_t width, uint8_t cut)
{
    size_t stride = width + 2, pixels = stride * (height + 2);
    memset(finder->labels, 0, pixels * sizeof *finder->labels);
    memset(finder->inside, 0, stride);
    for (size_t y = 0; y < height; y++) {
        const uint8_t *from = bytes + y * width;
        uint8_t *to = finder->inside + (y + 1) * stride;
        size_t x = 0;
        *to++ = 0;
        for (; x + LANES <= width; x += LANES) {
            lanes values;
            memcpy(&values, from + x, LANES);
            values = (lanes)(values > cut) & 1;
            memcpy(to + x, &values, LANES);
        }
        for (; x < width; x++)
            to[x] = from[x] > cut;
        to[width] = 0;
    }
    memset(finder->inside + pixels - stride, 0, stride + WORD);
}

/* Follows the border that begins at (x, y), whose neighbour to the west (outer border) or east
 * (hole) is background, and marks its pixels with `label` or -label. `from` is the direction
 * of the pixel that the walk came from, `to` of the one it goes to; `to ^ 4` is opposite. */
static struct adl_contour contour_follow(struct adl_contour_finder *finder, ptrdiff_t stride, int x,
                                         int y, bool hole, int32_t label)
{
    const ptrdiff_t step[8] = {1,  1 - stride, -stride, -stride - 1,
                               -1, stride - 1, stride,  stride + 1};
    const uint8_t *inside = finder->inside;
    int32_t *labels = finder->labels;
    ptrdiff_t start = (y + 1) * stride + x + 1, current = start;
    int left = x, right = x, top = y, bottom = y;
    int64_t twice_area = 0;

    /* The pixel before the first one: the first foreground neighbour clockwise from the
     * background. Without any, the border is this one pixel. */
    int background = hole ? EAST : WEST, from = background;
    do
        from = (from + 7) & 7;
    while (!inside[start + step[from]] && from != background);
    if (from == background) {
        labels[start] = -label;
        return (struct adl_contour){x, y, 1, 1, -1, hole, 0, 0};
    }

    /* The walk may pass its start several times (if two parts of the region meet in it); it is
     * complete when it steps from the pixel before the first onto the first. */
    ptrdiff_t last = start + step[from];
    for (;;) {
        bool background_to_the_right = false;
        int to = (from + 1) & 7;
        while (!inside[current + step[to]]) {
            background_to_the_right |= to == EAST;
            to = (to + 1) & 7;
        }
        if (background_to_the_right)
            labels[current] = -label;
        else if (labels[current] == 0)
            labels[current] = label;

        twice_area += (int64_t)x * step_y[to] - (int64_t)y * step_x[to];
        ptrdiff_t next = current + step[to];
        if (next == start && current == last)
            break;
        x += step_x[to];
        y += step_y[to];
        left = ADL_MIN(left, x);
        right = ADL_MAX(right, x);
        top = ADL_MIN(top, y);
        bottom = ADL_MAX(bottom, y);
        current = next;
        from = to ^ 4;
    }
    if (twice_area < 0)
        twice_area = -twice_area;
    return (struct adl_contour){left, top, right - left + 1,      bottom - top + 1, -1,
                                hole, 0,   (double)twice_area / 2};
}

/* Follows a new border and appends it below `parent` (-1: as a root). */
static int contour_add_border(struct adl_contour_finder *finder, ptrdiff_t stride, int x, int y,
                              bool hole, int parent, int *last_root, struct adl_error *err)
{
    if (contour_reserve(finder, err) < 0)
        return -1;
    int index = (int)finder->count++;
    struct adl_contour_node *node = &finder->nodes[index];
    int *last = parent < 0 ? last_root : &finder->nodes[parent].last_child;
    node->contour = contour_follow(finder, stride, x, y, hole, index + 1);
    node->contour.parent = parent;
    node->last_child = -1;
    node->previous_sibling = *last;
    *last = index;
    return 0;
}

/* Returns the first byte in from..end - 1 that differs from the byte before it, or `end`. Compares
 * eight bytes with the eight that begin one byte earlier; reads up to a word beyond `end`. */
static const uint8_t *contour_next_change(const uint8_t *from, const uint8_t *end)
{
    for (; from < end; from += WORD) {
        uint64_t word, shifted;
        memcpy(&word, from, WORD);
        memcpy(&shifted, from - 1, WORD);
        if (word == shifted)
            continue;
        for (int i = 0; i < WORD && from + i < end; i++)
            if (from[i] != from[i - 1])
                return from + i;
    }
    return end;
}

/* Returns the index of the hole (want_hole) or outer border that encloses a pixel beside the border
 * `label`: that border if it is of the wanted kind, otherwise its parent, since outer borders and
 * holes alternate from level to level. Returns -1 if there is none. */
static int contour_enclosing(const struct adl_contour_finder *finder, int32_t label, bool want_hole)
{
    if (label == 0)
        return -1;
    int index = (label < 0 ? -label : label) - 1;
    const struct adl_contour *contour = &finder->nodes[index].contour;
    return contour->hole == want_hole ? index : contour->parent;
}

/* Scans a row for steps and follows the borders that begin there. If only outermost borders
 * are wanted, one begins only outside of all regions. */
static int contour_scan_row(struct adl_contour_finder *finder, ptrdiff_t stride, int y,
                            enum adl_contour_choice choice, int *last_root, struct adl_error *err)
{
    const uint8_t *row = finder->inside + (y + 1) * stride + 1;
    const uint8_t *end = row + stride - 1; /* includes the margin on the right */
    const int32_t *labels = finder->labels + (y + 1) * stride + 1;
    int32_t background = 0; /* label of the border that the current background begins at */
    int32_t component = 0;  /* label of a border of the current foreground */
    bool outside = true;

    for (const uint8_t *pixel = contour_next_change(row, end); pixel < end;
         pixel = contour_next_change(pixel + 1, end)) {
        int x = (int)(pixel - row);
        if (*pixel) {
            if (labels[x] == 0 && (outside || choice == ADL_CONTOURS_ALL) &&
                contour_add_border(finder, stride, x, y, false,
                                   contour_enclosing(finder, background, true), last_root, err) < 0)
                return -1;
            component = labels[x];
        } else {
            if (labels[x - 1] >= 0 && choice == ADL_CONTOURS_ALL &&
                contour_add_border(finder, stride, x - 1, y, true,
                                   contour_enclosing(finder, component, false), last_root, err) < 0)
                return -1;
            background = labels[x - 1];
            outside = background < 0;
        }
    }
    return 0;
}

/* Copies the nodes to the items in depth-first order: a parent, then its children from the
 * last discovered to the first. Iterative, since contours may be nested thousands deep. */
static void contour_put_in_order(struct adl_contour_finder *finder, int root)
{
    int rank = 0, index = root;
    while (index >= 0) {
        struct adl_contour_node *node = &finder->nodes[index];
        struct adl_contour *item = &finder->items[rank];
        node->rank = rank++;
        *item = node->contour;
        item->met = index;
        if (item->parent >= 0)
            item->parent = finder->nodes[item->parent].rank;

        int next = node->last_child;
        while (next < 0 && index >= 0) {
            next = finder->nodes[index].previous_sibling;
            index = finder->nodes[index].contour.parent;
        }
        index = next;
    }
}

int adl_contour_find(struct adl_contour_finder *finder, const uint8_t *bytes, int height, int width,
                     int cut, enum adl_contour_choice choice, struct adl_error *err)
{
    int last_root = -1;
    size_t pixels;

    finder->count = 0;
    if (cut < 0 || cut > UINT8_MAX)
        return adl_fail(err, ADL_ERR_ARG, "a cut of %d is not in 0..255", cut);
    if (height < 1 || width < 1)
        return adl_fail(err, ADL_ERR_ARG, "an image of %d x %d has no contours", width, height);
    if (adl_size_mul((size_t)height + 2, (size_t)width + 2, &pixels) < 0 || pixels > INT32_MAX)
        return adl_fail(err, ADL_ERR_LIMIT, "an image of %d x %d is too large to find contours in",
                        width, height);
    if (contour_reserve_plane(finder, pixels, err) < 0)
        return -1;
    contour_fill(finder, bytes, (size_t)height, (size_t)width, (uint8_t)cut);
    for (int y = 0; y < height; y++) {
        if (contour_scan_row(finder, (ptrdiff_t)width + 2, y, choice, &last_root, err) < 0) {
            finder->count = 0;
            return -1;
        }
    }
    contour_put_in_order(finder, last_root);
    return 0;
}

size_t adl_contour_largest(const struct adl_contour_finder *finder)
{
    size_t largest = 0;
    for (size_t i = 1; i < finder->count; i++)
        if (finder->items[i].area > finder->items[largest].area)
            largest = i;
    return largest;
}
