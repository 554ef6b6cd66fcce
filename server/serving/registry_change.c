/* Loads versions and changes names, while requests run. One thread at a time does; the design is in
 * registry.c. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/serving/registry.h"
#include "server/serving/registry_parts.h"

/* Unloads the versions that are not kept any longer, and makes a table the present one. */
static void publish(struct adl_registry *registry, struct adl_registry_table *table)
{
    adl_registry_drop_old(table, registry->keep);
    pthread_mutex_lock(&registry->lock);
    struct adl_registry_table *old = registry->table;
    registry->table = table;
    pthread_mutex_unlock(&registry->lock);
    adl_registry_table_release(old);
    /* Weights, unpacked ones and those of old versions, have been freed; return their pages to the
     * system. */
    adl_mem_trim();
}

/* --- loading --------------------------------------------------------------------------- */

/* Makes a version the current one of an entry, and keeps the one that it replaces. One with the
 * same content is not kept: it would have the same name. */
static void make_current(struct adl_registry_table *table, struct adl_registry_entry *entry,
                         struct adl_served *served)
{
    struct adl_served *old = entry->current;

    entry->current = served;
    entry->found = false;
    for (size_t i = 0; i < table->count; i++) {
        struct adl_served **pinned = &table->entries[i].pinned;
        if (*pinned && (*pinned)->named == served->named &&
            !strcmp((*pinned)->version, served->version)) {
            adl_served_release(*pinned);
            adl_served_hold(served);
            *pinned = served;
        }
    }
    for (size_t i = 0; i < entry->kept_count;) {
        if (!strcmp(entry->kept[i]->version, served->version))
            adl_registry_drop_kept(entry, i);
        else
            i++;
    }
    if (!old || !strcmp(old->version, served->version)) {
        adl_served_release(old);
        return;
    }
    /* There is room: what is more than --keep-versions is held by an alias, of which there are
     * fewer than names. */
    memmove(&entry->kept[1], &entry->kept[0], entry->kept_count * sizeof *entry->kept);
    entry->kept[0] = old;
    entry->kept_count++;
}

static struct adl_served *load(struct adl_registry *registry, struct adl_served_name *named,
                               const char *path, const char *file, const char *unless,
                               struct adl_error *err)
{
    const struct adl_served_file what = {
        .folder = path ? -1 : registry->folder,
        .path = path ? path : file,
        .unless = unless,
        .others = adl_registry_ready(registry),
    };
    return adl_served_load(&registry->setup, named, &what, err);
}

int adl_registry_load(struct adl_registry *registry, const char *name, bool unless_same,
                      bool *loaded, struct adl_error *err)
{
    const struct adl_registry_entry *now = adl_registry_find(registry->table, name);
    struct adl_registry_table *table;
    struct adl_served *served;

    if (loaded)
        *loaded = false;
    if (!now || adl_registry_is_alias(now))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "the model \"%s\" does not exist", name);
    served = load(registry, now->named, now->path, now->file,
                  unless_same && now->current ? now->current->version : NULL, err);
    table = served ? adl_registry_copy(registry->table, err) : NULL;
    if (!table) {
        adl_served_release(served);
        adl_mem_trim();
        return err->kind ? -1 : 0;
    }
    make_current(table, adl_registry_entry_of(table, name), served);
    publish(registry, table);
    if (loaded)
        *loaded = true;
    return 0;
}

/* Returns the problem for a file that was not loaded. */
static enum adl_problem problem_of_load(enum adl_error_kind kind)
{
    switch (kind) {
    case ADL_ERR_NOT_FOUND: return ADL_PROBLEM_UNKNOWN_MODEL_FILE;
    case ADL_ERR_NOMEM: return ADL_PROBLEM_OUT_OF_MEMORY;
    case ADL_ERR_BUSY:
    case ADL_ERR_CANCELLED: return ADL_PROBLEM_DRAINING;
    default: return ADL_PROBLEM_UNUSABLE_MODEL;
    }
}

/* Returns whether there may be one more name. */
static bool has_room(const struct adl_registry *registry, struct adl_error *err)
{
    if (registry->table->count < ADL_LIMIT_MODELS)
        return true;
    adl_fail(err, ADL_ERR_ARG,
             "there are %d names of models, as many as there can be; DELETE one first",
             ADL_LIMIT_MODELS);
    return false;
}

enum adl_problem adl_registry_put(struct adl_registry *registry, const char *name, const char *file,
                                  bool *added, struct adl_error *err)
{
    const struct adl_registry_entry *now = adl_registry_find(registry->table, name);
    struct adl_served_name *named = now ? now->named : NULL;
    struct adl_registry_table *table = NULL;
    struct adl_registry_entry *entry;
    struct adl_served *served;

    *added = !now;
    if (now && adl_registry_is_alias(now)) {
        adl_fail(err, ADL_ERR_ARG, "\"%s\" is another name of the model \"%s\"; DELETE it first",
                 name, now->alias_of);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    if (!now && !has_room(registry, err))
        return ADL_PROBLEM_MODEL_CONFLICT;
    if (!named)
        named = adl_served_name_create(name, err);
    else
        adl_served_name_hold(named);
    served = named ? load(registry, named, NULL, file, NULL, err) : NULL;
    adl_served_name_release(named);
    if (served)
        table = adl_registry_copy(registry->table, err);
    if (!table) {
        adl_served_release(served);
        adl_mem_trim();
        return problem_of_load(err->kind);
    }
    entry = adl_registry_entry_of(table, name);
    if (!entry) {
        entry = &table->entries[table->count++];
        *entry = (struct adl_registry_entry){.named = served->named};
        adl_served_name_hold(entry->named);
    }
    make_current(table, entry, served);
    entry->path = NULL;
    snprintf(entry->file, sizeof entry->file, "%s", file);
    publish(registry, table);
    return ADL_PROBLEM_NONE;
}

/* --- aliases and ends --------------------------------------------------------------------- */

/* Sets the error, and returns the problem, for what an alias points to: `served`, or any version of
 * a model if that is NULL. */
static enum adl_problem check_free(const struct adl_registry_table *table, const char *model,
                                   const struct adl_served *served, struct adl_error *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *alias = &table->entries[i];
        if (strcmp(alias->alias_of, model) != 0 || (served && alias->pinned != served))
            continue;
        adl_fail(err, ADL_ERR_ARG, "the alias \"%s\" points to it; DELETE or PUT that first",
                 alias->named->name);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    return ADL_PROBLEM_NONE;
}

enum adl_problem adl_registry_alias(struct adl_registry *registry, const char *name,
                                    const char *target, bool *added, struct adl_error *err)
{
    const struct adl_registry_entry *now = adl_registry_find(registry->table, name), *to;
    struct adl_registry_table *table;
    struct adl_registry_entry *entry;
    struct adl_served *served;

    *added = !now;
    if (now && !adl_registry_is_alias(now)) {
        adl_fail(err, ADL_ERR_ARG, "\"%s\" is a model, which cannot become an alias", name);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    if (adl_registry_resolve(registry->table, target, &to, &served, err) < 0)
        return ADL_PROBLEM_UNKNOWN_MODEL;
    if (adl_registry_is_alias(to)) {
        adl_fail(err, ADL_ERR_ARG, "\"%s\" is an alias itself, of \"%s\"", to->named->name,
                 to->alias_of);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    if (!now && !has_room(registry, err))
        return ADL_PROBLEM_MODEL_CONFLICT;
    table = adl_registry_copy(registry->table, err);
    if (!table)
        return ADL_PROBLEM_OUT_OF_MEMORY;
    entry = now ? adl_registry_entry_of(table, name) : adl_registry_append(table, name, err);
    if (!entry) {
        adl_registry_table_release(table);
        return ADL_PROBLEM_OUT_OF_MEMORY;
    }
    snprintf(entry->alias_of, sizeof entry->alias_of, "%s", to->named->name);
    adl_served_release(entry->pinned);
    entry->pinned = strchr(target, '@') ? served : NULL;
    if (entry->pinned)
        adl_served_hold(entry->pinned);
    publish(registry, table);
    return ADL_PROBLEM_NONE;
}

static enum adl_problem remove_version(struct adl_registry *registry, const char *name,
                                       const struct adl_served *served, struct adl_error *err)
{
    const char *model = served->name;
    struct adl_registry_table *table;
    struct adl_registry_entry *entry;

    if (adl_registry_find(registry->table, model)->current == served) {
        adl_fail(err, ADL_ERR_ARG,
                 "\"%s\" is the current version; DELETE /models/%s unloads the "
                 "model",
                 name, model);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    if (check_free(registry->table, model, served, err))
        return ADL_PROBLEM_MODEL_CONFLICT;
    table = adl_registry_copy(registry->table, err);
    if (!table)
        return ADL_PROBLEM_OUT_OF_MEMORY;
    entry = adl_registry_entry_of(table, model);
    for (size_t i = 0; i < entry->kept_count;) {
        if (entry->kept[i] == served)
            adl_registry_drop_kept(entry, i);
        else
            i++;
    }
    publish(registry, table);
    return ADL_PROBLEM_NONE;
}

enum adl_problem adl_registry_remove(struct adl_registry *registry, const char *name,
                                     struct adl_error *err)
{
    const struct adl_registry_entry *now;
    struct adl_registry_table *table;
    struct adl_registry_entry *entry;
    struct adl_served *served = NULL;

    if (adl_registry_resolve(registry->table, name, &now, &served, err) < 0)
        return ADL_PROBLEM_UNKNOWN_MODEL;
    if (strchr(name, '@'))
        return remove_version(registry, name, served, err);
    if (now == &registry->table->entries[0]) {
        adl_fail(err, ADL_ERR_ARG,
                 "\"%s\" is the default model, which answers requests that name none; it can be "
                 "replaced, but not removed",
                 now->named->name);
        return ADL_PROBLEM_MODEL_CONFLICT;
    }
    if (!adl_registry_is_alias(now) && check_free(registry->table, now->named->name, NULL, err))
        return ADL_PROBLEM_MODEL_CONFLICT;
    table = adl_registry_copy(registry->table, err);
    if (!table)
        return ADL_PROBLEM_OUT_OF_MEMORY;
    entry = adl_registry_entry_of(table, name);
    adl_registry_release_entry(entry);
    table->count--;
    memmove(entry, entry + 1, (size_t)(&table->entries[table->count] - entry) * sizeof *entry);
    publish(registry, table);
    return ADL_PROBLEM_NONE;
}
