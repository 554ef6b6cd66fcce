#ifndef ADL_SERVER_COMMANDS_IMAGE_LIST_H
#define ADL_SERVER_COMMANDS_IMAGE_LIST_H

/* The images that the operands of a command line name: files, directories,
 * patterns, and "-" for standard input. */

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
    struct adl_error *problems; /* directories that could not be read or hold nothing; owned */
    size_t problem_count, problem_capacity;
    size_t left_out;        /* of the directories: files that are no images by name or by kind */
    const char *left_first; /* the path of one of them, the least; NULL: none */
    char root[PATH_MAX];    /* the deepest directory that holds all operands; "": not known yet */
    struct adl_arena arena;
};

/* A zeroed struct is an empty list. */
void adl_image_list_release(struct adl_image_list *list);

/* Adds the images of an operand. A directory stands for every file below it whose name is that
 * of a JPEG, PNG or WebP image, sorted by path, without hidden files. What else is there is
 * counted as left out: other files, FIFOs and the like, and directories behind symbolic links. An
 * operand with * ? or [ that does not exist is a pattern, whose matches are added likewise, FIFOs
 * and devices excepted. Any other name is added as it is, whether
 * it exists or not. Fails with NOT_FOUND when a directory or a pattern yields nothing, with IO when
 * a directory cannot be read, and with LIMIT when directories nest too deeply. Where there are
 * images elsewhere, among the matches of the pattern or below the directory, they are all added,
 * each such failure becomes one of `problems`, and the result is 0. */
int adl_image_list_add(struct adl_image_list *list, const char *operand,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Writes the path of an image relative to the deepest directory that holds all the images'
 * directories and files among the operands: "a.jpg" or "sub/a.jpg" for what is in one
 * directory, the same text for the same file however its path was written. Links to files
 * keep their own name; "-" stays as it is. Fails with NOMEM. */
int adl_image_list_relative(const struct adl_image_list *list, const char *path,
                            struct adl_str *relative, struct adl_error *err) ADL_MUST_CHECK;

/* Whether the file at `path` is one of the list's, under any path, so that writing
 * to it would destroy an input; false if it does not exist. Files are compared by
 * device and inode: adl_image_list_identify() has to be called once before, when
 * the list is complete. */
int adl_image_list_identify(struct adl_image_list *list, struct adl_error *err) ADL_MUST_CHECK;
bool adl_image_list_holds(const struct adl_image_list *list, const char *path);

#endif
