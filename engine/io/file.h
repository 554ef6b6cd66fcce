#ifndef ADL_IO_FILE_H
#define ADL_IO_FILE_H

/* Reads and writes whole files, and tells what kind of file a path names. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Return whether `path` names a regular file, or a directory; symbolic links are followed. */
bool adl_file_is_regular(const char *path);
bool adl_file_is_folder(const char *path);

/* Reads a file ("-" is stdin) into memory that the caller frees with adl_free. Fails with
 * ADL_ERR_NOT_FOUND, ADL_ERR_IO, ADL_ERR_NOMEM, or ADL_ERR_LIMIT when it is larger than
 * `limit` bytes. The result is followed by a NUL that *length (may be NULL) does not count. */
void *adl_file_read(const char *path, size_t limit, size_t *length,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Replaces a file in one step, so that whoever opens it sees all of the old content or all of
 * the new, also after a crash: a temporary file, hidden in the same directory under a name
 * that no other process uses, is written and synced, then renamed to PATH, and the directory
 * is synced. If several processes write the same PATH at a time, the file becomes the whole
 * content of one of them. A new file has the mode that the umask leaves, a replaced one keeps
 * its mode. "-" is stdout; a device or a pipe is not replaced but written to. The content is
 * the `count` pieces one after the other. Fails with ADL_ERR_NOT_FOUND or ADL_ERR_IO, and
 * removes the temporary file; only a process that is killed leaves it behind. */
struct adl_file_piece {
    const void *data;
    size_t length;
};
int adl_file_write(const char *path, const struct adl_file_piece *pieces, size_t count,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Removes the temporary files of processes that were killed while they wrote `path`. Only for
 * a caller that knows that no process is writing it now. */
void adl_file_remove_leftovers(const char *path);

/* Fails with ADL_ERR_NOT_FOUND or ADL_ERR_IO when adl_file_write would fail at once: `path`
 * is a directory, or its directory does not exist or is not writable. For calls before long
 * work. */
int adl_file_check_place(const char *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
