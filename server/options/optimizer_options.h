#ifndef ADL_SERVER_OPTIONS_OPTIMIZER_OPTIONS_H
#define ADL_SERVER_OPTIONS_OPTIMIZER_OPTIONS_H

/* The optimizer of `step` and `train`: its options, and what they make of the engine's. */

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"
#include "models/model.h"
#include "server/options/options.h"
#include "train/optimizer.h"

enum adl_optimizer_kind { ADL_OPTIMIZER_SGD, ADL_OPTIMIZER_ADAMW };

/* Their names by enum adl_optimizer_kind, ended by NULL: sgd, adamw. */
extern const char *const adl_optimizer_names[];

struct adl_optimizer_settings {
    int kind; /* enum adl_optimizer_kind */
    double lr;
    double lr_classifier_ratio;
    double momentum;     /* of SGD */
    bool no_nesterov;    /* of SGD */
    double beta1, beta2; /* of AdamW */
    double eps;          /* of AdamW */
    double weight_decay;
    bool no_decay_norm_bias;
};

/* The highest learning rate. */
#define ADL_OPTIMIZER_HIGHEST_RATE 100

/* The defaults of AdamW where they are not those of SGD (adl_optimizer_note_given). */
#define ADL_ADAMW_RATE 0.001
#define ADL_ADAMW_DECAY 0.01

/* clang-format off */
#define ADL_OPTIMIZER_OPTIONS(s, field)                                                        \
    {"optimizer", ADL_CHOICE(s, field.kind), .choices = adl_optimizer_names, .value = "sgd",   \
     .metavar = "NAME", .help = "stochastic gradient descent, or AdamW as in PyTorch"},        \
    {"lr", ADL_DOUBLE(s, field.lr), .min = 0, .max = ADL_OPTIMIZER_HIGHEST_RATE,           \
     .value = "0.01", .metavar = "RATE",                                                       \
     .default_note = "0.01, with adamw 0.001", .help = "learning rate"},                       \
    {"lr-classifier-ratio", ADL_DOUBLE(s, field.lr_classifier_ratio), .min = 0, .max = 10000,  \
     .value = "10", .metavar = "RATIO", .default_note = "10, or the method's own",             \
     .help = "learning rate of the new layers, as a multiple of --lr"},                        \
    {"momentum", ADL_DOUBLE(s, field.momentum), .min = 0, .max = 1, .value = "0.9",            \
     .metavar = "M", .help = "momentum of SGD (Nesterov)"},                                    \
    {"no-nesterov", ADL_FLAG(s, field.no_nesterov),                                            \
     .help = "plain instead of Nesterov momentum"},                                            \
    {"beta1", ADL_DOUBLE(s, field.beta1), .min = 0, .max = 0.999999, .value = "0.9",           \
     .metavar = "B", .help = "decay of AdamW's average of gradients"},                         \
    {"beta2", ADL_DOUBLE(s, field.beta2), .min = 0, .max = 0.999999999, .value = "0.999",      \
     .metavar = "B", .help = "decay of AdamW's average of squared gradients"},                 \
    {"eps", ADL_DOUBLE(s, field.eps), .min = 1e-30, .max = 1, .value = "1e-8",                 \
     .metavar = "E", .help = "added to the root of AdamW's average of squared gradients"},     \
    {"weight-decay", ADL_DOUBLE(s, field.weight_decay), .min = 0, .max = 10,                   \
     .value = "0.0001", .default_note = "0.0001, with adamw 0.01", .metavar = "D",             \
     .help = "weight decay, added to the gradient as D times the weight; with adamw a step "   \
             "takes the learning rate times D off the weight"},                                \
    {"no-decay-norm-bias", ADL_FLAG(s, field.no_decay_norm_bias),                              \
     .help = "no weight decay of biases and batch norms"}
/* clang-format on */

/* Sets what the user left open to the default of the chosen optimizer. */
void adl_optimizer_note_given(struct adl_optimizer_settings *settings,
                              const struct adl_options *options);
/* Appends a line for each option that was given and has no effect on the chosen optimizer. */
void adl_optimizer_note_unused(const struct adl_optimizer_settings *settings,
                               const struct adl_options *options, const char *command,
                               struct adl_str *remarks);

/* Returns an optimizer that starts from the weights of a model, whose head learns at its own rate.
 * Fails with ADL_ERR_NOMEM. */
struct adl_optimizer *adl_optimizer_of(const struct adl_optimizer_settings *settings,
                                       const struct adl_model *model,
                                       struct adl_error *err) ADL_MUST_CHECK;
/* Takes a step with the rate `lr`, and that times the ratio for the head. */
void adl_optimizer_take_step(const struct adl_optimizer_settings *settings,
                             struct adl_optimizer *optimizer, double lr, struct adl_pool *pool);

/* Adds to the record of a run what it would not have if it were of a version with SGD alone; -1
 * when out of memory. */
int adl_optimizer_record(json_t *config,
                         const struct adl_optimizer_settings *settings) ADL_MUST_CHECK;

#endif
