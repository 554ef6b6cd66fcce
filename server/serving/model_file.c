/* Opens model files, and tells their states and versions.
 *
 * A name that a request gives is opened by tasks/beneath.h. O_NONBLOCK keeps open() from waiting
 * for the writer of a FIFO; it does not change how a regular file is read. */

#include "server/serving/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "server/tasks/beneath.h"

#define READ_BYTES ((size_t)256 * 1024)
#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

bool adl_file_stamp_equal(const struct adl_file_stamp *a, const struct adl_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct adl_file_stamp stamp_of(const struct stat *info)
{
    return (struct adl_file_stamp){.device = (uint64_t)info->st_dev,
                                   .inode = (uint64_t)info->st_ino,
                                   .size = (uint64_t)info->st_size,
                                   .modified_ns = nanoseconds(info->st_mtim),
                                   .changed_ns = nanoseconds(info->st_ctim)};
}

bool adl_model_file_name_valid(const char *name)
{
    const char *part = name;

    if (strlen(name) > ADL_LIMIT_MODEL_FILE_BYTES || !adl_text_ends_with(name, ".safetensors"))
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\')
            return false;
    /* A part that begins with a dot is "." or "..", or a file that is hidden while it is
     * written. */
    for (;;) {
        if (*part == '/' || *part == '.' || !*part)
            return false;
        part = strchr(part, '/');
        if (!part)
            return true;
        part++;
    }
}

int adl_model_folder_open(const char *path, int *folder, struct adl_error *err)
{
    *folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*folder >= 0)
        return 0;
    return adl_fail(err, errno == ENOENT || errno == ENOTDIR ? ADL_ERR_NOT_FOUND : ADL_ERR_IO,
                    "%s: cannot open the folder of models: %s", path, strerror(errno));
}

int adl_model_file_stamp(int fd, struct adl_file_stamp *stamp, struct adl_error *err)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot look at the model: %s", strerror(errno));
    *stamp = stamp_of(&info);
    return 0;
}

/* Sets the error for a file that could not be opened. */
static int fail_open(int folder, const char *path, struct adl_error *err)
{
    const bool missing = errno == ENOENT || errno == ENOTDIR;

    if (folder < 0)
        return adl_fail(err, missing ? ADL_ERR_NOT_FOUND : ADL_ERR_IO,
                        "%s: cannot read the model: %s", path, strerror(errno));
    if (missing)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: there is no such file in the folder of models",
                        path);
    switch (errno) {
    case EXDEV:
    case ELOOP:
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: a symbolic link leads out of the folder of models", path);
    case ENXIO: return adl_fail(err, ADL_ERR_FORMAT, "%s: is not a regular file", path);
    default:
        return adl_fail(err, ADL_ERR_IO, "%s: cannot read the model: %s", path, strerror(errno));
    }
}

int adl_model_file_open(int folder, const char *path, int *fd, struct adl_file_stamp *stamp,
                        struct adl_error *err)
{
    struct stat info;

    *fd = folder < 0 ? open(path, FLAGS) : adl_open_beneath(folder, path, FLAGS);
    if (*fd < 0)
        return fail_open(folder, path, err);
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode)) {
        *stamp = stamp_of(&info);
        return 0;
    }
    close(*fd);
    *fd = -1;
    return adl_fail(err, ADL_ERR_FORMAT, "%s: is not a regular file", path);
}

struct adl_file_stamp adl_model_file_look(int folder, const char *path)
{
    struct stat info;

    if (fstatat(folder < 0 ? AT_FDCWD : folder, path, &info, 0) < 0 || !S_ISREG(info.st_mode))
        return (struct adl_file_stamp){0};
    return stamp_of(&info);
}

int adl_model_file_version(int fd, const atomic_bool *stop,
                           char version[ADL_MODEL_VERSION_DIGITS + 1], struct adl_error *err)
{
    struct adl_sha256 hash;
    char hex[65];
    unsigned char *bytes = adl_malloc(1, READ_BYTES);
    off_t at = 0;
    ssize_t got = 0;

    if (!bytes)
        return adl_fail_nomem(err, "reading a model");
    adl_sha256_init(&hash);
    while (!atomic_load(stop) && at <= (off_t)ADL_LIMIT_WEIGHTS_BYTES &&
           (got = pread(fd, bytes, READ_BYTES, at)) > 0) {
        adl_sha256_update(&hash, bytes, (size_t)got);
        at += got;
    }
    adl_free(bytes);
    if (got < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot read the model: %s", strerror(errno));
    if (atomic_load(stop))
        return adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    if (at > (off_t)ADL_LIMIT_WEIGHTS_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "the file is larger than a model may be");
    adl_sha256_hex(&hash, hex);
    memcpy(version, hex, ADL_MODEL_VERSION_DIGITS);
    version[ADL_MODEL_VERSION_DIGITS] = '\0';
    return 0;
}
