#ifndef ADL_SERVER_SERVING_ANNOTATIONS_H
#define ADL_SERVER_SERVING_ANNOTATIONS_H

/* Pictures and the boxes that people drew on them, kept in a directory that is at the same time a
 * data set which `calibrate`, `eval` and the reference evaluation code read:
 *
 *   images/NAME            the picture as it came
 *   boxes/NAME.json        its boxes: {"name", "width", "height", "boxes": [{"x0", "y0", "x1",
 *                          "y1", "label"}]}, in inclusive pixels of the picture as displayed
 *   classes.txt            the labels, in the order in which they were first used
 *   metadata/val/...       lists of the pictures that have boxes (data/dataset_open.h), made anew
 *                          from boxes/ at every change and at the start
 *
 * Files are replaced in one step and synced (adl_file_write), so that a reader, or a start after a
 * crash, finds whole ones. The lists have one class for each picture: that of its largest box;
 * boxes of its other classes are in boxes/ alone.
 *
 * One thread at a time may change a store (see errands.h); adl_annotations_text() may be called by
 * any thread meanwhile. */

#include <jansson.h>
#include <stdbool.h>

#include "image/image.h"
#include "server/http/problem.h"

struct adl_annotations;

/* Opens a store, and makes the directory (whose parent has to exist) and what belongs in it. Files
 * of boxes whose picture is missing are left out, with a warning in the log. `max_pixels` limits
 * the pictures; `decoder`, borrowed, decodes them (NULL: this process does). Fails with ADL_ERR_IO,
 * ADL_ERR_NOMEM, ADL_ERR_FORMAT for a file of boxes that is damaged, and ADL_ERR_LIMIT. The caller
 * frees it with adl_annotations_free(). */
struct adl_annotations *adl_annotations_open(const char *dir, size_t max_pixels,
                                             struct adl_image_decoder *decoder,
                                             struct adl_error *err) ADL_MUST_CHECK;
void adl_annotations_free(struct adl_annotations *store);

/* Returns whether a picture may have this name: UTF-8 of at most ADL_LIMIT_ANNOTATION_NAME_BYTES
 * that does not begin with a dot, without slashes, backslashes and control characters, and without
 * spaces at its ends. */
bool adl_annotations_name_valid(const char *name);

/* Returns the bytes of memory that adl_annotations_put_picture() takes at most, besides those of
 * the picture's file, from its header. Thread-safe. */
size_t adl_annotations_picture_bytes(const struct adl_annotations *annotations, const void *bytes,
                                     size_t length);

/* Keep a picture, or the boxes of one that is kept. `text` is JSON with the member "boxes"; "width"
 * and "height", if given, have to be the picture's. All return ADL_PROBLEM_NONE, and set *record
 * (owned by the caller) to the content of boxes/NAME.json; or a problem, with the reason in `err`:
 *
 *   UNKNOWN_PICTURE    there are no boxes without a picture
 *   PICTURE_CONFLICT   another picture is kept under this name; the same one may come again
 *   STORE_FULL         there would be too many pictures, boxes or bytes
 *   UNSUPPORTED_MEDIA_TYPE, CORRUPT_IMAGE, IMAGE_TOO_LARGE    of a picture
 *   MALFORMED_REQUEST  the boxes are none: not JSON, outside of the picture, or without a label
 *   INTERNAL, OUT_OF_MEMORY */
enum adl_problem adl_annotations_put_picture(struct adl_annotations *store, const char *name,
                                             const void *bytes, size_t length, json_t **record,
                                             struct adl_error *err);
enum adl_problem adl_annotations_put_boxes(struct adl_annotations *store, const char *name,
                                           const char *text, size_t length, json_t **record,
                                           struct adl_error *err);
/* Removes a picture and its boxes: UNKNOWN_PICTURE if it is not there. */
enum adl_problem adl_annotations_remove(struct adl_annotations *store, const char *name,
                                        struct adl_error *err);

/* Returns the record of a picture, or for NULL {"annotations": [RECORD, ...]} of all, as JSON text
 * with a newline, to be freed with adl_free. Fails with ADL_ERR_NOT_FOUND and ADL_ERR_NOMEM. */
char *adl_annotations_text(struct adl_annotations *store, const char *name, size_t *length,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
