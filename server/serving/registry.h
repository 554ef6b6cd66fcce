#ifndef ADL_SERVER_SERVING_REGISTRY_H
#define ADL_SERVER_SERVING_REGISTRY_H

/* The models being served, by name. Each name has at most one current version; a reload
 * builds a new one beside it, checks it, and swaps. A version lives until the last
 * request that holds it is done. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/limits.h"
#include "models/model.h"
#include "plan/session.h"

/* One loaded version. Immutable, except for the session, which may be used only under the
 * registry's compute lock. */
struct adl_served {
    _Atomic int references;
    int index; /* index of its name in the registry */
    const char *name;
    struct adl_model *model; /* without its weights */
    struct adl_plan *plan;
    struct adl_session *session; /* for ADL_LIMIT_SERVE_BATCH images */
    size_t memory_bytes;
    struct timespec loaded_at;
    char *description; /* the model as JSON, for /models */
};

struct adl_registry;

/* An empty registry with a pool of `threads` compute threads. Fails with NOMEM. */
struct adl_registry *adl_registry_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
void adl_registry_free(struct adl_registry *registry);

/* Changes the map rule of every model that is loaded from now on. Not thread-safe: call it before
 * other threads start. */
void adl_registry_change_maps(struct adl_registry *registry, const struct adl_map_changes *changes);

/* Adds a name: "NAME=FILE", or "FILE" for the name "default"; the model is not loaded
 * yet. The first name is the default of requests. Fails with ARG on an invalid name or
 * one that is taken. Not thread-safe: call it before other threads start. */
int adl_registry_add(struct adl_registry *registry, const char *text,
                     struct adl_error *err) ADL_MUST_CHECK;

/* The names, in the order in which they were added; `index` < count. */
size_t adl_registry_count(const struct adl_registry *registry);
const char *adl_registry_name(const struct adl_registry *registry, size_t index);
const char *adl_registry_path(const struct adl_registry *registry, size_t index);

/* Loads, checks and publishes a new version of a model; on failure the old one stays.
 * Fails as adl_model_load() does, with ADL_ERR_ARG if the map rule cannot be changed as wanted, or
 * with ADL_ERR_FORMAT if the scores are not finite. One thread at a time. */
int adl_registry_load(struct adl_registry *registry, size_t index,
                      struct adl_error *err) ADL_MUST_CHECK;

/* The current version of a name ("" is the first), to be released. NULL with NOT_FOUND
 * when there is no such name, with BUSY when it is not loaded yet. Thread-safe. */
struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err) ADL_MUST_CHECK;
/* The same by index; NULL when it is not loaded yet. */
struct adl_served *adl_registry_acquire_index(struct adl_registry *registry,
                                              size_t index) ADL_MUST_CHECK;
/* Gives back one reference; the last one frees the version. NULL is fine. */
void adl_served_release(struct adl_served *served);

/* Whether every model is loaded. */
bool adl_registry_ready(struct adl_registry *registry);

/* Held by whoever uses the compute threads or a session. */
void adl_registry_compute_lock(struct adl_registry *registry);
void adl_registry_compute_unlock(struct adl_registry *registry);

#endif
