/* Converts JSON values to text, and text to JSON strings. json_dumps returns a block of
 * jansson's allocator, which only jansson's free function may free; json_dumpb writes into a
 * block of ours. */

#include "io/json_text.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

char *adl_json_to_text(const json_t *json, size_t flags, size_t *length, struct adl_error *err)
{
    size_t size = json ? json_dumpb(json, NULL, 0, flags) : 0;
    char *text = size ? adl_malloc(size + 1, 1) : NULL;
    if (!text || json_dumpb(json, text, size, flags) != size) {
        adl_fail_nomem(err, "JSON");
        adl_free(text);
        return NULL;
    }
    text[size] = '\0';
    if (length)
        *length = size;
    return text;
}

json_t *adl_json_from_text(const char *text)
{
    if (adl_utf8_valid(text))
        return json_string(text);
    char *ascii = adl_strdup(text);
    if (!ascii)
        return NULL;
    for (char *c = ascii; *c; c++)
        if (*c & 0x80)
            *c = '?';
    json_t *json = json_string(ascii);
    adl_free(ascii);
    return json;
}

json_t *adl_json_next_line(const char **text)
{
    size_t length = strcspn(*text, "\n");
    json_t *line = json_loadb(*text, length, 0, NULL);

    *text += length + ((*text)[length] == '\n');
    return line;
}
