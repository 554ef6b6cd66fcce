#ifndef ADL_DATA_FRAME_CACHE_H
#define ADL_DATA_FRAME_CACHE_H

/* Images shrunk to the frame that a network is fed from, kept from one epoch to the next: decoding
 * a photograph of 12 megapixels takes longer than a training step on it.
 *
 * What is kept is the very result of decoding and resizing, so the bits are the same with a cache,
 * without one, and whatever it holds. An image is kept if it has at least ADL_FRAME_SHRINK pixels
 * for each one of its frame; smaller ones decode quickly. Frames stay in memory until there is
 * room for no more, and are never replaced: an epoch uses each image once, so whatever is dropped
 * would be needed as soon as what it is dropped for. With a directory, they are also files, which
 * later runs read. */

#include "data/dataset.h"
#include "image/image.h"

#define ADL_FRAME_SHRINK 4

struct adl_frame_cache;

struct adl_frame_cache_options {
    size_t memory_bytes; /* most that the pixels in memory may take; 0: none */
    size_t images;       /* of all data sets that share the cache */
    const char *dir;     /* an existing directory for files, or NULL; outlives the cache */
    size_t dir_bytes;    /* most that they may take, with those found in it */
};

/* Fails with IO if the directory cannot be read, and with NOMEM. */
struct adl_frame_cache *adl_frame_cache_create(const struct adl_frame_cache_options *options,
                                               struct adl_error *err) ADL_MUST_CHECK;
/* NULL is fine. */
void adl_frame_cache_free(struct adl_frame_cache *cache);

struct adl_frame_cache_stats {
    size_t images, bytes;  /* in memory */
    size_t written;        /* files that were written */
    struct adl_error fail; /* the first failure to write one; after it, none is written */
};
struct adl_frame_cache_stats adl_frame_cache_stats(struct adl_frame_cache *cache);

/* How a data set uses a cache. An image has to be asked for in one way only. */
struct adl_frame_source {
    struct adl_frame_cache *cache; /* NULL: nothing is kept */
    size_t first;                  /* image i of the data set is image first + i of the cache */
    bool fast;                     /* decode JPEGs reduced where that is aligned; see image.h */
};

/* The image resized to width x height, which the caller releases. `original` (may be NULL) becomes
 * its size, without pixels. `path` is scratch. From any number of threads, but not the same image
 * at the same time. Fails as adl_dataset_image_read(); a cache never fails. */
int adl_frame_read(const struct adl_frame_source *source, const struct adl_dataset *dataset,
                   size_t index, int width, int height, struct adl_str *path,
                   struct adl_image *frame, struct adl_image *original,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
