#ifndef ADL_BASE_SHA256_H
#define ADL_BASE_SHA256_H

/* SHA-256 (FIPS 180-4), computed by Nettle, which uses the processor's SHA instructions if it
 * has them. A model is identified by the digest of its weights, which may be hundreds of
 * megabytes to hash whenever it is loaded. */

#include <nettle/sha2.h>
#include <stddef.h>

struct adl_sha256 {
    struct sha256_ctx state;
};

void adl_sha256_init(struct adl_sha256 *hash);
void adl_sha256_update(struct adl_sha256 *hash, const void *bytes, size_t length);
/* Writes the digest as 64 hexadecimal digits and a NUL. Call adl_sha256_init before the next
 * hash. */
void adl_sha256_hex(struct adl_sha256 *hash, char hex[65]);

#endif
