/* Reads and writes whole files by plain system calls.
 *
 * Writing in place would leave half a model file when the process or the machine dies in
 * between. rename() replaces a file atomically, but does not write its content to the disk:
 * so the new content is synced first, under another name, and afterwards the directory, which
 * holds the name.
 *
 * The other name is one that no other file has: ".NAME.RANDOM.tmp", created by O_EXCL. A
 * fixed name could be that of a file of the user, and two processes that write the same path
 * would write into each other's content. mkstemp() is not used because its files have mode
 * 0600, while open() with 0666 leaves what the umask allows; the umask itself can be read only by
 * changing it, which would race with other threads. */

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

/* Temporary files are named ".NAME.", this many hexadecimal digits, and the suffix. */
#define RANDOM_DIGITS 16
#define TEMPORARY_SUFFIX ".tmp"
#define TEMPORARY_ATTEMPTS 100

#define STREAM_FIRST_BYTES ((size_t)64 * 1024)

static int fail_errno(struct adl_error *err, const char *verb, const char *path)
{
    enum adl_error_kind kind = errno == ENOENT || errno == ENOTDIR ? ADL_ERR_NOT_FOUND : ADL_ERR_IO;
    return adl_fail(err, kind, "cannot %s %s: %s", verb, path, strerror(errno));
}

static bool is_dash(const char *path)
{
    return !strcmp(path, "-");
}

/* --- reading --------------------------------------------------------------- */

/* Reads until the end or until `room` is full. */
static int read_some(int fd, char *to, size_t room, size_t *got, const char *path,
                     struct adl_error *err)
{
    *got = 0;
    while (*got < room) {
        ssize_t n = read(fd, to + *got, room - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "read", path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

static int fail_too_large(struct adl_error *err, const char *path, size_t limit)
{
    return adl_fail(err, ADL_ERR_LIMIT, "%s is larger than the limit of %zu bytes", path, limit);
}

bool adl_file_is_regular(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool adl_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void *adl_file_read(const char *path, size_t limit, size_t *length, struct adl_error *err)
{
    char *data = NULL, *grown;
    size_t capacity, used = 0, got;
    struct stat info;
    bool done = false;
    const char *shown = is_dash(path) ? "standard input" : path;
    int fd = is_dash(path) ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &info) < 0) {
        fail_errno(err, "open", shown);
        goto out;
    }
    if (S_ISDIR(info.st_mode)) {
        adl_fail(err, ADL_ERR_IO, "cannot read %s: it is a directory", shown);
        goto out;
    }
    /* A regular file is read into a buffer of its size and one byte more, which shows that
     * the end was reached. Pipes, and files of /proc, whose size is 0, are read into a
     * buffer that doubles. */
    bool sized = S_ISREG(info.st_mode) && info.st_size > 0;
    if (sized && (uintmax_t)info.st_size > limit) {
        fail_too_large(err, shown, limit);
        goto out;
    }
    capacity = sized ? (size_t)info.st_size + 1 : STREAM_FIRST_BYTES;
    for (;;) {
        grown = adl_realloc(data, capacity, 1);
        if (!grown) {
            adl_fail(err, ADL_ERR_NOMEM, "out of memory to read %s", shown);
            goto out;
        }
        data = grown;
        ADL_TRY(read_some(fd, data + used, capacity - used, &got, shown, err));
        used += got;
        if (used > limit) {
            fail_too_large(err, shown, limit);
            goto out;
        }
        if (used < capacity)
            break;
        if (adl_size_mul(capacity, 2, &capacity) < 0) {
            fail_too_large(err, shown, limit);
            goto out;
        }
    }
    data[used] = '\0';
    if (length)
        *length = used;
    done = true;
out:
    if (fd >= 0 && !is_dash(path))
        close(fd);
    if (!done) {
        adl_free(data);
        data = NULL;
    }
    return data;
}

/* --- writing --------------------------------------------------------------- */

static int write_pieces(int fd, const struct adl_file_piece *pieces, size_t count, const char *path,
                        struct adl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *from = pieces[i].data;
        for (size_t left = pieces[i].length; left;) {
            ssize_t n = write(fd, from, left);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return fail_errno(err, "write", path);
            from += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

/* Sets `directory` to the directory that holds the last component of `path`. */
static void directory_of(const char *path, char directory[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(directory, PATH_MAX, "%.*s", (int)(slash == path ? 1 : slash - path), path);
    else
        snprintf(directory, PATH_MAX, ".");
}

/* Makes a rename in the directory of `path` durable. */
static int sync_directory_of(const char *path, struct adl_error *err)
{
    char directory[PATH_MAX];
    directory_of(path, directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A directory may be writable without being readable, and some file systems cannot sync
     * directories; the file itself is complete even then. */
    if (fd < 0)
        return errno == EACCES ? 0 : fail_errno(err, "open", directory);
    int result = 0;
    if (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
        result = fail_errno(err, "sync", directory);
    close(fd);
    return result;
}

/* Writes the prefix of the temporary names for `path`: its directory, and ".NAME.", where a
 * long NAME is cut so that the whole remains a legal name. Returns the length of the prefix. */
static size_t temporary_prefix(const char *path, char prefix[PATH_MAX])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int length = snprintf(prefix, PATH_MAX, "%.*s.%.*s.", (int)(name - path), path,
                          NAME_MAX - (RANDOM_DIGITS + (int)sizeof TEMPORARY_SUFFIX + 1), name);
    return length < 0 ? PATH_MAX : (size_t)length;
}

/* Returns a number that other processes and threads are unlikely to get. */
static uint64_t random_number(unsigned attempt)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) == (ssize_t)sizeof number)
        return number;
    /* Early after the boot the kernel may not have random bytes yet; O_EXCL detects
     * collisions. */
    return (adl_clock_ns() << 16) ^ (uint64_t)getpid() ^ ((uint64_t)attempt << 48);
}

/* Creates a file next to `path` under a name that did not exist, with the mode that the umask
 * leaves. Returns its descriptor, or -1 with errno set. */
static int create_temporary(const char *path, char temporary[PATH_MAX])
{
    size_t length = temporary_prefix(path, temporary);
    if (length + RANDOM_DIGITS + sizeof TEMPORARY_SUFFIX > PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (unsigned attempt = 0; attempt < TEMPORARY_ATTEMPTS; attempt++) {
        snprintf(temporary + length, PATH_MAX - length, "%0*llx" TEMPORARY_SUFFIX, RANDOM_DIGITS,
                 (unsigned long long)random_number(attempt));
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Replaces `path`, or creates it. `old` describes the file to be replaced, whose permission
 * bits are kept; NULL: there is none. */
static int replace_file(const char *path, const struct stat *old,
                        const struct adl_file_piece *pieces, size_t count, struct adl_error *err)
{
    char temporary[PATH_MAX];
    int fd = create_temporary(path, temporary);
    if (fd < 0)
        return fail_errno(err, "create", path);

    if (old && fchmod(fd, old->st_mode & 0777) < 0) {
        fail_errno(err, "set the mode of", path);
        goto out;
    }
    ADL_TRY(write_pieces(fd, pieces, count, path, err));
    if (fsync(fd) < 0) {
        fail_errno(err, "sync", path);
        goto out;
    }
    int closed = close(fd);
    fd = -1;
    if (closed < 0) {
        fail_errno(err, "close", path);
        goto out;
    }
    if (rename(temporary, path) < 0) {
        fail_errno(err, "replace", path);
        goto out;
    }
    return sync_directory_of(path, err);
out:
    if (fd >= 0)
        close(fd);
    unlink(temporary);
    return -1;
}

int adl_file_write(const char *path, const struct adl_file_piece *pieces, size_t count,
                   struct adl_error *err)
{
    char target[PATH_MAX];
    struct stat info;

    if (is_dash(path))
        return write_pieces(STDOUT_FILENO, pieces, count, "standard output", err);
    if (stat(path, &info) < 0)
        return replace_file(path, NULL, pieces, count, err);
    if (S_ISREG(info.st_mode)) {
        /* Of a symbolic link, the file that it names is replaced, not the link. */
        if (!realpath(path, target))
            return fail_errno(err, "find", path);
        return replace_file(target, &info, pieces, count, err);
    }
    /* A device or pipe is written to, never replaced. */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open", path);
    int result = write_pieces(fd, pieces, count, path, err);
    if (close(fd) < 0 && result == 0)
        result = fail_errno(err, "close", path);
    return result;
}

/* Returns whether `name` is `prefix`, the random digits and the suffix. */
static bool is_temporary(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return !strncmp(name, prefix, length) &&
           strspn(name + length, "0123456789abcdef") == RANDOM_DIGITS &&
           !strcmp(name + length + RANDOM_DIGITS, TEMPORARY_SUFFIX);
}

void adl_file_remove_leftovers(const char *path)
{
    char directory[PATH_MAX], prefix[PATH_MAX];
    const struct dirent *entry;
    if (temporary_prefix(path, prefix) >= PATH_MAX)
        return;
    const char *slash = strrchr(prefix, '/'), *start = slash ? slash + 1 : prefix;
    directory_of(path, directory);
    DIR *open_directory = opendir(directory);
    while (open_directory && (entry = readdir(open_directory)))
        if (is_temporary(entry->d_name, start))
            unlinkat(dirfd(open_directory), entry->d_name, 0);
    if (open_directory)
        closedir(open_directory);
}

int adl_file_check_place(const char *path, struct adl_error *err)
{
    char directory[PATH_MAX];
    struct stat info;

    if (is_dash(path))
        return 0;
    if (adl_file_is_folder(path)) {
        errno = EISDIR;
        return fail_errno(err, "write", path);
    }
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return access(path, W_OK) < 0 ? fail_errno(err, "write", path) : 0;
    directory_of(path, directory);
    return access(directory, W_OK | X_OK) < 0 ? fail_errno(err, "write to", directory) : 0;
}
