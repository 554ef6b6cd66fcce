#ifndef ADL_SERVER_COMMANDS_LOCALIZE_OUTPUTS_H
#define ADL_SERVER_COMMANDS_LOCALIZE_OUTPUTS_H

/* What `localize` writes of the images it has localized: the table or the lines of JSON on standard
 * output, and every file that an option asks for. */

#include "server/commands/localize_exports.h"
#include "server/commands/localize_masks.h"
#include "server/commands/localize_overlays.h"
#include "server/tasks/coco.h"
#include "server/tasks/reply_json.h"

/* Where each output is written; NULL: it is not. A file may be "-", standard output, in place of
 * the table. */
struct adl_output_places {
    bool json;                      /* lines of JSON in place of the table */
    int heatmap;                    /* enum adl_reply_heatmap: the maps in those lines */
    const char *overlay, *masks;    /* directories */
    const char *coco, *annotations; /* files of --coco and --coco-annotations */
    struct adl_export_places exports;
};

/* Everything but what open() makes is borrowed. */
struct adl_localize_outputs {
    const struct adl_output_places *places;
    const struct adl_image_list *images;
    const struct adl_model *model;
    const char *model_name;
    struct adl_coco coco;
    struct adl_localize_overlays overlays;
    struct adl_localize_masks masks;
    struct adl_localize_exports exports;
    int file_columns; /* of the table */
};

/* An image that was localized. `overlay` is a JPEG file if --overlay is given, `masks` are made if
 * --masks is given. Everything is borrowed. */
struct adl_localized {
    const char *path;
    int width, height; /* of the image as displayed, in pixels */
    const struct adl_predictions *predictions;
    const struct adl_reply_timing *timing;
    const void *overlay;
    size_t overlay_bytes;
    const struct adl_grey_masks *masks;
};

/* Checks what the places say together, which needs nothing but them. Fails with ADL_ERR_ARG. */
int adl_localize_outputs_check(const struct adl_output_places *places,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Makes the directories, and checks that every file can be written before its content is computed,
 * which may take hours. `out` needs its places, model and model's name, and has to be closed in any
 * case; `images` are identified if a file is written. Fails with ADL_ERR_ARG if two outputs have
 * the same place or one would replace an image, with ADL_ERR_NOT_FOUND, ADL_ERR_IO and
 * ADL_ERR_NOMEM. */
int adl_localize_outputs_open(struct adl_localize_outputs *out, struct adl_image_list *images,
                              struct adl_error *err) ADL_MUST_CHECK;
void adl_localize_outputs_close(struct adl_localize_outputs *out); /* zeroed is fine */

/* Prints and writes what is said of one image. Fails as the outputs do; there is no use in going on
 * after that. */
int adl_localize_outputs_add(struct adl_localize_outputs *out, const struct adl_localized *image,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Writes the files that hold all images. Fails as adl_file_write() does, and with ADL_ERR_NOMEM. */
int adl_localize_outputs_finish(struct adl_localize_outputs *out,
                                struct adl_error *err) ADL_MUST_CHECK;

#endif
