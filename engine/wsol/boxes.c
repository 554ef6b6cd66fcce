/* Computes the boxes of the contours of a thresholded map, and scales and compares boxes.
 *
 * Boxes are computed as in the reference, oddities included (see boxes.h): figures are comparable
 * with published ones only if every box is identical. Two facts keep this cheap. A map is
 * quantised once and then cut at bytes, of which there are 256, so a thousand thresholds cost
 * at most 256 searches for contours. And the largest contour is always an outermost one, so
 * ADL_BOXES_LARGEST skips all nested contours. */

#include "wsol/boxes.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

const char *const adl_box_mode_names[] = {"largest", "all", "objects", NULL};

void adl_boxes_release(struct adl_boxes *boxes)
{
    adl_free(boxes->items);
    memset(boxes, 0, sizeof *boxes);
}

void adl_box_finder_release(struct adl_box_finder *finder)
{
    adl_contour_finder_release(&finder->contours);
    adl_free(finder->bytes);
    memset(finder, 0, sizeof *finder);
}

/* Truncates to bytes as the reference does, which converts with astype(numpy.uint8). */
int adl_box_finder_load(struct adl_box_finder *finder, const double *map, int height, int width,
                        struct adl_error *err)
{
    size_t pixels;
    if (height < 1 || width < 1 || adl_size_mul((size_t)height, (size_t)width, &pixels) < 0)
        return adl_fail(err, ADL_ERR_ARG, "a score map cannot have %d x %d pixels", width, height);
    if (pixels > finder->capacity) {
        adl_free(finder->bytes);
        finder->capacity = 0;
        finder->bytes = adl_malloc(pixels, 1);
        if (!finder->bytes)
            return adl_fail_nomem(err, "the bytes of a score map");
        finder->capacity = pixels;
    }
    finder->height = height;
    finder->width = width;
    finder->largest_byte = 0;
    for (size_t i = 0; i < pixels; i++) {
        if (!(map[i] >= 0 && map[i] <= 1))
            return adl_fail(err, ADL_ERR_ARG,
                            "value %zu of the score map is %g; normalise the map to 0..1", i,
                            map[i]);
        finder->bytes[i] = (uint8_t)(map[i] * 255);
        finder->largest_byte = ADL_MAX(finder->largest_byte, finder->bytes[i]);
    }
    return 0;
}

int adl_box_finder_byte(const struct adl_box_finder *finder, double threshold)
{
    return (int)(threshold * finder->largest_byte);
}

static int reserve(struct adl_boxes *boxes, size_t count, struct adl_error *err)
{
    struct adl_box *items = adl_array_grow(boxes->items, &boxes->capacity, count, sizeof *items);
    if (!items && count)
        return adl_fail_nomem(err, "boxes");
    boxes->items = items;
    return 0;
}

/* Returns the reference's box of a contour's bounding rectangle. */
static struct adl_box contour_box(const struct adl_contour *contour, int width, int height)
{
    return (struct adl_box){contour->x, contour->y, ADL_MIN(contour->x + contour->width, width - 1),
                            ADL_MIN(contour->y + contour->height, height - 1)};
}

int adl_box_finder_cut(struct adl_box_finder *finder, int byte, enum adl_box_mode mode,
                       struct adl_boxes *boxes, struct adl_error *err)
{
    const struct adl_contour_finder *contours = &finder->contours;
    bool all = mode == ADL_BOXES_ALL;

    boxes->count = 0;
    if (adl_contour_find(&finder->contours, finder->bytes, finder->height, finder->width, byte,
                         all ? ADL_CONTOURS_ALL : ADL_CONTOURS_OUTERMOST, err) < 0)
        return -1;
    /* There is always at least one box: without contours, the placeholder. */
    size_t count = all && contours->count > 0 ? contours->count : 1;
    if (reserve(boxes, count, err) < 0)
        return -1;
    boxes->count = count;
    if (contours->count == 0) {
        boxes->items[0] = (struct adl_box){0, 0, 0, 0};
        return 0;
    }
    size_t first = all ? 0 : adl_contour_largest(contours);
    for (size_t i = 0; i < count; i++)
        boxes->items[i] = contour_box(&contours->items[first + i], finder->width, finder->height);
    return 0;
}

int adl_boxes_from_map(const double *map, int height, int width, double threshold,
                       enum adl_box_mode mode, struct adl_boxes *boxes, struct adl_error *err)
{
    struct adl_box_finder finder = {0};
    int result = -1;

    boxes->count = 0;
    if (!(threshold >= 0 && threshold <= 1)) {
        adl_fail(err, ADL_ERR_ARG, "the threshold %g is not in 0..1", threshold);
        goto out;
    }
    ADL_TRY(adl_box_finder_load(&finder, map, height, width, err));
    ADL_TRY(adl_box_finder_cut(&finder, adl_box_finder_byte(&finder, threshold), mode, boxes, err));
    result = 0;
out:
    adl_box_finder_release(&finder);
    return result;
}

/* Returns the last inclusive index along a side that ends at `end` in the reference's box. */
static int inclusive_end(int start, int end, int size)
{
    return end >= size - 1 ? size - 1 : ADL_MAX(start, end - 1);
}

struct adl_box adl_box_to_inclusive(struct adl_box box, int width, int height)
{
    box.x1 = inclusive_end(box.x0, box.x1, width);
    box.y1 = inclusive_end(box.y0, box.y1, height);
    return box;
}

/* Replaces the pixels *first..*last of a side of `from` pixels by the pixels that they touch on a
 * side of `to` pixels: from the floor of the left edge to the ceiling of the right edge. */
static void scale_side(int *first, int *last, int from, int to)
{
    int64_t start = (int64_t)*first * to / from;
    int64_t end = (((int64_t)*last + 1) * to + from - 1) / from - 1;
    *first = (int)ADL_MAX(0, ADL_MIN(start, to - 1));
    *last = (int)ADL_MAX(*first, ADL_MIN(end, to - 1));
}

struct adl_box adl_box_scale(struct adl_box box, int from_width, int from_height, int to_width,
                             int to_height)
{
    scale_side(&box.x0, &box.x1, from_width, to_width);
    scale_side(&box.y0, &box.y1, from_height, to_height);
    return box;
}

static int64_t span(int first, int last)
{
    return (int64_t)last - first + 1;
}

double adl_box_iou(struct adl_box a, struct adl_box b)
{
    int64_t width = span(ADL_MAX(a.x0, b.x0), ADL_MIN(a.x1, b.x1));
    int64_t height = span(ADL_MAX(a.y0, b.y0), ADL_MIN(a.y1, b.y1));
    double intersection = width > 0 && height > 0 ? (double)width * (double)height : 0;
    double area_union = (double)span(a.x0, a.x1) * (double)span(a.y0, a.y1) +
                        (double)span(b.x0, b.x1) * (double)span(b.y0, b.y1) - intersection;
    return area_union > 0 ? intersection / area_union : 0;
}

double adl_box_best_iou(const struct adl_box *boxes, size_t box_count, const struct adl_box *truth,
                        size_t truth_count)
{
    double best = 0;
    for (size_t i = 0; i < box_count; i++) {
        for (size_t j = 0; j < truth_count; j++) {
            double iou = adl_box_iou(boxes[i], truth[j]);
            best = ADL_MAX(best, iou);
        }
    }
    return best;
}
