#ifndef ADL_TESTS_SUPPORT_HUNG_MOUNT_H
#define ADL_TESTS_SUPPORT_HUNG_MOUNT_H

/* A file system that hangs, as one of a file server that is gone: the kernel's FUSE with a process
 * behind it that stops answering. */

#include <stdbool.h>

/* Mounts it on a directory. In it is a file of every name. When such a name was looked up `looks`
 * times, by stat() or open(), whoever does anything there hangs, beginning with that open().
 * Returns false, after skipping or failing the running test, if that is not possible: it needs
 * /dev/fuse and root. */
bool hung_mount_open(const char *directory, int looks);
/* Waits until somebody hangs, for some seconds; returns whether it is so. */
bool hung_mount_holds(void);
/* Unmounts it; whoever still hangs gets an error. */
void hung_mount_close(void);

#endif
