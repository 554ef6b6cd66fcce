#ifndef ADL_WSOL_MAP_RULE_H
#define ADL_WSOL_MAP_RULE_H

/* The rule by which a class activation map becomes the map that boxes are cut from. A model file
 * carries it ("cam"), and evaluation, prediction and the report all apply it through the functions
 * below, so that they compute the same map for an image. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "wsol/foreground.h"
#include "wsol/map_views.h"
#include "wsol/objects.h"

/* The classifier weights that the map sums over. */
enum adl_map_weights {
    ADL_MAP_WEIGHTS_ALL,      /* all: the reference */
    ADL_MAP_WEIGHTS_POSITIVE, /* those above 0 (NWC: Bae et al., ECCV 2020); the logits keep all */
    ADL_MAP_WEIGHTS_PC1       /* all, and the sum over channels is replaced by the first principal
                                 component within the image (wsol/principal.h) */
    /* A class map that is not a weighted sum of the features has no such weights, and is taken as
     * it is with both. */
};
extern const char *const adl_map_weights_names[]; /* "all", "positive", "pc1", NULL */

/* How the enlarged map m of n values is brought to 0..1. With low and high as below, the result
 * is (m - low) / (high - low), clipped to 0..1. "Rank r" is the value at index floor(n * r) of
 * the sorted values, at most the last. */
enum adl_map_normalise {
    ADL_MAP_MINMAX, /* low = min, high = max: the reference */
    ADL_MAP_MAX,    /* low = 0, high = max */
    ADL_MAP_PAS,    /* low = min, high = rank p: percentile as a standard (Bae et al.) */
    ADL_MAP_IVR     /* low = rank p, high = max (Kim et al., ICCV 2021) */
};
extern const char *const adl_map_normalise_names[]; /* "minmax", "max", "pas", "ivr", NULL */

/* All zero is the rule of the reference, except for the threshold. */
struct adl_map_rule {
    enum adl_map_weights weights;
    enum adl_map_normalise normalise;
    double percentile; /* p of PAS and IVR, 0..1 */
    double threshold;  /* at which the normalised map is cut into boxes, 0..1 */
    /* Thresholds of single classes by class id, negative where a class has none of its own;
     * borrowed from the model. NULL: `threshold` for all. */
    const float *class_thresholds;
    struct adl_object_rule objects; /* how the cut map is parted into objects */
    /* The few-box head (wsol/foreground.h) that the class map is combined with; borrowed from the
     * model. NULL: the class map alone. */
    const struct adl_foreground_head *foreground;
    /* Of a network that outputs a class map: the mean over the maps of this many classes, the class
     * asked for and the others with the highest logits, up to ADL_LIMIT_MAP_CLASSES (Wu et al.,
     * CVPR 2022). 0 and 1: the class alone. Other networks ignore it. */
    int classes;
    struct adl_map_views views; /* of the image, that the map is averaged over */
};

/* Returns whether a normalisation depends on a percentile. */
bool adl_map_has_percentile(enum adl_map_normalise normalise);

/* Returns the percentile of a normalisation if none is given: that of its authors (0.9 for PAS,
 * 0.45 for IVR), or 0 if it does not depend on one. */
double adl_map_default_percentile(enum adl_map_normalise normalise);

/* Changes to the rule of a model, as a user asks for them. */
struct adl_map_changes {
    bool reference;    /* begin with the reference's rule instead of the model's */
    int weights;       /* enum adl_map_weights; -1: unchanged */
    int normalise;     /* enum adl_map_normalise; -1: unchanged */
    double percentile; /* 0..1; negative: unchanged, or the default of another `normalise` */
    double threshold;  /* 0..1; negative: unchanged */
    int classes;       /* 1 to ADL_LIMIT_MAP_CLASSES; -1: unchanged */
    int foreground;    /* 1: with the model's few-box head, 0: without it; -1: unchanged */
    struct adl_map_view_changes views;
};

/* No change. */
#define ADL_MAP_NO_CHANGES                                                                         \
    {                                                                                              \
        .weights = -1, .normalise = -1, .percentile = -1, .threshold = -1, .classes = -1,          \
        .foreground = -1, .views = ADL_MAP_VIEWS_UNCHANGED                                         \
    }

/* Reads what the rule is to begin with: "model"; "reference"; or "METHOD:LAYER" (layer_map.h),
 * which is the model's with that layer. Fails with ADL_ERR_ARG, also if the changes have a layer.
 */
int adl_map_base_parse(const char *text, struct adl_map_changes *changes,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Applies the changes to the rule. Thresholds of single classes were chosen for the map as the
 * rule forms it, so a change of the map or of the threshold drops them. `head` is the few-box head
 * of the model, or NULL. Fails with ADL_ERR_ARG, and leaves the rule unchanged, if a percentile is
 * given for a normalisation that has none, or if the head is wanted and `head` is NULL. */
int adl_map_rule_change(struct adl_map_rule *rule, const struct adl_map_changes *changes,
                        const struct adl_foreground_head *head,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Returns the rule for the map of a class: the same with the class's threshold for all. */
struct adl_map_rule adl_map_rule_of_class(const struct adl_map_rule *rule, size_t class_id);

/* Returns whether two rules agree in every field, so that they give the same boxes. */
bool adl_map_rule_equal(const struct adl_map_rule *a, const struct adl_map_rule *b);

/* Makes the rule that of a network of which nobody has boxes: positive weights, IVR 0.45, threshold
 * 0.25. On four networks (`val` of objects104), its GT-known localization is 7.2, 3.6 and 2.1
 * points above and 1.4 below that of the reference's rule at 0.35, the threshold of a model file
 * that says nothing. The rest of the rule stays as it is. */
void adl_map_rule_without_boxes(struct adl_map_rule *rule);

/* Returns whether the rule forms the map as the reference does; the threshold does not matter. */
bool adl_map_rule_is_reference(const struct adl_map_rule *rule);

/* The values of an enlarged map that became 0 and 1; both 0 if all of the map became zeros because
 * it was constant or not finite. */
struct adl_map_range {
    double low, high;
};

/* Normalises an enlarged map in place. A constant map and one with a NaN or an infinity become
 * zeros. If high is not above low, the values above low become 1. */
struct adl_map_range adl_map_normalise(const struct adl_map_rule *rule, double *map, size_t count);

/* Makes the map that boxes of a class are cut from: enlarges the class map `cam`, cam_h x cam_w and
 * not normalised, to `map`, h x w (adl_scoremap_resize), and normalises this. `range` may be NULL.
 * Fails as adl_scoremap_resize() does. */
int adl_map_make(const struct adl_map_rule *rule, const float *cam, int cam_h, int cam_w,
                 double *map, int h, int w, struct adl_map_range *range,
                 struct adl_error *err) ADL_MUST_CHECK;

/* Makes the same map, but leaves values below 0 and above 1 as they are; adl_map_clip() then gives
 * the map of adl_map_make(), to the bit. */
int adl_map_make_unclipped(const struct adl_map_rule *rule, const float *cam, int cam_h, int cam_w,
                           double *map, int h, int w, struct adl_map_range *range,
                           struct adl_error *err) ADL_MUST_CHECK;

void adl_map_clip(double *map, size_t count);

/* Returns the value at index `rank` of the values if they were sorted; they have to be finite, and
 * rank < count. Does not move the values or allocate memory. */
double adl_map_rank(const double *values, size_t count, size_t rank);

#endif
