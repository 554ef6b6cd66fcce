#ifndef ADL_SERVER_HTTP_CODING_H
#define ADL_SERVER_HTTP_CODING_H

/* Content codings: which of them a client takes (RFC 9110, 12.5.3), and compressing by gzip. */

#include <stddef.h>

enum adl_coding { ADL_CODING_IDENTITY, ADL_CODING_GZIP, ADL_CODING_BROTLI, ADL_CODINGS };
/* As in Content-Encoding: "identity", "gzip", "br". */
extern const char *const adl_coding_names[ADL_CODINGS];

/* Returns which of the codings a header Accept-Encoding prefers: of those with a length above 0 the
 * one with the largest weight, of equal ones the shortest. NULL stands for a request without the
 * header, which gets the bytes as they are, and so does one that refuses everything. */
enum adl_coding adl_coding_choose(const char *accept, const size_t lengths[ADL_CODINGS]);

/* Compresses bytes by gzip. Returns a block for adl_free with its length in *packed_length; NULL if
 * that is not shorter, or if there is not enough memory. */
void *adl_coding_gzip(const void *bytes, size_t length, size_t *packed_length);

#endif
