/* Keeps the models by name, and changes them while requests run.
 *
 * DESIGN
 *
 * A change has to replace a model without dropping a request and without making one wait. So a
 * version (served.h) is immutable and reference-counted, and so is the table of all names: whoever
 * changes something makes a new table beside the old one and swaps one pointer. A request takes the
 * table, finds its version, holds that, and lets the table go; who lists the models walks a table
 * that does not change under him. A version is freed with its last table and its last request. A
 * table has some 20 KiB and changes are rare, so it is copied as a whole.
 *
 * Threads and locks. One thread at a time changes the registry, so that changes need no lock among
 * themselves. `lock` protects the pointer to the present table and is held for the few instructions
 * in which a reference is taken or the pointer is swapped. It makes reading the pointer and
 * incrementing the count one step; in between, another thread could free the table. Releasing needs
 * no lock, since the count is atomic and cannot rise from zero.
 *
 * Memory is bounded by counts: ADL_LIMIT_MODELS names, each with its current version, as many
 * replaced ones as --keep-versions says, and those that an alias holds. */

#include "server/serving/registry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/pool.h"
#include "base/size.h"
#include "server/serving/registry_parts.h"

struct adl_registry_table *adl_registry_table(struct adl_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    struct adl_registry_table *table = registry->table;
    atomic_fetch_add(&table->references, 1);
    pthread_mutex_unlock(&registry->lock);
    return table;
}

/* --- the start ----------------------------------------------------------------------- */

struct adl_registry *adl_registry_create(int threads, struct adl_error *err)
{
    struct adl_registry *registry = adl_calloc(1, sizeof *registry);

    if (!registry) {
        adl_fail_nomem(err, "models");
        return NULL;
    }
    registry->setup.map_changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    registry->threads = threads;
    registry->folder = -1;
    registry->table = adl_calloc(1, sizeof *registry->table);
    registry->setup.pool = registry->table ? adl_pool_create(threads, err) : NULL;
    if (!registry->setup.pool) {
        if (!registry->table)
            adl_fail_nomem(err, "models");
        adl_free(registry->table);
        adl_free(registry);
        return NULL;
    }
    atomic_init(&registry->table->references, 1);
    pthread_mutex_init(&registry->lock, NULL);
    adl_turns_init(&registry->setup.compute);
    return registry;
}

void adl_registry_free(struct adl_registry *registry)
{
    if (!registry)
        return;
    adl_registry_table_release(registry->table);
    for (size_t i = 0; i < registry->path_count; i++)
        adl_free(registry->paths[i]);
    if (registry->folder >= 0)
        close(registry->folder);
    adl_pool_free(registry->setup.pool);
    pthread_mutex_destroy(&registry->lock);
    adl_turns_destroy(&registry->setup.compute);
    adl_free(registry);
}

void adl_registry_change_maps(struct adl_registry *registry, const struct adl_map_changes *changes)
{
    registry->setup.map_changes = *changes;
}

void adl_registry_choose_precision(struct adl_registry *registry, int choice, const char *dir)
{
    registry->setup.precision = choice;
    registry->setup.calibrate = dir;
}

void adl_registry_keep_versions(struct adl_registry *registry, size_t count)
{
    registry->keep = ADL_MIN(count, (size_t)ADL_LIMIT_KEPT_VERSIONS);
}

int adl_registry_open_folder(struct adl_registry *registry, const char *path, struct adl_error *err)
{
    return adl_model_folder_open(path, &registry->folder, err);
}

static bool is_name(const char *text, size_t length)
{
    if (length < 1 || length > ADL_LIMIT_MODEL_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z') ||
              (text[i] >= 'a' && text[i] <= 'z') || strchr("._-", text[i])))
            return false;
    return true;
}

bool adl_registry_name_valid(const char *text)
{
    return is_name(text, strlen(text));
}

int adl_registry_add(struct adl_registry *registry, const char *text, struct adl_error *err)
{
    const char *equals = strchr(text, '='), *path = text;
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1] = "default";
    struct adl_registry_entry *entry;

    if (registry->path_count == ADL_LIMIT_MODELS)
        return adl_fail(err, ADL_ERR_ARG, "more than %d models", ADL_LIMIT_MODELS);
    /* An equals sign after a slash belongs to the path of the file. */
    if (equals && !memchr(text, '/', (size_t)(equals - text))) {
        if (!is_name(text, (size_t)(equals - text)))
            return adl_fail(err, ADL_ERR_ARG,
                            "--model %s: a name consists of 1 to %d of the characters A-Z a-z "
                            "0-9 . _ and -",
                            ADL_SHORT(text), ADL_LIMIT_MODEL_NAME_BYTES);
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        path = equals + 1;
    }
    if (adl_registry_entry_of(registry->table, name))
        return adl_fail(err, ADL_ERR_ARG,
                        "--model %s: there is already a model \"%s\"; give each one a different "
                        "name: --model NAME=FILE",
                        ADL_SHORT(text), name);
    if (!*path)
        return adl_fail(err, ADL_ERR_ARG, "--model %s: the file name is missing", ADL_SHORT(text));
    path = adl_strdup(path);
    if (!path)
        return adl_fail_nomem(err, "models");
    registry->paths[registry->path_count++] = (char *)path;
    entry = adl_registry_append(registry->table, name, err);
    if (!entry)
        return -1;
    entry->path = path;
    return 0;
}

int adl_registry_add_found(struct adl_registry *registry, const char *name, const char *file,
                           struct adl_error *err)
{
    struct adl_registry_entry *entry = adl_registry_append(registry->table, name, err);

    if (!entry)
        return -1;
    snprintf(entry->file, sizeof entry->file, "%s", file);
    entry->found = true;
    return 0;
}

struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    const struct adl_registry_entry *entry;
    struct adl_served *served = NULL;

    if (adl_registry_resolve(table, name, &entry, &served, err) == 0) {
        if (served)
            adl_served_hold(served);
        else
            adl_fail(err, ADL_ERR_BUSY, "the model \"%s\" is still loading", entry->named->name);
    }
    adl_registry_table_release(table);
    return served;
}

bool adl_registry_full(struct adl_registry *registry)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    bool full = table->count == ADL_LIMIT_MODELS;

    adl_registry_table_release(table);
    return full;
}

size_t adl_registry_count(struct adl_registry *registry)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    size_t count = 0;

    for (size_t i = 0; i < table->count; i++)
        count += !adl_registry_is_alias(&table->entries[i]);
    adl_registry_table_release(table);
    return count;
}

bool adl_registry_ready(struct adl_registry *registry)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    bool ready = true;

    for (size_t i = 0; i < table->count; i++)
        ready &= adl_registry_version(table, &table->entries[i]) != NULL;
    adl_registry_table_release(table);
    return ready;
}

/* --- the rest ------------------------------------------------------------------------------ */

int adl_registry_folder(const struct adl_registry *registry)
{
    return registry->folder;
}

int adl_registry_threads(const struct adl_registry *registry)
{
    return registry->threads;
}

struct adl_pool *adl_registry_pool(const struct adl_registry *registry)
{
    return registry->setup.pool;
}

void adl_registry_stop_loading(struct adl_registry *registry)
{
    atomic_store(&registry->setup.stopped, true);
}

void adl_registry_compute_lock(struct adl_registry *registry)
{
    adl_turns_take(&registry->setup.compute);
}

void adl_registry_compute_unlock(struct adl_registry *registry)
{
    adl_turns_pass(&registry->setup.compute);
}

bool adl_registry_compute_wanted(struct adl_registry *registry)
{
    return adl_turns_wanted(&registry->setup.compute);
}
