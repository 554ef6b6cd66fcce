/* Loads all models at the start and at a reload, one after another. */

#include "server/api/loading.h"

#include <string.h>

#include "base/clock.h"
#include "io/json_text.h"
#include "server/options/service_hint.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"

/* Returns the file of a model as its user knows it. */
static const char *file_of(const struct adl_registry_entry *entry)
{
    return entry->path ? entry->path : entry->file;
}

void adl_loading_note(struct adl_server *server, const char *event, const char *name, bool again,
                      uint64_t begin_ns, const struct adl_error *err)
{
    struct adl_registry_table *table = adl_registry_table(server->registry);
    const struct adl_registry_entry *entry = adl_registry_find(table, name);

    if (entry && again)
        atomic_fetch_add_explicit(err->kind ? &entry->named->metrics.reloads_failed
                                            : &entry->named->metrics.reloads_ok,
                                  1, memory_order_relaxed);
    if (err->kind)
        adl_log(ADL_LOG_ERROR, event,
                again ? "a model could not be reloaded; the old version stays in use"
                      : "a model could not be loaded",
                json_pack("{s:s, s:o}", "model", name, "error", adl_json_from_text(err->message)));
    else if (entry && entry->current)
        adl_log(ADL_LOG_INFO, event, "model loaded",
                json_pack("{s:s, s:s, s:o, s:s, s:I, s:f}", "model", name, "version",
                          entry->current->version, "file", adl_json_from_text(file_of(entry)),
                          "digest", entry->current->model->digest, "memory_bytes",
                          (json_int_t)entry->current->memory_bytes, "load_ms",
                          adl_clock_ms(begin_ns, adl_clock_ns())));
    adl_registry_table_release(table);
}

static void load_one(struct adl_server *server, const struct adl_registry_entry *entry, bool again,
                     struct adl_error *first)
{
    const char *name = entry->named->name;
    struct adl_error err = {0}, ignored = {0};
    uint64_t begin = adl_clock_ns();
    int result = adl_registry_load(server->registry, name, false, NULL, &err);

    if (result < 0)
        adl_service_explain(file_of(entry), &err);
    adl_loading_note(server, again ? "reload" : "load", name, again, begin, &err);
    if (result == 0)
        return;
    if (entry->found && !entry->current)
        (void)!adl_registry_remove(server->registry, name, &ignored);
    else if (!first->kind)
        *first = err;
}

void adl_loading_all(struct adl_server *server, bool again, struct adl_error *first)
{
    /* Only this thread changes the names. */
    struct adl_registry_table *table = adl_registry_table(server->registry);

    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *entry = &table->entries[i];
        if (adl_registry_is_alias(entry))
            continue;
        adl_notify("STATUS=loading %s (%zu/%zu)\nEXTEND_TIMEOUT_USEC=60000000", entry->named->name,
                   i + 1, table->count);
        load_one(server, entry, again, first);
    }
    adl_registry_table_release(table);
}
