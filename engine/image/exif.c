/* Finds the orientation, tag 0x0112, in the first directory of a TIFF file (TIFF 6.0, section
 * 2). Such a file begins with the byte order ("II" or "MM"), the number 42 and the offset of
 * the first directory: a 16-bit count, then entries of 12 bytes, each a tag, a type, a count
 * and a value or an offset.
 *
 * The bytes are untrusted. The only offset that is followed is that of the first directory,
 * nothing is read before its bounds have been checked, and entries beyond the end of the
 * block are ignored. */

#include "image/exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4 };

#define HEADER_BYTES 8
#define ENTRY_BYTES 12

struct tiff {
    const uint8_t *bytes;
    size_t length;
    bool big_endian;
};

/* Returns the number in the `size` bytes, 2 or 4, at `offset`; the caller has checked that
 * they exist. */
static uint32_t number_at(const struct tiff *tiff, size_t offset, int size)
{
    uint32_t value = 0;
    for (int i = 0; i < size; i++) {
        int byte = tiff->big_endian ? i : size - 1 - i;
        value = value << 8 | tiff->bytes[offset + (size_t)byte];
    }
    return value;
}

/* Returns the value of an entry that holds a single SHORT or LONG, which is stored in the
 * entry itself; 0 for any other entry. */
static uint32_t entry_value(const struct tiff *tiff, size_t entry)
{
    uint32_t type = number_at(tiff, entry + 2, 2);
    if (number_at(tiff, entry + 4, 4) != 1)
        return 0;
    if (type == TYPE_SHORT)
        return number_at(tiff, entry + 8, 2);
    return type == TYPE_LONG ? number_at(tiff, entry + 8, 4) : 0;
}

int adl_exif_orientation(const void *bytes, size_t length)
{
    struct tiff tiff = {bytes, length, false};

    if (length >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        tiff.bytes += 6;
        tiff.length -= 6;
    }
    if (tiff.length < HEADER_BYTES)
        return 1;
    if (memcmp(tiff.bytes, "MM\0*", 4) == 0)
        tiff.big_endian = true;
    else if (memcmp(tiff.bytes, "II*\0", 4) != 0)
        return 1;

    size_t directory = number_at(&tiff, 4, 4);
    if (directory < HEADER_BYTES || directory > tiff.length - 2)
        return 1;
    size_t entries = number_at(&tiff, directory, 2);
    size_t complete = (tiff.length - directory - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < entries && i < complete; i++) {
        size_t entry = directory + 2 + i * ENTRY_BYTES;
        if (number_at(&tiff, entry, 2) == TAG_ORIENTATION) {
            uint32_t value = entry_value(&tiff, entry);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    }
    return 1;
}
