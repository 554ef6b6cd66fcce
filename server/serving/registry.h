#ifndef ADL_SERVER_SERVING_REGISTRY_H
#define ADL_SERVER_SERVING_REGISTRY_H

/* Keeps the models that are served, by name. Each name has at most one current version; a
 * reload builds a new version beside it, checks it, and makes it the current one. A version is
 * kept until the last request that uses it is done. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/limits.h"
#include "models/model.h"

/* One loaded version. Immutable, except for the views, which may be used only under the
 * registry's compute lock. */
struct adl_served {
    _Atomic int references;
    int index; /* index of its name in the registry */
    const char *name;
    struct adl_model *model; /* without its weights */
    struct adl_plan *plan;
    struct adl_views *views; /* for ADL_LIMIT_SERVE_BATCH images; those of the model's own map rule
                              * exist from the start */
    size_t memory_bytes;
    struct timespec loaded_at;
    char *description; /* the model as JSON, for /models */
};

struct adl_registry;

/* Creates an empty registry with a pool of `threads` compute threads. Fails as
 * adl_pool_create() does. */
struct adl_registry *adl_registry_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
void adl_registry_free(struct adl_registry *registry);

/* Changes the map rule of every model that is loaded from now on. Not thread-safe: to be called
 * before other threads start. */
void adl_registry_change_maps(struct adl_registry *registry, const struct adl_map_changes *changes);

/* Chooses the precision of every model that is loaded from now on, as adl_int8_choose() does with
 * the photographs of `dir`, which is borrowed and may be NULL. Not thread-safe: to be called before
 * other threads start. */
void adl_registry_choose_precision(struct adl_registry *registry, int choice, const char *dir);
/* Makes a load that is choosing ranges on photographs give up soon, and every later one at once.
 * Thread-safe. */
void adl_registry_stop_loading(struct adl_registry *registry);

/* Adds a name: "NAME=FILE", or "FILE" for the name "default"; the model is not loaded
 * yet. The first name is the default of requests. Fails with ADL_ERR_ARG on an invalid name, a
 * name that is in use, or too many names. Not thread-safe: to be called before other threads
 * start. */
int adl_registry_add(struct adl_registry *registry, const char *text,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Return the number of models, and the name and file of each, in the order in which they were
 * added; `index` < count. */
size_t adl_registry_count(const struct adl_registry *registry);
const char *adl_registry_name(const struct adl_registry *registry, size_t index);
const char *adl_registry_path(const struct adl_registry *registry, size_t index);

/* Loads and checks a new version of a model and makes it the current one; on failure the old
 * one stays. Fails as adl_model_load() does, with ADL_ERR_ARG if adl_registry_change_maps() asks
 * for a map rule that the model does not support, or with ADL_ERR_FORMAT if the scores are not
 * finite. One thread at a time. */
int adl_registry_load(struct adl_registry *registry, size_t index,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Returns the current version of a name ("" is the first name), to be released with
 * adl_served_release(). NULL with ADL_ERR_NOT_FOUND if the name does not exist, with
 * ADL_ERR_BUSY if the model is not loaded yet. Thread-safe. */
struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err) ADL_MUST_CHECK;
/* Returns the current version of the name with this index, to be released with
 * adl_served_release(); NULL if the model is not loaded yet. Thread-safe. */
struct adl_served *adl_registry_acquire_index(struct adl_registry *registry,
                                              size_t index) ADL_MUST_CHECK;
/* Releases one reference; the version is freed with its last one. NULL is ignored. */
void adl_served_release(struct adl_served *served);

/* Returns whether every model is loaded. */
bool adl_registry_ready(struct adl_registry *registry);

/* Returns the number of compute threads. */
int adl_registry_threads(const struct adl_registry *registry);

/* Lock and unlock the use of the compute threads and of all sessions. */
void adl_registry_compute_lock(struct adl_registry *registry);
void adl_registry_compute_unlock(struct adl_registry *registry);

#endif
