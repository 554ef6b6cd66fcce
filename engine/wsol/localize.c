/* Makes a heat map and boxes of an image from a class activation map.
 *
 * The map is enlarged, normalised and cut exactly as in the evaluation (wsol/boxes.h), so that
 * a user sees the boxes that were measured. Three points differ from the evaluation, as a user
 * expects: boxes are in inclusive pixels of the image and not of the map, holes have no boxes, and
 * a map that is constant has no box instead of the reference's [0, 0, 0, 0].
 *
 * A box's score is the mean of the normalised map inside it. A map may have a hundred boxes,
 * so the means come from a summed-area table (F. Crow, 1984): S[y][x] is the sum of all pixels
 * above y and left of x, and the sum inside a box takes four entries of it. */

#include "wsol/localize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

void adl_localizer_release(struct adl_localizer *localizer)
{
    adl_box_finder_release(&localizer->finder);
    adl_object_finder_release(&localizer->objects);
    adl_boxes_release(&localizer->boxes);
}

void adl_localization_release(struct adl_localization *localization)
{
    adl_free(localization->map);
    adl_free(localization->boxes);
    memset(localization, 0, sizeof *localization);
}

void adl_heatmap_normalise(const float *cam, size_t count, float *out)
{
    float least = INFINITY, greatest = -INFINITY;
    bool usable = count > 0;
    for (size_t i = 0; i < count; i++) {
        usable &= isfinite(cam[i]) != 0;
        least = cam[i] < least ? cam[i] : least;
        greatest = cam[i] > greatest ? cam[i] : greatest;
    }
    if (!usable || least == greatest) {
        memset(out, 0, count * sizeof *out);
        return;
    }
    double range = (double)greatest - (double)least;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(((double)cam[i] - (double)least) / range);
}

#define ROWS 4

/* Writes the sums of the pixels left of each pixel of some rows (1 to ROWS), and of all of a row,
 * stride apart. An addition waits for the one before it in its row, so rows are done beside each
 * other. */
static void sum_rows(const double *map, size_t width, size_t rows, double *sums)
{
    const size_t stride = width + 1;
    double row[ROWS] = {0};

    for (size_t y = 0; y < rows; y++)
        sums[y * stride] = 0;
    if (rows < ROWS) {
        for (size_t y = 0; y < rows; y++)
            for (size_t x = 0; x < width; x++)
                sums[y * stride + x + 1] = row[y] += map[y * width + x];
        return;
    }
    for (size_t x = 0; x < width; x++)
        for (size_t y = 0; y < ROWS; y++)
            sums[y * stride + x + 1] = row[y] += map[y * width + x];
}

/* Returns the summed-area table of the first `height` rows of the map, (height + 1) x (width + 1),
 * whose row 0 and column 0 are zeros; NULL when out of memory. */
static double *localize_create_sums(const double *map, size_t height, size_t width,
                                    struct adl_error *err)
{
    size_t stride = width + 1;
    double *sums = adl_malloc((height + 1) * stride, sizeof *sums);
    if (!sums) {
        adl_fail_nomem(err, "the sums of a score map");
        return NULL;
    }
    memset(sums, 0, stride * sizeof *sums);
    for (size_t y = 0; y < height; y += ROWS)
        sum_rows(map + y * width, width, ADL_MIN((size_t)ROWS, height - y),
                 sums + (y + 1) * stride);
    for (size_t i = stride; i < (height + 1) * stride; i++)
        sums[i] += sums[i - stride];
    return sums;
}

/* Returns the mean of the map inside an inclusive box, clipped to 0..1, since rounding may leave it
 * slightly outside. */
static double mean_inside(const double *sums, int width, struct adl_box box)
{
    const double *above = sums + (size_t)box.y0 * ((size_t)width + 1);
    const double *below = sums + ((size_t)box.y1 + 1) * ((size_t)width + 1);
    double sum = below[box.x1 + 1] - below[box.x0] - above[box.x1 + 1] + above[box.x0];
    double mean = sum / ((double)(box.x1 - box.x0 + 1) * (double)(box.y1 - box.y0 + 1));
    return mean < 0 ? 0 : mean > 1 ? 1 : mean;
}

struct candidate {
    double area;
    int met;
    struct adl_box box;
};

static int larger_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->area != y->area)
        return x->area > y->area ? -1 : 1;
    return x->met > y->met ? -1 : 1;
}

/* Keeps the boxes of outer borders, that of the greatest contour first, and at most
 * ADL_LIMIT_BOXES. The reference has a box for the rim of each hole as well, which shows nothing
 * to a user. Of equal contours the one that the raster scan meets last comes first: so the first
 * box is always that of ADL_BOXES_LARGEST, where OpenCV's order decides, and a page that labels
 * regions by a flood fill gets the same order without knowing how contours are nested. */
static int keep_outer(struct adl_boxes *boxes, const struct adl_contour_finder *contours,
                      struct adl_error *err)
{
    struct candidate *candidates = adl_malloc(boxes->count, sizeof *candidates);
    size_t count = 0;

    if (!candidates)
        return adl_fail_nomem(err, "boxes");
    for (size_t i = 0; i < boxes->count; i++)
        if (!contours->items[i].hole)
            candidates[count++] = (struct candidate){contours->items[i].area,
                                                     contours->items[i].met, boxes->items[i]};
    qsort(candidates, count, sizeof *candidates, larger_first);
    boxes->count = ADL_MIN(count, (size_t)ADL_LIMIT_BOXES);
    for (size_t i = 0; i < boxes->count; i++)
        boxes->items[i] = candidates[i].box;
    adl_free(candidates);
    return 0;
}

static double box_area(struct adl_box box)
{
    return (double)(box.x1 - box.x0 + 1) * (double)(box.y1 - box.y0 + 1);
}

/* Sets the confidence of each box; the map is loaded in the finder and is cut at `byte`. */
static void localize_judge(const struct adl_class_map *cam, const struct adl_box_finder *finder,
                           int byte, const struct adl_boxes *boxes, struct adl_localization *out)
{
    double largest = 0;

    for (size_t i = 0; i < boxes->count; i++) {
        struct adl_box box = adl_box_to_inclusive(boxes->items[i], finder->width, finder->height);
        largest = fmax(largest, box_area(box));
    }
    for (size_t i = 0; i < boxes->count; i++) {
        struct adl_box box = adl_box_to_inclusive(boxes->items[i], finder->width, finder->height);
        double evidence[ADL_EVIDENCES];
        adl_evidence_of_box(finder, byte, box, cam->probability, evidence);
        out->boxes[i].confidence =
            adl_confidence_of(cam->confidence, evidence, box_area(box) / largest);
    }
    out->judged = true;
}

/* Fills in out->boxes but for the confidence: converts each box to inclusive pixels of the map,
 * computes its score there and scales it to the image. */
static int localize_describe_boxes(const double *map, int width, int height,
                                   const struct adl_boxes *boxes, int image_w, int image_h,
                                   struct adl_localization *out, struct adl_error *err)
{
    int rows = 0; /* that boxes reach */

    for (size_t i = 0; i < boxes->count; i++)
        rows = ADL_MAX(rows, adl_box_to_inclusive(boxes->items[i], width, height).y1 + 1);
    double *sums = localize_create_sums(map, (size_t)rows, (size_t)width, err);
    if (!sums)
        return -1;
    out->boxes = adl_malloc(boxes->count, sizeof *out->boxes);
    if (!out->boxes) {
        adl_free(sums);
        return adl_fail_nomem(err, "boxes");
    }
    for (size_t i = 0; i < boxes->count; i++) {
        struct adl_box box = adl_box_to_inclusive(boxes->items[i], width, height);
        out->boxes[i].score = mean_inside(sums, width, box);
        out->boxes[i].confidence = 0;
        out->boxes[i].box = adl_box_scale(box, width, height, image_w, image_h);
    }
    out->box_count = boxes->count;
    adl_free(sums);
    return 0;
}

int adl_localizer_load(struct adl_localizer *l, double *map, int height, int width, bool objects,
                       struct adl_error *err)
{
    if (objects && adl_object_finder_load(&l->objects, map, height, width, err) < 0)
        return -1;
    if (objects)
        adl_map_clip(map, (size_t)height * (size_t)width);
    return adl_box_finder_load(&l->finder, map, height, width, err);
}

/* Finds the boxes of a mode, none without foreground. */
static int find_boxes(struct adl_localizer *l, const struct adl_map_rule *rule,
                      enum adl_box_mode mode, struct adl_error *err)
{
    int byte = adl_box_finder_byte(&l->finder, rule->threshold);

    if (mode == ADL_BOXES_OBJECTS)
        return adl_object_finder_part(&l->objects, &l->finder, byte, &rule->objects, &l->boxes,
                                      err);
    if (adl_box_finder_cut(&l->finder, byte, mode, &l->boxes, err) < 0)
        return -1;
    if (l->finder.contours.count == 0)
        l->boxes.count = 0;
    return mode == ADL_BOXES_ALL ? keep_outer(&l->boxes, &l->finder.contours, err) : 0;
}

int adl_localizer_cut(struct adl_localizer *l, const struct adl_map_rule *rule,
                      const struct adl_class_map *cam, const double *map, enum adl_box_mode mode,
                      int image_w, int image_h, struct adl_localization *out, struct adl_error *err)
{
    if (find_boxes(l, rule, mode, err) < 0)
        return -1;
    if (l->boxes.count == 0)
        return 0;
    if (localize_describe_boxes(map, cam->input_w, cam->input_h, &l->boxes, image_w, image_h, out,
                                err) < 0)
        return -1;
    if (cam->confidence)
        localize_judge(cam, &l->finder, adl_box_finder_byte(&l->finder, rule->threshold), &l->boxes,
                       out);
    return 0;
}

/* Makes the normalised map at the input size, in doubles for the boxes and, unless `heat` is NULL,
 * in floats for the heat map, and loads it unless `l` is NULL. The caller frees both arrays, also
 * after a failure. */
static int localize_enlarge(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                            struct adl_localizer *l, enum adl_box_mode mode, double **map,
                            float **heat, struct adl_map_range *range, struct adl_error *err)
{
    size_t pixels = (size_t)cam->input_h * (size_t)cam->input_w;
    bool objects = l && mode == ADL_BOXES_OBJECTS;

    *map = adl_malloc(pixels, sizeof **map);
    if (heat)
        *heat = adl_malloc(pixels, sizeof **heat);
    if (!*map || (heat && !*heat))
        return adl_fail_nomem(err, "a score map");
    if ((objects ? adl_map_make_unclipped : adl_map_make)(
            rule, cam->values, cam->h, cam->w, *map, cam->input_h, cam->input_w, range, err) < 0 ||
        (l && adl_localizer_load(l, *map, cam->input_h, cam->input_w, objects, err) < 0))
        return -1;
    for (size_t i = 0; heat && i < pixels; i++)
        (*heat)[i] = (float)(*map)[i];
    return 0;
}

float *adl_localize_enlarge(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                            struct adl_error *err)
{
    double *map;
    float *heat;

    if (localize_enlarge(rule, cam, NULL, ADL_BOXES_LARGEST, &map, &heat, NULL, err) < 0) {
        adl_free(heat);
        heat = NULL;
    }
    adl_free(map);
    return heat;
}

static int localize_check(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                          int image_w, int image_h, struct adl_error *err)
{
    if (cam->h < 1 || cam->w < 1 || cam->input_h < 1 || cam->input_w < 1 || image_w < 1 ||
        image_h < 1)
        return adl_fail(err, ADL_ERR_ARG,
                        "a map of %d x %d, an input of %d x %d and an image of %d x %d give no "
                        "boxes",
                        cam->w, cam->h, cam->input_w, cam->input_h, image_w, image_h);
    if (!(rule->threshold >= 0 && rule->threshold <= 1))
        return adl_fail(err, ADL_ERR_ARG, "the threshold %g is not in 0..1", rule->threshold);
    if (ADL_MAX(ADL_MAX(cam->h, cam->w), ADL_MAX(cam->input_h, cam->input_w)) >
        ADL_LIMIT_INPUT_SIDE)
        return adl_fail(err, ADL_ERR_LIMIT, "a score map has more than %d pixels on a side",
                        ADL_LIMIT_INPUT_SIDE);
    return 0;
}

int adl_localize_map(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                     enum adl_box_mode mode, bool keep_map, int image_w, int image_h,
                     struct adl_localization *out, struct adl_error *err)
{
    struct adl_localizer localizer = {0};
    double *map = NULL;
    int result = -1;

    memset(out, 0, sizeof *out);
    ADL_TRY(localize_check(rule, cam, image_w, image_h, err));
    ADL_TRY(localize_enlarge(rule, cam, &localizer, mode, &map, keep_map ? &out->map : NULL,
                             &out->range, err));
    out->map_width = cam->input_w;
    out->map_height = cam->input_h;
    ADL_TRY(adl_localizer_cut(&localizer, rule, cam, map, mode, image_w, image_h, out, err));
    result = 0;
out:
    if (result < 0)
        adl_localization_release(out);
    adl_localizer_release(&localizer);
    adl_free(map);
    return result;
}
