#ifndef ADL_BASE_SHA256_H
#define ADL_BASE_SHA256_H

/* SHA-256 (FIPS 180-4), to name a model by its weights. Not for secrets. */

#include <stddef.h>
#include <stdint.h>

struct adl_sha256 {
    uint32_t state[8];
    uint64_t length;         /* bytes so far */
    unsigned char block[64]; /* the length % 64 bytes not yet worked in */
};

void adl_sha256_init(struct adl_sha256 *hash);
void adl_sha256_update(struct adl_sha256 *hash, const void *bytes, size_t length);
/* The digest as 64 hexadecimal digits and a NUL; the struct is used up. */
void adl_sha256_hex(struct adl_sha256 *hash, char hex[65]);

#endif
