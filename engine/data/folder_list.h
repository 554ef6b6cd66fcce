#ifndef ADL_DATA_FOLDER_LIST_H
#define ADL_DATA_FOLDER_LIST_H

/* What the directories of a folder data set hold. Private to engine/data/. */

#include "data/draft.h"

/* Texts in the data set's arena; the array is owned and freed with adl_free(). */
struct adl_names {
    const char **items;
    size_t count;
    size_t capacity;
};

int adl_names_add(struct adl_names *names, const char *name, struct adl_error *err) ADL_MUST_CHECK;

/* The subdirectories of `path` and links to such, sorted by name, without hidden ones. Directories
 * of training runs, images in `path` itself, special files and dangling links are counted as left
 * out, unless `quiet`. *images (may be NULL) is the number of those images. Fails with IO if it
 * cannot be read. */
int adl_folder_classes(struct adl_draft *draft, const char *path, bool quiet,
                       struct adl_names *classes, size_t *images,
                       struct adl_error *err) ADL_MUST_CHECK;

/* The images below ROOT/NAME, as paths relative to it, sorted by bytes. Subdirectories are read
 * down to ADL_LIMIT_FOLDER_DEPTH levels; a link to a directory is followed unless that directory
 * contains it or has been read for this class already. Directories of training runs are left out.
 * Hidden files are ignored; everything else
 * that is no image is counted as left out. With `quiet`, nothing is counted, and the search may
 * end at the first image. Fails with IO if ROOT/NAME itself cannot be read. */
int adl_folder_images(struct adl_draft *draft, const char *root, const char *name, bool quiet,
                      struct adl_names *images, struct adl_error *err) ADL_MUST_CHECK;

#endif
