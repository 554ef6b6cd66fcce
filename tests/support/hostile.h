#ifndef ADL_TESTS_SUPPORT_HOSTILE_H
#define ADL_TESTS_SUPPORT_HOSTILE_H

/* Tests that a reader of untrusted bytes withstands truncation, corruption and lack of memory.
 * Readers get each input in a block of exactly its size, so that AddressSanitizer detects a read
 * beyond its end. */

#include <stddef.h>

#include "base/error.h"

/* Reads the bytes and frees the result. Returns 0, or -1 with the error set. */
typedef int hostile_reader(const void *bytes, size_t length, struct adl_error *err);

/* Checks that every shorter file is refused. */
void hostile_truncate(hostile_reader *read, const void *bytes, size_t length);
/* Flips every single bit and sets every byte to 0, 1, 0x7f, 0x80 and 0xff: the reader may
 * accept or refuse, but not crash or leak. */
void hostile_mutate(hostile_reader *read, const void *bytes, size_t length);
/* Makes every allocation fail in turn, until the reader succeeds: each time it has to fail with
 * ADL_ERR_NOMEM and leak nothing. */
void hostile_starve(hostile_reader *read, const void *bytes, size_t length);
/* Checks that the bytes are refused with this kind and a message that contains `part`. */
void hostile_refused(hostile_reader *read, const void *bytes, size_t length,
                     enum adl_error_kind kind, const char *part);

#endif
