#ifndef ADL_DATA_FRAME_FILES_H
#define ADL_DATA_FRAME_FILES_H

/* Reads and writes frames, which are shrunken images (see frame_cache.h), as files of a cache
 * directory. Private to engine/data/.
 *
 * The name of a frame file is a hash of the path of its image and the way in which this is shrunk.
 * The file holds a checksum of the name, of the image file's size and time of change, and of the
 * frame, so that a frame file that is damaged, truncated or from another version of its image is
 * treated as missing. It may be removed at any time. */

#include "image/image.h"

struct adl_frame_key {
    char name[72];     /* of the frame's file, in the cache directory */
    char identity[65]; /* a digest of all that the frame depends on */
    int width, height; /* of the frame */
};

/* Makes the key for a frame of the image file at `path`; returns -1 if this is not a regular file
 * or cannot be examined. */
int adl_frame_key_make(struct adl_frame_key *key, const char *path, int width, int height,
                       bool upright, bool fast) ADL_MUST_CHECK;

/* Reads a frame, which the caller releases, and the size of the original image. Returns false if
 * there is no intact file for it. */
bool adl_frame_file_read(const char *dir, const struct adl_frame_key *key, struct adl_image *frame,
                         struct adl_image *original) ADL_MUST_CHECK;

/* Writes the file of a frame as adl_file_write() does, so that a reader sees all of it or nothing.
 * Fails as adl_file_write() does, and with ADL_ERR_NOMEM. */
int adl_frame_file_write(const char *dir, const struct adl_frame_key *key,
                         const struct adl_image *frame, const struct adl_image *original,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Returns the size of a frame's file in bytes. */
size_t adl_frame_file_bytes(const struct adl_image *frame);

/* Sets *bytes to the size of all frame files in a directory. Fails with ADL_ERR_IO if the directory
 * cannot be opened. */
int adl_frame_files_bytes(const char *dir, size_t *bytes, struct adl_error *err) ADL_MUST_CHECK;

#endif
