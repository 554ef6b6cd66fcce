/* Walks the directory of the runs from one descriptor, part by part, so that what a name reaches
 * does not depend on links. */

#include "server/training/runs_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "server/tasks/beneath.h"
#include "server/tasks/directory.h"
#include "server/training/run_lock.h"
#include "server/training/run_record.h"

enum { LONGEST_NAME = 1024, LONGEST_PART = 255 };

struct adl_runs {
    int fd;
};

struct adl_runs *adl_runs_open(const char *dir, struct adl_error *err)
{
    struct adl_runs *runs = adl_calloc(1, sizeof *runs);

    if (!runs) {
        adl_fail_nomem(err, "the directory of the runs");
        return NULL;
    }
    runs->fd = adl_open_directory("--runs", dir, err);
    if (runs->fd >= 0)
        return runs;
    adl_free(runs);
    return NULL;
}

void adl_runs_free(struct adl_runs *runs)
{
    if (runs)
        close(runs->fd);
    adl_free(runs);
}

/* Returns whether a part of a path may be followed: no hidden one but the lock of a run. */
static bool is_part(const char *part, size_t length)
{
    bool lock = length == sizeof ADL_RUN_LOCK - 1 && !memcmp(part, ADL_RUN_LOCK, length);
    return length > 0 && length <= LONGEST_PART && (part[0] != '.' || lock);
}

/* Opens a path below `fd` with `flags`; "." is `fd` itself. Returns -1 if a part is not allowed,
 * does not exist, or is a link. */
static int open_below(int fd, const char *path, int flags)
{
    size_t length;

    if (strlen(path) > LONGEST_NAME)
        return -1;
    for (const char *part = path; strcmp(path, ".") != 0; part += length + 1) {
        length = strcspn(part, "/");
        if (!is_part(part, length))
            return -1;
        if (!part[length])
            break;
    }
    return adl_open_without_links(fd, path, flags | O_CLOEXEC);
}

/* Opens a regular file of a run; -1 if there is none. O_NONBLOCK: a pipe is not waited for. */
static int open_file(const struct adl_runs *runs, const char *run, const char *name,
                     struct adl_runs_file *file)
{
    struct stat status;
    int dir = open_below(runs->fd, run, O_RDONLY | O_DIRECTORY);
    int fd = dir >= 0 ? open_below(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY) : -1;

    if (dir >= 0)
        close(dir);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -1;
    }
    if (file)
        *file = (struct adl_runs_file){(uint64_t)status.st_size, (int64_t)status.st_mtime};
    return fd;
}

bool adl_runs_look(const struct adl_runs *runs, const char *run, const char *name,
                   struct adl_runs_file *file)
{
    int fd = open_file(runs, run, name, file);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

char *adl_runs_read(const struct adl_runs *runs, const char *run, const char *name, uint64_t offset,
                    size_t limit, size_t *length, struct adl_runs_file *file, struct adl_error *err)
{
    struct adl_runs_file known;
    int fd = open_file(runs, run, name, &known);
    char *bytes = NULL;

    *length = 0;
    if (fd < 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "there is no such run, or it has no file %s", name);
        return NULL;
    }
    uint64_t rest = offset < known.bytes ? known.bytes - offset : 0;
    size_t wanted = rest < limit ? (size_t)rest : limit;
    bytes = adl_malloc(wanted + 1, 1);
    if (!bytes)
        adl_fail_nomem(err, "a file of a run");
    while (bytes && *length < wanted) {
        ssize_t got = pread(fd, bytes + *length, wanted - *length, (off_t)(offset + *length));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            adl_fail(err, ADL_ERR_IO, "%s of a run cannot be read: %s", name, strerror(errno));
            adl_free(bytes);
            bytes = NULL;
        }
        if (got <= 0)
            break; /* the file has become shorter */
        *length += (size_t)got;
    }
    if (bytes)
        bytes[*length] = '\0';
    if (file)
        *file = known;
    close(fd);
    return bytes;
}

/* --- lists ------------------------------------------------------------------------------------ */

void adl_runs_list_release(struct adl_runs_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        adl_free(list->names[i]);
    adl_free(list->names);
    *list = (struct adl_runs_list){0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds a copy of FOLDER/NAME, or of NAME if the folder is ".". The list has room for `most`. */
static int list_add(struct adl_runs_list *list, size_t most, const char *folder, const char *name,
                    struct adl_error *err)
{
    struct adl_str path = {0};

    if (list->count == most) {
        list->more = true;
        return 0;
    }
    if (strcmp(folder, ".") != 0)
        adl_str_printf(&path, "%s/", folder);
    adl_str_puts(&path, name);
    char *copy = adl_str_take(&path, NULL, err);
    if (!copy)
        return -1;
    list->names[list->count++] = copy;
    return 0;
}

static int list_init(struct adl_runs_list *list, size_t most, struct adl_error *err)
{
    *list = (struct adl_runs_list){.names = adl_calloc(most, sizeof *list->names)};
    return list->names ? 0 : adl_fail_nomem(err, "the list of the runs");
}

static int list_fail(struct adl_runs_list *list)
{
    adl_runs_list_release(list);
    return -1;
}

struct search {
    const struct adl_runs *runs;
    struct adl_runs_list *list;
    struct adl_runs_list folders; /* that are still to be looked at */
    size_t entries;
};

static int depth_of(const char *path)
{
    int depth = !strcmp(path, ".") ? 0 : 1;
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

/* Looks at one folder: it is a run, or what lies in it is looked at later. A run may have runs
 * below it too. */
static int search_folder(struct search *s, const char *path, struct adl_error *err)
{
    int fd = open_below(s->runs->fd, path, O_RDONLY | O_DIRECTORY), result = 0;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    bool is_run = false;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *entry; result == 0 && (entry = readdir(dir));) {
        if (++s->entries > ADL_RUNS_ENTRIES) {
            s->list->more = true;
            break;
        }
        is_run |= !strcmp(entry->d_name, ADL_RUN_RECORD) || !strcmp(entry->d_name, ADL_RUN_METRICS);
        bool folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
        if (folder && is_part(entry->d_name, strlen(entry->d_name)) &&
            depth_of(path) < ADL_RUNS_DEPTH)
            result = list_add(&s->folders, ADL_RUNS_ENTRIES, path, entry->d_name, err);
    }
    closedir(dir);
    return result == 0 && is_run ? list_add(s->list, ADL_RUNS_MOST, ".", path, err) : result;
}

int adl_runs_find(const struct adl_runs *runs, struct adl_runs_list *list, struct adl_error *err)
{
    struct search search = {.runs = runs, .list = list};
    int result = 0;

    if (list_init(list, ADL_RUNS_MOST, err) < 0)
        return -1;
    if (list_init(&search.folders, ADL_RUNS_ENTRIES, err) < 0)
        return list_fail(list);
    result = search_folder(&search, ".", err);
    while (result == 0 && search.folders.count > 0 && !list->more) {
        char *path = search.folders.names[--search.folders.count];
        result = search_folder(&search, path, err);
        adl_free(path);
    }
    adl_runs_list_release(&search.folders);
    if (result < 0)
        return list_fail(list);
    qsort(list->names, list->count, sizeof *list->names, by_bytes);
    return 0;
}

int adl_runs_files(const struct adl_runs *runs, const char *run, const char *folder,
                   const char *start, size_t most, struct adl_runs_list *list,
                   struct adl_error *err)
{
    if (list_init(list, most, err) < 0)
        return -1;
    int dir = open_below(runs->fd, run, O_RDONLY | O_DIRECTORY), result = 0;
    int fd = dir >= 0 ? open_below(dir, folder, O_RDONLY | O_DIRECTORY) : -1;
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir >= 0)
        close(dir);
    if (!entries && fd >= 0)
        close(fd);
    size_t seen = 0;
    for (struct dirent *entry;
         entries && result == 0 && seen < ADL_RUNS_ENTRIES && (entry = readdir(entries)); seen++)
        if (!strncmp(entry->d_name, start, strlen(start)))
            result = list_add(list, most, ".", entry->d_name, err);
    if (entries)
        closedir(entries);
    if (result < 0)
        return list_fail(list);
    qsort(list->names, list->count, sizeof *list->names, by_bytes);
    return 0;
}
