#ifndef ADL_BASE_SHA256_H
#define ADL_BASE_SHA256_H

/* SHA-256 (FIPS 180-4) by Nettle, which takes the processor's instructions for it
 * where it has some: a model is named by its weights, hundreds of MB at start. */

#include <nettle/sha2.h>
#include <stddef.h>

struct adl_sha256 {
    struct sha256_ctx state;
};

void adl_sha256_init(struct adl_sha256 *hash);
void adl_sha256_update(struct adl_sha256 *hash, const void *bytes, size_t length);
/* The digest as 64 hexadecimal digits and a NUL; the struct is used up. */
void adl_sha256_hex(struct adl_sha256 *hash, char hex[65]);

#endif
