#ifndef ADL_IO_EVENT_FILE_H
#define ADL_IO_EVENT_FILE_H

/* Event files of TensorBoard: figures of a training run by step. Sources: tensorflow's
 * core/util/event.proto, core/framework/summary.proto, and the TFRecord format of its tutorial.
 *
 * A file begins with adl_event_put_version(). Records are collected in a buffer that remembers
 * running out of memory (base/str.h), and appended to the file together. Times are seconds since
 * 1970. */

#include <stdint.h>

#include "base/str.h"

struct adl_event_scalar {
    const char *tag; /* its name; a slash makes a group, as in "val/loss" */
    float value;
};

/* Appends the first record of a file. */
void adl_event_put_version(struct adl_str *records, double wall_time);
/* Appends the record of a process that begins at `step`: TensorBoard forgets what earlier files
 * have from that step on. */
void adl_event_put_start(struct adl_str *records, double wall_time, int64_t step);
/* Appends one record with the figures of a step. */
void adl_event_put_scalars(struct adl_str *records, double wall_time, int64_t step,
                           const struct adl_event_scalar *scalars, size_t count);

/* Returns the largest step for which the bytes of an event file have figures, -1 if there is none.
 * Reads up to the first record that is not whole: a process may have been killed while it wrote. */
int64_t adl_event_last_step(const void *bytes, size_t length);

/* Appends the records to the file at `path`, which is created if it does not exist, and syncs it.
 * Fails with ADL_ERR_NOMEM if the records are incomplete, and with ADL_ERR_IO. */
int adl_event_append(const char *path, const struct adl_str *records,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
