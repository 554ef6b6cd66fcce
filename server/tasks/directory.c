/* Creates the directories that results are written to. */

#include "server/tasks/directory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"

int adl_make_directory(const char *path, struct adl_error *err)
{
    if (mkdir(path, 0777) == 0 || adl_file_is_folder(path))
        return 0;
    if (errno == EEXIST)
        return adl_fail(err, ADL_ERR_IO, "%s: is not a directory", path);
    return adl_fail(err, ADL_ERR_IO, "%s: cannot create the directory: %s", path, strerror(errno));
}
