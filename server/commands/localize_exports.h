#ifndef ADL_SERVER_COMMANDS_LOCALIZE_EXPORTS_H
#define ADL_SERVER_COMMANDS_LOCALIZE_EXPORTS_H

/* Writes the boxes of `localize` for other tools: DIR/labels/NAME.txt, DIR/data.yaml and
 * DIR/classes.txt of --yolo, DIR/Annotations/NAME.xml of --voc, and the files of --label-studio
 * and --csv. The files of a directory are written image by image, the others at the end. */

#include <jansson.h>

#include "server/tasks/box_formats.h"
#include "server/tasks/image_list.h"

/* Where they are written; NULL: they are not. A file may be "-", standard output. */
struct adl_export_places {
    const char *yolo, *voc;         /* directories */
    const char *label_studio, *csv; /* files */
};

struct adl_localize_exports {
    const struct adl_export_places *places; /* borrowed, like the model and its name */
    const struct adl_model *model;
    const char *model_name;
    json_t *names;              /* of the images written so far, an object used as a set; owned */
    json_t *stems;              /* of their files, the same */
    json_t *own;                /* the stems that all images have by their own names, the same */
    struct adl_str tasks, rows; /* of Label Studio and of CSV */
};

/* Returns whether any of them is to be written. */
bool adl_localize_exports_wanted(const struct adl_export_places *places);

/* Makes the directories and writes the files of YOLO that do not depend on the images. `out` needs
 * `places`, `model` and `model_name`; it has to be closed in any case. Fails with ADL_ERR_ARG if a
 * file would replace one of the images, with ADL_ERR_NOT_FOUND, ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_localize_exports_open(struct adl_localize_exports *out, const struct adl_image_list *images,
                              struct adl_error *err) ADL_MUST_CHECK;
void adl_localize_exports_close(struct adl_localize_exports *out); /* zeroed is fine */

/* Adds the image at `path`, which is one of `images`; of an image that was added before, nothing is
 * written. `picture` needs its size and predictions. A later image of the same name without the
 * extension gets NAME-2 and so on, but never the name of another image. Fails as
 * adl_localize_exports_open() does. */
int adl_localize_exports_add(struct adl_localize_exports *out, const struct adl_image_list *images,
                             const char *path, struct adl_box_picture picture,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Writes the files of all images. Fails as adl_file_write() does, and with ADL_ERR_NOMEM. */
int adl_localize_exports_finish(struct adl_localize_exports *out,
                                struct adl_error *err) ADL_MUST_CHECK;

#endif
