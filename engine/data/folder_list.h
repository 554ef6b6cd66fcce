#ifndef ADL_DATA_FOLDER_LIST_H
#define ADL_DATA_FOLDER_LIST_H

/* Lists the directories of a folder data set, and files by their extension. Private to
 * engine/data/. */

#include "data/draft.h"

/* A growing list of names. The strings belong to the data set's arena; the caller frees `items`
 * with adl_free(). */
struct adl_names {
    const char **items;
    size_t count;
    size_t capacity;
};

/* Appends `name`, without a copy. Fails with ADL_ERR_NOMEM. */
int adl_names_add(struct adl_names *names, const char *name, struct adl_error *err) ADL_MUST_CHECK;
/* Puts them in byte order. */
void adl_names_sort(struct adl_names *names);

/* Adds the paths of the files below `root` whose names end with `extension` in any case (".txt"),
 * relative to `root`, without the extension and in byte order. Hidden entries are ignored. With
 * `any`, the search ends at the first file. Fails with ADL_ERR_IO if `root` or a directory below it
 * cannot be opened or is more than eight levels down, with ADL_ERR_LIMIT and ADL_ERR_NOMEM. */
int adl_names_below(struct adl_draft *draft, const char *root, const char *extension, bool any,
                    struct adl_names *names, struct adl_error *err) ADL_MUST_CHECK;

/* Adds to `classes` the names of the subdirectories of `path`, symbolic links to directories
 * included, in byte order. Unless `quiet`, counts as left out the directories of training runs,
 * images in `path` itself, special files, and links that are dangling or in a loop. Other files and
 * all hidden entries are ignored. Sets *images (may be NULL) to the number of images in `path`
 * itself. Fails with ADL_ERR_IO if `path` cannot be opened. */
int adl_folder_classes(struct adl_draft *draft, const char *path, bool quiet,
                       struct adl_names *classes, size_t *images,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Adds to `images` the paths of all images below ROOT/NAME, relative to that directory and in byte
 * order. Subdirectories are read down to ADL_LIMIT_FOLDER_DEPTH levels; a link to a directory is
 * followed unless that directory contains it or has been read for this class already. Hidden
 * entries are ignored; all others that are not read, such as directories of training runs, are
 * counted as left out. With `quiet`, nothing is counted, and the search may end at the first image.
 * Fails with ADL_ERR_IO if ROOT/NAME itself cannot be opened. */
int adl_folder_images(struct adl_draft *draft, const char *root, const char *name, bool quiet,
                      struct adl_names *images, struct adl_error *err) ADL_MUST_CHECK;

#endif
