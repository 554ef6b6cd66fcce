#ifndef ADL_DATA_DATASET_PARTS_H
#define ADL_DATA_DATASET_PARTS_H

/* What the layouts share: lists line by line, and the data set being filled.
 * Private to engine/data/. */

#include <stdbool.h>

#include "data/dataset.h"

/* --- lists ------------------------------------------------------------------- */

/* A text file, line by line. */
struct adl_lines {
    const char *path; /* as given to open */
    char *text;
    char *at, *end;
    char *line; /* the current one, without its end; may be cut by the caller */
    size_t length;
    size_t number; /* from 1 */
};

/* `path` has to outlive the lines, which are to be closed in any case. */
int adl_lines_open(struct adl_lines *lines, const char *path, struct adl_error *err) ADL_MUST_CHECK;
void adl_lines_close(struct adl_lines *lines);
/* 1 and the next line, 0 at the end. Empty lines may only stand at the end. */
int adl_lines_next(struct adl_lines *lines, struct adl_error *err) ADL_MUST_CHECK;
/* FORMAT with file, line number and the line; is -1. */
int adl_lines_fail(const struct adl_lines *lines, const char *problem, struct adl_error *err);
/* As adl_fail(): shows the compiler the -1. */
#define adl_lines_fail(...)                                                                        \
    ({                                                                                             \
        (adl_lines_fail)(__VA_ARGS__);                                                             \
        -1;                                                                                        \
    })

/* Decimal digits and nothing else, at most `max`. */
bool adl_parse_count(const char *text, size_t length, int max, int *value);

/* --- the data set -------------------------------------------------------------- */

struct adl_draft {
    struct adl_dataset *dataset;
    const struct adl_dataset_options *options;
    size_t image_capacity;
    struct adl_draft_box *boxes; /* in the order of the lists; owned */
    size_t box_count;
    size_t box_capacity;
};

struct adl_draft_box {
    size_t image;
    struct adl_dataset_box box;
};

/* Text in the data set's arena; NULL and NOMEM. */
const char *adl_draft_text(struct adl_draft *draft, struct adl_error *err, const char *fmt, ...)
    ADL_PRINTF(3, 4) ADL_MUST_CHECK;

/* Copies the id; the path itself is not looked at. */
int adl_draft_add_image(struct adl_draft *draft, const char *id, int class_id,
                        struct adl_error *err) ADL_MUST_CHECK;
int adl_draft_add_box(struct adl_draft *draft, size_t image, struct adl_dataset_box box,
                      struct adl_error *err) ADL_MUST_CHECK;
/* Once: hands the boxes over to the images. */
int adl_draft_place_boxes(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;

/* Class names, one a line; numbered lines ("1 001.Albatross"), as CUB's, are
 * told by every line having its own number. */
int adl_draft_read_classes(struct adl_draft *draft, const char *path,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Whether a path may be an id: below the image folder, wherever that is. */
bool adl_is_id(const char *path);

bool adl_is_folder(const char *path);
bool adl_is_file(const char *path);

/* --- the layouts ----------------------------------------------------------------- */

/* `folder` is metadata/SPLIT. */
int adl_dataset_read_lists(struct adl_draft *draft, const char *folder,
                           struct adl_error *err) ADL_MUST_CHECK;
int adl_dataset_read_cub(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;
int adl_dataset_read_folder(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;

#endif
