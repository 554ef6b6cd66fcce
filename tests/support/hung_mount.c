/* Speaks the kernel's protocol of FUSE, version 7.31, as far as is needed to find a file. When
 * files were found so many times, nothing is read from the kernel any more, so that whoever opens
 * one hangs. The request stays in the kernel's queue, where a signal that kills takes it out; a
 * process with an open file, or with a request that was read, could not even be killed. */

#include "support/hung_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/test.h"

enum { FILE_NODE = 2, FILE_BYTES = 1 << 20 };

static int device = -1;
static pthread_t thread;
static char mounted[400];
static _Atomic bool ending, holds;
static int looks_left;

static struct fuse_attr attributes(uint64_t node)
{
    return (struct fuse_attr){
        .ino = node,
        .size = node == FILE_NODE ? FILE_BYTES : 0,
        .mode = node == FILE_NODE ? S_IFREG | 0644 : S_IFDIR | 0755,
        .nlink = 1,
        .uid = getuid(),
        .gid = getgid(),
        .blksize = 4096,
    };
}

static void answer(uint64_t unique, int error, const void *bytes, size_t length)
{
    struct fuse_out_header head = {
        .len = (uint32_t)(sizeof head + length), .error = -error, .unique = unique};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)bytes, length}};

    if (writev(device, parts, length > 0 ? 2 : 1) < 0 && errno != ENOENT)
        TEST_FAIL("a request of the file system cannot be answered: %s", strerror(errno));
}

static void handle(const struct fuse_in_header *in)
{
    const struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 4096};
    const struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr = attributes(FILE_NODE)};
    const struct fuse_attr_out attr = {.attr = attributes(in->nodeid)};

    switch (in->opcode) {
    case FUSE_INIT: answer(in->unique, 0, &init, sizeof init); break;
    case FUSE_GETATTR: answer(in->unique, 0, &attr, sizeof attr); break;
    case FUSE_LOOKUP:
        answer(in->unique, 0, &entry, sizeof entry);
        holds = --looks_left <= 0;
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break;
    default: answer(in->unique, ENOSYS, NULL, 0);
    }
}

static void *serve(void *unused)
{
    static _Alignas(struct fuse_in_header) char request[1 << 17];

    while (!ending) {
        struct pollfd wait = {.fd = device, .events = POLLIN};
        if (holds || poll(&wait, 1, 20) <= 0) {
            poll(NULL, 0, holds ? 20 : 0);
            continue;
        }
        if (read(device, request, sizeof request) > 0)
            handle((const struct fuse_in_header *)(const void *)request);
    }
    return unused;
}

bool hung_mount_open(const char *directory, int looks)
{
    char options[100];

    ending = holds = false;
    looks_left = looks;
    device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (device < 0) {
        test_skip("/dev/fuse cannot be opened: %s", strerror(errno));
        return false;
    }
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", device,
             (unsigned)getuid(), (unsigned)getgid());
    snprintf(mounted, sizeof mounted, "%s", directory);
    if (mount("hung", mounted, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        test_skip("a file system that hangs cannot be mounted: %s", strerror(errno));
        close(device);
        return false;
    }
    if (pthread_create(&thread, NULL, serve, NULL) != 0) {
        TEST_FAIL("cannot start a thread");
        umount2(mounted, MNT_DETACH);
        close(device);
        return false;
    }
    return true;
}

bool hung_mount_holds(void)
{
    for (int waited = 0; !holds && waited < 20000 * TEST_SLOWDOWN; waited += 5)
        poll(NULL, 0, 5);
    return holds;
}

void hung_mount_close(void)
{
    ending = true;
    pthread_join(thread, NULL);
    umount2(mounted, MNT_DETACH);
    close(device);
}
