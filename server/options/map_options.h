#ifndef ADL_SERVER_OPTIONS_MAP_OPTIONS_H
#define ADL_SERVER_OPTIONS_MAP_OPTIONS_H

/* Options that change how class maps are formed and cut; several subcommands have them. */

#include "base/limits.h"
#include "server/options/options.h"
#include "wsol/map_rule.h"

struct adl_map_settings {
    const char *map; /* "model", "reference", or a layer */
    int weights;
    int normalise;
    double percentile;
    double threshold;
    int classes;
    bool foreground;
    bool flip;
    const char *scales;
    int stride;
    const char *layer;
};

/* Rows for the views that maps are averaged over. */
/* clang-format off */
#define ADL_MAP_VIEW_OPTIONS(s, field)                                                         \
    {"map-flip", ADL_FLAG(s, field.flip), .default_note = "the model's",                       \
     .help = "average the maps of the image and of its mirror image; takes twice the time"},   \
    {"map-scales", ADL_STRING(s, field.scales), .metavar = "LIST",                             \
     .default_note = "the model's, or 1",                                                      \
     .help = "average the maps of these input scales, such as 1,1.43; the time grows with the " \
             "square of each"},                                                                \
    {"map-stride", ADL_INT(s, field.stride), .min = 1, .max = 2, .metavar = "N",               \
     .default_note = "the model's",                                                            \
     .help = "1: for the map, leave out the last halving of a network whose last stride is 2"}, \
    {"map-layer", ADL_STRING(s, field.layer), .metavar = "[METHOD:]LAYER",                     \
     .default_note = "the model's, or none",                                                   \
     .help = "join the class map with that of another layer by layercam, gradcam or gradcam++; " \
             "none: without it"}
/* clang-format on */

/* Rows of an option table; `field` is a struct adl_map_settings of the settings `s`, and `what`
 * is the help text of --threshold. */
/* clang-format off */
#define ADL_MAP_OPTIONS(s, field, what)                                                        \
    {"threshold", ADL_DOUBLE(s, field.threshold), .min = 0, .max = 1, .metavar = "T",          \
     .default_note = "the model's", .help = what},                                             \
    {"map", ADL_STRING(s, field.map), .value = "model", .metavar = "RULE",                     \
     .help = "begin with the rule of the model file (model), or with the reference's: all "    \
             "weights, minmax (reference); METHOD:LAYER is --map-layer METHOD:LAYER"},         \
    {"map-weights", ADL_CHOICE(s, field.weights), .choices = adl_map_weights_names,            \
     .metavar = "WEIGHTS", .default_note = "the model's",                                      \
     .help = "classifier weights that the map sums over, or pc1: the first principal "         \
             "component of the weighted features instead of their sum"},                       \
    {"map-normalise", ADL_CHOICE(s, field.normalise), .choices = adl_map_normalise_names,      \
     .metavar = "WAY", .default_note = "the model's",                                          \
     .help = "how the map is brought to 0..1: minimum and maximum; 0 and maximum; minimum and " \
             "a percentile; a percentile and maximum"},                                        \
    {"map-percentile", ADL_DOUBLE(s, field.percentile), .min = 0, .max = 1, .metavar = "P",    \
     .default_note = "the model's, or 0.9 of pas and 0.45 of ivr",                             \
     .help = "percentile of pas and ivr"},                                                     \
    {"map-classes", ADL_INT(s, field.classes), .min = 1, .max = ADL_LIMIT_MAP_CLASSES,         \
     .metavar = "K", .default_note = "the model's",                                            \
     .help = "networks with a class map, such as those of bas: the mean over the K best classes"}, \
    {"foreground", ADL_FLAG(s, field.foreground), .default_note = "where the model has one",   \
     .help = "make the map with the model's few-box head; --foreground=false: without it"},    \
    ADL_MAP_VIEW_OPTIONS(s, field)
/* clang-format on */

/* Sets `changes` to what the options that were given change in a rule. Fails with ADL_ERR_ARG if
 * --map-scales is not a list of scales. */
int adl_map_options_changes(const struct adl_map_settings *settings,
                            const struct adl_options *options, struct adl_map_changes *changes,
                            struct adl_error *err) ADL_MUST_CHECK;
/* The same for the rows of ADL_MAP_VIEW_OPTIONS alone. */
int adl_map_view_options_changes(const struct adl_map_settings *settings,
                                 const struct adl_options *options,
                                 struct adl_map_view_changes *changes,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* Applies the options that were given to the rule. `head` is the model's few-box head or NULL.
 * Fails with ADL_ERR_ARG. */
int adl_map_options_apply(const struct adl_map_settings *settings,
                          const struct adl_options *options, const struct adl_foreground_head *head,
                          struct adl_map_rule *rule, struct adl_error *err) ADL_MUST_CHECK;

#endif
