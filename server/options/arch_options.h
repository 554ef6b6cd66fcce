#ifndef ADL_SERVER_OPTIONS_ARCH_OPTIONS_H
#define ADL_SERVER_OPTIONS_ARCH_OPTIONS_H

/* --arch and the options that belong to it, shared by every subcommand that opens weights.
 * They describe the network if the file does not. */

#include "base/limits.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/options/options.h"

struct adl_arch_settings {
    int arch; /* a choice of adl_arch_choice(); -1: not given, as for the other choices */
    double width;
    bool large_feature_map;
    int activation;
    int padding;
    int last_stride;           /* 0: not given */
    double bn_eps;             /* 0: the default of the backbone */
    int num_classes;           /* 0: not given */
    int methods;               /* bit i: adl_methods[i]; -1: not given */
    int rounds;                /* 0: not given */
    const char *adl_positions; /* NULL: not given */
};

/* The names of the choices: two NULL-terminated arrays, and two functions that return the
 * name of a backbone and of a method by index, NULL past the last. */
extern const char *const adl_arch_activations[];
extern const char *const adl_arch_paddings[];
const char *adl_arch_choice(int index);
const char *adl_arch_method_choice(int index);
/* Returns the choice that stands for a backbone. */
int adl_arch_choice_of(const struct adl_backbone *backbone);

/* The option table rows for a settings struct `s` with a member `field` of type struct
 * adl_arch_settings. */
/* clang-format off */
#define ADL_ARCH_OPTIONS(s, field)                                                             \
    {"arch", ADL_CHOICE(s, field.arch), .choice_at = adl_arch_choice, .metavar = "ARCH",       \
     .help = "network architecture, if the file does not name it; onnx: one that came from ONNX, which its file describes"},                                      \
    {"num-classes", ADL_INT(s, field.num_classes), .min = 1, .max = ADL_LIMIT_CLASSES,         \
     .metavar = "N", .default_note = "the file's, else 1000", .help = "number of classes"},                \
    {"method", ADL_CHOICES(s, field.methods), .choice_at = adl_arch_method_choice, .metavar = "METHOD,...",  \
     .default_note = "cam, or as in the file",                                               \
     .help = "training method, or several that combine; adl shifts the indices in parameter names, bas is not for inception_v3"},                    \
    {"rounds", ADL_INT(s, field.rounds), .min = 2, .max = ADL_MAX_PARTS, .metavar = "N",         \
     .default_note = "3, or as in the file",                                                    \
     .help = "networks of a method that trains several one after the other, such as ae"},       \
    {"adl-positions", ADL_STRING(s, field.adl_positions), .metavar = "LAYER,...",              \
     .default_note = "the reference's, or as info marks them",                                                        \
     .help = "layers after which ADL, or another method with layers, is inserted, such as blocks.5 of mobilenet_v1, layer3.0 of " \
             "resnet50_se, residual_block4 of ran56, Mixed_6e of inception_v3, features.7.conv.1 of mobilenet_v2; of a network from ONNX those that info lists"},                                                      \
    {"large-feature-map", ADL_FLAG(s, field.large_feature_map),                                \
     .help = "feature maps with twice the sides: 28x28 at a 224x224 input instead of 14x14"},                                        \
    {"bn-eps", ADL_DOUBLE(s, field.bn_eps), .min = 1e-8, .max = 1, .metavar = "EPS",           \
     .default_note = "1e-5, inception_v3 and mobilenet_v3 1e-3, convnext_tiny 1e-6", .help = "epsilon of batch normalisation"},     \
    {"width", ADL_DOUBLE(s, field.width), .min = 0.25, .max = 1, .metavar = "FACTOR",          \
     .default_note = "1", .help = "mobilenet_v1: fraction of the channels"},                      \
    {"activation", ADL_CHOICE(s, field.activation), .choices = adl_arch_activations,           \
     .metavar = "NAME", .default_note = "relu", .help = "mobilenet_v1: activation"},           \
    {"padding", ADL_CHOICE(s, field.padding), .choices = adl_arch_paddings, .metavar = "NAME", \
     .default_note = "symmetric", .help = "mobilenet_v1: padding"},                            \
    {"last-stride", ADL_INT(s, field.last_stride), .min = 1, .max = 2, .metavar = "N",         \
     .default_note = "1 for mobilenet_v1, else 2",                                             \
     .help = "stride of the last layer that halves the map: mobilenet_v1, and networks as torchvision has them, such as resnet18"}
/* clang-format on */

/* Returns the methods that --method names; none if it was not given (settings->methods is -1). */
struct adl_method_set adl_arch_settings_methods(const struct adl_arch_settings *settings);

/* Fills `arch` as the options describe it. Without --arch, *given is false and `arch` is left
 * unchanged. Fails with ADL_ERR_ARG on an option that the architecture does not have or that
 * needs another one. */
int adl_arch_settings_get(const struct adl_arch_settings *settings, struct adl_arch *arch,
                          bool *given, struct adl_error *err) ADL_MUST_CHECK;

/* Turns a model into the variant that --method and --adl-positions select, where they are given.
 * Fails as adl_arch_set_places() and adl_model_set_methods() do. */
int adl_arch_apply_methods(struct adl_model *model, const struct adl_arch_settings *settings,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Loads a model as adl_model_load() does, with these settings in place of `options->arch`
 * (`options` may be NULL), in the variant that --method selects; the caller frees the model.
 * Fails as adl_model_load() and adl_arch_settings_get() do. */
struct adl_model *adl_arch_load_model(const char *path, const struct adl_arch_settings *settings,
                                      const struct adl_model_options *options,
                                      struct adl_error *err) ADL_MUST_CHECK;

#endif
