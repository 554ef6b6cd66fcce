#ifndef ADL_SERVER_TASKS_IMAGE_LIST_H
#define ADL_SERVER_TASKS_IMAGE_LIST_H

/* Lists the images that the operands of a command line name: files, directories, patterns, and
 * "-" for standard input. */

#include <limits.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct adl_image_list {
    const char **paths; /* in order; the array and the texts are owned */
    size_t count;
    size_t capacity;
    struct adl_image_file *files; /* device and inode of those that exist, sorted; owned */
    size_t file_count;
    struct adl_error *problems; /* directories that cannot be read or have no images; owned */
    size_t problem_count, problem_capacity;
    size_t left_out;        /* entries of directories that are not images by name or by kind */
    const char *left_first; /* the path of the first of them in order; NULL: none */
    char root[PATH_MAX];    /* the deepest directory that contains all operands; "": not known */
    struct adl_arena arena;
};

/* Frees the content of a list. A zeroed struct is an empty list. */
void adl_image_list_release(struct adl_image_list *list);

/* Adds the images of an operand. A directory stands for every file below it whose name is that of
 * an image (adl_image_named()), sorted by path, without hidden files. Its other entries are counted
 * as left out: other files, FIFOs and the like, and directories behind symbolic links. An operand
 * with * ? or [ that does not exist is a pattern, whose matches are added in the same way, except
 * FIFOs and devices. Any other name is added as it is, whether it exists or not. Fails with
 * ADL_ERR_NOT_FOUND if a directory or a pattern yields nothing, with ADL_ERR_IO if a directory
 * cannot be read, and with ADL_ERR_LIMIT if directories nest too deeply. If the operand has images
 * in spite of such a failure, among the matches of the pattern or below the directory, they are
 * all added, the failure becomes one of `problems`, and the result is 0. */
int adl_image_list_add(struct adl_image_list *list, const char *operand,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Writes the path of an image relative to the deepest directory that contains all operands, such
 * as "a.jpg" or "sub/a.jpg". It is the same for the same file however the path was written. A
 * link to a file keeps the name of the link; "-" is not changed. Fails with ADL_ERR_NOMEM. */
int adl_image_list_relative(const struct adl_image_list *list, const char *path,
                            struct adl_str *relative, struct adl_error *err) ADL_MUST_CHECK;

/* Reads the device and inode of each file. To be called once, when the list is complete. Fails
 * with ADL_ERR_NOMEM. */
int adl_image_list_identify(struct adl_image_list *list, struct adl_error *err) ADL_MUST_CHECK;
/* Returns whether the file at `path` is in the list, under any path, so that writing to it would
 * destroy an input; false if it does not exist. adl_image_list_identify() has to be called
 * before. */
bool adl_image_list_holds(const struct adl_image_list *list, const char *path);

#endif
