/* Errors: the function that fails sets one, and its callers put context before the message. */

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Ends a message that did not fit with "...", which does not split a character of UTF-8. */
static void mark_cut(char *message)
{
    size_t end = sizeof((struct adl_error *)0)->message - sizeof "...";

    while (end > 0 && ((unsigned char)message[end] & 0xc0) == 0x80)
        end--;
    memcpy(message + end, "...", sizeof "...");
}

int adl_fail_with(struct adl_error *err, enum adl_error_kind kind, const char *fmt, va_list args)
{
    if (err->kind != ADL_ERR_NONE)
        return -1;
    err->kind = kind;
    if (vsnprintf(err->message, sizeof err->message, fmt, args) >= (int)sizeof err->message)
        mark_cut(err->message);
    return -1;
}

int(adl_fail)(struct adl_error *err, enum adl_error_kind kind, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    adl_fail_with(err, kind, fmt, args);
    va_end(args);
    return -1;
}

int adl_error_context(struct adl_error *err, const char *fmt, ...)
{
    char context[sizeof err->message];
    char whole[sizeof err->message];

    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    /* The context comes first, so a message that no longer fits loses its end. */
    int length = snprintf(whole, sizeof whole, "%s: %s", context, err->message);
    if (length >= (int)sizeof whole)
        mark_cut(whole);
    if (length > 0)
        memcpy(err->message, whole, sizeof whole);
    return -1;
}

void adl_error_clear(struct adl_error *err)
{
    err->kind = ADL_ERR_NONE;
    err->message[0] = '\0';
}
