#ifndef ADL_IMAGE_ROW_TARGET_H
#define ADL_IMAGE_ROW_TARGET_H

#include "image/image.h"

/* Where decoded rows go. */
struct adl_row_target {
    /* Called once, when the header was read and the limits were checked: `info` is complete, as
     * stored, and the rows are width x height, less than in `info` for a reduced JPEG. */
    int (*begin)(struct adl_row_target *target, const struct adl_image_info *info, int width,
                 int height, struct adl_error *err);
    /* Returns where row y is to be written, 3 * width bytes; valid until row() is called. */
    uint8_t *(*line)(struct adl_row_target *target, int y);
    /* Called when row y was written, for each row from the top one on. */
    int (*row)(struct adl_row_target *target, int y, struct adl_error *err);
    /* All rows lie one after the other in memory from line(0) on, and may be written in any
     * order before row() is called for them. */
    bool whole;
};

#endif
