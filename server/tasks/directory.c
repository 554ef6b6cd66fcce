/* Creates the directories that results are written to, and opens those that options name. */

#include "server/tasks/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/file.h"

int adl_make_directory(const char *path, struct adl_error *err)
{
    if (mkdir(path, 0777) == 0 || adl_file_is_folder(path))
        return 0;
    if (errno == EEXIST)
        return adl_fail(err, ADL_ERR_IO, "%s: is not a directory", path);
    return adl_fail(err, ADL_ERR_IO, "%s: cannot create the directory: %s", path, strerror(errno));
}

int adl_make_directories(const char *path, struct adl_error *err)
{
    char *part = adl_strdup(path);
    int result = part ? 0 : adl_fail_nomem(err, "a path");

    for (char *slash = part; result == 0 && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        result = *part ? adl_make_directory(part, err) : 0;
        *slash = '/';
    }
    adl_free(part);
    return result < 0 ? -1 : adl_make_directory(path, err);
}

int adl_open_directory(const char *option, const char *path, struct adl_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    return adl_fail(err,
                    errno == ENOENT    ? ADL_ERR_NOT_FOUND
                    : errno == ENOTDIR ? ADL_ERR_ARG
                                       : ADL_ERR_IO,
                    "%s: %s cannot be opened as a directory: %s", option, path, strerror(errno));
}
