/* Locks a run's directory by flock() on a file in it.
 *
 * The kernel drops the lock when the process ends, however it ends, so there are no stale
 * locks: the directory is in use if the lock is held, not if the file exists. The file contains
 * the id of the process because flock() does not say which process holds a lock. It is removed
 * at the end, while the lock is still held. A process that opened the file just before that
 * then gets the lock of a file without a name, so after taking a lock it checks that the name
 * still refers to that file. */

#include "server/training/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/training/run_record.h"

/* Returns whether `path` names the file that is open as `fd`. */
static bool names_file(const char *path, int fd)
{
    struct stat named, opened;
    return stat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

static int fail_busy(const char *dir, int fd, struct adl_error *err)
{
    char text[24] = "", holder[48] = "";
    if (pread(fd, text, sizeof text - 1, 0) > 0 && atol(text) > 0)
        snprintf(holder, sizeof holder, " (process %ld)", atol(text));
    return adl_fail(err, ADL_ERR_BUSY,
                    "%s: is in use by another run%s; wait for it, stop it, or choose another --out",
                    dir, holder);
}

/* Opens and locks the file. Returns 1 and sets *lock, which is -2 if the file system has no
 * locks; 0 if this has to be repeated, since the file was removed in between; -1 on failure. */
static int try_lock(const char *dir, const char *path, int *lock, struct adl_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666), result = -1;
    if (fd < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot create %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        result = names_file(path, fd);
    else if (errno == EWOULDBLOCK)
        fail_busy(dir, fd, err);
    else if (errno == EINTR)
        result = 0;
    else {
        fprintf(stderr, "adl-server: train: %s cannot be locked against other runs: %s\n", dir,
                strerror(errno));
        *lock = -2;
        close(fd);
        return 1;
    }
    if (result > 0)
        *lock = fd;
    else
        close(fd);
    return result;
}

int adl_run_lock(const char *dir, struct adl_error *err)
{
    int lock = -1, result = 0;
    char *path = adl_run_path(dir, ADL_RUN_LOCK, err);
    if (!path)
        return -1;
    while (result == 0)
        result = try_lock(dir, path, &lock, err);
    /* The process id only makes the message of another run clearer, so a failure is not fatal. */
    if (lock >= 0 && (ftruncate(lock, 0) < 0 || dprintf(lock, "%ld\n", (long)getpid()) < 0))
        fprintf(stderr, "adl-server: train: cannot write %s: %s\n", path, strerror(errno));
    adl_free(path);
    return lock;
}

void adl_run_unlock(const char *dir, int lock)
{
    struct adl_error none = {0};
    if (lock < 0)
        return;
    char *path = adl_run_path(dir, ADL_RUN_LOCK, &none);
    if (path)
        unlink(path);
    adl_free(path);
    close(lock);
}
