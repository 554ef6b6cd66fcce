/* A parser for multipart/form-data bodies: parts between boundary lines,
 *
 *     preamble CRLF --BOUNDARY CRLF headers CRLF CRLF bytes CRLF --BOUNDARY--
 *
 * (RFC 2046, 5.1.1, and RFC 7578). The bytes of a part may be anything that does not
 * contain the boundary line. The CRLF before a boundary line belongs to the line, so a
 * part's bytes end before it; the first boundary line alone may lack it.
 *
 * The parser works on the complete body and gives the parts as spans of it. libmicrohttpd
 * has an incremental one (MHD_PostProcessor), which is not used: it delivers parts in
 * arbitrary pieces that would have to be copied together, has had memory-safety defects
 * (CVE-2023-27371), and saves no memory, because the body is bounded and kept in any
 * case. Boundary lines are found with memmem(), whose cost is linear in the body
 * for any content, so that no body makes the search quadratic.
 *
 * The parser is strict: what it does not understand is an error, never skipped, because
 * two readers of one message (a proxy and this server) should not disagree about it. */

#include "server/http/multipart.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The characters of a token (RFC 9110, 5.6.2). */
static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The characters of a boundary (RFC 2046, 5.1.1); a blank may not be the last. */
static bool is_boundary(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("'()+_,-./:=? ", c));
}

static bool span_is(struct adl_span span, const char *text)
{
    return span.length == strlen(text) && !strncasecmp(span.data, text, span.length);
}

/* --- parameters: "; name=value" or "; name="quoted"" ------------------------ */

/* Reads the parameter at *at and advances *at. Returns 1 if there is one, 0 at the end,
 * -1 if it is malformed. The value of a quoted string is the text between the quotes,
 * with backslashes left in place. */
static int next_parameter(const char **at, const char *end, struct adl_span *name,
                          struct adl_span *value)
{
    const char *p = *at;

    while (p < end && is_blank(*p))
        p++;
    if (p == end)
        return 0;
    if (*p++ != ';')
        return -1;
    while (p < end && is_blank(*p))
        p++;
    if (p == end) {
        *at = p;
        return 0; /* a trailing semicolon is accepted */
    }
    name->data = p;
    while (p < end && is_token(*p))
        p++;
    name->length = (size_t)(p - name->data);
    if (name->length == 0 || p == end || *p++ != '=')
        return -1;
    if (p < end && *p == '"') {
        value->data = ++p;
        while (p < end && *p != '"')
            p += *p == '\\' && p + 1 < end ? 2 : 1;
        if (p >= end)
            return -1;
        value->length = (size_t)(p++ - value->data);
    } else {
        value->data = p;
        while (p < end && *p != ';' && !is_blank(*p))
            p++;
        value->length = (size_t)(p - value->data);
    }
    *at = p;
    return 1;
}

int adl_multipart_boundary(const char *content_type, struct adl_span *boundary,
                           struct adl_error *err)
{
    const char *end = content_type + strlen(content_type);
    const char *at = content_type + strcspn(content_type, ";");
    struct adl_span name, value;
    int found;

    boundary->data = NULL;
    while ((found = next_parameter(&at, end, &name, &value)) > 0)
        if (span_is(name, "boundary")) {
            if (boundary->data)
                return adl_fail(err, ADL_ERR_ARG, "Content-Type has more than one boundary");
            *boundary = value;
        }
    if (found < 0)
        return adl_fail(err, ADL_ERR_ARG, "Content-Type has a parameter that cannot be read");
    if (!boundary->data)
        return adl_fail(err, ADL_ERR_ARG,
                        "Content-Type multipart/form-data has no boundary; leave the header to the "
                        "client, as with curl -F NAME=@FILE");
    if (boundary->length < 1 || boundary->length > ADL_LIMIT_BOUNDARY_BYTES ||
        boundary->data[boundary->length - 1] == ' ')
        return adl_fail(err, ADL_ERR_ARG, "the boundary has to be 1 to %d characters",
                        ADL_LIMIT_BOUNDARY_BYTES);
    for (size_t i = 0; i < boundary->length; i++)
        if (!is_boundary(boundary->data[i]))
            return adl_fail(err, ADL_ERR_ARG, "the boundary has a character that is not allowed");
    return 0;
}

/* --- headers of a part ------------------------------------------------------ */

static int read_disposition(struct adl_span value, struct adl_part *part, size_t number,
                            struct adl_error *err)
{
    const char *at = value.data, *end = value.data + value.length;
    struct adl_span kind = {at, 0}, name, text;
    int found;

    while (at < end && is_token(*at))
        at++;
    kind.length = (size_t)(at - kind.data);
    if (!span_is(kind, "form-data"))
        return adl_fail(err, ADL_ERR_ARG, "part %zu is not form-data", number);
    while ((found = next_parameter(&at, end, &name, &text)) > 0) {
        if (span_is(name, "name"))
            part->name = text;
        else if (span_is(name, "filename"))
            part->filename = text;
    }
    if (found < 0)
        return adl_fail(err, ADL_ERR_ARG, "part %zu: its Content-Disposition header cannot be read",
                        number);
    return 0;
}

static int read_header(struct adl_span line, struct adl_part *part, size_t number,
                       struct adl_error *err)
{
    const char *colon = memchr(line.data, ':', line.length);
    struct adl_span name, value;

    if (!colon || colon == line.data)
        return adl_fail(err, ADL_ERR_ARG, "part %zu: a header line has no name", number);
    name = (struct adl_span){line.data, (size_t)(colon - line.data)};
    for (size_t i = 0; i < name.length; i++)
        if (!is_token(name.data[i]))
            return adl_fail(err, ADL_ERR_ARG, "part %zu: a header's name cannot be read", number);
    value = (struct adl_span){colon + 1, line.length - name.length - 1};
    while (value.length > 0 && is_blank(*value.data)) {
        value.data++;
        value.length--;
    }
    while (value.length > 0 && is_blank(value.data[value.length - 1]))
        value.length--;
    if (span_is(name, "Content-Disposition"))
        return read_disposition(value, part, number, err);
    if (span_is(name, "Content-Type"))
        part->type = value;
    if (span_is(name, "Content-Transfer-Encoding") && !span_is(value, "binary") &&
        !span_is(value, "8bit") && !span_is(value, "7bit"))
        return adl_fail(err, ADL_ERR_ARG,
                        "part %zu: transfer encodings other than binary are not supported", number);
    return 0;
}

/* Reads the headers of a part up to the empty line; *body is what follows it. */
static int read_headers(struct adl_span text, struct adl_part *part, size_t number,
                        struct adl_span *body, struct adl_error *err)
{
    const char *at = text.data, *end = text.data + text.length;

    for (;;) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        if ((size_t)((stop ? stop : end) - text.data) > ADL_LIMIT_PART_HEADER_BYTES)
            return adl_fail(err, ADL_ERR_LIMIT, "part %zu: its headers are over %zu bytes", number,
                            ADL_LIMIT_PART_HEADER_BYTES);
        if (!stop)
            return adl_fail(err, ADL_ERR_ARG, "part %zu: its headers have no end", number);
        if (stop == at) {
            *body = (struct adl_span){at + 2, (size_t)(end - at) - 2};
            break;
        }
        if (read_header((struct adl_span){at, (size_t)(stop - at)}, part, number, err) < 0)
            return -1;
        at = stop + 2;
    }
    if (!part->name.data)
        return adl_fail(err, ADL_ERR_ARG, "part %zu has no name", number);
    return 0;
}

/* --- the body --------------------------------------------------------------- */

/* Whether the text at `at`, right after "--BOUNDARY", completes a boundary line: "--" for
 * the last one, blanks, then CRLF or the end of the body. *after is what follows. */
static bool ends_boundary_line(const char *at, const char *end, const char **after, bool *last)
{
    *last = end - at >= 2 && !memcmp(at, "--", 2);
    if (*last)
        at += 2;
    while (at < end && is_blank(*at))
        at++;
    *after = end - at >= 2 && !memcmp(at, "\r\n", 2) ? at + 2 : at;
    return *after != at || (*last && at == end);
}

/* Finds the next boundary line from `at` on. Returns the position of the CRLF that
 * precedes it, NULL when there is none; *after is what follows the line. */
static const char *find_boundary(const char *at, const char *end, struct adl_span boundary,
                                 const char **after, bool *last)
{
    char line[4 + ADL_LIMIT_BOUNDARY_BYTES] = {'\r', '\n', '-', '-'};

    memcpy(line + 4, boundary.data, boundary.length);
    while ((at = memmem(at, (size_t)(end - at), line, 4 + boundary.length))) {
        if (ends_boundary_line(at + 4 + boundary.length, end, after, last))
            return at;
        at += 2;
    }
    return NULL;
}

int adl_multipart_parse(const char *body, size_t length, struct adl_span boundary,
                        struct adl_multipart *out, struct adl_error *err)
{
    const char *end = body + length, *at, *stop;
    bool last;

    out->count = 0;
    /* Only the first line may lack the CRLF before it. */
    bool first = length >= 2 + boundary.length && !memcmp(body, "--", 2) &&
                 !memcmp(body + 2, boundary.data, boundary.length) &&
                 ends_boundary_line(body + 2 + boundary.length, end, &at, &last);
    if (!first && (length == 0 || !find_boundary(body, end, boundary, &at, &last)))
        return adl_fail(err, ADL_ERR_ARG, "the body has no boundary line \"--%.*s\"",
                        (int)boundary.length, boundary.data);
    while (!last) {
        struct adl_part *part = &out->parts[out->count];
        const char *next;
        struct adl_span text;

        if (out->count == ADL_LIMIT_MULTIPART_PARTS)
            return adl_fail(err, ADL_ERR_LIMIT, "the body has more than %d parts",
                            ADL_LIMIT_MULTIPART_PARTS);
        /* The search starts at the CRLF that ends the previous line: in a part without
         * headers and bytes, the same CRLF also precedes the next boundary line. */
        stop = find_boundary(at - 2, end, boundary, &next, &last);
        if (!stop)
            return adl_fail(err, ADL_ERR_ARG,
                            "part %zu is not ended by a boundary line; the body is truncated",
                            out->count + 1);
        memset(part, 0, sizeof *part);
        text = (struct adl_span){at, stop < at ? 0 : (size_t)(stop - at)};
        if (read_headers(text, part, out->count + 1, &part->body, err) < 0)
            return -1;
        out->count++;
        at = next;
    }
    return 0;
}
