/* Lists and reads the pictures of a folder through beneath.h, so that nothing outside of the root
 * is reached whatever changes while it is read. Directories are walked by their descriptors;
 * O_NONBLOCK keeps open() from waiting for the writer of a pipe. */

#include "server/serving/job_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "server/tasks/beneath.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

bool adl_job_folder_name_valid(const char *name)
{
    if (!strcmp(name, "."))
        return true;
    if (strlen(name) > ADL_LIMIT_JOB_FOLDER_BYTES)
        return false;
    for (const char *part = name;;) {
        /* One that begins with a dot is hidden, or "." or "..". */
        if (*part == '/' || *part == '.' || !*part)
            return false;
        part = strchr(part, '/');
        if (!part || !part[1])
            return true;
        part++;
    }
}

/* Opens a folder of this name; -1 on failure. */
static int open_folder(int root, const char *name, struct adl_error *err)
{
    char path[ADL_LIMIT_JOB_FOLDER_BYTES + 1] = {0};
    size_t length = strlen(name);

    memcpy(path, name, length - (length > 1 && name[length - 1] == '/'));
    int fd = adl_open_beneath(root, path, FOLDER_FLAGS);
    if (fd < 0)
        adl_fail(err,
                 errno == EMFILE || errno == ENFILE || errno == ENOMEM ? ADL_ERR_IO
                                                                       : ADL_ERR_NOT_FOUND,
                 "the folder \"%s\" cannot be opened: %s", ADL_SHORT(path),
                 errno == EXDEV || errno == ELOOP ? "a symbolic link leads out of the directory"
                                                  : strerror(errno));
    return fd;
}

int adl_job_folder_check(int root, const char *name, struct adl_error *err)
{
    int fd = open_folder(root, name, err);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

void adl_job_folder_release(struct adl_job_folder *folder)
{
    adl_free(folder->paths);
    adl_arena_release(&folder->arena);
    *folder = (struct adl_job_folder){0};
}

static int add_path(struct adl_job_folder *folder, const char *path, struct adl_error *err)
{
    folder->bytes += strlen(path) + 1;
    if (folder->count == ADL_LIMIT_JOB_IMAGES)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "the folder has more than %d images; make a job of each of its folders",
                        ADL_LIMIT_JOB_IMAGES);
    if (folder->bytes > ADL_LIMIT_JOB_PATH_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "the paths of the images have more than %zu MiB",
                        ADL_LIMIT_JOB_PATH_BYTES / ADL_MIB);
    const char **paths =
        adl_array_grow(folder->paths, &folder->capacity, folder->count + 1, sizeof *paths);
    if (!paths)
        return adl_fail_nomem(err, "the list of images");
    folder->paths = paths;
    paths[folder->count++] = path;
    return 0;
}

/* Returns the type of an entry, as in struct dirent; DT_UNKNOWN if it is gone. */
static unsigned char type_of(int dir, const struct dirent *entry)
{
    struct stat info;

    if (entry->d_type != DT_UNKNOWN || fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return entry->d_type;
    return S_ISDIR(info.st_mode)   ? DT_DIR
           : S_ISREG(info.st_mode) ? DT_REG
           : S_ISLNK(info.st_mode) ? DT_LNK
                                   : DT_FIFO;
}

/* Adds the images of a directory, whose descriptor it closes. `path` is that of the directory; ""
 * for the root. */
static int add_folder(struct adl_job_folder *folder, int fd, const char *path, int depth,
                      const _Atomic bool *stop, struct adl_error *err)
{
    DIR *dir = fdopendir(fd);
    int result = 0;

    if (!dir) {
        close(fd);
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    }
    for (struct dirent *entry; result == 0 && (entry = readdir(dir));) {
        const unsigned char type = type_of(dirfd(dir), entry);
        const bool image = (type == DT_REG || type == DT_LNK) && adl_image_named(entry->d_name);
        if (atomic_load(stop))
            result = adl_fail(err, ADL_ERR_CANCELLED, "the job was cancelled");
        else if (++folder->entries > ADL_LIMIT_JOB_ENTRIES)
            result = adl_fail(err, ADL_ERR_LIMIT, "the folder has more than %d entries",
                              ADL_LIMIT_JOB_ENTRIES);
        if (result < 0 || entry->d_name[0] == '.' || (!image && type != DT_DIR))
            continue;
        const char *child =
            adl_arena_printf(&folder->arena, "%s%s%s", path, *path ? "/" : "", entry->d_name);
        if (!child) {
            result = adl_fail_nomem(err, "the list of images");
        } else if (image) {
            result = add_path(folder, child, err);
        } else if (depth == ADL_LIMIT_FOLDER_DEPTH) {
            result = adl_fail(err, ADL_ERR_LIMIT, "%s: more than %d directories deep", child,
                              ADL_LIMIT_FOLDER_DEPTH);
        } else {
            int below = openat(dirfd(dir), entry->d_name, FOLDER_FLAGS | O_NOFOLLOW);
            result = below < 0 ? adl_fail(err, ADL_ERR_IO, "%s: %s", child, strerror(errno))
                               : add_folder(folder, below, child, depth + 1, stop, err);
        }
    }
    closedir(dir);
    return result;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int adl_job_folder_list(int root, const char *name, const _Atomic bool *stop,
                        struct adl_job_folder *folder, struct adl_error *err)
{
    int fd = open_folder(root, name, err);
    size_t length = strlen(name);

    *folder = (struct adl_job_folder){0};
    if (fd < 0)
        return -1;
    length -= name[length - 1] == '/';
    const char *path =
        adl_arena_printf(&folder->arena, "%.*s", (int)length, !strcmp(name, ".") ? "" : name);
    if (!path) {
        close(fd);
        return adl_fail_nomem(err, "the list of images");
    }
    if (add_folder(folder, fd, path, 0, stop, err) < 0)
        return -1;
    if (folder->count > 0)
        qsort(folder->paths, folder->count, sizeof *folder->paths, by_path);
    return 0;
}

static char *read_whole(int fd, const char *path, size_t limit, size_t *length,
                        struct adl_error *err)
{
    struct stat info;
    char *bytes = NULL;

    *length = 0;
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        adl_fail(err, ADL_ERR_UNSUPPORTED, "%s is not a regular file", ADL_SHORT(path));
        return NULL;
    }
    if ((uint64_t)info.st_size > limit) {
        adl_fail(err, ADL_ERR_LIMIT, "the file has %lld bytes; the limit set by --max-body is %zu",
                 (long long)info.st_size, limit);
        return NULL;
    }
    bytes = adl_malloc((size_t)info.st_size + 1, 1);
    if (!bytes) {
        adl_fail_nomem(err, "a picture");
        return NULL;
    }
    while (*length < (size_t)info.st_size) {
        ssize_t got = read(fd, bytes + *length, (size_t)info.st_size - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            adl_fail(err, ADL_ERR_IO, "%s cannot be read: %s", ADL_SHORT(path), strerror(errno));
            adl_free(bytes);
            return NULL;
        }
        if (got == 0)
            break; /* the file has become shorter */
        *length += (size_t)got;
    }
    bytes[*length] = '\0';
    return bytes;
}

char *adl_job_folder_read(int root, const char *path, size_t limit, size_t *length,
                          struct adl_error *err)
{
    int fd = adl_open_beneath(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *bytes;

    if (fd < 0) {
        bool gone = errno == ENOENT || errno == ENOTDIR || errno == EXDEV || errno == ELOOP;
        adl_fail(err, gone ? ADL_ERR_NOT_FOUND : ADL_ERR_IO, "%s cannot be opened: %s",
                 ADL_SHORT(path),
                 errno == EXDEV || errno == ELOOP ? "a symbolic link leads out of the directory"
                                                  : strerror(errno));
        return NULL;
    }
    bytes = read_whole(fd, path, limit, length, err);
    close(fd);
    return bytes;
}
