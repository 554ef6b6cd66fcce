#ifndef ADL_DATA_FRAME_FILES_H
#define ADL_DATA_FRAME_FILES_H

/* Shrunken images as files of a cache directory. Private to engine/data/.
 *
 * A file is named after the path of its image and the way in which it is shrunk. It holds a
 * checksum of these, of the image file's size and time of change, and of its own content, so that
 * a file that is damaged, cut off or older than its image is as good as none. It may be removed at
 * any time. */

#include "image/image.h"

struct adl_frame_key {
    char name[72];     /* of the file, in the directory */
    char identity[65]; /* a digest of all that the frame depends on */
    int width, height; /* of the frame */
};

/* The key of an image file's frame; -1 if the file cannot be examined. */
int adl_frame_key_make(struct adl_frame_key *key, const char *path, int width, int height,
                       bool upright, bool fast) ADL_MUST_CHECK;

/* Reads a frame, which the caller releases, and the size of its original. False if there is none
 * that is intact. */
bool adl_frame_file_read(const char *dir, const struct adl_frame_key *key, struct adl_image *frame,
                         struct adl_image *original) ADL_MUST_CHECK;

/* Writes it in one step; fails as adl_file_write(), and with NOMEM. */
int adl_frame_file_write(const char *dir, const struct adl_frame_key *key,
                         const struct adl_image *frame, const struct adl_image *original,
                         struct adl_error *err) ADL_MUST_CHECK;

/* The bytes of a frame's file. */
size_t adl_frame_file_bytes(const struct adl_image *frame);

/* The bytes of all such files in a directory. Fails with IO if it cannot be read. */
int adl_frame_files_bytes(const char *dir, size_t *bytes, struct adl_error *err) ADL_MUST_CHECK;

#endif
