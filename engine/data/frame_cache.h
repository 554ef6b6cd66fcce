#ifndef ADL_DATA_FRAME_CACHE_H
#define ADL_DATA_FRAME_CACHE_H

/* Keeps frames from one epoch to the next. A frame is an image resized to the size that
 * the rest of the preprocessing takes. Making it again costs time: decoding a photograph
 * of 12 megapixels takes longer than training a small network on it for one step.
 *
 * A kept frame is exactly the result of decoding and resizing, so the bits of the input
 * are the same with a cache, without one, and whatever it holds. A frame is kept if its
 * image has at least ADL_FRAME_SHRINK pixels for each pixel of the frame; smaller images
 * decode quickly. Frames are added until the allowed memory is full, and are never
 * replaced: an epoch uses each image once, so no frame is worth more than another. With a
 * directory, frames are also kept in files, which later epochs and later runs read. */

#include "data/dataset.h"
#include "image/image.h"

#define ADL_FRAME_SHRINK 4

struct adl_frame_cache;

struct adl_frame_cache_options {
    size_t memory_bytes; /* limit for the frames in memory; 0: none are kept there */
    size_t images;       /* number of images of all data sets that share the cache */
    const char *dir;     /* an existing directory for files, or NULL; outlives the cache */
    size_t dir_bytes;    /* limit for all frame files in `dir`, those of earlier runs included */
};

/* Creates an empty cache. Fails with ADL_ERR_IO if the directory cannot be read, and with
 * ADL_ERR_NOMEM. */
struct adl_frame_cache *adl_frame_cache_create(const struct adl_frame_cache_options *options,
                                               struct adl_error *err) ADL_MUST_CHECK;
/* `cache` may be NULL. */
void adl_frame_cache_free(struct adl_frame_cache *cache);

struct adl_frame_cache_stats {
    size_t images, bytes;  /* of the frames in memory */
    size_t written;        /* files that were written */
    struct adl_error fail; /* the first failure to write a file; no file is written after it */
};
/* Returns the current figures. May be called from any thread. */
struct adl_frame_cache_stats adl_frame_cache_stats(struct adl_frame_cache *cache);

/* How a data set uses a cache. All calls for one image have to agree in `fast` and in the size of
 * the frame. */
struct adl_frame_source {
    struct adl_frame_cache *cache; /* NULL: nothing is kept */
    size_t first;                  /* image i of the data set is image first + i of the cache */
    /* Decode JPEGs at reduced size where `aligned` (struct adl_decode_options) allows. */
    bool fast;
};

/* Sets `frame`, which the caller releases, to image `index` resized to width x height,
 * taken from the cache or made from the image file. Sets the width and height of
 * `original` (may be NULL) to those of the image; it gets no pixels. `path` is scratch.
 * Any number of threads may call this, but not for the same image at the same time. Fails
 * as adl_dataset_image_read() does; a frame that cannot be kept is not a failure. */
int adl_frame_read(const struct adl_frame_source *source, const struct adl_dataset *dataset,
                   size_t index, int width, int height, struct adl_str *path,
                   struct adl_image *frame, struct adl_image *original,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
