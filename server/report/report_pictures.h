#ifndef ADL_SERVER_REPORT_REPORT_PICTURES_H
#define ADL_SERVER_REPORT_REPORT_PICTURES_H

/* Writes what the network of a run sees in some pictures of val after an epoch
 * (server/training/run_pictures.h names the files), for the page /training. */

#include "server/training/train_event.h"

/* Writes the pictures, unless they are there, and those of the event's epoch, unless a long run
 * skips this epoch. Does nothing without val. The model's layer for maps is kept anew. Fails as
 * adl_dataset_image_read(), adl_views_create() and adl_file_write() do. */
int adl_report_pictures(const struct adl_train_event *event, struct adl_error *err) ADL_MUST_CHECK;

#endif
