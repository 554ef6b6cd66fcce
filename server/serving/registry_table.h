#ifndef ADL_SERVER_SERVING_REGISTRY_TABLE_H
#define ADL_SERVER_SERVING_REGISTRY_TABLE_H

/* The table of all names under which models are served, and what each name means. */

#include "server/serving/served.h"

/* A name is that of a model, or an alias: another name of a model or of one of its versions. */
struct adl_registry_entry {
    struct adl_served_name *named;
    const char *path;                          /* file of --model; NULL: it is in the folder */
    char file[ADL_LIMIT_MODEL_FILE_BYTES + 1]; /* its name there */
    bool found;                                /* in the folder at the start; it may be broken */
    struct adl_served *current;                /* NULL: not loaded yet, or an alias */
    /* Versions that were replaced, newest first: the last of --keep-versions, and those that an
     * alias points to. */
    struct adl_served *kept[ADL_LIMIT_KEPT_VERSIONS + ADL_LIMIT_MODELS];
    size_t kept_count;
    char alias_of[ADL_LIMIT_MODEL_NAME_BYTES + 1]; /* "": a model */
    struct adl_served *pinned;                     /* NULL: the alias follows the current version */
};

/* All names at one time. Immutable; it holds references to everything in it. */
struct adl_registry_table {
    _Atomic int references;
    size_t count;
    struct adl_registry_entry entries[ADL_LIMIT_MODELS]; /* the first is the default, a model */
};

/* Releases one reference. NULL is ignored. */
void adl_registry_table_release(struct adl_registry_table *table);
/* Returns the entry of a name; NULL: there is none. */
const struct adl_registry_entry *adl_registry_find(const struct adl_registry_table *table,
                                                   const char *name);
/* Returns the model of an entry: itself, or the one that an alias points to. */
const struct adl_registry_entry *adl_registry_target(const struct adl_registry_table *table,
                                                     const struct adl_registry_entry *entry);
static inline bool adl_registry_is_alias(const struct adl_registry_entry *entry)
{
    return entry->alias_of[0] != '\0';
}
/* Returns the version that a request for the entry uses; NULL: not loaded yet. */
struct adl_served *adl_registry_version(const struct adl_registry_table *table,
                                        const struct adl_registry_entry *entry);

/* Finds what "NAME", "NAME@VERSION" or "" (the first name) means: *entry is the name, *served the
 * version that a request uses, NULL if that is not loaded yet. Fails with ADL_ERR_NOT_FOUND and a
 * list of what there is. */
int adl_registry_resolve(const struct adl_registry_table *table, const char *text,
                         const struct adl_registry_entry **entry, struct adl_served **served,
                         struct adl_error *err) ADL_MUST_CHECK;

/* --- for the files of the registry --------------------------------------------------- */

/* Returns a copy of a table, to be changed. Fails with ADL_ERR_NOMEM. */
struct adl_registry_table *adl_registry_copy(const struct adl_registry_table *table,
                                             struct adl_error *err) ADL_MUST_CHECK;

/* The functions below change a table that nobody else uses yet. */

struct adl_registry_entry *adl_registry_entry_of(struct adl_registry_table *table,
                                                 const char *name);
/* Returns a new entry at the end; NULL with ADL_ERR_ARG if there are too many. */
struct adl_registry_entry *adl_registry_append(struct adl_registry_table *table, const char *name,
                                               struct adl_error *err) ADL_MUST_CHECK;
/* Releases what an entry refers to, before it is taken out. */
void adl_registry_release_entry(struct adl_registry_entry *entry);
/* Takes a replaced version out of an entry. */
void adl_registry_drop_kept(struct adl_registry_entry *entry, size_t index);
/* Unloads replaced versions that are neither among the last `keep` ones nor held by an alias. */
void adl_registry_drop_old(struct adl_registry_table *table, size_t keep);

#endif
