/* JSON on standard output. */

#include "server/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int adl_print_json(const json_t *json, size_t flags, struct adl_error *err)
{
    errno = 0;
    if (json_dumpf(json, stdout, flags) < 0 || putchar('\n') == EOF)
        return adl_fail(err, ADL_ERR_IO, "cannot write to standard output: %s",
                        strerror(errno ? errno : EIO));
    return 0;
}
