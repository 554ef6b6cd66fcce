/* Expands the operands of a command line to paths of images. */

#include "server/tasks/image_list.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "image/image_decode.h"
#include "io/file.h"

void adl_image_list_release(struct adl_image_list *list)
{
    adl_free(list->paths);
    adl_free(list->files);
    adl_free(list->problems);
    adl_arena_release(&list->arena);
    *list = (struct adl_image_list){0};
}

static int append(struct adl_image_list *list, const char *path, struct adl_error *err)
{
    const char **paths =
        adl_array_grow(list->paths, &list->capacity, list->count + 1, sizeof *paths);
    if (!paths)
        return adl_fail_nomem(err, "the list of images");
    list->paths = paths;
    const char *copy = adl_arena_printf(&list->arena, "%s", path);
    if (!copy)
        return adl_fail_nomem(err, "the list of images");
    list->paths[list->count++] = copy;
    return 0;
}

/* Moves an error into the list, so that the next file can be tried. Fails with ADL_ERR_NOMEM,
 * also if that is the error. */
static int note_problem(struct adl_image_list *list, struct adl_error *problem,
                        struct adl_error *err)
{
    struct adl_error *problems = NULL;
    if (problem->kind != ADL_ERR_NOMEM)
        problems = adl_array_grow(list->problems, &list->problem_capacity, list->problem_count + 1,
                                  sizeof *problems);
    if (!problems)
        return adl_fail_nomem(err, "the list of images");
    list->problems = problems;
    list->problems[list->problem_count++] = *problem;
    adl_error_clear(problem);
    return 0;
}

/* Fails with the last problem if no image was found since the list had `images` images and
 * `problems` problems. */
static int settle(struct adl_image_list *list, size_t images, size_t problems,
                  struct adl_error *err)
{
    if (list->count > images || list->problem_count == problems)
        return 0;
    *err = list->problems[--list->problem_count];
    return -1;
}

static void leave_out(struct adl_image_list *list, const char *path)
{
    list->left_out++;
    if (!list->left_first || strcmp(path, list->left_first) < 0)
        list->left_first = path;
}

/* Returns whether the entry of a directory is an image to be opened. A symbolic link to nothing is
 * one too, so that opening it reports an error. A FIFO is not, because opening it would wait for a
 * writer. */
static bool is_image(const char *path, const char *name)
{
    struct stat info;
    return adl_image_named(name) && (stat(path, &info) < 0 || S_ISREG(info.st_mode));
}

/* Adds the images of a directory. A subdirectory that cannot be read becomes a problem. */
static int add_directory(struct adl_image_list *list, const char *path, int depth,
                         struct adl_error *err)
{
    int result = -1;
    DIR *dir;

    if (depth > ADL_LIMIT_FOLDER_DEPTH)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: more than %d directories deep", path,
                        ADL_LIMIT_FOLDER_DEPTH);
    dir = opendir(path);
    if (!dir)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat info;
        bool slash = path[strlen(path) - 1] == '/';
        if (entry->d_name[0] == '.')
            continue;
        const char *child =
            adl_arena_printf(&list->arena, "%s%s%s", path, slash ? "" : "/", entry->d_name);
        if (!child) {
            adl_fail_nomem(err, "the list of images");
            goto out;
        }
        /* Symbolic links to directories are not followed: they may form cycles. */
        if (lstat(child, &info) == 0 && S_ISDIR(info.st_mode)) {
            struct adl_error inner = {0};
            if (add_directory(list, child, depth + 1, &inner) < 0)
                ADL_TRY(note_problem(list, &inner, err));
        } else if (is_image(child, entry->d_name)) {
            ADL_TRY(append(list, child, err));
        } else {
            leave_out(list, child);
        }
    }
    result = 0;
out:
    closedir(dir);
    return result;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Writes the directory of a file without "..", "//" and links; returns false if it does not
 * exist. */
static bool directory_of(const char *path, char directory[PATH_MAX])
{
    char text[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + (slash == path) : 1;
    if (length >= sizeof text)
        return false;
    memcpy(text, slash ? path : ".", length);
    text[length] = '\0';
    return realpath(text, directory) != NULL;
}

/* Returns whether `path` is `directory` or below it. */
static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    if (length == 1) /* "/" */
        return true;
    return strncmp(path, directory, length) == 0 && (!path[length] || path[length] == '/');
}

/* Shortens `root` to a directory that contains this one too. */
static void widen_root(struct adl_image_list *list, const char *directory)
{
    if (!list->root[0])
        memcpy(list->root, directory, strlen(directory) + 1);
    while (!is_below(directory, list->root)) {
        char *slash = strrchr(list->root, '/');
        slash[slash == list->root] = '\0';
    }
}

int adl_image_list_relative(const struct adl_image_list *list, const char *path,
                            struct adl_str *relative, struct adl_error *err)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!strcmp(path, "-") || !list->root[0] || !directory_of(path, directory) ||
        !is_below(directory, list->root)) {
        adl_str_puts(relative, path);
    } else {
        const char *below = directory + strlen(list->root);
        below += *below == '/';
        adl_str_printf(relative, "%s%s%s", below, *below ? "/" : "", slash ? slash + 1 : path);
    }
    return relative->failed ? adl_fail_nomem(err, "the name of an image") : 0;
}

static int add_path(struct adl_image_list *list, const char *path, struct adl_error *err)
{
    size_t first = list->count, problems = list->problem_count;
    char directory[PATH_MAX];

    if (!strcmp(path, "-") || !adl_file_is_folder(path)) {
        if (strcmp(path, "-") != 0 && directory_of(path, directory))
            widen_root(list, directory);
        return append(list, path, err);
    }
    if (realpath(path, directory))
        widen_root(list, directory);
    int result = add_directory(list, path, 0, err);
    if (list->count > first)
        qsort(list->paths + first, list->count - first, sizeof *list->paths, by_path);
    else if (result == 0)
        result = settle(list, first, problems, err);
    if (list->count == first && result == 0)
        result = adl_fail(err, ADL_ERR_NOT_FOUND,
                          "%s: contains no " ADL_IMAGE_FORMATS("or") " file by name", path);
    return result;
}

/* Adds a match of a pattern. FIFOs and devices are left out, because the user has not named them
 * and reading them might never end. */
static int add_match(struct adl_image_list *list, const char *path, struct adl_error *err)
{
    struct stat info;
    if (stat(path, &info) < 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))
        return add_path(list, path, err);
    const char *copy = adl_arena_printf(&list->arena, "%s", path);
    if (!copy)
        return adl_fail_nomem(err, "the list of images");
    leave_out(list, copy);
    return 0;
}

int adl_image_list_add(struct adl_image_list *list, const char *operand, struct adl_error *err)
{
    size_t first = list->count, problems = list->problem_count;
    struct stat info;
    glob_t matches = {0};
    int result = -1;

    if (!strpbrk(operand, "*?[") || lstat(operand, &info) == 0)
        return add_path(list, operand, err);
    switch (glob(operand, 0, NULL, &matches)) {
    case 0: break;
    case GLOB_NOSPACE: adl_fail_nomem(err, "a pattern's matches"); goto out;
    default: adl_fail(err, ADL_ERR_NOT_FOUND, "%s: matches nothing", operand); goto out;
    }
    for (size_t i = 0; i < matches.gl_pathc; i++) {
        struct adl_error inner = {0};
        if (add_match(list, matches.gl_pathv[i], &inner) < 0)
            ADL_TRY(note_problem(list, &inner, err));
    }
    result = settle(list, first, problems, err);
out:
    globfree(&matches);
    return result;
}

struct adl_image_file {
    dev_t device;
    ino_t inode;
};

static int by_file(const void *a, const void *b)
{
    const struct adl_image_file *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

int adl_image_list_identify(struct adl_image_list *list, struct adl_error *err)
{
    struct stat info;

    list->files = adl_malloc(list->count, sizeof *list->files);
    if (!list->files)
        return adl_fail_nomem(err, "the list of images");
    for (size_t i = 0; i < list->count; i++)
        if (stat(list->paths[i], &info) == 0)
            list->files[list->file_count++] = (struct adl_image_file){info.st_dev, info.st_ino};
    if (list->file_count > 0)
        qsort(list->files, list->file_count, sizeof *list->files, by_file);
    return 0;
}

bool adl_image_list_holds(const struct adl_image_list *list, const char *path)
{
    struct stat info;

    if (list->file_count == 0 || stat(path, &info) < 0)
        return false;
    const struct adl_image_file file = {info.st_dev, info.st_ino};
    return bsearch(&file, list->files, list->file_count, sizeof file, by_file) != NULL;
}
