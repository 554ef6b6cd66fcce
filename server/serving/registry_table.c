/* The table of all names: how it is copied, replaced and searched. The design is in registry.c. */

#include "server/serving/registry_table.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"

/* --- tables ------------------------------------------------------------------------ */

void adl_registry_release_entry(struct adl_registry_entry *entry)
{
    adl_served_release(entry->current);
    adl_served_release(entry->pinned);
    for (size_t i = 0; i < entry->kept_count; i++)
        adl_served_release(entry->kept[i]);
    adl_served_name_release(entry->named);
}

void adl_registry_table_release(struct adl_registry_table *table)
{
    if (!table || atomic_fetch_sub(&table->references, 1) > 1)
        return;
    for (size_t i = 0; i < table->count; i++)
        adl_registry_release_entry(&table->entries[i]);
    adl_free(table);
}

struct adl_registry_table *adl_registry_copy(const struct adl_registry_table *table,
                                             struct adl_error *err)
{
    struct adl_registry_table *copy = adl_malloc(1, sizeof *copy);

    if (!copy) {
        adl_fail_nomem(err, "the table of models");
        return NULL;
    }
    atomic_init(&copy->references, 1);
    copy->count = table->count;
    memcpy(copy->entries, table->entries, sizeof copy->entries);
    for (size_t i = 0; i < copy->count; i++) {
        struct adl_registry_entry *entry = &copy->entries[i];
        adl_served_name_hold(entry->named);
        if (entry->current)
            adl_served_hold(entry->current);
        if (entry->pinned)
            adl_served_hold(entry->pinned);
        for (size_t k = 0; k < entry->kept_count; k++)
            adl_served_hold(entry->kept[k]);
    }
    return copy;
}

static bool is_pinned(const struct adl_registry_table *table, const struct adl_served *served)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i].pinned == served)
            return true;
    return false;
}

void adl_registry_drop_kept(struct adl_registry_entry *entry, size_t index)
{
    adl_served_release(entry->kept[index]);
    entry->kept_count--;
    memmove(&entry->kept[index], &entry->kept[index + 1],
            (entry->kept_count - index) * sizeof *entry->kept);
}

void adl_registry_drop_old(struct adl_registry_table *table, size_t keep)
{
    for (size_t i = 0; i < table->count; i++) {
        struct adl_registry_entry *entry = &table->entries[i];
        size_t free_ones = 0;
        for (size_t k = 0; k < entry->kept_count;) {
            if (is_pinned(table, entry->kept[k]) || ++free_ones <= keep)
                k++;
            else
                adl_registry_drop_kept(entry, k);
        }
    }
}

struct adl_registry_entry *adl_registry_entry_of(struct adl_registry_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (!strcmp(table->entries[i].named->name, name))
            return &table->entries[i];
    return NULL;
}

const struct adl_registry_entry *adl_registry_find(const struct adl_registry_table *table,
                                                   const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (!strcmp(table->entries[i].named->name, name))
            return &table->entries[i];
    return NULL;
}

const struct adl_registry_entry *adl_registry_target(const struct adl_registry_table *table,
                                                     const struct adl_registry_entry *entry)
{
    return adl_registry_is_alias(entry) ? adl_registry_find(table, entry->alias_of) : entry;
}

struct adl_served *adl_registry_version(const struct adl_registry_table *table,
                                        const struct adl_registry_entry *entry)
{
    const struct adl_registry_entry *target = adl_registry_target(table, entry);

    return entry->pinned ? entry->pinned : target ? target->current : NULL;
}

struct adl_registry_entry *adl_registry_append(struct adl_registry_table *table, const char *name,
                                               struct adl_error *err)
{
    struct adl_registry_entry *entry;

    if (table->count == ADL_LIMIT_MODELS) {
        adl_fail(err, ADL_ERR_ARG, "there are %d names of models, as many as there can be",
                 ADL_LIMIT_MODELS);
        return NULL;
    }
    entry = &table->entries[table->count];
    *entry = (struct adl_registry_entry){.named = adl_served_name_create(name, err)};
    if (!entry->named)
        return NULL;
    table->count++;
    return entry;
}

/* --- who is who ------------------------------------------------------------------------- */

/* Appends an item of a list, unless the text becomes too long for a message. */
static void list(char text[300], const char *item)
{
    size_t length = strlen(text);

    if (length + strlen(item) + 8 < 300)
        snprintf(text + length, 300 - length, "%s%s", length ? ", " : "", item);
    else if (!adl_text_ends_with(text, "..."))
        snprintf(text + length, 300 - length, ", ...");
}

/* Returns the version of a model; NULL: it is not loaded, or not any more. */
static struct adl_served *version_of(const struct adl_registry_entry *model, const char *version)
{
    if (model->current && !strcmp(model->current->version, version))
        return model->current;
    for (size_t i = 0; i < model->kept_count; i++)
        if (!strcmp(model->kept[i]->version, version))
            return model->kept[i];
    return NULL;
}

int adl_registry_resolve(const struct adl_registry_table *table, const char *text,
                         const struct adl_registry_entry **entry, struct adl_served **served,
                         struct adl_error *err)
{
    const char *at = strchr(text, '@');
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1], there[300] = "";
    int length = (int)(at ? at - text : (long)strlen(text));

    *entry = NULL;
    if (length == 0 && !at) {
        *entry = &table->entries[0];
    } else if (length <= ADL_LIMIT_MODEL_NAME_BYTES) {
        snprintf(name, sizeof name, "%.*s", length, text);
        *entry = adl_registry_find(table, name);
    }
    if (!*entry || table->count == 0) {
        for (size_t i = 0; i < table->count; i++)
            list(there, table->entries[i].named->name);
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "the model \"%s\" does not exist; there are: %s; GET /models lists the "
                        "models",
                        ADL_SHORT(text), there);
    }
    *served = adl_registry_version(table, *entry);
    if (!at)
        return 0;
    const struct adl_registry_entry *model = adl_registry_target(table, *entry);
    *served = model ? version_of(model, at + 1) : NULL;
    if (*served)
        return 0;
    if (model && model->current)
        list(there, model->current->version);
    for (size_t i = 0; model && i < model->kept_count; i++)
        list(there, model->kept[i]->version);
    return adl_fail(err, ADL_ERR_NOT_FOUND,
                    "the model \"%s\" has no version \"%s\"; there are: %s; GET /models lists the "
                    "models",
                    (*entry)->named->name, ADL_SHORT(at + 1), there);
}
