/* Reads comma-separated values. The file is read whole and cut in place: a NUL replaces the
 * separator after each field, and a field in quotes is moved together over its doubled quotes, so
 * that a record costs neither a copy nor an allocation. */

#include "data/csv.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/lines.h"

int adl_csv_open(struct adl_csv *csv, const char *path, struct adl_error *err)
{
    struct adl_lines whole;

    *csv = (struct adl_csv){.path = path, .next_line = 1};
    if (adl_lines_open(&whole, path, err) < 0)
        return -1;
    csv->text = whole.text; /* which `csv` owns now */
    csv->next = whole.next;
    csv->end = whole.end;
    return 0;
}

void adl_csv_close(struct adl_csv *csv)
{
    adl_free(csv->text);
    *csv = (struct adl_csv){0};
}

/* Returns whether a line ends at `at`, and sets *length to the bytes of its end: 0 at the end of
 * the file. */
static bool at_line_end(const struct adl_csv *csv, const char *at, size_t *length)
{
    *length = 0;
    if (at == csv->end)
        return true;
    *length = *at == '\r' && at + 1 < csv->end && at[1] == '\n' ? 2 : 1;
    return *length == 2 || *at == '\n';
}

/* Reads a field in quotes, the first of which is at csv->next, and moves its content to there.
 * Returns the end of the content and advances csv->next past the last quote; NULL on an error. */
static char *read_quoted(struct adl_csv *csv, struct adl_error *err)
{
    char *to = csv->next;
    const char *from = csv->next + 1;

    for (;; from++) {
        if (from == csv->end) {
            adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: has a quote that does not end", csv->path,
                     csv->line);
            return NULL;
        }
        if (*from == '"' && from + 1 < csv->end && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        csv->next_line += *from == '\n';
        *to++ = *from;
    }
    csv->next += from + 1 - csv->next;
    return to;
}

/* As read_quoted(), for a field without quotes. */
static char *read_plain(struct adl_csv *csv, struct adl_error *err)
{
    size_t ignored;

    while (!at_line_end(csv, csv->next, &ignored) && *csv->next != ',') {
        if (*csv->next == '"') {
            adl_fail(err, ADL_ERR_FORMAT,
                     "%s line %zu: has a quote within a field; write the whole field in quotes, "
                     "and the quote in it twice",
                     csv->path, csv->line);
            return NULL;
        }
        csv->next++;
    }
    return csv->next;
}

/* Reads one field and what separates it from the next one. Returns 1 if another one follows in the
 * record, 0 at its end, -1 on an error. */
static int read_field(struct adl_csv *csv, struct adl_error *err)
{
    char *field = csv->next;
    bool quoted = csv->next < csv->end && *csv->next == '"';
    char *stop = quoted ? read_quoted(csv, err) : read_plain(csv, err);
    size_t ending;

    if (!stop)
        return -1;
    if (csv->count == ADL_CSV_FIELDS)
        return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: has more than %d fields", csv->path,
                        csv->line, ADL_CSV_FIELDS);
    if (stop - field > ADL_LIMIT_LIST_LINE_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s line %zu: has a field of more than %d bytes",
                        csv->path, csv->line, ADL_LIMIT_LIST_LINE_BYTES);
    if (memchr(field, '\0', (size_t)(stop - field)))
        return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: holds a zero byte", csv->path,
                        csv->line);
    bool ends = at_line_end(csv, csv->next, &ending);
    if (!ends && *csv->next != ',')
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s line %zu: has text after a closing quote; a quote within a field in "
                        "quotes is written twice",
                        csv->path, csv->line);
    csv->next += ends ? ending : 1;
    csv->next_line += ends;
    *stop = '\0'; /* over the separator, the last quote, or after the file's last byte */
    csv->fields[csv->count] = field;
    csv->quoted[csv->count++] = quoted;
    return !ends;
}

int adl_csv_next(struct adl_csv *csv, struct adl_error *err)
{
    size_t ending;
    int more;

    while (csv->next < csv->end && at_line_end(csv, csv->next, &ending)) {
        csv->next += ending;
        csv->next_line++;
    }
    if (csv->next == csv->end)
        return 0;
    csv->count = 0;
    csv->line = csv->next_line;
    do
        more = read_field(csv, err);
    while (more > 0);
    return more < 0 ? -1 : 1;
}
