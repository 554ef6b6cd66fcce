/* Reads members of JSON objects strictly: what is not understood is an error, because an option
 * that is ignored in silence spoils days of computing. */

#include "server/experiment/experiment_json.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"

/* Longer names would make paths that file systems refuse. */
#define MAX_NAME 100

int adl_strict_object(const json_t *value, const char *where, const char *const *known,
                      struct adl_error *err)
{
    const char *key;
    json_t *member;

    if (!json_is_object(value))
        return adl_fail(err, ADL_ERR_FORMAT, "%s has to be an object", where);
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        struct adl_nearest nearest = {.word = key};
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            adl_nearest_offer(&nearest, known[i++]);
        if (known[i])
            continue;
        if (nearest.best)
            return adl_fail(err, ADL_ERR_FORMAT, "%s has an unknown key %s; did you mean \"%s\"?",
                            where, adl_name_quote(key, strlen(key)).text, nearest.best);
        return adl_fail(err, ADL_ERR_FORMAT, "%s has an unknown key %s", where,
                        adl_name_quote(key, strlen(key)).text);
    }
    return 0;
}

int adl_strict_text(const json_t *object, const char *where, const char *key, const char **text,
                    struct adl_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return 0;
    if (!json_is_string(value) && !json_is_null(value))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"%s\" has to be a text", where, key);
    *text = json_string_value(value);
    return 0;
}

int adl_strict_required(const json_t *object, const char *where, const char *key, const char **text,
                        struct adl_error *err)
{
    *text = NULL;
    if (adl_strict_text(object, where, key, text, err) < 0)
        return -1;
    if (!*text || !**text)
        return adl_fail(err, ADL_ERR_FORMAT, "%s has no \"%s\"", where, key);
    return 0;
}

int adl_strict_whole(const json_t *object, const char *where, const char *key, int min, int max,
                     int *number, struct adl_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"%s\" has to be a whole number from %d to %d",
                        where, key, min, max);
    *number = (int)json_integer_value(value);
    return 0;
}

int adl_strict_list(const json_t *object, const char *where, const char *key, const json_t **list,
                    struct adl_error *err)
{
    *list = json_object_get(object, key);
    if (*list && json_array_size(*list) == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"%s\" has to be a list with an item", where,
                        key);
    return 0;
}

int adl_strict_name(const char *name, const char *where, struct adl_error *err)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789._-+");
    if (!isalnum((unsigned char)name[0]) || name[length] || length > MAX_NAME)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: the name %s cannot name a directory; a name has letters, digits, "
                        "\".\", \"_\", \"-\" and \"+\"",
                        where, adl_name_quote(name, strlen(name)).text);
    return 0;
}

/* Appends a number with the fewest digits that mean the same number. */
static void put_number(struct adl_str *text, const json_t *value)
{
    char digits[32];

    if (json_is_integer(value)) {
        adl_str_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    }
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, json_real_value(value));
        if (!(fabs(strtod(digits, NULL) - json_real_value(value)) > 0))
            break;
    }
    adl_str_puts(text, digits);
}

/* Appends a text, a number or a list of them with commas; returns false for anything else. */
static bool put_value(struct adl_str *text, const json_t *value)
{
    if (json_is_string(value))
        adl_str_puts(text, json_string_value(value));
    else if (json_is_number(value))
        put_number(text, value);
    else if (!json_is_array(value) || json_array_size(value) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        adl_str_puts(text, i ? "," : "");
        if (json_is_array(item) || !put_value(text, item))
            return false;
    }
    return true;
}

static int set_option(json_t *options, const char *key, const json_t *value, const char *where,
                      struct adl_error *err)
{
    struct adl_str text = {0};
    int result;

    /* Anything else would become another option than the checks look for, as "out=/tmp". */
    if (!*key || key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: %s cannot name an option; a name has small letters, digits and \"-\"",
                        where, adl_name_quote(key, strlen(key)).text);
    if (json_is_null(value) || json_is_false(value)) {
        json_object_del(options, key);
        return 0;
    }
    if (json_is_true(value))
        result = json_object_set_new(options, key, json_true());
    else if (!put_value(&text, value))
        result = adl_fail(err, ADL_ERR_FORMAT,
                          "%s: %s has to be a text, a number, true, false, null or a list", where,
                          adl_name_quote(key, strlen(key)).text);
    else
        result = text.failed ? -1 : json_object_set_new(options, key, json_string(text.data));
    if (result < 0 && !err->kind)
        adl_fail_nomem(err, "options");
    adl_str_release(&text);
    return result;
}

int adl_strict_options(json_t *options, const json_t *from, const char *where,
                       struct adl_error *err)
{
    const char *key;
    json_t *value;

    if (from && !json_is_object(from))
        return adl_fail(err, ADL_ERR_FORMAT, "%s has to be an object of options", where);
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        if (set_option(options, key, value, where, err) < 0)
            return -1;
    }
    return 0;
}
