#ifndef ADL_SERVER_COMMANDS_COMMON_OPTIONS_H
#define ADL_SERVER_COMMANDS_COMMON_OPTIONS_H

/* Rows of option tables that several subcommands have. `s` is the type of the settings; the value
 * of each option is a field of the same name. Further arguments are added to the row: `.help` if
 * the row has none, or `.required`. */

#include "base/limits.h"
#include "data/dataset.h"
#include "models/model.h"
#include "server/options/options.h"

/* clang-format off */
#define ADL_OPTION_MODEL(s, ...)                                                               \
    {"model", ADL_STRING(s, model), .letter = 'm', .metavar = "FILE", __VA_ARGS__}

/* 0: not given. */
#define ADL_OPTION_THREADS(s, ...)                                                             \
    {"threads", ADL_INT(s, threads), .letter = 't', .min = 1, .max = ADL_LIMIT_THREADS,        \
     .metavar = "N", .default_note = "all processors", __VA_ARGS__}

#define ADL_OPTION_BATCH(s, default_value)                                                     \
    {"batch", ADL_INT(s, batch), .letter = 'b', .value = default_value, .min = 1,              \
     .max = ADL_LIMIT_BATCH, .metavar = "N", .help = "number of images to run together"}

#define ADL_OPTION_KEY(s, ...)                                                                 \
    {"key", ADL_STRING(s, key), .metavar = "NAME",                                             \
     .help = "entry of a PyTorch checkpoint that holds the weights; an average of them beside "   \
             "them (EMA, SWA) is taken only if it is named, such as state_dict_ema",               \
     __VA_ARGS__}

#define ADL_OPTION_PREFIX(s)                                                                   \
    {"prefix", ADL_STRING(s, prefix), .metavar = "NAME",                                       \
     .default_note = "what all names have in front of them",                                   \
     .help = "take the weights whose names begin with NAME and a dot, such as student, alone"}

/* As adl_model_choose_precision() takes it. */
#define ADL_OPTION_PRECISION(s)                                                                \
    {"precision", ADL_CHOICE(s, precision), .choices = adl_model_precision_names,              \
     .value = "auto", .metavar = "NAME",                                                       \
     .help = "run in fp32, in bf16, which rounds the weights and halves the memory that they " \
             "take, or in int8, which takes a model made for it by convert; auto: as the "     \
             "model file says"}

/* As adl_int8_choose() takes it. */
#define ADL_OPTION_CALIBRATE(s)                                                                \
    {"calibrate", ADL_STRING(s, calibrate), .metavar = "DIR",                                  \
     .help = "with --precision int8 and a model in fp32: directory of photographs on which "   \
             "its ranges are chosen, each time it is loaded"}

#define ADL_OPTION_JSON(s) {"json", ADL_FLAG(s, json), .help = "print JSON instead of a table"}

/* A file of tensors in and one out: `forward` and `step`. */
#define ADL_OPTION_INPUT(s, ...)                                                               \
    {"input", ADL_STRING(s, input), .letter = 'i', .metavar = "FILE", .required = true,        \
     __VA_ARGS__}
#define ADL_OPTION_OUTPUT(s, ...)                                                              \
    {"output", ADL_STRING(s, output), .letter = 'o', .metavar = "FILE", .required = true,      \
     __VA_ARGS__}

/* The paths of a data set, as in struct adl_dataset_options. */
#define ADL_OPTIONS_DATA(s, ...)                                                               \
    {"data", ADL_STRING(s, data), .letter = 'd', .metavar = "DIR|FILE", __VA_ARGS__},              \
    {"images", ADL_STRING(s, images), .metavar = "DIR", .default_note = "within --data",       \
     .help = "directory of the images that the lists name"},                                   \
    {"metadata", ADL_STRING(s, metadata), .metavar = "DIR", .default_note = "within --data",   \
     .help = "directory of the lists, one subdirectory per split"}

#define ADL_EXIF_HELP                                                                          \
    "apply the EXIF orientation of the images, or ignore it; auto ignores it for lists and "   \
    "CUB, whose boxes are in pixels of the stored image"

/* The same in a struct adl_dataset_options of the settings, without the split. */
#define ADL_OPTIONS_DATASET(s, field)                                                          \
    {"data", ADL_STRING(s, field.dir), .letter = 'd', .metavar = "DIR|FILE",                   \
     .help = "data set: a directory, a CSV file of path and label, or boxes of COCO, Label "      \
             "Studio, VOC or YOLO"},                                                              \
    {"images", ADL_STRING(s, field.images), .metavar = "DIR", .default_note = "within --data", \
     .help = "directory of the images that the lists name"},                                   \
    {"metadata", ADL_STRING(s, field.metadata), .metavar = "DIR",                              \
     .default_note = "within --data",                                                          \
     .help = "directory of the lists, one subdirectory per split"},                            \
    {"exif", ADL_CHOICE(s, field.exif), .choices = adl_dataset_exif_names, .value = "auto",    \
     .metavar = "WAY", .help = ADL_EXIF_HELP}

#define ADL_OPTION_TRUE_MASKS(s, field)                                                        \
    {"masks", ADL_STRING(s, field), .metavar = "DIR",                                          \
     .default_note = "the directory of the images",                                            \
     .help = "directory of the true masks: those that the lists name, or else NAME.png for "   \
             "each image NAME.jpg"}

/* A struct adl_dataset_division without its seed. */
#define ADL_OPTIONS_DIVISION(s, field)                                                         \
    {"val-share", ADL_DOUBLE(s, field.val_share), .min = 0, .max = 0.9, .metavar = "SHARE",    \
     .default_note = "every tenth image of a class",                                           \
     .help = "in a data set without val, divide each class at random and take this share of "  \
             "its images as val"},                                                             \
    {"folds", ADL_INT(s, field.folds), .min = 2, .max = 1000, .metavar = "K",                  \
     .help = "the same in K parts, over which each class is spread evenly; --fold is val, the "\
             "others are train"},                                                              \
    {"fold", ADL_INT(s, field.fold), .min = 1, .max = 1000, .metavar = "I",                    \
     .help = "which of the K parts is val, from 1"}

#define ADL_OPTION_DIVISION_SEED(s, field)                                                     \
    {"seed", ADL_INT(s, field.seed), .min = 0, .max = 2147483647, .value = "0",                \
     .metavar = "N", .help = "seed of --val-share and --folds: that of the training run"}

#define ADL_OPTION_EXIF(s)                                                                     \
    {"exif", ADL_CHOICE(s, exif), .choices = adl_dataset_exif_names, .value = "auto",          \
     .metavar = "WAY",                                                                         \
     .help = ADL_EXIF_HELP}

#define ADL_OPTION_CURVE_INTERVAL(s, least, most)                                              \
    {"cam-curve-interval", ADL_DOUBLE(s, curve_interval), .value = "0.001", .min = least,      \
     .max = most, .metavar = "STEP",                                                           \
     .help = "step between the map thresholds that MaxBoxAcc and MaxBoxAccV2 try"}
/* clang-format on */

#endif
