/* Puts the pictures over the epochs into a report, so that the file shows without a server what
 * /training shows: the files of DIR/pictures as one piece of JSON, and the script that draws from
 * it.
 *
 * The files may have been damaged since: each is checked to be what it is said to be, and bounded.
 * In the JSON, characters with a meaning in HTML are written as escapes, so that no text in it,
 * such as a label, ends the element that holds it. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/report/report_parts.h"
#include "server/training/run_pictures.h"

/* Bytes of an epoch's file, of a picture, and of all of it at most. */
enum { EPOCH_BYTES = 8 << 20, PICTURE_BYTES = 1 << 20, ALL_BYTES = 32 << 20 };

/* Returns a file of the run, NULL if it cannot be read or is too large; then *err is set only if
 * there is not enough memory. */
static char *read_file(const char *dir, const char *name, size_t most, size_t *length,
                       struct adl_error *err)
{
    struct adl_error unread = {0};
    char *path = adl_run_path(dir, name, err);
    char *bytes = path ? adl_file_read(path, most, length, &unread) : NULL;

    if (path && !bytes && unread.kind == ADL_ERR_NOMEM)
        adl_fail_nomem(err, "the pictures");
    adl_free(path);
    return bytes;
}

/* Appends JSON. `<`, `>` and `&` can only be in its strings, where an escape means the same. */
static void put_json(struct adl_str *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t plain = 0;
        while (i + plain < length && !strchr("<>&", text[i + plain]))
            plain++;
        adl_str_append(out, text + i, plain);
        i += plain;
        if (i < length)
            adl_str_printf(out, "\\u%04x", (unsigned)text[i++]);
    }
}

/* Appends a file if it holds a JSON object with a list of `count` pictures; any number if *count is
 * 0, which is then set. Returns whether it did. */
static bool put_pictures(struct adl_str *out, const char *dir, const char *name, size_t *count,
                         struct adl_error *err)
{
    size_t length = 0;
    char *text = read_file(dir, name, EPOCH_BYTES, &length, err);
    json_t *json = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    size_t found = json_array_size(json_object_get(json, "pictures"));
    bool fits = found > 0 && found <= ADL_RUN_PICTURES_COUNT && (*count == 0 || *count == found) &&
                out->length + length <= ALL_BYTES;

    json_decref(json);
    if (fits) {
        *count = found;
        put_json(out, text, length);
    }
    adl_free(text);
    return fits;
}

/* Appends the list of the pictures in base64; fails (without an error) if one is missing. */
static bool put_jpegs(struct adl_str *out, const char *dir, size_t count, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        char name[ADL_RUN_PICTURES_NAME];
        size_t length;
        adl_run_pictures_jpeg(name, (long long)i);
        char *bytes = read_file(dir, name, PICTURE_BYTES, &length, err);
        bool jpeg = bytes && length > 3 && !memcmp(bytes, "\xff\xd8\xff", 3);
        if (jpeg) {
            adl_str_puts(out, i ? "\",\"" : "[\"");
            adl_str_base64(out, bytes, length);
        }
        adl_free(bytes);
        if (!jpeg)
            return false;
    }
    adl_str_puts(out, "\"]");
    return true;
}

/* Makes the JSON; leaves it empty if there is nothing to show. */
static void make_json(struct adl_str *out, const char *dir, const struct adl_report_epochs *epochs,
                      struct adl_error *err)
{
    struct adl_str numbers = {0};
    size_t count = 0, shown = 0;

    adl_str_puts(out, "{\"index\":");
    bool any = put_pictures(out, dir, ADL_RUN_PICTURES_INDEX, &count, err);
    adl_str_puts(out, ",\"jpegs\":");
    any = any && put_jpegs(out, dir, count, err);
    adl_str_puts(out, ",\"sights\":[");
    for (size_t i = 0; any && i < epochs->count; i++) {
        char name[ADL_RUN_PICTURES_NAME];
        size_t before = out->length;
        adl_run_pictures_epoch(name, (long long)epochs->epoch[i]);
        if (shown > 0)
            adl_str_puts(out, ",");
        if (put_pictures(out, dir, name, &count, err))
            adl_str_printf(&numbers, "%s%.0f", shown++ ? "," : "", epochs->epoch[i]);
        else
            out->length = before;
    }
    adl_str_printf(out, "],\"epochs\":[%s]}", numbers.data ? numbers.data : "");
    out->failed |= numbers.failed;
    adl_str_release(&numbers);
    if (shown == 0)
        out->length = 0;
}

int adl_report_held(struct adl_str *page, const char *dir, const struct adl_report_epochs *epochs,
                    struct adl_error *err)
{
    struct adl_str json = {0};
    struct adl_error short_of = {0};

    make_json(&json, dir, epochs, &short_of);
    if (!short_of.kind && json.length > 0) {
        adl_str_append(page, adl_report_frame, (size_t)(adl_report_frame_end - adl_report_frame));
        adl_str_puts(page, "<noscript><p class=\"note\">With scripts, this file also shows some "
                           "pictures after each epoch.</p></noscript>\n"
                           "<script type=\"application/json\" id=\"held\">");
        adl_str_append(page, json.data, json.length);
        adl_str_puts(page, "</script>\n<script type=\"module\">");
        adl_str_append(page, adl_report_script,
                       (size_t)(adl_report_script_end - adl_report_script));
        adl_str_puts(page, "</script>\n");
    }
    page->failed |= json.failed;
    adl_str_release(&json);
    return short_of.kind ? adl_fail(err, short_of.kind, "%s", short_of.message) : 0;
}
