/* Lists directories of a folder data set, and files by their extension.
 *
 * A directory is read whole, sorted and then walked, so that neither the images nor the names in
 * a message depend on the file system's order. Symbolic links to directories can form cycles and,
 * without a cycle, as many paths as 2^depth. They are therefore set aside until the real tree of
 * the class has been walked, and each is then followed only if its directory is neither among the
 * directories above the class nor has been walked for it already: an image is found once. */

#include "data/folder_list.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"
#include "image/image_decode.h"
#include "io/file.h"

int adl_names_add(struct adl_names *names, const char *name, struct adl_error *err)
{
    const char **items =
        adl_array_grow(names->items, &names->capacity, names->count + 1, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "names of files");
    names->items = items;
    names->items[names->count++] = name;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void adl_names_sort(struct adl_names *names)
{
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, by_name);
}

/* Adds the names in an open directory, without hidden ones, and sorts them. */
static int read_names(struct adl_draft *draft, DIR *dir, struct adl_names *names,
                      struct adl_error *err)
{
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        const char *name = adl_draft_text(draft, err, "%s", entry->d_name);
        if (!name || adl_names_add(names, name, err) < 0)
            return -1;
    }
    adl_names_sort(names);
    return 0;
}

/* The role of a directory entry in a data set. */
enum entry_kind { ENTRY_DIRECTORY, ENTRY_LINKED_DIRECTORY, ENTRY_IMAGE, ENTRY_LEFT_OUT };

/* Returns whether `train` has written to the directory; the names are those of
 * server/training/run_record.h. A directory of a run may be inside the data set, and may hold
 * images that are not part of it, such as the overlays of `localize`. */
static bool is_run(const char *path)
{
    static const char *const files[] = {"run.json", "metrics.jsonl", "state.safetensors"};
    char file[PATH_MAX];
    struct stat info;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (snprintf(file, sizeof file, "%s/%s", path, files[i]) < (int)sizeof file &&
            stat(file, &info) == 0 && S_ISREG(info.st_mode))
            return true;
    return false;
}

/* Returns the role of the entry at `path`, and sets *why for ENTRY_LEFT_OUT. */
static enum entry_kind classify(const char *path, enum adl_left_out *why)
{
    struct stat info, itself;

    if (stat(path, &info) < 0) {
        *why = errno == ELOOP             ? ADL_LEFT_OUT_LOOP
               : lstat(path, &itself) < 0 ? ADL_LEFT_OUT_UNREADABLE
                                          : ADL_LEFT_OUT_DANGLING;
        return ENTRY_LEFT_OUT;
    }
    *why = ADL_LEFT_OUT_RUN;
    if (S_ISDIR(info.st_mode) && is_run(path))
        return ENTRY_LEFT_OUT;
    if (S_ISDIR(info.st_mode))
        return lstat(path, &itself) == 0 && S_ISLNK(itself.st_mode) ? ENTRY_LINKED_DIRECTORY
                                                                    : ENTRY_DIRECTORY;
    *why = S_ISREG(info.st_mode) ? ADL_LEFT_OUT_FORMAT : ADL_LEFT_OUT_SPECIAL;
    return S_ISREG(info.st_mode) && adl_image_named(path) ? ENTRY_IMAGE : ENTRY_LEFT_OUT;
}

int adl_folder_classes(struct adl_draft *draft, const char *path, bool quiet,
                       struct adl_names *classes, size_t *images, struct adl_error *err)
{
    struct adl_names names = {0};
    DIR *dir = opendir(path);
    int result = -1;

    if (images)
        *images = 0;
    if (!dir)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    ADL_TRY(read_names(draft, dir, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        enum adl_left_out why = ADL_LEFT_OUT_OUTSIDE;
        const char *child = adl_draft_text(draft, err, "%s/%s", path, names.items[i]);
        if (!child)
            goto out;
        enum entry_kind kind = classify(child, &why);
        if (kind == ENTRY_DIRECTORY || kind == ENTRY_LINKED_DIRECTORY) {
            ADL_TRY(adl_names_add(classes, names.items[i], err));
            continue;
        }
        if (kind == ENTRY_IMAGE && images)
            (*images)++;
        /* Lists, notes and the like beside the classes are not part of the data. */
        if (!quiet && why != ADL_LEFT_OUT_FORMAT)
            adl_draft_leave_out(draft, why, "%s", names.items[i]);
        else if (!quiet && kind == ENTRY_IMAGE)
            adl_draft_leave_out(draft, ADL_LEFT_OUT_OUTSIDE, "%s", names.items[i]);
    }
    result = 0;
out:
    adl_free(names.items);
    closedir(dir);
    return result;
}

/* --- the images of a class ---------------------------------------------------------- */

/* Identifies a directory, whatever path leads to it. */
struct identity {
    dev_t device;
    ino_t inode;
};

struct walk {
    struct adl_draft *draft;
    const char *name; /* of the class */
    const char *top;  /* its directory */
    bool quiet;
    bool linked; /* following links, which may lead to directories that were walked already */
    struct adl_names *images;
    struct adl_names links; /* to directories, not followed yet; relative to `top` */
    struct identity *known; /* the directories above the class, and those walked; owned */
    size_t known_count;
    size_t known_capacity;
};

static bool is_known(const struct walk *w, const struct stat *info)
{
    for (size_t i = 0; i < w->known_count; i++)
        if (w->known[i].inode == info->st_ino && w->known[i].device == info->st_dev)
            return true;
    return false;
}

static int add_known(struct walk *w, const struct stat *info, struct adl_error *err)
{
    struct identity *known =
        adl_array_grow(w->known, &w->known_capacity, w->known_count + 1, sizeof *known);
    if (!known)
        return adl_fail_nomem(err, "names of directories");
    w->known = known;
    w->known[w->known_count++] = (struct identity){info->st_dev, info->st_ino};
    return 0;
}

/* Adds `root` and the directories above it to those known, ADL_LIMIT_FOLDER_DEPTH at most. */
static int add_ancestors(struct walk *w, const char *root, struct adl_error *err)
{
    struct adl_str path = {0};
    struct stat info;
    int result = 0;

    adl_str_puts(&path, root);
    for (int i = 0; i < ADL_LIMIT_FOLDER_DEPTH && result == 0; i++) {
        if (path.failed)
            result = adl_fail_nomem(err, "a path");
        else if (stat(path.data, &info) < 0 || is_known(w, &info))
            break;
        else
            result = add_known(w, &info, err);
        adl_str_puts(&path, "/..");
    }
    adl_str_release(&path);
    return result;
}

static void leave_out(const struct walk *w, enum adl_left_out why, const char *relative)
{
    if (!w->quiet)
        adl_draft_leave_out(w->draft, why, "%s/%s", w->name, relative);
}

static int walk_directory(struct walk *w, const char *relative, int depth, struct adl_error *err);

static int walk_entry(struct walk *w, const char *relative, int depth, struct adl_error *err)
{
    const char *path = adl_draft_text(w->draft, err, "%s/%s", w->top, relative);
    enum adl_left_out why;

    if (!path)
        return -1;
    switch (classify(path, &why)) {
    case ENTRY_DIRECTORY:
        if (depth < ADL_LIMIT_FOLDER_DEPTH)
            return walk_directory(w, relative, depth + 1, err);
        leave_out(w, ADL_LEFT_OUT_DEEP, relative);
        return 0;
    case ENTRY_LINKED_DIRECTORY: return adl_names_add(&w->links, relative, err);
    case ENTRY_IMAGE: return adl_names_add(w->images, relative, err);
    default: leave_out(w, why, relative); return 0;
    }
}

/* Walks one directory and those below it; "" is the directory of the class. */
static int walk_directory(struct walk *w, const char *relative, int depth, struct adl_error *err)
{
    const char *slash = *relative ? "/" : "";
    const char *path = adl_draft_text(w->draft, err, "%s%s%s", w->top, slash, relative);
    struct adl_names names = {0};
    struct stat info;
    int result = -1;

    if (!path)
        return -1;
    DIR *dir = opendir(path);
    if (!dir || fstat(dirfd(dir), &info) < 0) {
        if (dir)
            closedir(dir);
        if (!*relative)
            return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
        leave_out(w, ADL_LEFT_OUT_UNREADABLE, relative);
        return 0;
    }
    if ((w->linked || !*relative) && is_known(w, &info)) {
        closedir(dir);
        leave_out(w, ADL_LEFT_OUT_LOOP, relative);
        return 0;
    }
    result = add_known(w, &info, err);
    if (result == 0)
        result = read_names(w->draft, dir, &names, err);
    closedir(dir); /* before the directories below are opened */
    for (size_t i = 0; result == 0 && i < names.count; i++) {
        const char *child =
            adl_draft_text(w->draft, err, "%s%s%s", relative, slash, names.items[i]);
        result = child ? walk_entry(w, child, depth, err) : -1;
        if (w->quiet && w->images->count > 0)
            break;
    }
    adl_free(names.items);
    return result;
}

static int count_slashes(const char *path)
{
    int count = 0;
    while ((path = strchr(path, '/'))) {
        path++;
        count++;
    }
    return count;
}

int adl_folder_images(struct adl_draft *draft, const char *root, const char *name, bool quiet,
                      struct adl_names *images, struct adl_error *err)
{
    struct walk w = {.draft = draft, .name = name, .quiet = quiet, .images = images};
    int result = -1;

    w.top = adl_draft_text(draft, err, "%s/%s", root, name);
    if (!w.top)
        return -1;
    ADL_TRY(add_ancestors(&w, root, err));
    ADL_TRY(walk_directory(&w, "", 0, err));
    w.linked = true;
    /* A directory behind a link may add further links at the end. */
    for (size_t i = 0; i < w.links.count && !(quiet && images->count > 0); i++) {
        int depth = count_slashes(w.links.items[i]) + 1;
        if (depth > ADL_LIMIT_FOLDER_DEPTH)
            leave_out(&w, ADL_LEFT_OUT_DEEP, w.links.items[i]);
        else
            ADL_TRY(walk_directory(&w, w.links.items[i], depth, err));
    }
    adl_names_sort(images);
    result = 0;
out:
    adl_free(w.known);
    adl_free(w.links.items);
    return result;
}

/* --- files by their extension -------------------------------------------------------- */

/* Levels of directories below that of the texts of annotation tools. Unlike images, these are
 * found through every link, so that a link to a directory above ends in a message. */
#define DEEPEST 8

struct search {
    struct adl_draft *draft;
    const char *root, *extension;
    bool any;
    struct adl_names *names;
};

/* Adds the files below ROOT/BELOW. */
static int search_below(struct search *s, const char *below, int depth, struct adl_error *err)
{
    const char *slash = *below ? "/" : "";
    const char *path = adl_draft_text(s->draft, err, "%s%s%s", s->root, slash, below);
    DIR *listing = path && depth <= DEEPEST ? opendir(path) : NULL;
    const size_t tail = strlen(s->extension);
    int result = -1;

    if (!path)
        return -1;
    if (!listing)
        return adl_fail(err, ADL_ERR_IO, "%s: cannot be read, or is too deep", path);
    for (struct dirent *entry; (entry = readdir(listing)) && !(s->any && s->names->count > 0);) {
        const char *name = entry->d_name;
        const size_t length = strlen(name);
        char whole[PATH_MAX];
        if (name[0] == '.')
            continue;
        if (snprintf(whole, sizeof whole, "%s/%s", path, name) < (int)sizeof whole &&
            adl_file_is_folder(whole)) {
            const char *inner = adl_draft_text(s->draft, err, "%s%s%s", below, slash, name);
            if (!inner || search_below(s, inner, depth + 1, err) < 0)
                goto out;
        } else if (length > tail && !strcasecmp(name + length - tail, s->extension)) {
            const char *stem =
                adl_draft_text(s->draft, err, "%s%s%.*s", below, slash, (int)(length - tail), name);
            if (!stem || adl_names_add(s->names, stem, err) < 0)
                goto out;
        }
    }
    result = 0;
out:
    closedir(listing);
    return result;
}

int adl_names_below(struct adl_draft *draft, const char *root, const char *extension, bool any,
                    struct adl_names *names, struct adl_error *err)
{
    struct search s = {draft, root, extension, any, names};

    if (search_below(&s, "", 0, err) < 0)
        return -1;
    adl_names_sort(names);
    return 0;
}
