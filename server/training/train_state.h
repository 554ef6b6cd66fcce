#ifndef ADL_SERVER_TRAINING_TRAIN_STATE_H
#define ADL_SERVER_TRAINING_TRAIN_STATE_H

/* The state of a training run in memory, shared by the files of this directory: train_run.c
 * advances it, train_model.c makes its network, train_files.c saves and restores it. No file
 * outside of server/training/ includes this one. */

#include <jansson.h>

#include "base/str.h"
#include "data/loader.h"
#include "models/model.h"
#include "server/tasks/progress.h"
#include "server/training/train_event.h"
#include "server/training/train_settings.h"
#include "train/lockstep.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/shards.h"
#include "train/tape.h"

/* Sums over the images of the current epoch so far. */
struct adl_train_sums {
    double loss; /* cross-entropy */
    size_t images;
    size_t right; /* images whose top-1 class is the label; with several labels an image, classes
                   * of images that are judged right */
};

/* The event file of this process, see train_tensorboard.h. */
struct adl_train_events {
    char *path; /* NULL: none is asked for; owned */
    int epoch;  /* the last one that an event file of the run has; -1: none */
    bool begun; /* this process has written to its file */
};

/* The step whose batches are trained, see train_step_log.h. */
struct adl_train_step_log {
    int file;        /* open for appending, or -1 */
    json_int_t step; /* its number in the run, from 1; 0: none yet */
    double loss;     /* sum over its batches so far */
    size_t batches;
};

/* A training run. Used by one thread. */
struct adl_train_run {
    const struct adl_train_settings *settings; /* from `chosen` on, that */
    struct adl_train_settings chosen;          /* with what a recipe chose */
    bool fine_tunes;                           /* by the recipe for few images */
    adl_train_event_fn *on_event;              /* may be NULL */
    const char *command;                       /* the command line, for the records */
    const volatile sig_atomic_t *asked;        /* a signal has asked this process to stop */
    /* The same, or with several processes what they have agreed on, so that all stop after the same
     * step: see train_ranks.h. */
    const volatile sig_atomic_t *stop;
    volatile sig_atomic_t agreed;
    bool follows;    /* is not rank 0: writes and prints nothing */
    int shards;      /* of a batch */
    int first_shard; /* of this process, and how many it has */
    int own_shards;
    struct adl_shards *parts; /* NULL: a batch is one shard and there is one process */
    struct adl_dataset *train;
    struct adl_dataset *val; /* NULL: there is none, or it is empty */
    struct adl_model *model; /* is saved; each save copies the optimizer's weights into it */
    struct adl_pool *pool;
    struct adl_frame_cache *cache; /* of the images of train, then those of val */
    struct adl_loader *loader;
    struct adl_tape *tape;         /* with a lockstep that of the first own shard */
    struct adl_lockstep *lockstep; /* of the shards, with --sync-batchnorm; NULL: each by itself */
    struct adl_optimizer *optimizer;
    bool *frozen;         /* by parameter id: is not trained; NULL: all are */
    float *class_weights; /* in the loss, by class; NULL: all 1 */
    float *present;       /* [batch_size][classes] with several labels: which classes images have */
    size_t *partners;     /* of the images of a batch, for a method that mixes them */
    struct adl_train_mode mode;
    struct adl_schedule schedule;
    int round;      /* from 1: the network that `tape` trains, of a method that trains several */
    json_t *config; /* every setting that affects the resulting bits */
    json_t *origin; /* how the weights of --init were trained, if their file says so; or NULL */
    int lock;       /* of the run's directory, see run_lock.h */
    json_t *data;   /* the identity of `train`, see train_data.h */
    json_t *state;  /* the description of the state that is resumed; NULL: a new run */
    struct adl_train_events events;
    struct adl_str remarks;       /* lines that are printed when the run begins */
    struct adl_progress progress; /* of the running epoch, if `progressing` */
    bool progressing;

    /* The position: completed epochs, and completed batches of the current one. */
    int epoch;
    size_t batch;
    bool trained; /* this process has trained at least one batch */
    bool judged;  /* `model` has the weights of the last completed epoch, which were measured */
    size_t group; /* the group of accumulated batches that the gradients belong to; or SIZE_MAX */
    struct adl_train_sums sums;
    struct adl_train_step_log step_log;
    double best;                           /* the best epoch's measure; negative: none yet */
    double best_loss;                      /* its loss on val; NAN: none, or unknown */
    int best_epoch;                        /* from 1; 0: none yet */
    struct adl_evaluate_report evaluation; /* of the best epoch; zeroed after a resume */
    struct adl_evaluate_place *places;     /* of val, of the last evaluation; NULL: none yet */
    bool val_reported;                     /* unreadable images and classes of val were named */
    size_t val_errors;                     /* unreadable images of val in the last epoch */
    uint64_t saved_ns;                     /* time at which the state was last saved */
};

/* Returns the percentage of the epoch's images so far, or of their classes, that were judged right.
 */
static inline double adl_train_right(const struct adl_train_run *run)
{
    double classes = run->model->labels.several ? run->model->arch.num_classes : 1;
    return 100 * (double)run->sums.right / ((double)run->sums.images * classes);
}

#endif
