/* CRC-32C, bit by bit: the remainder of the message, as a polynomial over GF(2), divided by the
 * polynomial of Castagnoli. Eight steps a byte, without a table: it checks the few hundred bytes
 * that an epoch of training adds to a file. */

#include "base/crc32c.h"

#define POLYNOMIAL UINT32_C(0x82f63b78)

uint32_t adl_crc32c(const void *bytes, size_t length)
{
    const uint8_t *next = bytes;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= next[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return ~crc;
}
