#ifndef ADL_SERVER_TRAINING_TRAIN_RUN_H
#define ADL_SERVER_TRAINING_TRAIN_RUN_H

/* A training run: data in, checkpoints out. cmd_train.c has its options,
 * train_model.c the network it begins with, train_run.c its epochs, train_files.c
 * what it leaves in the output folder, report.c the page about it. */

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "base/pool.h"
#include "base/str.h"
#include "data/loader.h"
#include "eval/evaluate.h"
#include "models/model.h"
#include "server/options/arch_options.h"
#include "server/options/method_options.h"
#include "server/tasks/progress.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/tape.h"

struct adl_train_settings {
    const char *data;
    const char *images;
    const char *metadata;
    const char *out;
    const char *init;
    const char *key;
    bool resume;
    int epochs;
    int batch_size;
    int accumulate;
    int resize_size;
    int crop_size;
    int seed;
    int threads;
    double flip;
    bool random_resized_crop;
    double color_jitter;
    int schedule; /* enum adl_schedule_kind */
    double lr_decay;
    int lr_decay_frequency;
    double warmup_epochs;
    double clip_norm;
    double curve_interval;
    int save_minutes;
    bool no_report;
    struct adl_option_list mean;
    struct adl_option_list std;
    struct adl_arch_settings arch;
    struct adl_method_settings method;
};

/* The folder that names the data in messages and records. */
static inline const char *adl_train_data(const struct adl_train_settings *settings)
{
    return settings->data ? settings->data : settings->metadata;
}

/* When a run has something new to report. */
enum adl_train_when {
    ADL_TRAIN_EPOCH,   /* between epochs: what is known already, no pictures */
    ADL_TRAIN_STOPPED, /* pictures from a few images: somebody waits for the end */
    ADL_TRAIN_DONE     /* all of val through the best weights */
};

struct adl_train_run;

/* Called after each epoch and at the end; report.h has the one of `train`. */
typedef void adl_train_report_fn(const struct adl_train_run *run, enum adl_train_when when);

/* Sums over the batches of the epoch so far. */
struct adl_train_sums {
    double loss; /* times images */
    size_t images;
    size_t right;
};

struct adl_train_run {
    const struct adl_train_settings *settings;
    adl_train_report_fn *report; /* may be NULL */
    const char *command;         /* as it was typed, for the records */
    const volatile sig_atomic_t *stop;
    struct adl_dataset *train;
    struct adl_dataset *val; /* NULL: the data has none */
    struct adl_model *model; /* what is saved; its weights follow the optimizer's at each save */
    struct adl_pool *pool;
    struct adl_loader *loader;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
    struct adl_train_mode mode;
    struct adl_sgd sgd;
    struct adl_schedule schedule;
    json_t *config; /* every setting that decides the bits */
    json_t *origin; /* how the weights of --init were made, where their file says; else NULL */

    /* Position: epochs done, and batches of the one under way. */
    int epoch;
    size_t batch;
    bool trained; /* some batch of it, by this process */
    size_t group; /* of accumulated batches, whose gradients there are; SIZE_MAX: none */
    struct adl_train_sums sums;
    double best; /* the best epoch's measure; below 0: none yet */
    int best_epoch;
    struct adl_evaluate_report evaluation; /* the best epoch's on val; zeroed: before a resume */
    size_t val_errors;                     /* images of val that the last epoch could not read */
    uint64_t saved_ns;                     /* when the state was last saved */
};

/* Trains to the end, or until `*stop` is set: then it saves and says how to go
 * on. `report` may be NULL. */
int adl_train_run(const struct adl_train_settings *settings, const char *command,
                  const volatile sig_atomic_t *stop, adl_train_report_fn *report,
                  struct adl_error *err) ADL_MUST_CHECK;

/* --- train_model.c: the network ----------------------------------------------------- */

/* run->model (and run->origin) from the settings, for the classes of run->train. */
int adl_train_make_model(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* --- train_files.c: the output folder --------------------------------------------- */

/* The folder's file NAME; the caller frees it. */
char *adl_train_path(const struct adl_train_run *run, const char *name,
                     struct adl_error *err) ADL_MUST_CHECK;
/* Makes the folder; refuses one with another run in it unless it resumes. */
int adl_train_open_folder(const struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* The optimizer's weights into the model and both into NAME. */
int adl_train_save_model(struct adl_train_run *run, const char *name,
                         struct adl_error *err) ADL_MUST_CHECK;
/* state.safetensors: where the run stands. */
int adl_train_save_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
int adl_train_load_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Adds the epoch's line to metrics.jsonl, in place of what a run that was cut
 * off had written for it. `report` is NULL where there is nothing to evaluate. */
struct adl_train_pace {
    double lr; /* of the epoch's last step */
    double seconds, images_per_second;
};
int adl_train_log_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                        const struct adl_evaluate_report *report, bool best,
                        struct adl_error *err) ADL_MUST_CHECK;
/* The figures of an evaluation as `eval --json` names them. */
json_t *adl_train_figures(const struct adl_evaluate_report *report) ADL_MUST_CHECK;

#endif
