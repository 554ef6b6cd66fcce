#ifndef ADL_DATA_LOADER_H
#define ADL_DATA_LOADER_H

/* Prepares the batches of a data set: the loader's threads decode and augment images ahead of
 * time. The order of the images depends only on the seed and the epoch, and the random numbers of
 * an image only on these two and its index (or its place, if images are drawn), so the batches are
 * the same for any number of threads, and also when an epoch is resumed in the middle. */

#include "data/augment.h"
#include "data/dataset.h"
#include "data/frame_cache.h"

struct adl_loader;

/* Called from adl_loader_next() once for each image that is broken: that cannot be read or
 * decoded. */
typedef void adl_loader_broken(void *context, size_t index, const char *reason);

/* Called from adl_loader_next() once for each class whose last readable image turned out to be
 * broken. */
typedef void adl_loader_broken_class(void *context, int class_id);

struct adl_loader_options {
    struct adl_augment_options augment; /* with .train, the order is shuffled, too */
    size_t batch;                       /* images per batch */
    /* With `shards` above 0, a batch is cut into that many parts by position (adl_part_first), and
     * this loader reads parts first_shard .. first_shard + own_shards - 1 of each, of at least one
     * image each but in the last batch; the others are another process's. */
    size_t shards, first_shard, own_shards;
    bool balanced; /* draw the images of an epoch (balanced_order.h) */
    uint64_t seed;
    int threads;                           /* decoding threads to start */
    size_t prefetch;                       /* batches to prepare ahead; 0: two */
    float mean[3], std[3];                 /* of the network's input, for R, G and B */
    struct adl_frame_source frames;        /* used if adl_augment_frame_side() is not 0 */
    adl_loader_broken *broken;             /* or NULL */
    adl_loader_broken_class *broken_class; /* or NULL */
    void *context;                         /* passed to both functions */
};

/* Creates a loader and starts its threads. The data set has to outlive the loader. Fails with
 * ADL_ERR_ARG for a data set that is empty or has no image directory and for options out of range,
 * with ADL_ERR_IO if a thread cannot be started, and with ADL_ERR_NOMEM. */
struct adl_loader *adl_loader_create(const struct adl_dataset *dataset,
                                     const struct adl_loader_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;
void adl_loader_free(struct adl_loader *loader);

/* Returns the number of batches of an epoch, including a smaller last one. */
size_t adl_loader_batches(const struct adl_loader *loader);

/* Begins an epoch at batch `first_batch`. May be called at any time by the thread that calls
 * adl_loader_next(); batches that it has not taken yet are discarded. */
void adl_loader_start_epoch(struct adl_loader *loader, uint64_t epoch, size_t first_batch);

/* A batch without its broken images; a batch of broken images only is left out, but not by a loader
 * that reads some of the parts only: what the others have is not known to it. Valid until the next
 * call of adl_loader_next(), adl_loader_start_epoch() or adl_loader_free(). */
struct adl_batch {
    size_t number;         /* in the epoch, from 0 */
    size_t planned;        /* images of the whole batch, broken ones and other parts included */
    size_t count;          /* images here, at least 1; 0 only if parts are read elsewhere */
    const float *input;    /* count x crop x crop x 3 (NHWC), normalised */
    const int *labels;     /* class ids */
    const size_t *indices; /* in the data set */
    const size_t *places;  /* in the whole batch, 0 .. planned - 1, ascending */
};

/* Returns 1 with the next batch, waiting for it if necessary, 0 at the end of the epoch, and -1
 * on failure: ADL_ERR_NOMEM, ADL_ERR_INTERNAL, or ADL_ERR_FORMAT if all images of an epoch that
 * began at batch 0 are broken, where none of them is read elsewhere. Only one thread may call this.
 */
int adl_loader_next(struct adl_loader *loader, struct adl_batch *batch,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Returns the number of broken images so far, each counted once. */
size_t adl_loader_broken_count(const struct adl_loader *loader);

#endif
