/* Checks the head of a request: its request line and headers.
 *
 * libmicrohttpd 0.9.75 parses leniently and reports only its interpretation: a name with a
 * blank at its end, a value that a NUL has cut, the first of two Content-Length headers. The
 * bytes that arrived can still be checked, because the library leaves the lines in one buffer
 * and replaces each line end by as many NULs. So the check goes from the request line to the
 * empty line and compares addresses: a line that does not begin one line end after the previous
 * value was cut, continued or copied. Only addresses are compared; nothing outside the
 * library's strings is read. With a version of the library that lays the lines out differently,
 * every request would be refused, and the tests of the server would fail. */

#include "server/http/framing.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What framing_check_header() has seen of a request. */
struct headers {
    const char *end;   /* end of the previous line's value */
    size_t terminator; /* length of a line's end: 1 (LF) or 2 (CRLF); 0: not known yet */
    bool malformed;
    bool bad_host, bad_length, long_length, unknown_coding;
    size_t hosts, lengths, codings;
};

/* Returns whether `text` is a token (RFC 9110, 5.6.2). */
static bool framing_is_token(const char *text, size_t length)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !(text[i] && strchr(others, text[i])))
            return false;
    return length > 0;
}

/* Returns whether `text` contains no control character except a TAB (RFC 9110, 5.5). */
static bool framing_is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127)
            return false;
    return true;
}

/* Checks one header; the library calls this for each, in their order. The name has to begin
 * one line end after the previous value. If it does not, a NUL has cut the value or a line, or
 * a line was continued on the next one and copied elsewhere. */
static enum MHD_Result framing_check_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                            size_t name_length, const char *value,
                                            size_t value_length)
{
    static const char host[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "-._~%!$&'()*+,;=:[]";
    struct headers *headers = cls;
    size_t gap = (size_t)((uintptr_t)name - (uintptr_t)headers->end);

    (void)kind;
    if (headers->terminator == 0 && (gap == 1 || gap == 2))
        headers->terminator = gap;
    headers->malformed |= gap != headers->terminator || !framing_is_token(name, name_length) ||
                          !value || !framing_is_plain(value, value_length);
    if (headers->malformed)
        return MHD_NO;
    headers->end = value + value_length;
    if (!strcasecmp(name, "Host")) {
        headers->hosts++;
        headers->bad_host |=
            strspn(value, host) + strspn(value + strspn(value, host), " \t") != value_length;
    } else if (!strcasecmp(name, "Content-Length")) {
        headers->lengths++;
        headers->bad_length |= value_length == 0 || strspn(value, "0123456789") != value_length;
        errno = 0;
        headers->long_length |= strtoull(value, NULL, 10) == ULLONG_MAX && errno == ERANGE;
    } else if (!strcasecmp(name, "Transfer-Encoding")) {
        headers->codings++;
        headers->unknown_coding |= strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

struct adl_http_target adl_http_target_read(const char *text)
{
    struct adl_http_target target = {.text = text, .malformed = !text};

    if (text)
        target.end = text + strlen(text);
    for (const char *c = text; c && *c; c++)
        target.malformed |= (unsigned char)*c <= ' ' || *c == 127;
    return target;
}

enum adl_http_framing adl_http_framing_of(struct MHD_Connection *connection,
                                          const struct adl_http_target *target, const char *method,
                                          const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct headers headers = {.end = version + strlen(version)};
    bool http_1_0 = !strcmp(version, "HTTP/1.0");
    size_t gap;

    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, framing_check_header, &headers);
    /* After the last header come its own line end and that of the empty line. */
    gap = info && *method ? (size_t)((uintptr_t)method + info->header_size - (uintptr_t)headers.end)
                          : 2 * headers.terminator;
    if (headers.malformed || target->malformed || version != target->end + 1 ||
        (headers.terminator ? gap != 2 * headers.terminator : gap != 2 && gap != 4) ||
        (*method && (!framing_is_token(method, strlen(method)) ||
                     target->text != method + strlen(method) + 1)))
        return ADL_HTTP_FRAMING_SYNTAX;
    if (headers.codings > 0 && (headers.lengths > 0 || headers.codings > 1 || http_1_0))
        return headers.unknown_coding && headers.lengths == 0 && !http_1_0
                   ? ADL_HTTP_FRAMING_UNKNOWN
                   : ADL_HTTP_FRAMING_AMBIGUOUS;
    if (headers.unknown_coding)
        return ADL_HTTP_FRAMING_UNKNOWN;
    if (headers.lengths > 1)
        return ADL_HTTP_FRAMING_LENGTHS;
    if (headers.bad_length)
        return ADL_HTTP_FRAMING_LENGTH;
    if (headers.long_length)
        return ADL_HTTP_FRAMING_TOO_LONG;
    if (headers.hosts > 1 || headers.bad_host || (headers.hosts == 0 && !http_1_0))
        return ADL_HTTP_FRAMING_HOST;
    return ADL_HTTP_FRAMING_CLEAR;
}
