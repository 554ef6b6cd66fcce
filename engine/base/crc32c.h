#ifndef ADL_BASE_CRC32C_H
#define ADL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Returns the CRC-32C of the bytes: the polynomial of Castagnoli, reflected, 0x82f63b78, begun and
 * ended with all bits inverted. Source: RFC 3720, appendix B.4. */
uint32_t adl_crc32c(const void *bytes, size_t length);

#endif
