/* Formats and compares settings; see train_config.h. */

#include "server/training/train_config.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "train/schedule.h"

/* The text of a struct adl_train_config_text, to which words are appended. */
struct words {
    char *text;
    size_t length;
};

static void append(struct words *words, const char *word)
{
    size_t room = sizeof((struct adl_train_config_text *)0)->text - words->length;
    int written = snprintf(words->text + words->length, room, "%s", word);
    words->length += written < 0 ? 0 : (size_t)written < room ? (size_t)written : room - 1;
}

static void append_value(struct words *words, const char *key, const json_t *value)
{
    char number[40];

    if (!value || json_is_null(value)) {
        append(words, "unset");
    } else if (!strcmp(key, "schedule") && json_is_integer(value) &&
               json_integer_value(value) >= 0 && json_integer_value(value) <= ADL_SCHEDULE_COSINE) {
        append(words, adl_schedule_names[json_integer_value(value)]);
    } else if (json_is_string(value)) {
        append(words, json_string_value(value));
    } else if (json_is_boolean(value)) {
        append(words, json_is_true(value) ? "yes" : "no");
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        append(words, number);
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.10g", json_real_value(value));
        append(words, number);
    } else {
        append(words, json_is_object(value) ? "set" : "a list");
    }
}

struct adl_train_config_text adl_train_config_text(const char *key, const json_t *value)
{
    struct adl_train_config_text result;
    struct words words = {result.text, 0};
    size_t i;
    json_t *item;

    result.text[0] = '\0';
    if (!json_is_array(value))
        append_value(&words, key, value);
    json_array_foreach(value, i, item)
    {
        if (i > 0)
            append(&words, ",");
        append_value(&words, key, item);
    }
    /* A text that fills the buffer is cut after an item of a list, or else between two
     * characters of UTF-8. */
    if (words.length + 1 == sizeof result.text) {
        size_t end = words.length - 3;
        char *comma = json_is_array(value) ? memrchr(result.text, ',', end) : NULL;
        while (!comma && end > 0 && ((unsigned char)result.text[end] & 0xc0) == 0x80)
            end--;
        memcpy(comma ? comma + 1 : result.text + end, "...", sizeof "...");
    }
    return result;
}

/* Compares one setting; `prefix` is the name of the object that it is in, or "". */
static int compare(const char *prefix, const char *key, const json_t *saved, const json_t *current,
                   const char *path, struct adl_error *err)
{
    char name[80];
    const char *inner;
    json_t *value;

    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? " " : "", key);
    if (json_is_object(saved) && json_is_object(current)) {
        json_object_foreach((json_t *)(uintptr_t)current, inner, value)
        {
            if (compare(name, inner, json_object_get(saved, inner), value, path, err) < 0)
                return -1;
        }
        json_object_foreach((json_t *)(uintptr_t)saved, inner, value)
        {
            if (!json_object_get(current, inner) &&
                compare(name, inner, value, NULL, path, err) < 0)
                return -1;
        }
        return 0;
    }
    if (json_equal(saved, current))
        return 0;
    return adl_fail(err, ADL_ERR_ARG, "%s: the run was started with %s %s, not %s", path, name,
                    adl_train_config_text(key, saved).text,
                    adl_train_config_text(key, current).text);
}

int adl_train_config_compare(const json_t *saved, const json_t *current, const char *path,
                             struct adl_error *err)
{
    return compare("", "", saved, current, path, err);
}
