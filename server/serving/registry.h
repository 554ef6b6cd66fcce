#ifndef ADL_SERVER_SERVING_REGISTRY_H
#define ADL_SERVER_SERVING_REGISTRY_H

/* Keeps the models that are served, by name. A name has at most one current version; a load builds
 * a new version beside it, checks it, and makes it the current one. A version is kept until the
 * last request that uses it is done. Names come and go while requests run.
 *
 * What changes the registry is called by one thread at a time; everything else is thread-safe. */

#include "server/http/problem.h"
#include "server/serving/registry_table.h"

struct adl_registry;

/* Creates an empty registry with a pool of `threads` compute threads. Fails as
 * adl_pool_create() does. */
struct adl_registry *adl_registry_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
void adl_registry_free(struct adl_registry *registry);

/* --- before other threads start ------------------------------------------------- */

/* Changes the map rule of every model that is loaded from now on. */
void adl_registry_change_maps(struct adl_registry *registry, const struct adl_map_changes *changes);
/* Chooses the precision of every model that is loaded from now on, as adl_int8_choose() does with
 * the photographs of `dir`, which is borrowed and may be NULL. */
void adl_registry_choose_precision(struct adl_registry *registry, int choice, const char *dir);
/* Sets how many replaced versions of each model stay loaded, at most ADL_LIMIT_KEPT_VERSIONS; 0 in
 * the beginning. */
void adl_registry_keep_versions(struct adl_registry *registry, size_t count);
/* Opens the folder from which adl_registry_put() takes files. Fails as adl_model_folder_open(). */
int adl_registry_open_folder(struct adl_registry *registry, const char *path,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Adds a name: "NAME=FILE", or "FILE" for the name "default"; the model is not loaded
 * yet. The first name is the default of requests. Fails with ADL_ERR_ARG on an invalid name, a
 * name that is in use, or too many names. */
int adl_registry_add(struct adl_registry *registry, const char *text,
                     struct adl_error *err) ADL_MUST_CHECK;
/* Adds a name for a file in the folder, which need not be loaded for the server to be ready. Fails
 * in the same way. */
int adl_registry_add_found(struct adl_registry *registry, const char *name, const char *file,
                           struct adl_error *err) ADL_MUST_CHECK;

/* --- changes, by one thread at a time ---------------------------------------------- */

/* Returns whether a text may be the name of a model: 1 to ADL_LIMIT_MODEL_NAME_BYTES of the
 * characters A-Z a-z 0-9 . _ and -. */
bool adl_registry_name_valid(const char *text);

/* Loads and checks a new version of a model and makes it the current one; on failure the old
 * one stays. `unless_same`: a file that has not changed is not loaded; *loaded (may be NULL) says
 * whether it was. Fails as adl_served_load() does. */
int adl_registry_load(struct adl_registry *registry, const char *name, bool unless_same,
                      bool *loaded, struct adl_error *err) ADL_MUST_CHECK;

/* Loads a file of the folder and makes it the current version of a name; *added says whether the
 * name is new. Returns the problem if it fails, with a sentence in `err`: then nothing changes. */
enum adl_problem adl_registry_put(struct adl_registry *registry, const char *name, const char *file,
                                  bool *added, struct adl_error *err) ADL_MUST_CHECK;
/* Makes a name, new or an alias, another name of "MODEL" or "MODEL@VERSION". As above. */
enum adl_problem adl_registry_alias(struct adl_registry *registry, const char *name,
                                    const char *target, bool *added,
                                    struct adl_error *err) ADL_MUST_CHECK;
/* Removes a name, or with "NAME@VERSION" a replaced version that is still loaded. Requests that use
 * it end as if nothing had happened. As above. */
enum adl_problem adl_registry_remove(struct adl_registry *registry, const char *name,
                                     struct adl_error *err) ADL_MUST_CHECK;

/* --- thread-safe ------------------------------------------------------------------- */

/* Returns the names as they are now, to be released with adl_registry_table_release(). */
struct adl_registry_table *adl_registry_table(struct adl_registry *registry) ADL_MUST_CHECK;

/* Returns whether there are as many names as there can be. */
bool adl_registry_full(struct adl_registry *registry);
/* Returns the number of models, without aliases. */
size_t adl_registry_count(struct adl_registry *registry);
/* Returns the folder of models as adl_model_file_open() takes it; -1: there is none. */
int adl_registry_folder(const struct adl_registry *registry);

/* Returns the version that "NAME", "NAME@VERSION" or "" (the first name) means, to be released with
 * adl_served_release(). NULL with ADL_ERR_NOT_FOUND, and a list of what there is, if it does not
 * exist, with ADL_ERR_BUSY if the model is not loaded yet. */
struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether every model is loaded. */
bool adl_registry_ready(struct adl_registry *registry);

/* Makes a load that is in progress give up soon, and every later one at once. */
void adl_registry_stop_loading(struct adl_registry *registry);

/* Returns the number of compute threads. */
int adl_registry_threads(const struct adl_registry *registry);

/* Returns the compute threads, which only who has the compute lock may use. Borrowed. */
struct adl_pool *adl_registry_pool(const struct adl_registry *registry);

/* Lock and unlock the use of the compute threads and of all sessions. Threads get the lock in the
 * order in which they asked for it. */
void adl_registry_compute_lock(struct adl_registry *registry);
void adl_registry_compute_unlock(struct adl_registry *registry);
/* Returns whether another thread waits for the compute lock. */
bool adl_registry_compute_wanted(struct adl_registry *registry);

#endif
