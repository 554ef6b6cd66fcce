/* Wraps Nettle's SHA-256. */

#include "base/sha256.h"

#include <nettle/base16.h>

void adl_sha256_init(struct adl_sha256 *hash)
{
    sha256_init(&hash->state);
}

void adl_sha256_update(struct adl_sha256 *hash, const void *bytes, size_t length)
{
    sha256_update(&hash->state, length, bytes);
}

void adl_sha256_hex(struct adl_sha256 *hash, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash->state, sizeof digest, digest);
    base16_encode_update(hex, sizeof digest, digest);
    hex[2 * sizeof digest] = 0;
}
