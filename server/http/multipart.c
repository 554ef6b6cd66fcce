/* Parses multipart/form-data bodies: parts between boundary lines,
 *
 *     preamble CRLF --BOUNDARY CRLF headers CRLF CRLF bytes CRLF --BOUNDARY--
 *
 * (RFC 2046, 5.1.1, and RFC 7578). The bytes of a part may be anything that does not
 * contain the boundary line. The CRLF before a boundary line belongs to the line, so a
 * part's bytes end before it; only the first boundary line may lack it.
 *
 * The parser works on the complete body and returns the parts as spans of it. libmicrohttpd
 * has an incremental parser (MHD_PostProcessor), which is not used: it delivers parts in
 * arbitrary pieces that would have to be copied together, has had memory-safety defects
 * (CVE-2023-27371), and saves no memory, because the body is bounded and kept in any case.
 * Boundary lines are found with memmem(), whose cost is linear in the body for any content,
 * so that no body makes the search quadratic.
 *
 * The parser is strict: a line that it does not understand is an error and never skipped,
 * because a proxy and this server should not disagree about the content of a message. */

#include "server/http/multipart.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Returns whether a character may be in a token (RFC 9110, 5.6.2). */
static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Returns whether a character may be in a boundary (RFC 2046, 5.1.1); a blank may not be its
 * last one. */
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

/* Reads the parameter at *next and advances *next. Returns 1 if there is one, 0 at the end,
 * -1 if it is malformed. The value of a quoted string is the text between the quotes,
 * with backslashes left in place. */
static int next_parameter(const char **next, const char *end, struct adl_span *name,
                          struct adl_span *value)
{
    const char *p = *next;

    while (p < end && is_blank(*p))
        p++;
    if (p == end)
        return 0;
    if (*p++ != ';')
        return -1;
    while (p < end && is_blank(*p))
        p++;
    if (p == end) {
        *next = p;
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
    *next = p;
    return 1;
}

int adl_multipart_boundary(const char *content_type, struct adl_span *boundary,
                           struct adl_error *err)
{
    const char *end = content_type + strlen(content_type);
    const char *next = content_type + strcspn(content_type, ";");
    struct adl_span name, value;
    int found;

    boundary->data = NULL;
    while ((found = next_parameter(&next, end, &name, &value)) > 0)
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
    const char *next = value.data, *end = value.data + value.length;
    struct adl_span kind = {next, 0}, name, text;
    int found;

    while (next < end && is_token(*next))
        next++;
    kind.length = (size_t)(next - kind.data);
    if (!span_is(kind, "form-data"))
        return adl_fail(err, ADL_ERR_ARG, "part %zu is not form-data", number);
    while ((found = next_parameter(&next, end, &name, &text)) > 0) {
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

/* Reads the headers of a part up to the empty line. Sets *body to the bytes after that line. */
static int read_headers(struct adl_span text, struct adl_part *part, size_t number,
                        struct adl_span *body, struct adl_error *err)
{
    const char *line = text.data, *end = text.data + text.length;

    for (;;) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        if ((size_t)((stop ? stop : end) - text.data) > ADL_LIMIT_PART_HEADER_BYTES)
            return adl_fail(err, ADL_ERR_LIMIT, "part %zu: its headers are over %zu bytes", number,
                            ADL_LIMIT_PART_HEADER_BYTES);
        if (!stop)
            return adl_fail(err, ADL_ERR_ARG, "part %zu: its headers have no end", number);
        if (stop == line) {
            *body = (struct adl_span){line + 2, (size_t)(end - line) - 2};
            break;
        }
        if (read_header((struct adl_span){line, (size_t)(stop - line)}, part, number, err) < 0)
            return -1;
        line = stop + 2;
    }
    if (!part->name.data)
        return adl_fail(err, ADL_ERR_ARG, "part %zu has no name", number);
    return 0;
}

/* --- the body --------------------------------------------------------------- */

/* Returns whether `text`, which follows "--BOUNDARY", completes a boundary line: "--" for the
 * last one, blanks, then CRLF, or the end of the body after the last one. Sets *after to the
 * text after the line. */
static bool ends_boundary_line(const char *text, const char *end, const char **after, bool *last)
{
    *last = end - text >= 2 && !memcmp(text, "--", 2);
    if (*last)
        text += 2;
    while (text < end && is_blank(*text))
        text++;
    *after = end - text >= 2 && !memcmp(text, "\r\n", 2) ? text + 2 : text;
    return *after != text || (*last && text == end);
}

/* Finds the next boundary line from `from` on. Returns the position of the CRLF that precedes
 * it, NULL if there is none. Sets *after to the text after the line. */
static const char *find_boundary(const char *from, const char *end, struct adl_span boundary,
                                 const char **after, bool *last)
{
    char line[4 + ADL_LIMIT_BOUNDARY_BYTES] = {'\r', '\n', '-', '-'};

    memcpy(line + 4, boundary.data, boundary.length);
    while ((from = memmem(from, (size_t)(end - from), line, 4 + boundary.length))) {
        if (ends_boundary_line(from + 4 + boundary.length, end, after, last))
            return from;
        from += 2;
    }
    return NULL;
}

int adl_multipart_parse(const char *body, size_t length, struct adl_span boundary,
                        struct adl_multipart *out, struct adl_error *err)
{
    const char *end = body + length, *begin, *stop;
    bool last;

    out->count = 0;
    /* Only the first line may lack the CRLF before it. */
    bool first = length >= 2 + boundary.length && !memcmp(body, "--", 2) &&
                 !memcmp(body + 2, boundary.data, boundary.length) &&
                 ends_boundary_line(body + 2 + boundary.length, end, &begin, &last);
    if (!first && (length == 0 || !find_boundary(body, end, boundary, &begin, &last)))
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
        stop = find_boundary(begin - 2, end, boundary, &next, &last);
        if (!stop)
            return adl_fail(err, ADL_ERR_ARG,
                            "part %zu is not ended by a boundary line; the body is truncated",
                            out->count + 1);
        memset(part, 0, sizeof *part);
        text = (struct adl_span){begin, stop < begin ? 0 : (size_t)(stop - begin)};
        if (read_headers(text, part, out->count + 1, &part->body, err) < 0)
            return -1;
        out->count++;
        begin = next;
    }
    return 0;
}
