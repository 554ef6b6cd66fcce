/* Parts a map into objects: a watershed that joins shallow basins while it rises.
 *
 * The foreground pixels are visited from the highest to the lowest. A pixel without a visited
 * neighbour (of eight) is a peak and begins a basin; any other joins the basin of its highest
 * visited neighbour. A pixel that touches several basins is a saddle between them. There, the basin
 * with the lower peak is joined to the other, unless it is an object of its own:
 *
 *     saddle <= (1 - prominence) * its peak, and both cover `area` of the map above the saddle.
 *
 * The first condition is the persistence of a peak (H. Edelsbrunner, D. Letscher and A. Zomorodian,
 * 2002) relative to its height; the second is the area extinction of a watershed (C. Vachier and
 * F. Meyer, 1995). Both only become easier to meet as the level falls, so basins that were kept
 * apart at their first saddle stay apart. Maps of a few hundred cells that were enlarged have many
 * shallow peaks: without the conditions an object would fall into its parts. For the same reason
 * separate parts of the foreground that cover less than half of `area` are no objects, unless there
 * is nothing larger.
 *
 * The values are reduced to 16 bits, so that counting replaces sorting: 65,536 levels are finer
 * than the differences that matter. Pixels of one level are visited row by row. Each pixel finds
 * the roots of at most eight basins in a forest with path halving, so time and memory are
 * proportional to the pixels. Basins are numbered in the order of their peaks: of two, the one with
 * the smaller number has the higher peak.
 *
 * web/objects.js does the same for the page, step by step. */

#include "wsol/objects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

#define LEVELS (UINT16_MAX + 1)

struct adl_object_basin {
    uint32_t parent; /* the basin that it was joined to, or itself */
    uint32_t area;   /* pixels; of a root, with all that were joined to it */
    int x0, y0, x1, y1;
    uint16_t peak;
};

struct adl_object_rule adl_object_rule_used(const struct adl_object_rule *rule)
{
    if (rule->prominence == 0 && rule->area == 0)
        return (struct adl_object_rule){.prominence = 0.1, .area = 0.1};
    return *rule;
}

void adl_object_finder_release(struct adl_object_finder *finder)
{
    adl_free(finder->levels);
    adl_free(finder->order);
    adl_free(finder->labels);
    adl_free(finder->counts);
    adl_free(finder->basins);
    memset(finder, 0, sizeof *finder);
}

static int reserve(struct adl_object_finder *finder, size_t height, size_t width,
                   struct adl_error *err)
{
    size_t pixels = (height + 2) * (width + 2);

    if (pixels <= finder->capacity)
        return 0;
    adl_object_finder_release(finder);
    finder->levels = adl_malloc(pixels, sizeof *finder->levels);
    finder->order = adl_malloc(pixels, sizeof *finder->order);
    finder->labels = adl_malloc(pixels, sizeof *finder->labels);
    finder->counts = adl_malloc(LEVELS, sizeof *finder->counts);
    /* No two peaks are neighbours, so there is at most one for each 2 x 2 pixels. */
    finder->basins = adl_malloc(pixels / 4 + 1, sizeof *finder->basins);
    if (!finder->levels || !finder->order || !finder->labels || !finder->counts ||
        !finder->basins) {
        adl_object_finder_release(finder);
        return adl_fail_nomem(err, "the parts of a score map");
    }
    finder->capacity = pixels;
    return 0;
}

int adl_object_finder_load(struct adl_object_finder *finder, const double *map, int height,
                           int width, struct adl_error *err)
{
    size_t pixels;
    double greatest = 0;

    if (height < 1 || width < 1)
        return adl_fail(err, ADL_ERR_ARG, "a score map cannot have %d x %d pixels", width, height);
    if (adl_size_mul((size_t)height + 2, (size_t)width + 2, &pixels) < 0 || pixels > INT32_MAX)
        return adl_fail(err, ADL_ERR_LIMIT, "a score map of %d x %d is too large to part", width,
                        height);
    if (reserve(finder, (size_t)height, (size_t)width, err) < 0)
        return -1;
    finder->height = height;
    finder->width = width;
    pixels = (size_t)height * (size_t)width;
    for (size_t i = 0; i < pixels; i++)
        greatest = map[i] > greatest ? map[i] : greatest;
    for (size_t i = 0; i < pixels; i++) {
        double level = greatest > 0 && isfinite(greatest) ? map[i] / greatest * UINT16_MAX : 0;
        finder->levels[i] = level > 0 ? (uint16_t)level : 0;
    }
    return 0;
}

/* --- the watershed ------------------------------------------------------------------- */

/* Lists the pixels above the cut from the highest to the lowest, and clears the labels. Returns
 * their number. */
static size_t put_in_order(struct adl_object_finder *finder, const uint8_t *bytes, int byte)
{
    size_t pixels = (size_t)finder->height * (size_t)finder->width, count = 0;
    uint32_t *next = finder->counts;

    memset(finder->labels, 0,
           ((size_t)finder->height + 2) * ((size_t)finder->width + 2) * sizeof *finder->labels);
    memset(next, 0, LEVELS * sizeof *next);
    for (size_t i = 0; i < pixels; i++)
        next[finder->levels[i]] += bytes[i] > byte;
    for (size_t level = LEVELS; level-- > 0;) {
        size_t first = count;
        count += next[level];
        next[level] = (uint32_t)first;
    }
    for (size_t i = 0; i < pixels; i++)
        if (bytes[i] > byte)
            finder->order[next[finder->levels[i]]++] = (uint32_t)i;
    return count;
}

static uint32_t root_of(struct adl_object_basin *basins, uint32_t basin)
{
    while (basins[basin].parent != basin)
        basin = basins[basin].parent = basins[basins[basin].parent].parent;
    return basin;
}

/* Joins the basin `low` to `high`, which has the higher peak. */
static void join(struct adl_object_basin *basins, uint32_t high, uint32_t low)
{
    struct adl_object_basin *to = &basins[high], *from = &basins[low];

    from->parent = high;
    to->area += from->area;
    to->x0 = ADL_MIN(to->x0, from->x0);
    to->y0 = ADL_MIN(to->y0, from->y0);
    to->x1 = ADL_MAX(to->x1, from->x1);
    to->y1 = ADL_MAX(to->y1, from->y1);
}

/* The basins around a pixel. */
struct around {
    uint32_t roots[8]; /* ascending, each once */
    int count;
    uint32_t highest; /* that of the highest neighbour */
};

static void add_root(struct around *around, uint32_t root)
{
    int i = around->count;

    for (int k = 0; k < i; k++)
        if (around->roots[k] == root)
            return;
    for (; i > 0 && around->roots[i - 1] > root; i--)
        around->roots[i] = around->roots[i - 1];
    around->roots[i] = root;
    around->count++;
}

static struct around look_around(struct adl_object_finder *finder, int x, int y)
{
    size_t stride = (size_t)finder->width + 2;
    struct around around = {.count = 0};
    int best = -1;

    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) {
            uint32_t label = finder->labels[(size_t)(y + dy + 1) * stride + (size_t)(x + dx + 1)];
            if (label == 0)
                continue;
            uint32_t root = root_of(finder->basins, label - 1);
            int level = finder->levels[(size_t)(y + dy) * (size_t)finder->width + (size_t)(x + dx)];
            add_root(&around, root);
            if (level > best) {
                best = level;
                around.highest = root;
            }
        }
    return around;
}

/* Joins the basins that meet in a pixel of this level, except those that are objects. */
static void join_around(struct adl_object_basin *basins, const struct around *around, int level,
                        double steepness, double least_area)
{
    for (int i = 0; i < around->count; i++)
        for (int k = i + 1; k < around->count; k++) {
            uint32_t a = root_of(basins, around->roots[i]), b = root_of(basins, around->roots[k]);
            uint32_t high = ADL_MIN(a, b), low = ADL_MAX(a, b);
            if (high == low)
                continue;
            bool apart = level <= steepness * basins[low].peak &&
                         ADL_MIN(basins[low].area, basins[high].area) >= least_area;
            if (!apart)
                join(basins, high, low);
        }
}

static size_t flood(struct adl_object_finder *finder, size_t count, double steepness,
                    double least_area)
{
    size_t stride = (size_t)finder->width + 2, basins = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t pixel = finder->order[i];
        int x = (int)(pixel % (uint32_t)finder->width), y = (int)(pixel / (uint32_t)finder->width);
        uint16_t level = finder->levels[pixel];
        const struct around around = look_around(finder, x, y);
        uint32_t basin;
        if (around.count == 0) {
            basin = (uint32_t)basins++;
            finder->basins[basin] = (struct adl_object_basin){basin, 0, x, y, x, y, level};
        } else {
            join_around(finder->basins, &around, level, steepness, least_area);
            basin = root_of(finder->basins, around.highest);
        }
        struct adl_object_basin *b = &finder->basins[basin];
        b->area++;
        b->x0 = ADL_MIN(b->x0, x);
        b->y0 = ADL_MIN(b->y0, y);
        b->x1 = ADL_MAX(b->x1, x);
        b->y1 = ADL_MAX(b->y1, y);
        finder->labels[(size_t)(y + 1) * stride + (size_t)(x + 1)] = basin + 1;
    }
    return basins;
}

/* --- the objects ---------------------------------------------------------------------- */

static int larger_first(const void *a, const void *b)
{
    const struct adl_object_basin *x = a, *y = b;

    if (x->area != y->area)
        return x->area > y->area ? -1 : 1;
    return x->parent < y->parent ? -1 : 1;
}

/* Moves the roots to the front, the largest first. Returns how many are objects. */
static size_t gather(struct adl_object_basin *basins, size_t count, double least_area)
{
    size_t roots = 0;

    for (size_t i = 0; i < count; i++)
        if (basins[i].parent == i)
            basins[roots++] = basins[i];
    qsort(basins, roots, sizeof *basins, larger_first);
    roots = ADL_MIN(roots, (size_t)ADL_LIMIT_BOXES);
    while (roots > 1 && basins[roots - 1].area < least_area)
        roots--;
    return roots;
}

int adl_object_finder_part(struct adl_object_finder *finder, const struct adl_box_finder *cut,
                           int byte, const struct adl_object_rule *rule, struct adl_boxes *boxes,
                           struct adl_error *err)
{
    const struct adl_object_rule used = adl_object_rule_used(rule);
    double least_area = used.area * (double)finder->height * (double)finder->width;

    boxes->count = 0;
    size_t basins =
        flood(finder, put_in_order(finder, cut->bytes, byte), 1 - used.prominence, least_area);
    size_t count = gather(finder->basins, basins, least_area / 2);
    struct adl_box *items = adl_array_grow(boxes->items, &boxes->capacity, count, sizeof *items);
    if (!items && count)
        return adl_fail_nomem(err, "boxes");
    boxes->items = items;
    for (size_t i = 0; i < count; i++) {
        const struct adl_object_basin *b = &finder->basins[i];
        items[i] = (struct adl_box){b->x0, b->y0, ADL_MIN(b->x1 + 1, finder->width - 1),
                                    ADL_MIN(b->y1 + 1, finder->height - 1)};
    }
    boxes->count = count;
    return 0;
}
