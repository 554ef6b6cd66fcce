/* Converts text to values. The notation of each type has to cover the whole text, since
 * strtol() and strtod() alone would ignore what follows a number ("4x") and accept an empty
 * text as 0. The messages repeat the offending text, cut to 60 characters, and say what is
 * accepted; for an unknown choice they suggest the nearest name. */

#include "server/options/option_value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/str.h"

int option_fail(struct option_values *v, const char *where, const char *fmt, ...)
{
    char text[sizeof v->err->message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return adl_fail(v->err, ADL_ERR_ARG, "%s: %s", where, text);
}

static bool is_bounded(const struct adl_option *option)
{
    return option->min < option->max;
}

static int check_range(struct option_values *v, const struct adl_option *option, const char *where,
                       const char *text, double value)
{
    if (!is_bounded(option) || (value >= option->min && value <= option->max))
        return 0;
    return option_fail(v, where, "%s is outside %.15g to %.15g", ADL_SHORT(text), option->min,
                       option->max);
}

static int parse_size(const char *text, size_t *value)
{
    char *end;
    size_t unit = 1;

    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number > SIZE_MAX)
        return -1;
    switch (*end) {
    case 'K':
    case 'k': unit = ADL_KIB; break;
    case 'M':
    case 'm': unit = ADL_MIB; break;
    case 'G':
    case 'g': unit = 1024 * ADL_MIB; break;
    default: break;
    }
    if (unit > 1)
        end++;
    if (unit > 1 && !strcmp(end, "iB"))
        end += 2;
    return *end ? -1 : adl_size_mul((size_t)number, unit, value);
}

static int parse_flag(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ADL_COUNT(words); i++)
        if (!strcmp(text, words[i])) {
            *value = i & 1;
            return 0;
        }
    return -1;
}

static int parse_choice(struct option_values *v, const struct adl_option *option, const char *where,
                        const char *text, int *value)
{
    struct adl_str names = {0};
    struct adl_nearest nearest = {.word = text};
    const char *name;

    for (int i = 0; (name = adl_option_choice(option, i)); i++) {
        if (!strcmp(name, text)) {
            *value = i;
            adl_str_release(&names);
            return 0;
        }
        adl_nearest_offer(&nearest, name);
        adl_str_printf(&names, "%s%s", i ? ", " : "", name);
    }
    if (nearest.best)
        option_fail(v, where, "unknown value \"%s\"; did you mean %s?", ADL_SHORT(text),
                    nearest.best);
    else
        option_fail(v, where, "unknown value \"%s\"; it is one of %s", ADL_SHORT(text),
                    names.data ? names.data : "");
    adl_str_release(&names);
    return -1;
}

/* Sets *value to the bits of the names between the commas of `text`. */
static int parse_choices(struct option_values *v, const struct adl_option *option,
                         const char *where, const char *text, int *value)
{
    int bits = 0;

    for (const char *name = text;; name++) {
        size_t length = strcspn(name, ",");
        char word[80];
        int index;
        snprintf(word, sizeof word, "%.*s", (int)ADL_MIN(length, sizeof word - 1), name);
        if (parse_choice(v, option, where, word, &index) < 0)
            return -1;
        bits |= 1 << index;
        name += length;
        if (!*name)
            break;
    }
    *value = bits;
    return 0;
}

/* Appends to a list in the arena. The array doubles whenever the count is a power of two,
 * so no capacity has to be stored; the old array stays in the arena until its release. */
static int append_to_list(struct option_values *v, struct adl_option_list *list, const char *text)
{
    const char **items = (const char **)(uintptr_t)list->items;
    size_t count = list->count;

    if ((count & (count - 1)) == 0) {
        items = adl_arena_alloc(v->arena, count ? 2 * count : 1, sizeof *items);
        if (!items)
            return adl_fail_nomem(v->err, "options");
        for (size_t i = 0; i < count; i++)
            items[i] = list->items[i];
    }
    items[count] = text;
    *list = (struct adl_option_list){items, count + 1};
    return 0;
}

int option_set(struct option_values *v, size_t row, enum adl_option_source source,
               const char *where, const char *text)
{
    const struct adl_option *option = &v->table[row];
    void *field = v->settings + option->offset;
    char *end;

    errno = 0;
    switch (option->type) {
    case ADL_OPTION_FLAG:
        if (parse_flag(text, field) < 0)
            return option_fail(v, where, "\"%s\" is neither true nor false", ADL_SHORT(text));
        break;
    case ADL_OPTION_INT: {
        long value = strtol(text, &end, 10);
        if (end == text || *end)
            return option_fail(v, where, "\"%s\" is not an integer", ADL_SHORT(text));
        if (errno || value < INT32_MIN || value > INT32_MAX)
            return option_fail(v, where, "%s is too large", ADL_SHORT(text));
        ADL_TRY(check_range(v, option, where, text, (double)value));
        *(int *)field = (int)value;
        break;
    }
    case ADL_OPTION_DOUBLE: {
        /* A script that prints an unset number writes "none" or, in Python, "None". */
        if (option->value && strcasecmp(text, "none") == 0)
            text = option->value;
        double value = strtod(text, &end);
        if (end == text || *end || !isfinite(value))
            return option_fail(v, where, "\"%s\" is not a number", ADL_SHORT(text));
        ADL_TRY(check_range(v, option, where, text, value));
        *(double *)field = value;
        break;
    }
    case ADL_OPTION_SIZE: {
        size_t value;
        if (parse_size(text, &value) < 0)
            return option_fail(
                v, where,
                "\"%s\" is not a size; write a number of bytes, or a number with K, M or G",
                ADL_SHORT(text));
        ADL_TRY(check_range(v, option, where, text, (double)value));
        *(size_t *)field = value;
        break;
    }
    case ADL_OPTION_STRING:
        if (!*text && !option->bare)
            return option_fail(v, where, "is empty; it takes a %s", option->metavar);
        *(const char **)field = text;
        break;
    case ADL_OPTION_CHOICE: ADL_TRY(parse_choice(v, option, where, text, field)); break;
    case ADL_OPTION_CHOICES: ADL_TRY(parse_choices(v, option, where, text, field)); break;
    case ADL_OPTION_LIST: {
        struct adl_option_list *list = field;
        if (v->sources[row] != source)
            list->count = 0;
        ADL_TRY(append_to_list(v, list, text));
        break;
    }
    }
    v->sources[row] = source;
    return 0;
out:
    return -1;
}
