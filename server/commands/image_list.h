#ifndef ADL_SERVER_COMMANDS_IMAGE_LIST_H
#define ADL_SERVER_COMMANDS_IMAGE_LIST_H

/* The images that a command line names: files, folders, patterns, "-". */

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

struct adl_image_list {
    const char **paths; /* owned, as is the text, by the list */
    size_t count;
    size_t capacity;
    struct adl_image_file *files; /* those that exist, sorted; owned */
    size_t file_count;
    struct adl_arena arena;
};

/* A zeroed struct is an empty list. */
void adl_image_list_release(struct adl_image_list *list);

/* Adds what an operand means. A folder gives every .jpg, .jpeg, .png and .webp
 * below it, sorted by path, hidden files and linked folders left out; what does
 * not exist but holds * ? or [ is a pattern. A plain name is taken as it is,
 * whether the file exists or not. Fails with NOT_FOUND when a folder or a
 * pattern gives nothing, with IO or LIMIT when a folder cannot be read or they nest
 * too deeply; the images that were found are in the list all the same. */
int adl_image_list_add(struct adl_image_list *list, const char *operand,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Whether `path` is a file that exists and that the list names too, by whatever path:
 * it must not be written. To be asked after adl_image_list_identify(), once, when the
 * list is complete. */
int adl_image_list_identify(struct adl_image_list *list, struct adl_error *err) ADL_MUST_CHECK;
bool adl_image_list_holds(const struct adl_image_list *list, const char *path);

#endif
