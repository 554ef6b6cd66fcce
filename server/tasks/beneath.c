/* Opens a path in a folder by openat2() with RESOLVE_BENEATH: the kernel itself refuses whatever
 * leads out of the folder, however the folder changes meanwhile. Where there is no such call
 * (before Linux 5.6, or behind a filter of system calls), the parts of the path are opened one by
 * one, and none may be a symbolic link. */

#include "server/tasks/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ATTEMPTS 8 /* at a path while its folder is being changed */

int adl_open_without_links(int folder, const char *path, int flags)
{
    char part[NAME_MAX + 1];
    int here = folder;

    for (;;) {
        size_t length = strcspn(path, "/");
        bool last = !path[length];
        int next = -1;
        if (length > NAME_MAX)
            errno = ENAMETOOLONG;
        else if (length == 0 || (length == 2 && !memcmp(path, "..", 2)))
            errno = EXDEV;
        else {
            snprintf(part, sizeof part, "%.*s", (int)length, path);
            next =
                openat(here, part, (last ? flags : O_PATH | O_DIRECTORY | O_CLOEXEC) | O_NOFOLLOW);
        }
        int saved = errno;
        if (here != folder)
            close(here);
        errno = saved;
        if (next < 0 || last)
            return next;
        here = next;
        path += length + 1;
    }
}

int adl_open_beneath(int folder, const char *path, int flags)
{
    const struct open_how how = {.flags = (unsigned)flags,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = -1;

    for (int i = 0; i < ATTEMPTS; i++) {
        fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = adl_open_without_links(folder, path, flags);
    return fd;
}
