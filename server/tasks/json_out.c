/* Writes JSON values. */

#include "server/tasks/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"

int adl_print_json(const json_t *json, size_t flags, struct adl_error *err)
{
    errno = 0;
    if (json_dumpf(json, stdout, flags) < 0 || putchar('\n') == EOF)
        return adl_fail(err, ADL_ERR_IO, "cannot write to standard output: %s",
                        strerror(errno ? errno : EIO));
    return 0;
}

int adl_write_json(const char *path, const json_t *json, size_t flags, struct adl_error *err)
{
    size_t length;
    char *text = adl_json_to_text(json, flags, &length, err);
    if (!text)
        return -1;
    struct adl_file_piece pieces[] = {{text, length}, {"\n", 1}};
    int result = adl_file_write(path, pieces, ADL_COUNT(pieces), err);
    adl_free(text);
    return result;
}
