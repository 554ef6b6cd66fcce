/* Handles GET /status: the state of the server in a few numbers, for the web page and for people
 * who have no Prometheus. The I/O threads answer it at once, however busy the engine is. */

#include "base/cpu.h"
#include "server/api/server.h"

/* Images that went through a stage since the start, and the time that they took there together:
 * what lies between two answers is the difference of both. */
static json_t *stage_json(const struct adl_histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= ADL_METRICS_BUCKETS; i++)
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    return json_pack("{s:I, s:f}", "images", (json_int_t)count, "ms",
                     (double)atomic_load_explicit(&histogram->micro_sum, memory_order_relaxed) /
                         1e3);
}

void adl_api_status(struct adl_exchange *exchange, const char *rest)
{
    struct adl_server *server = exchange->server;
    struct adl_registry *registry = server->registry;
    struct adl_registry_table *table = adl_registry_table(registry);
    json_t *stages = json_object(), *models = json_array();
    size_t depth = 0;

    (void)rest;
    for (int i = 0; i < ADL_STAGE_COUNT; i++)
        json_object_set_new(stages, adl_stage_names[i],
                            stage_json(&server->metrics.stage_seconds[i]));
    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *entry = &table->entries[i];
        size_t waiting = atomic_load(&entry->named->depth);
        if (adl_registry_is_alias(entry))
            continue;
        depth += waiting;
        json_array_append_new(models, json_pack("{s:s, s:s, s:I}", "name", entry->named->name,
                                                "state", entry->current ? "available" : "loading",
                                                "queue", (json_int_t)waiting));
    }
    adl_registry_table_release(table);
    adl_answer_json(
        exchange,
        json_pack(
            "{s:s, s:s, s:s, s:{s:I, s:I}, s:I, s:I, s:o, s:o, s:b}", "state",
            server->draining               ? "draining"
            : adl_registry_ready(registry) ? "ready"
                                           : "loading",
            "version", ADL_VERSION, "cpu", adl_cpu_name(), "queue", "images", (json_int_t)depth,
            "capacity", (json_int_t)server->queue_capacity, "requests",
            (json_int_t)atomic_load_explicit(&server->metrics.in_flight, memory_order_relaxed),
            "connections", (json_int_t)atomic_load(&server->connections), "stages", stages,
            "models", models, "training", server->runs != NULL));
}
