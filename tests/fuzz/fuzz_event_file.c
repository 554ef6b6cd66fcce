/* Fuzz target: any bytes as an event file of an earlier process. They are tried twice, as they are
 * and with correct checksums: otherwise hardly any mutation would get beyond the CRCs of a record.
 */

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "io/event_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LENGTH_BYTES = 8, CRC_BYTES = 4 };

static void put_crc(uint8_t *place, const uint8_t *bytes, size_t length)
{
    uint32_t crc = adl_crc32c(bytes, length);
    crc = (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
    for (int i = 0; i < CRC_BYTES; i++)
        place[i] = (uint8_t)(crc >> (8 * i) & 0xff);
}

/* Corrects both checksums of each record that is whole. */
static void mend_checksums(uint8_t *bytes, size_t size)
{
    while (size >= LENGTH_BYTES + CRC_BYTES) {
        uint64_t length = 0;
        for (int i = LENGTH_BYTES; i-- > 0;)
            length = length << 8 | bytes[i];
        put_crc(bytes + LENGTH_BYTES, bytes, LENGTH_BYTES);
        bytes += LENGTH_BYTES + CRC_BYTES;
        size -= LENGTH_BYTES + CRC_BYTES;
        if (size < CRC_BYTES || length > size - CRC_BYTES)
            return;
        put_crc(bytes + length, bytes, (size_t)length);
        bytes += length + CRC_BYTES;
        size -= (size_t)length + CRC_BYTES;
    }
}

static void read_steps(const uint8_t *data, size_t size)
{
    if (adl_event_last_step(data, size) < -1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = size > 0 ? malloc(size) : NULL;

    read_steps(data, size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    mend_checksums(copy, size);
    read_steps(copy, size);
    free(copy);
    return 0;
}
