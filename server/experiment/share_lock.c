/* Locks a run by flock() on a file in its directory (docs/decisions/, "A lock of the kernel for
 * each run"): it ends with the last process that has the file open, however that ends, so there is
 * no stale lock, no clock and no guess about how long a silence means death. NFS passes flock() on
 * to the server since Linux 2.6.12. */

#include "server/experiment/share_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/name.h"

int adl_share_lock(const char *path, struct adl_error *err)
{
    char holder[160] = "", host[100] = "";
    int lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666); /* inherited by children */

    if (lock < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot create %s: %s", path, strerror(errno));
    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        int failed = errno;
        if (failed == EINTR)
            continue;
        ssize_t length = failed == EWOULDBLOCK ? pread(lock, holder, sizeof holder - 1, 0) : 0;
        holder[length > 0 ? strcspn(holder, "\n") : 0] = '\0';
        close(lock);
        if (failed != EWOULDBLOCK)
            return -2;
        return adl_fail(err, ADL_ERR_BUSY, "%s",
                        *holder ? adl_name_quote(holder, strlen(holder)).text : "another process");
    }
    /* Who holds it only makes messages clearer, so a failure is not fatal. */
    gethostname(host, sizeof host - 1);
    if (ftruncate(lock, 0) == 0)
        (void)!dprintf(lock, "%s, process %ld\n", host, (long)getpid());
    return lock;
}

void adl_share_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
