/* JSON on standard output and in files. */

#include "server/tasks/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/file.h"

int adl_print_json(const json_t *json, size_t flags, struct adl_error *err)
{
    errno = 0;
    if (json_dumpf(json, stdout, flags) < 0 || putchar('\n') == EOF)
        return adl_fail(err, ADL_ERR_IO, "cannot write to standard output: %s",
                        strerror(errno ? errno : EIO));
    return 0;
}

static int append(const char *bytes, size_t length, void *out)
{
    struct adl_str *str = out;
    adl_str_append(str, bytes, length);
    return str->failed ? -1 : 0;
}

int adl_write_json(const char *path, const json_t *json, size_t flags, struct adl_error *err)
{
    struct adl_str text = {0};
    int result;

    if (json_dump_callback(json, append, &text, flags) < 0 || append("\n", 1, &text) < 0)
        result = adl_fail_nomem(err, "JSON");
    else
        result = adl_file_write(
            path, &(struct adl_file_piece){.data = text.data, .length = text.length}, 1, err);
    adl_str_release(&text);
    return result;
}

json_t *adl_json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    char *ascii = adl_strdup(text);
    if (!ascii)
        return NULL;
    for (char *c = ascii; *c; c++)
        if (*c & 0x80)
            *c = '?';
    json = json_string(ascii);
    adl_free(ascii);
    return json;
}
