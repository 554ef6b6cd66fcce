#ifndef ADL_IMAGE_TIFF_HEADER_H
#define ADL_IMAGE_TIFF_HEADER_H

/* What the first directory of a TIFF file says, read without libtiff. */

#include "image/codec.h"

enum { ADL_TIFF_NONE = 1, ADL_TIFF_JPEG = 7 };

struct adl_tiff_header {
    size_t width, height; /* as stored */
    int orientation;      /* EXIF 1..8 */
    unsigned compression;
    unsigned samples, bits;           /* of a pixel, and of a sample */
    bool tiled;                       /* in tiles, not in strips of rows */
    size_t piece_width, piece_height; /* of a tile; of a strip, with no more rows than there are */
};

/* Returns whether the bytes are those of a TIFF file. */
bool adl_tiff_matches(const uint8_t *bytes, size_t length);

/* Reads and checks the directory: the sides against the limits, that the kind is one that is read,
 * and that the file has all strips or tiles. Fails with ADL_ERR_FORMAT, ADL_ERR_LIMIT and, for
 * kinds that are not read, ADL_ERR_UNSUPPORTED. */
int adl_tiff_header_read(const uint8_t *bytes, size_t length,
                         const struct adl_decode_options *options, struct adl_tiff_header *header,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
