/* Handles GET /models and GET /models/NAME: the models and their descriptions. */

#include "base/mem.h"
#include "server/api/server.h"

/* Appends a model's description; one that is not loaded yet has only a name and a state. */
static void describe(struct adl_registry *registry, size_t index, struct adl_str *out)
{
    struct adl_served *served = adl_registry_acquire_index(registry, index);

    if (served)
        adl_str_puts(out, served->description);
    else
        adl_str_printf(out, "{\"name\":\"%s\",\"state\":\"loading\"}",
                       adl_registry_name(registry, index));
    adl_served_release(served);
}

void adl_api_models(struct adl_exchange *exchange, const char *rest)
{
    struct adl_registry *registry = exchange->server->registry;
    struct adl_str text = {0};

    (void)rest;
    adl_str_printf(&text, "{\"default\":\"%s\",\"models\":[", adl_registry_name(registry, 0));
    for (size_t i = 0; i < adl_registry_count(registry); i++) {
        if (i > 0)
            adl_str_puts(&text, ",");
        describe(registry, i, &text);
    }
    adl_str_printf(&text,
                   "],\"limits\":{\"body_bytes\":%zu,\"pixels\":%zu},\"annotations\":%s,"
                   "\"training\":%s}\n",
                   exchange->server->max_body, exchange->server->max_pixels,
                   exchange->server->annotations ? "true" : "false",
                   exchange->server->runs ? "true" : "false");
    adl_answer_packed(exchange, 200, "application/json", &text);
    adl_str_release(&text);
}

void adl_api_model(struct adl_exchange *exchange, const char *name)
{
    struct adl_registry *registry = exchange->server->registry;
    struct adl_error err = {0};
    struct adl_str text = {0};
    struct adl_served *served = adl_registry_acquire(registry, name, &err);

    if (!served && err.kind == ADL_ERR_NOT_FOUND) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_MODEL, 0, "%s", err.message);
        return;
    }
    if (!served) {
        adl_answer_problem(exchange, ADL_PROBLEM_LOADING, 1, "%s", err.message);
        return;
    }
    adl_str_printf(&text, "%s\n", served->description);
    adl_answer_packed(exchange, 200, "application/json", &text);
    adl_str_release(&text);
    adl_served_release(served);
}
