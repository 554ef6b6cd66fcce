/* Normalises class activation maps.
 *
 * All four rules apply an affine function and a clip, (m - low) / (high - low) in 0..1; they differ
 * in the two values that become 0 and 1. The boxes depend only on which pixels are above the
 * threshold, so a rule in effect places the threshold between the typical background and the peak:
 * IVR raises the value that becomes 0 to a percentile, so that a map with a bright background is
 * not one large box; PAS lowers the value that becomes 1 to a percentile, so that a single peak
 * does not leave the rest of the object below the threshold.
 *
 * A percentile of a map of 50,000 values is needed for each class that is localized. Sorting a
 * copy would take longer than enlarging the map, so adl_map_rank() narrows the range that holds
 * the value instead, in a few passes over the map. */

#include "wsol/map_rule.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "wsol/boxes.h"

const char *const adl_map_weights_names[] = {"all", "positive", "pc1", NULL};
const char *const adl_map_normalise_names[] = {"minmax", "max", "pas", "ivr", NULL};

double adl_map_default_percentile(enum adl_map_normalise normalise)
{
    return normalise == ADL_MAP_PAS ? 0.9 : normalise == ADL_MAP_IVR ? 0.45 : 0;
}

bool adl_map_has_percentile(enum adl_map_normalise normalise)
{
    return normalise == ADL_MAP_PAS || normalise == ADL_MAP_IVR;
}

void adl_map_rule_without_boxes(struct adl_map_rule *rule)
{
    rule->weights = ADL_MAP_WEIGHTS_POSITIVE;
    rule->normalise = ADL_MAP_IVR;
    rule->percentile = adl_map_default_percentile(ADL_MAP_IVR);
    rule->threshold = 0.25;
}

bool adl_map_rule_is_reference(const struct adl_map_rule *rule)
{
    return rule->weights == ADL_MAP_WEIGHTS_ALL && rule->normalise == ADL_MAP_MINMAX &&
           rule->classes <= 1 && !rule->foreground && adl_map_views_plain(&rule->views);
}

bool adl_map_rule_equal(const struct adl_map_rule *a, const struct adl_map_rule *b)
{
    return a->weights == b->weights && a->normalise == b->normalise &&
           a->percentile == b->percentile && a->threshold == b->threshold &&
           a->objects.prominence == b->objects.prominence && a->objects.area == b->objects.area &&
           a->class_thresholds == b->class_thresholds &&
           ADL_MAX(a->classes, 1) == ADL_MAX(b->classes, 1) && a->foreground == b->foreground &&
           adl_map_views_equal(&a->views, &b->views);
}

struct adl_map_rule adl_map_rule_of_class(const struct adl_map_rule *rule, size_t class_id)
{
    struct adl_map_rule own = *rule;
    own.class_thresholds = NULL;
    if (rule->class_thresholds && rule->class_thresholds[class_id] >= 0)
        own.threshold = (double)rule->class_thresholds[class_id];
    return own;
}

int adl_map_base_parse(const char *text, struct adl_map_changes *changes, struct adl_error *err)
{
    changes->reference = !strcmp(text, "reference");
    if (changes->reference || !strcmp(text, "model"))
        return 0;
    if (!strchr(text, ':'))
        return adl_fail(err, ADL_ERR_ARG,
                        "\"%s\" is not model, reference, or METHOD:LAYER such as "
                        "layercam:LAYER",
                        ADL_SHORT(text));
    if (changes->views.has_layer)
        return adl_fail(err, ADL_ERR_ARG, "two layers are given, \"%s\" and that of the map layer",
                        ADL_SHORT(text));
    changes->views.has_layer = true;
    return adl_map_layer_parse(text, &changes->views.layer, err);
}

int adl_map_rule_change(struct adl_map_rule *rule, const struct adl_map_changes *changes,
                        const struct adl_foreground_head *head, struct adl_error *err)
{
    struct adl_map_rule changed = *rule;

    if (changes->reference)
        changed = (struct adl_map_rule){.threshold = rule->threshold, .objects = rule->objects};
    if (changes->weights >= 0)
        changed.weights = (enum adl_map_weights)changes->weights;
    if (changes->normalise >= 0 && changes->normalise != (int)changed.normalise) {
        changed.normalise = (enum adl_map_normalise)changes->normalise;
        changed.percentile = adl_map_default_percentile(changed.normalise);
    }
    if (changes->percentile >= 0) {
        if (!adl_map_has_percentile(changed.normalise))
            return adl_fail(err, ADL_ERR_ARG,
                            "the normalisation %s has no percentile; pas and ivr have one",
                            adl_map_normalise_names[changed.normalise]);
        changed.percentile = changes->percentile;
    }
    if (changes->threshold >= 0)
        changed.threshold = changes->threshold;
    if (changes->classes >= 0)
        changed.classes = changes->classes;
    if (changes->foreground > 0 && !head)
        return adl_fail(err, ADL_ERR_ARG,
                        "the model has no foreground head; make one with adl-server calibrate "
                        "--foreground");
    if (changes->foreground >= 0)
        changed.foreground = changes->foreground ? head : NULL;
    adl_map_views_change(&changed.views, &changes->views);
    if (changes->threshold >= 0 || !adl_map_rule_equal(&changed, rule))
        changed.class_thresholds = NULL;
    *rule = changed;
    return 0;
}

/* --- order statistics -------------------------------------------------------------- */

/* How many values are compared beside each other, since a minimum waits for the one before it. */
#define BESIDE 8

/* Returns the least and the greatest value. Returns false if one is no number. */
static bool find_range(const double *map, size_t count, double *least, double *greatest)
{
    double low[BESIDE], high[BESIDE];
    bool numbers = true;

    for (size_t k = 0; k < BESIDE; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
    }
    for (size_t i = 0; i < count; i++)
        numbers &= !isnan(map[i]);
    for (size_t i = 0; i + BESIDE <= count; i += BESIDE)
        for (size_t k = 0; k < BESIDE; k++) {
            low[k] = map[i + k] < low[k] ? map[i + k] : low[k];
            high[k] = map[i + k] > high[k] ? map[i + k] : high[k];
        }
    for (size_t i = count - count % BESIDE; i < count; i++) {
        low[0] = ADL_MIN(low[0], map[i]);
        high[0] = ADL_MAX(high[0], map[i]);
    }
    for (size_t k = 1; k < BESIDE; k++) {
        low[0] = ADL_MIN(low[0], low[k]);
        high[0] = ADL_MAX(high[0], high[k]);
    }
    *least = low[0];
    *greatest = high[0];
    return numbers;
}

#define BINS 1024
/* So few values are sorted. */
#define FEW 128
/* Neighbours in a map are alike and fall into the same bin, whose counter would have to be written
 * before it can be read again; so neighbours have counters of their own. */
#define TABLES 4

/* A range of values that contains the wanted one. */
struct range {
    double least, greatest;
    double scale; /* bins for each unit; infinite in a range that is too small for it */
};

static struct range range_of(double least, double greatest)
{
    return (struct range){least, greatest, BINS / (greatest - least)};
}

static bool in_range(const struct range *range, double value)
{
    return value >= range->least && value <= range->greatest;
}

/* Returns the bin of a value of the range. It never decreases as the value grows, so the bins are
 * in the order of the values. */
static size_t bin_of(const struct range *range, double value)
{
    const double above = value - range->least;
    double position = range->scale <= DBL_MAX ? above * range->scale
                                              : above / (range->greatest - range->least) * BINS;
    return ADL_MIN((size_t)position, (size_t)BINS - 1);
}

/* Narrows the range to the bin that holds the value at index *rank of the sorted values of the
 * range, and makes *rank its index within that bin. If they are few, the values of the bin are in
 * `few`. Returns how many they are. */
static size_t narrow(const double *values, size_t count, size_t *rank, struct range *range,
                     double few[FEW])
{
    uint32_t counts[TABLES][BINS] = {{0}};
    double least = INFINITY, greatest = -INFINITY;
    size_t bin = 0, n = 0;

    for (size_t i = 0; i < count; i++)
        if (in_range(range, values[i]))
            counts[i % TABLES][bin_of(range, values[i])]++;
    for (;; bin++) {
        size_t in_bin = 0;
        for (int k = 0; k < TABLES; k++)
            in_bin += counts[k][bin];
        if (*rank < in_bin)
            break;
        *rank -= in_bin;
    }
    for (size_t i = 0; i < count; i++)
        if (in_range(range, values[i]) && bin_of(range, values[i]) == bin) {
            least = ADL_MIN(least, values[i]);
            greatest = ADL_MAX(greatest, values[i]);
            if (n < FEW)
                few[n] = values[i];
            n++;
        }
    *range = range_of(least, greatest);
    return n;
}

/* Returns the value at index `rank` of the sorted values. */
static double rank_of_few(double *values, size_t n, size_t rank)
{
    for (size_t i = 1; i < n; i++) {
        const double value = values[i];
        size_t k = i;
        for (; k > 0 && values[k - 1] > value; k--)
            values[k] = values[k - 1];
        values[k] = value;
    }
    return values[rank];
}

/* Narrows the range, which is that of all values, until all of its values are equal, or so few that
 * they are sorted. The least and the greatest value of a range fall into its first and its last
 * bin, so each pass drops at least one of the two and the loop ends. In practice a pass divides the
 * range by the number of bins, and one is enough. */
static double rank_in(struct range range, const double *values, size_t count, size_t rank)
{
    double few[FEW];

    while (range.least < range.greatest) {
        size_t n = narrow(values, count, &rank, &range, few);
        if (n <= FEW)
            return rank_of_few(few, n, rank);
    }
    return range.least;
}

double adl_map_rank(const double *values, size_t count, size_t rank)
{
    double least, greatest;

    (void)find_range(values, count, &least, &greatest);
    return rank_in(range_of(least, greatest), values, count, rank);
}

/* --- normalisation ----------------------------------------------------------------- */

/* `range` is that of the map's values. */
static double map_percentile(const struct adl_map_rule *rule, const double *map, size_t count,
                             const struct adl_map_range *range)
{
    size_t rank = (size_t)((double)count * rule->percentile);
    return rank_in(range_of(range->low, range->high), map, count, ADL_MIN(rank, count - 1));
}

static double clipped(double value)
{
    return value <= 0 ? 0 : value >= 1 ? 1 : value;
}

void adl_map_clip(double *map, size_t count)
{
    for (size_t i = 0; i < count; i++)
        map[i] = clipped(map[i]);
}

static struct adl_map_range normalise(const struct adl_map_rule *rule, double *map, size_t count,
                                      bool clip)
{
    struct adl_map_range range;
    bool usable = find_range(map, count, &range.low, &range.high) && count > 0;

    if (!usable || !isfinite(range.high - range.low) || range.high == range.low) {
        memset(map, 0, count * sizeof *map);
        return (struct adl_map_range){0, 0};
    }
    if (rule->normalise == ADL_MAP_PAS)
        range.high = map_percentile(rule, map, count, &range);
    else if (rule->normalise == ADL_MAP_IVR)
        range.low = map_percentile(rule, map, count, &range);
    else if (rule->normalise == ADL_MAP_MAX)
        range.low = 0;
    double width = range.high - range.low;
    if (width > 0)
        for (size_t i = 0; i < count; i++)
            map[i] = (map[i] - range.low) / width;
    else
        for (size_t i = 0; i < count; i++)
            map[i] = map[i] - range.low > 0;
    if (clip)
        adl_map_clip(map, count);
    return range;
}

struct adl_map_range adl_map_normalise(const struct adl_map_rule *rule, double *map, size_t count)
{
    return normalise(rule, map, count, true);
}

/* Returns whether all values are equal. Enlarging a constant map may leave rounding errors, which
 * normalisation would amplify to a map full of boxes. */
static bool is_constant(const float *cam, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (cam[i] != cam[0])
            return false;
    return true;
}

static int make(const struct adl_map_rule *rule, const float *cam, int cam_h, int cam_w,
                double *map, int h, int w, bool clip, struct adl_map_range *range,
                struct adl_error *err)
{
    size_t small_pixels = (size_t)cam_h * (size_t)cam_w, pixels = (size_t)h * (size_t)w;
    double *small = adl_malloc(small_pixels, sizeof *small);

    if (!small)
        return adl_fail_nomem(err, "a score map");
    for (size_t i = 0; i < small_pixels; i++)
        small[i] = (double)cam[i];
    int result = adl_scoremap_resize(small, cam_h, cam_w, map, h, w, err);
    adl_free(small);
    if (result < 0)
        return -1;
    if (is_constant(cam, small_pixels))
        memset(map, 0, pixels * sizeof *map);
    const struct adl_map_range found = normalise(rule, map, pixels, clip);
    if (range)
        *range = found;
    return 0;
}

int adl_map_make(const struct adl_map_rule *rule, const float *cam, int cam_h, int cam_w,
                 double *map, int h, int w, struct adl_map_range *range, struct adl_error *err)
{
    return make(rule, cam, cam_h, cam_w, map, h, w, true, range, err);
}

int adl_map_make_unclipped(const struct adl_map_rule *rule, const float *cam, int cam_h, int cam_w,
                           double *map, int h, int w, struct adl_map_range *range,
                           struct adl_error *err)
{
    return make(rule, cam, cam_h, cam_w, map, h, w, false, range, err);
}
