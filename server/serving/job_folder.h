#ifndef ADL_SERVER_SERVING_JOB_FOLDER_H
#define ADL_SERVER_SERVING_JOB_FOLDER_H

/* The pictures of a folder that a client names, below the directory of serve --jobs and nowhere
 * else. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

/* Returns whether a text may name a folder below another: "." for that itself, or a relative path
 * of at most ADL_LIMIT_JOB_FOLDER_BYTES whose parts are not empty, not hidden, and neither "." nor
 * "..", with or without a slash at its end. */
bool adl_job_folder_name_valid(const char *name);

/* Fails with ADL_ERR_NOT_FOUND if there is no such folder below `root`, an open directory, with
 * ADL_ERR_IO if it cannot be opened. The name has to be valid. */
int adl_job_folder_check(int root, const char *name, struct adl_error *err) ADL_MUST_CHECK;

struct adl_job_folder {
    const char *
        *paths; /* below the root, sorted by their bytes; in the arena, the array is owned */
    size_t count, capacity;
    size_t bytes, entries; /* of the paths; of all directories */
    struct adl_arena arena;
};

/* Lists the files below a folder whose names are those of JPEG, PNG or WebP images. Hidden entries
 * and directories behind symbolic links are left out; directories that cannot be read fail with
 * ADL_ERR_IO. Fails with ADL_ERR_LIMIT where ADL_LIMIT_JOB_IMAGES or another limit is met, with
 * ADL_ERR_CANCELLED when *stop becomes true, and as adl_job_folder_check() does. The list is to be
 * released in any case. */
int adl_job_folder_list(int root, const char *name, const _Atomic bool *stop,
                        struct adl_job_folder *folder, struct adl_error *err) ADL_MUST_CHECK;
void adl_job_folder_release(struct adl_job_folder *folder);

/* Reads a picture of the list whole, with a NUL behind it, to be freed with adl_free. Fails with
 * ADL_ERR_NOT_FOUND if it is gone or a link leads out of the root, with ADL_ERR_UNSUPPORTED if it
 * is no regular file, with ADL_ERR_LIMIT if it has more than `limit` bytes, with ADL_ERR_IO and
 * with ADL_ERR_NOMEM. */
char *adl_job_folder_read(int root, const char *path, size_t limit, size_t *length,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
