/* Checks that tags match, attributes are in quotes, and special characters are escaped. */

#include "support/well_formed.h"

#include <string.h>

#include "base/size.h"

/* Returns the length of the name at the beginning of `text`. */
static size_t name_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
}

/* Returns the first of `ends` in `text`, or its end; NULL if a special character before it is not
 * written as an entity. */
static const char *skip_text(const char *text, const char *ends)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    while (*text && !strchr(ends, *text)) {
        if (*text == '&') {
            size_t i = 0;
            while (i < ADL_COUNT(entities) && strncmp(text, entities[i], strlen(entities[i])))
                i++;
            if (i == ADL_COUNT(entities))
                return NULL;
        }
        if (*text == '<')
            return NULL;
        text++;
    }
    return text;
}

/* The attributes of a tag up to its '>' or '/'. */
static const char *skip_attributes(const char *text)
{
    for (;;) {
        size_t blank = strspn(text, " \n");
        text += blank;
        if (*text == '>' || *text == '/')
            return text;
        size_t length = name_length(text);
        if (!blank || !length || text[length] != '=' || text[length + 1] != '"')
            return NULL;
        text = skip_text(text + length + 2, "\"");
        if (!text || *text != '"')
            return NULL;
        text++;
    }
}

const char *well_formed_fault(const char *text)
{
    const char *open[64] = {0};
    size_t depth = 0;
    if (!strncmp(text, "<!DOCTYPE html>", 15))
        text += 15;
    while (*text) {
        if (*text != '<') {
            const char *end = skip_text(text, "<");
            if (!end)
                return text;
            text = end;
            continue;
        }
        if (!strncmp(text, "<![CDATA[", 9)) {
            const char *close = strstr(text, "]]>");
            if (!close || depth == 0)
                return text;
            text = close + 3;
            continue;
        }
        const char *tag = text + 1 + (text[1] == '/');
        size_t length = name_length(tag);
        const char *end = length ? skip_attributes(tag + length) : NULL;
        if (!end)
            return text;
        if (text[1] == '/') {
            if (!depth-- || strncmp(open[depth], tag, length) || name_length(open[depth]) != length)
                return text;
        } else if (*end != '/') {
            if (depth == ADL_COUNT(open))
                return text;
            open[depth++] = tag;
        } else {
            end++;
        }
        if (*end != '>')
            return text;
        text = end + 1;
    }
    return depth ? open[depth - 1] : NULL;
}
