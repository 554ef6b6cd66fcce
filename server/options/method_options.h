#ifndef ADL_SERVER_OPTIONS_METHOD_OPTIONS_H
#define ADL_SERVER_OPTIONS_METHOD_OPTIONS_H

/* The options of a training step that `step` and `train` share: what the ADL
 * layers do, and the optimizer's numbers. */

#include "ops/train.h"
#include "server/options/options.h"
#include "train/sgd.h"

/* After the values of enum adl_draw: the ADL layers do nothing. */
#define ADL_METHOD_DRAW_NONE (ADL_DRAW_IMPORTANCE + 1)

struct adl_method_settings {
    int adl_draw; /* enum adl_draw or ADL_METHOD_DRAW_NONE */
    double adl_drop_rate;
    double adl_threshold;
    bool adl_per_image;
    bool adl_no_importance;
    double lr;
    double lr_classifier_ratio;
    double momentum;
    double weight_decay;
    bool no_nesterov;
    bool no_dropout;
    bool frozen_batchnorm;
    double label_smoothing;
};

extern const char *const adl_method_draws[]; /* by enum adl_draw, then none */

/* clang-format off */
#define ADL_METHOD_OPTIONS(s, field)                                                           \
    {"adl-draw", ADL_CHOICE(s, field.adl_draw), .choices = adl_method_draws, .value = "random", \
     .metavar = "WHICH", .help = "what every ADL layer takes; none: they do nothing"},                                \
    {"adl-drop-rate", ADL_DOUBLE(s, field.adl_drop_rate), .min = 0, .max = 1,                  \
     .value = "0.75", .metavar = "RATE",                                                       \
     .help = "how often the drop mask is drawn; 0 never, 1 always"},                           \
    {"adl-threshold", ADL_DOUBLE(s, field.adl_threshold), .min = 0, .max = 1, .value = "0.9",  \
     .metavar = "SHARE", .help = "of each image's largest attention; above it is dropped"},    \
    {"adl-per-image", ADL_FLAG(s, field.adl_per_image),                                        \
     .help = "a draw for each image instead of one for the batch"},                            \
    {"adl-no-importance", ADL_FLAG(s, field.adl_no_importance),                                \
     .help = "ablation: nothing in place of the importance map"},                              \
    {"lr", ADL_DOUBLE(s, field.lr), .min = 0, .max = 100, .value = "0.01", .metavar = "RATE",  \
     .help = "learning rate"},                                                                 \
    {"lr-classifier-ratio", ADL_DOUBLE(s, field.lr_classifier_ratio), .min = 0, .max = 10000,  \
     .value = "10", .metavar = "RATIO",                                                        \
     .help = "learning rate of the new layers, in multiples of --lr"},                         \
    {"momentum", ADL_DOUBLE(s, field.momentum), .min = 0, .max = 1, .value = "0.9",            \
     .metavar = "M", .help = "of SGD, Nesterov's"},                                            \
    {"weight-decay", ADL_DOUBLE(s, field.weight_decay), .min = 0, .max = 10, .value = "0.0001", \
     .metavar = "D", .help = "added to the gradient, times the weight"},                       \
    {"no-nesterov", ADL_FLAG(s, field.no_nesterov), .help = "plain momentum"},                 \
    {"no-dropout", ADL_FLAG(s, field.no_dropout), .help = "dropout layers do nothing"},        \
    {"frozen-batchnorm", ADL_FLAG(s, field.frozen_batchnorm),                                  \
     .help = "batch norm keeps its running statistics and uses them"},                         \
    {"label-smoothing", ADL_DOUBLE(s, field.label_smoothing), .min = 0, .max = 0.9,            \
     .value = "0", .metavar = "E", .help = "of the cross-entropy"}
/* clang-format on */

/* The mode of a step; `adl`: the network has ADL layers. `key` is left 0. */
struct adl_train_mode adl_method_mode(const struct adl_method_settings *settings, bool adl);
struct adl_sgd adl_method_sgd(const struct adl_method_settings *settings);

#endif
