#ifndef ADL_TESTS_SUPPORT_HOSTILE_H
#define ADL_TESTS_SUPPORT_HOSTILE_H

/* What every reader of bytes from outside has to withstand: truncation, corruption and lack
 * of memory. Readers get each input in a block of exactly its size, so that
 * AddressSanitizer sees a read beyond its end. */

#include <stddef.h>

#include "base/error.h"

/* Reads the bytes and frees the result. Returns 0, or -1 with the error set. */
typedef int hostile_reader(const void *bytes, size_t length, struct adl_error *err);

/* Every shorter file must be refused. */
void hostile_truncate(hostile_reader *read, const void *bytes, size_t length);
/* Flips every single bit and sets every byte to 0, 1, 0x7f, 0x80 and 0xff: the reader may
 * accept or refuse, but not crash or leak. */
void hostile_mutate(hostile_reader *read, const void *bytes, size_t length);
/* Lets every allocation fail in turn: each time NOMEM and no leak, until the reader succeeds. */
void hostile_starve(hostile_reader *read, const void *bytes, size_t length);
/* The bytes have to be refused with this kind and a message that contains `part`. */
void hostile_refused(hostile_reader *read, const void *bytes, size_t length,
                     enum adl_error_kind kind, const char *part);

#endif
