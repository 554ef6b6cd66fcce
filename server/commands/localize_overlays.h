#ifndef ADL_SERVER_COMMANDS_LOCALIZE_OVERLAYS_H
#define ADL_SERVER_COMMANDS_LOCALIZE_OVERLAYS_H

/* Writes the pictures of `localize --overlay DIR`: DIR/NAME.jpg for NAME.EXT. */

#include <jansson.h>

#include "server/tasks/image_list.h"

struct adl_localize_overlays {
    const char *dir; /* borrowed */
    json_t *names;   /* the files written so far, an object used as a set; owned */
};

/* Makes the directory. Fails with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_localize_overlays_open(struct adl_localize_overlays *out, const char *dir,
                               struct adl_error *err) ADL_MUST_CHECK;
void adl_localize_overlays_close(struct adl_localize_overlays *out); /* zeroed is fine */

/* Writes the JPEG file `bytes` of the image at `path`, which is one of `images`. Later images of
 * the same name get NAME-2, NAME-3, and so on. Fails with ADL_ERR_ARG if the file would replace one
 * of the images, with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_localize_overlays_write(struct adl_localize_overlays *out,
                                const struct adl_image_list *images, const char *path,
                                const void *bytes, size_t length,
                                struct adl_error *err) ADL_MUST_CHECK;

#endif
