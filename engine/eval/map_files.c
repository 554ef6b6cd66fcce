/* Reads and writes the .npy files of score maps. */

#include "eval/map_files.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

static const char *map_path(struct adl_str *path, const char *dir, const char *id, bool extension,
                            struct adl_error *err)
{
    const char *name = strrchr(id, '/');
    const char *dot = strrchr(name ? name : id, '.');
    size_t length = dot && !extension ? (size_t)(dot - id) : strlen(id);

    path->length = 0;
    adl_str_printf(path, "%s/%.*s.npy", dir, (int)length, id);
    if (path->failed) {
        path->failed = false;
        adl_fail_nomem(err, "a path");
        return NULL;
    }
    return path->data;
}

/* Makes the directories between the first `dir_length` bytes of `path` and the file. */
static int make_parents(char *path, size_t dir_length, struct adl_error *err)
{
    for (char *slash = path + dir_length + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        /* Another thread may have made it already. */
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return adl_fail(err, ADL_ERR_IO, "cannot create the directory %s: %s", path,
                            strerror(errno));
        *slash = '/';
    }
    return 0;
}

int adl_map_write(const char *dir, const char *id, const double *map, size_t rows, size_t columns,
                  struct adl_str *path, struct adl_error *err)
{
    if (!map_path(path, dir, id, true, err) || make_parents(path->data, strlen(dir), err) < 0)
        return -1;
    return adl_npy_write(path->data, ADL_NPY_F64, map, rows, columns, err);
}

int adl_map_read(const char *dir, const char *id, struct adl_npy *npy, struct adl_str *path,
                 struct adl_error *err)
{
    struct adl_error first = {0}, second = {0};

    if (!map_path(path, dir, id, true, err))
        return -1;
    if (adl_npy_read(path->data, npy, &first) == 0)
        return 0;
    if (first.kind == ADL_ERR_NOT_FOUND) {
        if (!map_path(path, dir, id, false, err))
            return -1;
        if (adl_npy_read(path->data, npy, &second) == 0)
            return 0;
        if (second.kind != ADL_ERR_NOT_FOUND)
            first = second;
    }
    return adl_fail(err, first.kind, "%s", first.message);
}
