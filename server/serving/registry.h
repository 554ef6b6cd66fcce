#ifndef ADL_SERVER_SERVING_REGISTRY_H
#define ADL_SERVER_SERVING_REGISTRY_H

/* The models that are served, by name. Each name has at most one current
 * version; a reload puts a new one beside it, tries it, and swaps. A version
 * lives until the last request that holds it is done. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/limits.h"
#include "models/model.h"
#include "plan/session.h"

/* One loaded version. Immutable but for the session, which only a run under the
 * registry's compute lock may touch. */
struct adl_served {
    _Atomic int references;
    int index; /* of its name in the registry */
    const char *name;
    struct adl_model *model; /* without its weights */
    struct adl_plan *plan;
    struct adl_session *session; /* for ADL_LIMIT_SERVE_BATCH images */
    size_t memory_bytes;
    struct timespec loaded_at;
    char *description; /* the model as JSON; for /models */
};

struct adl_registry;

/* Nothing is loaded yet. `threads` compute; the first name is the default. */
struct adl_registry *adl_registry_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
void adl_registry_free(struct adl_registry *registry);

/* "NAME=FILE", or "FILE" for the name "default". Fails with ARG on a bad or
 * second name. Before threads start. */
int adl_registry_add(struct adl_registry *registry, const char *text,
                     struct adl_error *err) ADL_MUST_CHECK;

size_t adl_registry_count(const struct adl_registry *registry);
const char *adl_registry_name(const struct adl_registry *registry, size_t index);
const char *adl_registry_path(const struct adl_registry *registry, size_t index);

/* Loads, tries and publishes a new version of a model; the old one stays on
 * failure. One thread at a time. */
int adl_registry_load(struct adl_registry *registry, size_t index,
                      struct adl_error *err) ADL_MUST_CHECK;

/* The current version of a name ("" is the first), to be released. NULL with
 * NOT_FOUND when there is no such name, with BUSY when it is not loaded yet. */
struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err) ADL_MUST_CHECK;
struct adl_served *adl_registry_acquire_index(struct adl_registry *registry,
                                              size_t index) ADL_MUST_CHECK;
/* NULL is fine. */
void adl_served_release(struct adl_served *served);

/* Whether every model has a version. */
bool adl_registry_ready(struct adl_registry *registry);

/* One run at a time may use the compute threads. */
void adl_registry_compute_lock(struct adl_registry *registry);
void adl_registry_compute_unlock(struct adl_registry *registry);

#endif
