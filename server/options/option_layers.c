/* The layers below the command line: defaults, the configuration file, the
 * environment. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/file.h"
#include "server/options/option_parts.h"

int option_find(const struct option_parser *p, const char *name, size_t *row)
{
    for (*row = 0; *row < p->rows; ++*row)
        if (!strcmp(p->table[*row].name, name))
            return 0;
    return -1;
}

int option_apply_defaults(struct option_parser *p)
{
    for (size_t i = 0; i < p->rows; i++) {
        const struct adl_option *option = &p->table[i];
        if (option->type == ADL_OPTION_CHOICE)
            *(int *)(void *)(p->settings + option->offset) = -1;
        if (option->value && option_set(p, i, ADL_SOURCE_DEFAULT, option->name, option->value) < 0)
            return -1;
    }
    return 0;
}

/* A value of the configuration file as the text one would type. */
static int set_from_json(struct option_parser *p, size_t row, const char *where,
                         const json_t *value)
{
    struct adl_arena *arena = &p->options->arena;
    const char *text = NULL;

    if (json_is_array(value) && p->table[row].type == ADL_OPTION_LIST) {
        struct adl_option_list *list = (void *)(p->settings + p->table[row].offset);
        list->count = 0;
        p->sources[row] = ADL_SOURCE_CONFIG;
        for (size_t i = 0; i < json_array_size(value); i++)
            if (json_is_array(json_array_get(value, i)) ||
                set_from_json(p, row, where, json_array_get(value, i)) < 0)
                return option_fail(p, where, "takes texts only");
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
        return option_fail(p, where, "has to be a text, a number, true or false");
    if (!text)
        return adl_fail_nomem(p->err, "options");
    return option_set(p, row, ADL_SOURCE_CONFIG, where, text);
}

int option_apply_config(struct option_parser *p, const char *path)
{
    json_t *root = NULL;
    json_error_t bad;
    const char *key;
    json_t *value;
    size_t length;
    int result = -1;

    char *bytes = adl_file_read(path, ADL_LIMIT_CONFIG_BYTES, &length, p->err);
    if (!bytes)
        return -1;
    root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &bad);
    if (!root) {
        adl_fail(p->err, ADL_ERR_ARG, "%s: line %d: %s", path, bad.line, bad.text);
        goto out;
    }
    if (!json_is_object(root)) {
        adl_fail(p->err, ADL_ERR_ARG, "%s: a configuration is one JSON object", path);
        goto out;
    }
    json_object_foreach(root, key, value)
    {
        char where[300];
        size_t row;
        snprintf(where, sizeof where, "%.200s: %.60s", path, key);
        if (option_find(p, key, &row) < 0) {
            struct adl_nearest nearest = {.word = key};
            for (size_t i = 0; i < p->rows; i++)
                if (!p->table[i].command_line_only)
                    adl_nearest_offer(&nearest, p->table[i].name);
            option_fail(p, where, "unknown option%s%s%s", nearest.best ? "; did you mean " : "",
                        nearest.best ? nearest.best : "", nearest.best ? "?" : "");
            goto out;
        }
        if (p->table[row].command_line_only || !strcmp(key, "config")) {
            option_fail(p, where, "belongs on the command line");
            goto out;
        }
        ADL_TRY(set_from_json(p, row, where, value));
    }
    p->options->config_path = path;
    result = 0;
out:
    json_decref(root);
    adl_free(bytes);
    return result;
}

/* Variables of the same prefix that are no options are left alone: Kubernetes
 * sets ADL_SERVER_PORT and more for a service called adl-server. */
int option_apply_environment(struct option_parser *p)
{
    for (size_t i = 0; i < p->rows; i++) {
        char name[80];
        const char *text;
        if (p->table[i].command_line_only)
            continue;
        text = getenv(adl_option_environment(&p->table[i], name, sizeof name));
        if (!text)
            continue;
        if (p->table[i].type != ADL_OPTION_LIST) {
            if (option_set(p, i, ADL_SOURCE_ENVIRONMENT, name, text) < 0)
                return -1;
            continue;
        }
        while (*text) {
            size_t length = strcspn(text, ",");
            const char *item =
                adl_arena_printf(&p->options->arena, "%.*s", (int)ADL_MIN(length, 65536), text);
            if (!item)
                return adl_fail_nomem(p->err, "options");
            if (option_set(p, i, ADL_SOURCE_ENVIRONMENT, name, item) < 0)
                return -1;
            text += length + (text[length] == ',');
        }
    }
    return 0;
}
