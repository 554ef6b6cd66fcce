#ifndef ADL_TESTS_SUPPORT_HOSTILE_H
#define ADL_TESTS_SUPPORT_HOSTILE_H

/* What every reader of outside bytes must stand: truncation, damage and missing
 * memory. Inputs are handed over in blocks of exactly their size, so that
 * AddressSanitizer sees one byte too many. */

#include <stddef.h>

#include "base/error.h"

/* Reads the bytes and frees what came of it: 0, or -1 with the error set. */
typedef int hostile_reader(const void *bytes, size_t length, struct adl_error *err);

/* Every shorter file must be refused. */
void hostile_truncate(hostile_reader *read, const void *bytes, size_t length);
/* Every single flipped bit, and every byte set to 0, 1, 0x7f, 0x80 and 0xff:
 * an answer or a refusal, no crash, no leak. */
void hostile_mutate(hostile_reader *read, const void *bytes, size_t length);
/* Every allocation made to fail in turn: NOMEM and no leak, until it succeeds. */
void hostile_starve(hostile_reader *read, const void *bytes, size_t length);
/* The bytes are refused with that kind and a message that holds `part`. */
void hostile_refused(hostile_reader *read, const void *bytes, size_t length,
                     enum adl_error_kind kind, const char *part);

#endif
