#ifndef ADL_SERVER_EXPERIMENT_EXPERIMENT_H
#define ADL_SERVER_EXPERIMENT_EXPERIMENT_H

/* A table of trainings, as a JSON file describes it: its rows, their seeds and folds, and how each
 * trained model is measured. Paths in the file are relative to its directory.
 *
 *     {"name": "objects104",                  the results' directory, and their place in Markdown
 *      "title": "...", "notes": ["..."],      texts for people; a note is a paragraph of Markdown
 *      "data": {"data": "...", "images": "...", "metadata": "...", "masks": "..."},
 *      "init": "weights.safetensors",         of all rows that name no weights of their own
 *      "common": {"epochs": 3, ...},          options of `train`, without the dashes
 *      "rows": [{"name": "cam", "title": "CAM", "options": {"method": "cam"}, "init": null},
 *               {"product": [[ITEM, ...], [ITEM, ...]]}],
 *      "seeds": [1, 2, 3],
 *      "folds": 5,                            data without val: each seed in so many folds
 *      "measure": [{"name": "test", "split": "test", "model": "last",
 *                   "calibrate": {"split": "val"}, "options": {...}}],
 *      "columns": [{"title": "MaxBoxAcc", "measure": "test", "figure": "max_box_acc",
 *                   "baseline": "centred_square_acc", "decimals": 1}],
 *      "baseline": "best centred square",     title of the row of the columns' baselines
 *      "reference": "cam",                    the row that others are compared with; the first
 *      "search": {"n": 30, "seed": 1, "by": "MaxBoxAcc", "draw": {"lr": {"uniform": [0, 1]}}},
 *      "gallery": {"measure": "test", "images": 6}}
 *
 * A product has a row for each way to take an item of each list. An item is written like a row;
 * {"with": {"NAME": {...}}} are further options of rows that also have the item NAME.
 *
 * With "search" there are n rows in place of each, with drawn options (search_draw.h); a row or an
 * item may have a "draw" of its own.
 *
 * Options are those of the subcommands, which check them; an option that is null is left out. Later
 * ones replace earlier ones: common, the row's, those of the command line. `init` without an ending
 * is also looked for as .safetensors and .pth. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/options/options.h"

/* Formats a text in the arena; fails with ADL_ERR_NOMEM. */
#define ADL_ARENA_TEXT(arena, err, ...)                                                            \
    ({                                                                                             \
        const char *made = adl_arena_printf(arena, __VA_ARGS__);                                   \
        if (!made)                                                                                 \
            adl_fail_nomem(err, "the experiment");                                                 \
        made;                                                                                      \
    })

/* The settings of the command line; NULL or 0 where the file's hold. */
struct adl_experiment_settings {
    const char *data, *images, *metadata, *masks;
    const char *init; /* a file, a directory of files, or "none" */
    const char *out;
    const char *rows;  /* names, parted by commas */
    const char *seeds; /* numbers, parted by commas */
    const char *results;
    struct adl_option_list set; /* NAME=VALUE or NAME: options of train, for all rows */
    int threads;
    bool list, table_only;
};

/* The subcommands that an experiment runs. They are handed down, because commands are above. */
struct adl_experiment_commands {
    const struct adl_command *train, *calibrate, *eval, *info;
};

struct adl_experiment_row {
    const char *name; /* also that of its directory */
    const char *title;
    const char *init; /* a path; NULL: random weights */
    json_t *own;      /* its options beside the common ones: name to text, or to true */
    json_t *options;  /* all of them */
    size_t search;    /* in a search: the number of the row that was drawn from, */
    const char *search_name, *search_title; /* its name and title */
};

struct adl_experiment_measure {
    const char *name; /* also those of its files in a run's directory */
    const char *split;
    const char *model; /* "last" or "best" */
    json_t *calibrate; /* options of `calibrate`; NULL: the model as it was trained */
    json_t *options;   /* of `eval` */
};

struct adl_experiment_column {
    const char *title;
    size_t measure;       /* index */
    const char *figure;   /* a member of the answer of eval --json */
    const char *baseline; /* another one, of the last row of the table; or NULL */
    int decimals;
};

/* Immutable after it was read. */
struct adl_experiment {
    const char *path; /* of the file */
    const char *name;
    const char *title;
    const char *const *notes; /* NULL-terminated */
    const char *baseline;
    const char *out;                              /* the directory of the results */
    const char *data, *images, *metadata, *masks; /* as in struct adl_dataset_options */
    const char
        *digest; /* of the names, classes and order of the images of train; NULL: not known */
    json_t *whole_share; /* the val-share that `train` takes by itself, as the data have no splits;
                          * NULL: they have, or it is not known */
    json_t *common;
    struct adl_experiment_row *rows;
    size_t row_count;
    bool partial; /* the command line chose not all of the file's rows */
    /* The runs of each row: their seeds, each of which stands there once for each fold, and their
     * folds, from 1. */
    const int *seeds, *folds;
    size_t seed_count;
    int fold_count; /* 0: the data are divided as the options say */
    const struct adl_experiment_measure *measures;
    size_t measure_count;
    const struct adl_experiment_column *columns;
    size_t column_count;
    size_t
        reference;  /* index of a row; the first one where it is not among those that are chosen */
    size_t gallery; /* index of a measure */
    size_t gallery_images; /* 0: no gallery */
    int search_draws;      /* of each row; 0: no search */
    int search_seed;       /* of the draws */
    size_t search_column;  /* index of the column that ranks the rows */
    const struct adl_experiment_settings *settings;
    const struct adl_experiment_commands *commands;
    struct adl_arena arena;
    json_t *json;  /* the file */
    json_t *owned; /* an array of the JSON that the pointers above refer to */
};

void adl_experiment_release(struct adl_experiment *experiment);

/* Returns a new object that the experiment owns; NULL with ADL_ERR_NOMEM. */
json_t *adl_experiment_object(struct adl_experiment *experiment,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Returns a path of the file, of which `dir` is the directory; NULL if `path` is NULL or, with
 * ADL_ERR_NOMEM, without memory. */
const char *adl_experiment_place(struct adl_experiment *experiment, const char *dir,
                                 const char *path, struct adl_error *err);

/* Returns what tells a run from the others of its row, "seed 1" or "seed 1, fold 2". */
struct adl_experiment_label {
    char text[48];
};
struct adl_experiment_label adl_experiment_label(const struct adl_experiment *experiment,
                                                 size_t seed);

/* Returns the path of a file of a run, OUT/ROW/seedN/NAME or OUT/ROW/seedN-foldI/NAME, in memory of
 * `arena`; that of the run's directory if `name` is NULL. `seed` is an index of a run. */
const char *adl_experiment_path(const struct adl_experiment *experiment, size_t row, size_t seed,
                                const char *name, struct adl_arena *arena,
                                struct adl_error *err) ADL_MUST_CHECK;

#endif
