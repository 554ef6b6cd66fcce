/* Applies defaults, configuration file and environment.
 *
 * All of them are reduced to the text that a user would type and go through option_set(), so
 * that there is one conversion and one check of bounds. A JSON number is printed with 17
 * significant digits for this, which restores exactly the same double. The source of each
 * value is recorded with it; a list that comes from a stronger source replaces the weaker
 * one's as a whole, because option_set() clears it when the source changes. */

#include "server/options/option_layers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/file.h"
#include "server/options/service_hint.h"

int option_apply_defaults(struct option_values *v)
{
    for (size_t i = 0; i < v->rows; i++) {
        const struct adl_option *option = &v->table[i];
        if (adl_option_has_choices(option))
            *(int *)(void *)(v->settings + option->offset) = -1;
        if (option->value && option_set(v, i, ADL_SOURCE_DEFAULT, option->name, option->value) < 0)
            return -1;
    }
    return 0;
}

/* Sets a row from a JSON value, by way of the text that would be typed on a command line. */
static int set_from_json(struct option_values *v, size_t row, const char *where,
                         const json_t *value)
{
    struct adl_arena *arena = v->arena;
    const char *text = NULL;

    if (json_is_array(value) && v->table[row].type == ADL_OPTION_LIST) {
        struct adl_option_list *list = (void *)(v->settings + v->table[row].offset);
        /* Cleared here, because an empty array replaces the default as well. */
        list->count = 0;
        v->sources[row] = ADL_SOURCE_CONFIG;
        for (size_t i = 0; i < json_array_size(value); i++)
            if (json_is_array(json_array_get(value, i)) ||
                set_from_json(v, row, where, json_array_get(value, i)) < 0)
                return option_fail(v, where, "takes strings only");
        return 0;
    }
    if (json_is_string(value))
        text = adl_arena_printf(arena, "%s", json_string_value(value));
    else if (json_is_integer(value))
        text = adl_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        text = adl_arena_printf(arena, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        text = adl_arena_printf(arena, "%s", json_is_true(value) ? "true" : "false");
    else
        return option_fail(v, where, "has to be a string, a number, true or false");
    if (!text)
        return adl_fail_nomem(v->err, "options");
    return option_set(v, row, ADL_SOURCE_CONFIG, where, text);
}

int option_apply_config(struct option_values *v, const char *path)
{
    json_t *root = NULL;
    json_error_t bad;
    const char *key;
    json_t *value;
    size_t length;
    int result = -1;

    char *bytes = adl_file_read(path, ADL_LIMIT_CONFIG_BYTES, &length, v->err);
    if (!bytes) {
        adl_service_explain(path, v->err);
        return -1;
    }
    root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &bad);
    if (!root) {
        adl_fail(v->err, ADL_ERR_ARG, "%s: line %d: %s", path, bad.line, bad.text);
        goto out;
    }
    if (!json_is_object(root)) {
        adl_fail(v->err, ADL_ERR_ARG, "%s: a configuration file is one JSON object", path);
        goto out;
    }
    json_object_foreach(root, key, value)
    {
        char where[300];
        size_t row = adl_option_find(v->table, key);
        snprintf(where, sizeof where, "%.200s: %.60s", path, key);
        if (row == v->rows) {
            struct adl_nearest nearest = {.word = key};
            for (size_t i = 0; i < v->rows; i++)
                if (!v->table[i].command_line_only)
                    adl_nearest_offer(&nearest, v->table[i].name);
            option_fail(v, where, "unknown option%s%s%s", nearest.best ? "; did you mean " : "",
                        nearest.best ? nearest.best : "", nearest.best ? "?" : "");
            goto out;
        }
        if (v->table[row].command_line_only || !strcmp(key, "config")) {
            option_fail(v, where, "is accepted on the command line only");
            goto out;
        }
        ADL_TRY(set_from_json(v, row, where, value));
    }
    result = 0;
out:
    json_decref(root);
    adl_free(bytes);
    return result;
}

int option_apply_environment(struct option_values *v)
{
    for (size_t i = 0; i < v->rows; i++) {
        char name[80];
        const char *text;
        if (v->table[i].command_line_only)
            continue;
        text = getenv(adl_option_environment(&v->table[i], name, sizeof name));
        if (!text || !*text)
            continue;
        if (v->table[i].type != ADL_OPTION_LIST) {
            if (option_set(v, i, ADL_SOURCE_ENVIRONMENT, name, text) < 0)
                return -1;
            continue;
        }
        while (*text) {
            size_t length = strcspn(text, ",");
            const char *item =
                adl_arena_printf(v->arena, "%.*s", (int)ADL_MIN(length, 65536), text);
            if (!item)
                return adl_fail_nomem(v->err, "options");
            if (option_set(v, i, ADL_SOURCE_ENVIRONMENT, name, item) < 0)
                return -1;
            text += length + (text[length] == ',');
        }
    }
    return 0;
}
