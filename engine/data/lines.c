/* Reads text files line by line. The file is read whole and cut in place: a NUL replaces the end
 * of each line, so a line costs neither a copy nor an allocation. */

#include "data/lines.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "io/file.h"

size_t adl_lines_bom_length(const char *text, size_t length)
{
    return length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
}

int adl_lines_open(struct adl_lines *lines, const char *path, struct adl_error *err)
{
    size_t length;

    *lines = (struct adl_lines){.path = path};
    lines->text = adl_file_read(path, ADL_LIMIT_LIST_BYTES, &length, err);
    if (!lines->text)
        return -1;
    lines->next = lines->text + adl_lines_bom_length(lines->text, length);
    lines->end = lines->text + length;
    return 0;
}

void adl_lines_close(struct adl_lines *lines)
{
    adl_free(lines->text);
    *lines = (struct adl_lines){0};
}

int(adl_lines_fail)(const struct adl_lines *lines, const char *problem, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: %s: %s", lines->path, lines->number, problem,
                    adl_name_quote(lines->line, lines->length).text);
}

static bool only_line_ends(const char *from, const char *to)
{
    while (from < to && (*from == '\n' || *from == '\r'))
        from++;
    return from == to;
}

/* Passes over lines of nothing but blanks. */
static void skip_blank(struct adl_lines *lines)
{
    for (char *at = lines->next; at < lines->end && memchr(" \t\r\n", *at, 4); at++)
        if (*at == '\n') {
            lines->next = at + 1;
            lines->number++;
        } else if (at + 1 == lines->end) {
            lines->next = lines->end;
        }
}

int adl_lines_next(struct adl_lines *lines, struct adl_error *err)
{
    if (lines->blank)
        skip_blank(lines);
    if (only_line_ends(lines->next, lines->end))
        return 0;
    char *stop = memchr(lines->next, '\n', (size_t)(lines->end - lines->next));
    stop = stop ? stop : lines->end;
    lines->line = lines->next;
    lines->length = (size_t)(stop - lines->next);
    lines->next = stop < lines->end ? stop + 1 : stop;
    lines->number++;
    if (lines->length > 0 && stop[-1] == '\r')
        lines->length--;
    if (lines->length > ADL_LIMIT_LIST_LINE_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s line %zu: has %zu bytes, more than %d", lines->path,
                        lines->number, lines->length, ADL_LIMIT_LIST_LINE_BYTES);
    if (lines->number > ADL_LIMIT_DATASET_IMAGES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: has more than %d lines", lines->path,
                        ADL_LIMIT_DATASET_IMAGES);
    if (lines->length == 0 || memchr(lines->line, '\0', lines->length))
        return adl_lines_fail(
            lines, lines->length ? "holds a zero byte" : "is empty, in the middle of a list", err);
    lines->line[lines->length] = '\0'; /* over the line's end, or after the file's last byte */
    return 1;
}

bool adl_parse_count(const char *text, size_t length, int max, int *value)
{
    long long number = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (text[i] - '0');
        if (number > max)
            return false;
    }
    if (length > 0)
        *value = (int)number;
    return length > 0;
}
