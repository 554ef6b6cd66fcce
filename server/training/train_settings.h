#ifndef ADL_SERVER_TRAINING_TRAIN_SETTINGS_H
#define ADL_SERVER_TRAINING_TRAIN_SETTINGS_H

/* The options of `train`. The table of options in cmd_train.c fills them in. */

#include <stdbool.h>

#include "data/dataset.h"
#include "server/options/arch_options.h"
#include "server/options/method_options.h"
#include "server/options/options.h"
#include "train/exchange.h"

/* Whether what the user leaves open is chosen for the data (train_recipe.h) or is the defaults. */
enum adl_train_recipe_choice { ADL_TRAIN_RECIPE_AUTO, ADL_TRAIN_RECIPE_PLAIN };

/* Defaults of --min-crop-area and --batchnorm-batches. A run that keeps them does not record them:
 * it might be of a version without the options. If a default is changed, its former value still has
 * to be the one that is not recorded. */
#define ADL_TRAIN_MIN_CROP_AREA 0.08
#define ADL_TRAIN_BATCHNORM_BATCHES 20

struct adl_train_settings {
    const char *data;                     /* NULL when `images` and `metadata` name the two parts */
    const char *images;                   /* NULL: where `data` has them */
    const char *metadata;                 /* NULL: where `data` has it */
    const char *masks;                    /* NULL: with the images, if the lists name masks */
    struct adl_dataset_division division; /* without its seed, which is `seed` */
    int exif;                             /* enum adl_dataset_exif */
    bool multi_label;                     /* images may have several classes */
    const char *train_split;              /* a split to train on; "train" as a rule */
    const char *out;                      /* the run's directory */
    const char *init;                     /* a weight file, "default", or NULL: random weights */
    const char *key;    /* the entry of a PyTorch checkpoint `init`; NULL: the usual names */
    const char *prefix; /* of the names of its weights that are taken; NULL: found */
    bool resume;
    int recipe;       /* enum adl_train_recipe_choice */
    bool rate_given;  /* lr or lr_classifier_ratio, by the user; else a recipe may choose both */
    bool ratio_given; /* lr_classifier_ratio, by the user; else the method may choose it */
    int epochs;
    int batch_size;
    int accumulate;         /* batches per optimizer step */
    int shards;             /* of a batch; 0: as many as processes, or as the run has */
    bool sync_batchnorm;    /* batch norm has the statistics of all shards of a batch */
    int exchange_precision; /* of gradients where shards are joined, as `precision` */
    const struct adl_exchange *exchange; /* between the processes of the run; NULL: there is one */
    int resize_size, crop_size;          /* pixels */
    int seed;
    int threads; /* 0: one per processor */
    double flip; /* probability */
    bool random_resized_crop;
    double min_crop_area;
    double max_crop_area, min_crop_aspect, max_crop_aspect; /* 0: torchvision's */
    const char *color_jitter;                               /* see train_augment.h */
    int balance;                                            /* enum adl_train_balance */
    int schedule;                                           /* enum adl_schedule_kind */
    double lr_decay;
    int lr_decay_frequency; /* epochs */
    int lr_scale_batch; /* images of a step that the learning rate is meant for; 0: any number */
    double warmup_epochs;
    int batchnorm_batches; /* for new statistics after each epoch; 0: none */
    bool clip_given;       /* clip_norm, by the user; else the method may choose it */
    double clip_norm;      /* 0: gradients are not clipped */
    double ema;            /* decay of the averages of the weights; 0: none are kept */
    bool find_lr;          /* find a learning rate instead of training */
    int find_lr_steps;
    bool eval_first;    /* evaluate before the first step */
    int early_stop;     /* epochs without a new best after which a run ends; 0: never */
    const char *freeze; /* layers that are not trained, parted by commas; or NULL */
    double curve_interval;
    int log_steps; /* every so many steps have a line in steps.jsonl; 0: none */
    int save_minutes;
    int cache_memory;  /* MiB; 0: no frames are kept in memory */
    const char *cache; /* the directory of a cache on disk, or NULL */
    bool exact_decode; /* never decode training images at a reduced scale */
    bool no_report;
    const char *augment_preview; /* a PNG or JPEG file to write instead of training; or NULL */
    const char *tensorboard; /* the directory of event files, "" is OUT/tensorboard; NULL: none */
    const char *remarks;     /* lines about the settings, printed when the run begins; or NULL */
    struct adl_option_list mean;
    struct adl_option_list std;
    struct adl_arch_settings arch;
    struct adl_method_settings method;
};

/* Returns the path that names the data set in messages and records. */
static inline const char *adl_train_data(const struct adl_train_settings *settings)
{
    return settings->data ? settings->data : settings->metadata;
}

/* Returns whether training images may be decoded at a reduced scale. Images of val never are, so
 * that the figures are those of `eval`. */
static inline bool adl_train_decodes_fast(const struct adl_train_settings *settings)
{
    return !settings->exact_decode && !settings->random_resized_crop;
}

/* Sets the fields that say which options the user gave, and defaults that depend on others. */
static inline void adl_train_note_given(struct adl_train_settings *settings,
                                        const struct adl_options *options)
{
    settings->ratio_given = adl_options_given(options, "lr-classifier-ratio");
    settings->rate_given = adl_options_given(options, "lr") || settings->ratio_given;
    adl_optimizer_note_given(&settings->method.optimizer, options);
    settings->clip_given = adl_options_given(options, "clip-norm");
}

#endif
