#ifndef ADL_SERVER_OPTIONS_METHOD_OPTIONS_H
#define ADL_SERVER_OPTIONS_METHOD_OPTIONS_H

/* The options of a training step, shared by `step` and `train`: those of the methods and the
 * hyperparameters of the optimizer. */

#include "methods/method.h"
#include "ops/train.h"
#include "server/options/options.h"
#include "train/sgd.h"

/* One more than the values of enum adl_draw: the ADL layers do nothing. */
#define ADL_METHOD_DRAW_NONE (ADL_DRAW_IMPORTANCE + 1)

struct adl_method_settings {
    int adl_draw; /* enum adl_draw or ADL_METHOD_DRAW_NONE */
    double adl_drop_rate;
    double adl_threshold;
    bool adl_per_image;
    bool adl_no_importance;
    double cutmix_prob;
    double bas_alpha;
    double bas_beta;
    double bas_warmup; /* epochs */
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
     .metavar = "WHICH", .help = "which mask every ADL layer applies; none: no layer does anything"},                                \
    {"adl-drop-rate", ADL_DOUBLE(s, field.adl_drop_rate), .min = 0, .max = 1,                  \
     .value = "0.75", .metavar = "RATE",                                                       \
     .help = "probability that the drop mask is drawn rather than the importance map"},                           \
    {"adl-threshold", ADL_DOUBLE(s, field.adl_threshold), .min = 0, .max = 1, .value = "0.9",  \
     .metavar = "SHARE", .help = "fraction of each image's maximum attention above which pixels are dropped"},    \
    {"adl-per-image", ADL_FLAG(s, field.adl_per_image),                                        \
     .help = "draw for each image instead of once per batch"},                            \
    {"adl-no-importance", ADL_FLAG(s, field.adl_no_importance),                                \
     .help = "ablation: identity in place of the importance map"},                              \
    {"cutmix-prob", ADL_DOUBLE(s, field.cutmix_prob), .min = 0, .max = 1, .value = "1",        \
     .metavar = "P", .help = "probability that the images of a batch are mixed by CutMix"},     \
    {"bas-alpha", ADL_DOUBLE(s, field.bas_alpha), .min = 0, .max = 100, .value = "0.5",        \
     .metavar = "A", .help = "weight of the cross-entropy of the foreground's logits"},        \
    {"bas-beta", ADL_DOUBLE(s, field.bas_beta), .min = 0, .max = 100, .value = "1.5",          \
     .metavar = "B", .help = "weight of the area of the label's map; more makes smaller boxes"}, \
    {"bas-warmup", ADL_DOUBLE(s, field.bas_warmup), .min = 0, .max = 100000, .value = "1",         \
     .metavar = "EPOCHS",                                                                          \
     .help = "epochs in which the classifier alone learns, before its scores train the map"},      \
    {"lr", ADL_DOUBLE(s, field.lr), .min = 0, .max = 100, .value = "0.01", .metavar = "RATE",  \
     .help = "learning rate"},                                                                 \
    {"lr-classifier-ratio", ADL_DOUBLE(s, field.lr_classifier_ratio), .min = 0, .max = 10000,  \
     .value = "10", .metavar = "RATIO",                                                        \
     .help = "learning rate of the new layers, as a multiple of --lr"},                         \
    {"momentum", ADL_DOUBLE(s, field.momentum), .min = 0, .max = 1, .value = "0.9",            \
     .metavar = "M", .help = "momentum of SGD (Nesterov)"},                                            \
    {"weight-decay", ADL_DOUBLE(s, field.weight_decay), .min = 0, .max = 10, .value = "0.0001", \
     .metavar = "D", .help = "weight decay, added to the gradient as D times the weight"},                       \
    {"no-nesterov", ADL_FLAG(s, field.no_nesterov), .help = "plain instead of Nesterov momentum"},                 \
    {"no-dropout", ADL_FLAG(s, field.no_dropout), .help = "dropout layers do nothing"},        \
    {"frozen-batchnorm", ADL_FLAG(s, field.frozen_batchnorm),                                  \
     .help = "batch norm uses its running statistics and does not update them"},                         \
    {"label-smoothing", ADL_DOUBLE(s, field.label_smoothing), .min = 0, .max = 0.9,            \
     .value = "0", .metavar = "E", .help = "label smoothing of the cross-entropy"}
/* clang-format on */

/* Returns the mode of a training step of a network of this method, which is on. `key` is 0 and
 * `labels` NULL; the caller sets them. */
struct adl_train_mode adl_method_mode(const struct adl_method_settings *settings,
                                      const struct adl_method *method);
/* Returns whether the method takes part in a step: not while its classifier is warming up. `epochs`
 * are those trained so far. */
bool adl_method_on(const struct adl_method_settings *settings, const struct adl_method *method,
                   double epochs);
/* Returns the optimizer's constants. */
struct adl_sgd adl_method_sgd(const struct adl_method_settings *settings);

#endif
