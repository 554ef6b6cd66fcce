/* The text buffer. Its capacity grows by half, so that appending n bytes one by one copies
 * O(n) of them. A failure is sticky: appends after it do nothing. */

#include "base/str.h"

#include <nettle/base64.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

/* Makes room for `more` bytes and a NUL. If it cannot, sets `failed` and returns false. */
static bool reserve(struct adl_str *str, size_t more)
{
    size_t needed;
    if (str->failed)
        return false;
    if (adl_size_add(str->length, more, &needed) < 0 || adl_size_add(needed, 1, &needed) < 0) {
        str->failed = true;
        return false;
    }
    if (needed <= str->capacity)
        return true;
    size_t capacity = ADL_MAX(needed, ADL_MAX(str->capacity + str->capacity / 2, 128));
    char *data = adl_realloc(str->data, capacity, 1);
    if (!data) {
        str->failed = true;
        return false;
    }
    str->data = data;
    str->capacity = capacity;
    return true;
}

void adl_str_release(struct adl_str *str)
{
    adl_free(str->data);
    *str = (struct adl_str){0};
}

void adl_str_append(struct adl_str *str, const char *bytes, size_t length)
{
    if (!reserve(str, length))
        return;
    memcpy(str->data + str->length, bytes, length);
    str->length += length;
    str->data[str->length] = '\0';
}

void adl_str_puts(struct adl_str *str, const char *text)
{
    adl_str_append(str, text, strlen(text));
}

void adl_str_base64(struct adl_str *str, const void *bytes, size_t length)
{
    /* As BASE64_ENCODE_RAW_LENGTH, but checked for overflow. */
    size_t encoded;
    if (adl_size_mul(length / 3 + (length % 3 != 0), 4, &encoded) < 0)
        encoded = SIZE_MAX; /* which reserve refuses */
    if (!reserve(str, encoded))
        return;
    base64_encode_raw(str->data + str->length, length, bytes);
    str->length += encoded;
    str->data[str->length] = '\0';
}

void adl_str_printf(struct adl_str *str, const char *fmt, ...)
{
    va_list args, copy;
    va_start(args, fmt);
    va_copy(copy, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        str->failed = true;
    else if (reserve(str, (size_t)length)) {
        vsnprintf(str->data + str->length, (size_t)length + 1, fmt, copy);
        str->length += (size_t)length;
    }
    va_end(copy);
}

char *adl_str_take(struct adl_str *str, size_t *length, struct adl_error *err)
{
    adl_str_append(str, "", 0);
    if (str->failed) {
        adl_str_release(str);
        adl_fail_nomem(err, "text");
        return NULL;
    }
    char *data = str->data;
    if (length)
        *length = str->length;
    *str = (struct adl_str){0};
    return data;
}

bool adl_text_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

const char *adl_text_line(const char *text, const char *start)
{
    size_t length = strlen(start);

    for (; text; text = strchr(text, '\n'), text = text ? text + 1 : NULL)
        if (!strncmp(text, start, length))
            return text;
    return NULL;
}
