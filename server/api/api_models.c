/* Handles /models: GET lists and describes what is loaded; PUT and DELETE, on the listener of
 * --admin-listen, hand their changes to model_changes.h. */

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "server/api/model_changes.h"
#include "server/api/server.h"

/* --- GET ---------------------------------------------------------------------------- */

/* Appends a model's description with the versions that are loaded; one that is not loaded yet has
 * only a name and a state. */
static void describe(const struct adl_registry_entry *entry, struct adl_str *out)
{
    const struct adl_served *served = entry->current;

    if (!served) {
        adl_str_printf(out, "{\"name\":\"%s\",\"state\":\"loading\"}", entry->named->name);
        return;
    }
    /* The description is an object that does not change; the list goes before its end. */
    adl_str_append(out, served->description, strlen(served->description) - 1);
    adl_str_printf(out, ",\"versions\":[\"%s\"", served->version);
    for (size_t i = 0; i < entry->kept_count; i++)
        adl_str_printf(out, ",\"%s\"", entry->kept[i]->version);
    adl_str_puts(out, "]}");
}

void adl_api_models(struct adl_exchange *exchange, const char *rest)
{
    struct adl_registry_table *table = adl_registry_table(exchange->server->registry);
    struct adl_str text = {0}, aliases = {0};
    const char *comma = "";

    (void)rest;
    adl_str_printf(&text, "{\"default\":\"%s\",\"models\":[", table->entries[0].named->name);
    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *entry = &table->entries[i];
        if (adl_registry_is_alias(entry)) {
            adl_str_printf(&aliases, "%s\"%s\":\"%s%s%s\"", aliases.length ? "," : "",
                           entry->named->name, entry->alias_of, entry->pinned ? "@" : "",
                           entry->pinned ? entry->pinned->version : "");
            continue;
        }
        adl_str_puts(&text, comma);
        describe(entry, &text);
        comma = ",";
    }
    adl_registry_table_release(table);
    text.failed |= aliases.failed;
    adl_str_printf(&text,
                   "],\"aliases\":{%s},\"limits\":{\"body_bytes\":%zu,\"pixels\":%zu},"
                   "\"annotations\":%s,\"training\":%s}\n",
                   aliases.data ? aliases.data : "", exchange->server->max_body,
                   exchange->server->max_pixels, exchange->server->annotations ? "true" : "false",
                   exchange->server->runs ? "true" : "false");
    adl_str_release(&aliases);
    adl_answer_packed(exchange, 200, "application/json", &text);
    adl_str_release(&text);
}

void adl_api_model(struct adl_exchange *exchange, const char *name)
{
    struct adl_registry *registry = exchange->server->registry;
    struct adl_error err = {0};
    struct adl_str text = {0};
    struct adl_served *served = adl_registry_acquire(registry, name, &err);
    struct adl_registry_table *table;
    const struct adl_registry_entry *entry;

    if (!served && err.kind == ADL_ERR_NOT_FOUND) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_MODEL, 0, "%s", err.message);
        return;
    }
    if (!served) {
        adl_answer_problem(exchange, ADL_PROBLEM_LOADING, 1, "%s", err.message);
        return;
    }
    table = adl_registry_table(registry);
    entry = adl_registry_find(table, served->name);
    if (entry && entry->current == served)
        describe(entry, &text);
    else
        adl_str_puts(&text, served->description);
    adl_registry_table_release(table);
    adl_str_puts(&text, "\n");
    adl_answer_packed(exchange, 200, "application/json", &text);
    adl_str_release(&text);
    adl_served_release(served);
}

/* --- PUT and DELETE: before the body ---------------------------------------------------- */

/* What a request asks for, until its body has arrived. */
struct asked {
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1 + ADL_MODEL_VERSION_DIGITS + 1];
};

/* Notes the name of a request; on failure answers it and returns false. `plain`: a name without a
 * version. */
static bool begin(struct adl_exchange *exchange, const char *name, bool plain)
{
    struct asked *asked;
    const char *at = strchr(name, '@');

    if (adl_registry_folder(exchange->server->registry) < 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_FORBIDDEN, 0,
                           "models may not be changed over HTTP; serve --models-dir DIR allows it, "
                           "with the files in DIR");
        return false;
    }
    if (plain ? !adl_registry_name_valid(name)
              : strlen(name) >= sizeof asked->name || (!at && !adl_registry_name_valid(name))) {
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "a model's name consists of 1 to %d of the characters A-Z a-z 0-9 . _ "
                           "and -",
                           ADL_LIMIT_MODEL_NAME_BYTES);
        return false;
    }
    asked = adl_calloc(1, sizeof *asked);
    if (!asked) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return false;
    }
    memcpy(asked->name, name, strlen(name));
    exchange->work = asked;
    exchange->release = adl_free;
    return true;
}

/* Returns whether a media type, with or without parameters, is that of JSON. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    return type && strcspn(type, "; \t") == sizeof json - 1 &&
           !strncasecmp(type, json, sizeof json - 1);
}

void adl_api_model_put_begin(struct adl_exchange *exchange, const char *name)
{
    const struct adl_http_request *http = exchange->http;

    if (!begin(exchange, name, true))
        return;
    if (!http->has_body)
        adl_answer_problem(exchange, ADL_PROBLEM_LENGTH_REQUIRED, 0,
                           "the request has no body: send {\"file\":\"NAME.safetensors\"}");
    else if (!is_json(adl_http_header(http, "Content-Type")))
        adl_answer_problem(exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                           "send {\"file\":\"NAME.safetensors\"} as application/json");
    else if (http->content_length > (long long)ADL_LIMIT_MODEL_REQUEST_BYTES)
        adl_answer_problem(exchange, ADL_PROBLEM_BODY_TOO_LARGE, 0,
                           "the body has %lld bytes; at most %zu are accepted",
                           http->content_length, (size_t)ADL_LIMIT_MODEL_REQUEST_BYTES);
    else
        adl_http_take_body(exchange->http, ADL_LIMIT_MODEL_REQUEST_BYTES);
}

void adl_api_model_delete_begin(struct adl_exchange *exchange, const char *name)
{
    (void)!begin(exchange, name, false);
}

/* --- PUT and DELETE: the change ------------------------------------------------------------ */

/* Returns a string of at most `most` bytes, none of them NUL; NULL if it is something else. */
static const char *text_of(const json_t *value, size_t most)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);

    return text && length > 0 && length <= most && strlen(text) == length ? text : NULL;
}

/* Reads the one member of a body. Returns NULL, after answering the request, if it is not as it
 * should be. */
static const char *read_member(struct adl_exchange *exchange, json_t *body,
                               enum adl_model_change *kind)
{
    const char *key, *text = NULL;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        bool file = !strcmp(key, "file");
        if (!file && strcmp(key, "alias_of") != 0) {
            adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                               "the member \"%s\" is not known; there are \"file\" and "
                               "\"alias_of\"",
                               ADL_SHORT(key));
            return NULL;
        }
        *kind = file ? ADL_MODEL_PUT : ADL_MODEL_ALIAS;
        text = text_of(value, ADL_LIMIT_MODEL_FILE_BYTES);
        if (file && (!text || !adl_model_file_name_valid(text))) {
            adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                               "\"file\" has to be the name of a file in --models-dir that ends in "
                               ".safetensors, with at most %d bytes: no \"..\", no hidden file, no "
                               "path from the root",
                               ADL_LIMIT_MODEL_FILE_BYTES);
            return NULL;
        }
        if (!text) {
            adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                               "\"alias_of\" has to be \"NAME\" or \"NAME@VERSION\"");
            return NULL;
        }
    }
    if (text && json_object_size(body) == 1)
        return text;
    adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                       "the body has to have either \"file\" or \"alias_of\"");
    return NULL;
}

void adl_api_model_put(struct adl_exchange *exchange)
{
    const struct adl_http_request *http = exchange->http;
    const struct asked *asked = exchange->work;
    enum adl_model_change kind = ADL_MODEL_PUT;
    json_error_t why;
    json_t *body =
        json_loadb(http->body ? http->body : "", http->body_length, JSON_REJECT_DUPLICATES, &why);

    if (!json_is_object(body)) {
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "the body is not a JSON object: %s", body ? "another value" : why.text);
    } else {
        const char *text = read_member(exchange, body, &kind);
        if (text)
            adl_model_changes_submit(exchange->server->model_changes, exchange, kind, asked->name,
                                     text);
    }
    json_decref(body);
}

void adl_api_model_delete(struct adl_exchange *exchange)
{
    const struct asked *asked = exchange->work;

    adl_model_changes_submit(exchange->server->model_changes, exchange, ADL_MODEL_DELETE,
                             asked->name, "");
}
