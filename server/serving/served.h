#ifndef ADL_SERVER_SERVING_SERVED_H
#define ADL_SERVER_SERVING_SERVED_H

/* A loaded version of a model, and the name that it was loaded under. registry.h keeps them. */

#include <pthread.h>
#include <time.h>

#include "models/model.h"
#include "server/serving/metrics.h"
#include "server/serving/model_file.h"
#include "server/serving/turns.h"

/* A name, and what is counted for it. All versions of a model have it in common, and it lives as
 * long as the last of them: a job counts for the name that it was submitted under, even if this is
 * gone or was given anew. */
struct adl_served_name {
    _Atomic int references;
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1];
    struct adl_model_metrics metrics;
    _Atomic size_t depth; /* jobs queued or in progress */
};

/* Returns a name with one reference. Fails with ADL_ERR_NOMEM. */
struct adl_served_name *adl_served_name_create(const char *name,
                                               struct adl_error *err) ADL_MUST_CHECK;
void adl_served_name_hold(struct adl_served_name *named);
/* NULL is ignored. */
void adl_served_name_release(struct adl_served_name *named);

/* One loaded version. Immutable but for its counters and the views, which may be used only under
 * the registry's compute lock. */
struct adl_served {
    _Atomic int references;
    struct adl_served_name *named; /* owns a reference */
    const char *name;              /* that of `named` */
    char version[ADL_MODEL_VERSION_DIGITS + 1];
    struct adl_file_stamp stamp; /* of the file that it was read from */
    struct adl_model *model;     /* without its weights */
    struct adl_plan *plan;
    struct adl_views *views; /* for as many images as there are compute threads; those of the
                              * model's own map rule exist from the start */
    size_t memory_bytes;
    struct timespec loaded_at;
    double load_s;           /* how long it took to load */
    char *description;       /* the model as JSON, for /models */
    _Atomic uint64_t images; /* that it has answered */
};

/* What all loads have in common. */
struct adl_served_setup {
    struct adl_pool *pool;
    struct adl_turns compute;           /* the use of the pool and of all sessions */
    int precision;                      /* of adl_int8_choose() */
    const char *calibrate;              /* the directory of photographs; NULL: none */
    atomic_bool stopped;                /* loads are to give up */
    struct adl_map_changes map_changes; /* applied to the map rule of every model */
};

/* A file to be loaded. */
struct adl_served_file {
    int folder;         /* as adl_model_file_open() takes it */
    const char *path;   /* as well; borrowed */
    const char *unless; /* a version that need not be loaded; NULL: none */
    bool others;        /* models are served meanwhile: the compute threads are left to them */
};

/* Loads a file and checks it, with one reference. Returns NULL without an error if the file has the
 * version `unless`. Fails as adl_model_file_open() and adl_model_load() do, with ADL_ERR_ARG if the
 * map changes ask for a map rule that the model does not support, and with ADL_ERR_FORMAT if the
 * scores are not finite or the file was written to meanwhile. */
struct adl_served *adl_served_load(struct adl_served_setup *setup, struct adl_served_name *named,
                                   const struct adl_served_file *file,
                                   struct adl_error *err) ADL_MUST_CHECK;

void adl_served_hold(struct adl_served *served);
/* Releases one reference; the version is freed with its last one. NULL is ignored. */
void adl_served_release(struct adl_served *served);

#endif
