#ifndef ADL_SERVER_TRAINING_RUN_PICTURES_H
#define ADL_SERVER_TRAINING_RUN_PICTURES_H

/* The names of the files in which a run shows what the network sees in some pictures of val, the
 * same in every epoch (written by server/report/report_pictures.h, read by the page /training):
 *
 *     pictures/index.json        what the pictures are: class, size, true boxes
 *     pictures/00.jpg ...        the pictures, at most ADL_RUN_PICTURES_COUNT, reduced
 *     pictures/epoch-0003.json   boxes, scores and maps after an epoch
 *
 * Boxes are fractions of the picture's width and height, [left, top, right, bottom]. Maps are
 * {"width", "height", "data"}, bytes by rows in base64, from `least` (0) to `most` (255) where
 * these are given. At most ADL_RUN_PICTURES_EPOCHS epochs are drawn, so that a run keeps a few
 * megabytes at most whatever its length. */

#include <stdio.h>

#define ADL_RUN_PICTURES "pictures"
#define ADL_RUN_PICTURES_INDEX "pictures/index.json"
#define ADL_RUN_PICTURES_COUNT 12
#define ADL_RUN_PICTURES_EPOCHS 40
#define ADL_RUN_PICTURES_NAME 48 /* bytes of a name, its NUL included */

static inline void adl_run_pictures_epoch(char name[ADL_RUN_PICTURES_NAME], long long epoch)
{
    snprintf(name, ADL_RUN_PICTURES_NAME, ADL_RUN_PICTURES "/epoch-%04lld.json", epoch);
}

static inline void adl_run_pictures_jpeg(char name[ADL_RUN_PICTURES_NAME], long long number)
{
    snprintf(name, ADL_RUN_PICTURES_NAME, ADL_RUN_PICTURES "/%02lld.jpg", number);
}

#endif
