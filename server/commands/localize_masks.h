#ifndef ADL_SERVER_COMMANDS_LOCALIZE_MASKS_H
#define ADL_SERVER_COMMANDS_LOCALIZE_MASKS_H

/* Writes the maps of `localize --masks DIR` and their cuts: DIR/NAME.png is the cut of NAME.jpg,
 * DIR/NAME_map.png its map. Subdirectories are kept, so that `eval --masks DIR` finds the cuts of a
 * data set's images. */

#include <jansson.h>

#include "server/tasks/grey_map.h"
#include "server/tasks/image_list.h"

struct adl_localize_masks {
    const char *dir; /* borrowed */
    json_t *names;   /* the files written so far, an object used as a set; owned */
};

/* Makes the directory. Fails with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_localize_masks_open(struct adl_localize_masks *out, const char *dir,
                            struct adl_error *err) ADL_MUST_CHECK;
void adl_localize_masks_close(struct adl_localize_masks *out); /* zeroed is fine */

/* Writes both files of the image at `path`, which is one of `images`. A later image of the same
 * name gets NAME-2 and so on. Fails with ADL_ERR_ARG if a file would replace one of the images,
 * with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_localize_masks_write(struct adl_localize_masks *out, const struct adl_image_list *images,
                             const char *path, const struct adl_grey_masks *masks,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
