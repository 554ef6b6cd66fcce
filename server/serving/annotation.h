#ifndef ADL_SERVER_SERVING_ANNOTATION_H
#define ADL_SERVER_SERVING_ANNOTATION_H

/* The boxes of one picture as JSON, and the lines of many in the lists of a data set. Private to
 * the store of annotations. */

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

/* Returns {"name", "width", "height", "boxes"} for a picture, with the boxes of `given`, which has
 * to be an object with the member "boxes": at most ADL_LIMIT_ANNOTATION_BOXES objects of whole
 * numbers x0 <= x1 < width and y0 <= y1 < height and a label. Other members are ignored. Fails with
 * ADL_ERR_FORMAT and ADL_ERR_NOMEM. */
json_t *adl_annotation_make(const json_t *given, const char *name, int width, int height,
                            struct adl_error *err) ADL_MUST_CHECK;

/* Returns a record without boxes; NULL when out of memory. */
json_t *adl_annotation_empty(const char *name, int width, int height) ADL_MUST_CHECK;

/* Returns the label of the largest box, which stands for the picture; NULL without boxes. */
const char *adl_annotation_label(const json_t *record);

/* Adds the labels of a record to `classes`, an object of labels and their numbers in the order in
 * which they were added, unless it has them. Returns how many it had not; -1 when out of memory. */
int adl_annotation_add_labels(const json_t *record, json_t *classes);

/* The lists of the data set, in the order in which they are to be written. */
struct adl_annotation_lists {
    struct adl_str labels, boxes, sizes, ids;
};

/* Appends the lines of a record with boxes; others have none. Boxes get the ends of the reference's
 * metadata: one pixel past the inclusive box, except at the border (data/dataset.h). */
void adl_annotation_list(const json_t *record, const json_t *classes,
                         struct adl_annotation_lists *lists);
void adl_annotation_lists_release(struct adl_annotation_lists *lists);

#endif
