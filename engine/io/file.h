#ifndef ADL_IO_FILE_H
#define ADL_IO_FILE_H

/* Whole files in, whole files out. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Whether something of that kind is at `path`, symbolic links followed. */
bool adl_file_is_regular(const char *path);
bool adl_file_is_folder(const char *path);

/* Reads a file ("-" is stdin) into memory the caller frees with adl_free. Fails
 * with NOT_FOUND, IO, NOMEM, or LIMIT when it is larger than `limit` bytes. The
 * result is followed by a NUL that *length (may be NULL) does not count. */
void *adl_file_read(const char *path, size_t limit, size_t *length,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Replaces a file in one step: PATH.tmp, fsync, rename, fsync of the folder, so
 * that a reader sees the old bytes or the new ones. "-" is stdout. The content
 * is the `count` pieces one after the other. */
struct adl_file_piece {
    const void *data;
    size_t length;
};
int adl_file_write(const char *path, const struct adl_file_piece *pieces, size_t count,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Fails with IO where adl_file_write could not put a file at `path`: its folder is
 * not there or may not be written. To be asked before long work. */
int adl_file_check_place(const char *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
