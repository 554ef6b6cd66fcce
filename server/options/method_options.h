#ifndef ADL_SERVER_OPTIONS_METHOD_OPTIONS_H
#define ADL_SERVER_OPTIONS_METHOD_OPTIONS_H

/* The options of a training step, shared by `step` and `train`: those of the optimizer
 * (optimizer_options.h), and those that the methods bring along. */

#include <jansson.h>

#include "methods/methods.h"
#include "ops/train.h"
#include "server/options/optimizer_options.h"
#include "server/options/options.h"
#include "train/tape.h"

struct adl_method_settings {
    union adl_method_value values[ADL_METHOD_VALUES]; /* of the options of all methods */
    struct adl_optimizer_settings optimizer;
    bool no_dropout;
    bool frozen_batchnorm;
    double label_smoothing;
    int precision; /* in adl_train_precision_names */
};

/* The names of precisions in training, ended by NULL: fp32, bf16. */
extern const char *const adl_train_precision_names[];

/* Returns the memory of a training step with these settings. */
enum adl_tape_memory adl_method_memory(const struct adl_method_settings *settings);

/* clang-format off */
#define ADL_STEP_OPTIONS(s, field)                                                             \
    ADL_OPTIMIZER_OPTIONS(s, field.optimizer),                                                \
    {"no-dropout", ADL_FLAG(s, field.no_dropout), .help = "dropout layers do nothing"},        \
    {"frozen-batchnorm", ADL_FLAG(s, field.frozen_batchnorm),                                  \
     .help = "batch norm uses its running statistics and does not update them"},                         \
    {"label-smoothing", ADL_DOUBLE(s, field.label_smoothing), .min = 0, .max = 0.9,            \
     .value = "0", .metavar = "E", .help = "label smoothing of the cross-entropy"},           \
    {"precision", ADL_CHOICE(s, field.precision), .choices = adl_train_precision_names,        \
     .value = "fp32", .metavar = "NAME",                                                       \
     .help = "of maps kept for the backward pass; bf16 takes about two thirds of the memory "   \
             "of a step, and weights and sums stay in float32"}
/* clang-format on */

/* Room for a command's table followed by a row for each option of each method. */
struct adl_method_table {
    struct adl_option rows[ADL_METHOD_VALUES + 90];
    char defaults[ADL_METHOD_VALUES][24];
};

/* Returns the rows of `own` and those of the methods, whose values are at `offset` in the settings
 * struct (the offset of a struct adl_method_settings). `table` is filled at the first call. */
const struct adl_option *adl_method_table_fill(struct adl_method_table *table,
                                               const struct adl_option *own, size_t offset);

/* Returns the mode of a training step of a network with these methods, with those on that take
 * part from the start. `key` is 0 and `labels` NULL; the caller sets them. */
struct adl_train_mode adl_method_mode(const struct adl_method_settings *settings,
                                      struct adl_method_set methods);

/* The options of methods in the record of a run: one object for each method of the set that has
 * options, called like the method (NAME_method where `config` has another setting NAME), whose
 * members are called like the options without the method's name, with underscores; a flag "no-..."
 * is recorded as its opposite. adl_method_record adds them to the object `config` (-1 when out of
 * memory). adl_method_recall sets `values` from them, and to the default where one is missing. */
int adl_method_record(json_t *config, struct adl_method_set methods,
                      const union adl_method_value *values) ADL_MUST_CHECK;
void adl_method_recall(const json_t *config, union adl_method_value *values);

#endif
