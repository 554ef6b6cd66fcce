#ifndef ADL_DATA_LOADER_H
#define ADL_DATA_LOADER_H

/* Batches of a data set, decoded and augmented ahead of time by threads of its own. The order of
 * the images and all random numbers depend on the seed, the epoch and the image alone, so the
 * batches are the same for any number of threads, and also when an epoch is resumed in the
 * middle. */

#include "data/augment.h"
#include "data/dataset.h"
#include "data/frame_cache.h"

struct adl_loader;

/* Called from adl_loader_next() for an image that cannot be read, once for each. */
typedef void adl_loader_broken(void *context, size_t index, const char *reason);

/* Called from adl_loader_next() once for each class whose last readable image turned out to be
 * broken. */
typedef void adl_loader_broken_class(void *context, int class_id);

struct adl_loader_options {
    struct adl_augment_options augment; /* with .train, the order is shuffled, too */
    size_t batch;                       /* images of a batch */
    uint64_t seed;
    int threads;                           /* decoding threads to start */
    size_t prefetch;                       /* batches to prepare ahead; 0: two */
    float mean[3], std[3];                 /* of the network's input */
    struct adl_frame_source frames;        /* used where an image's frame is not drawn */
    adl_loader_broken *broken;             /* or NULL */
    adl_loader_broken_class *broken_class; /* or NULL */
    void *context;                         /* of both */
};

/* Starts the threads. The data set has to outlive the loader. Fails with ARG for an empty data
 * set, one without images, or options out of range, with IO if a thread cannot be started, and
 * with NOMEM. */
struct adl_loader *adl_loader_create(const struct adl_dataset *dataset,
                                     const struct adl_loader_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;
void adl_loader_free(struct adl_loader *loader);

/* Number of batches of an epoch, including a smaller last one. */
size_t adl_loader_batches(const struct adl_loader *loader);

/* Begins an epoch at batch `first_batch`. May be called at any time, by the thread that calls
 * adl_loader_next(); batches not yet taken are discarded. */
void adl_loader_start_epoch(struct adl_loader *loader, uint64_t epoch, size_t first_batch);

/* Broken images are missing from their batch, and a batch of broken images only is left out.
 * Valid until the next call on the loader. */
struct adl_batch {
    size_t number;         /* in the epoch, from 0 */
    size_t count;          /* images, at least 1 */
    const float *input;    /* count x crop x crop x 3 (NHWC), normalised */
    const int *labels;     /* class ids */
    const size_t *indices; /* in the data set */
};

/* Returns 1 with the next batch, waiting for it if necessary, 0 at the end of the epoch, and -1
 * on failure: NOMEM, or FORMAT if not one image of a whole epoch could be read. One thread. */
int adl_loader_next(struct adl_loader *loader, struct adl_batch *batch,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Number of broken images so far, each counted once. */
size_t adl_loader_broken_count(const struct adl_loader *loader);

#endif
