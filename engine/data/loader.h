#ifndef ADL_DATA_LOADER_H
#define ADL_DATA_LOADER_H

/* Batches of a data set, decoded and augmented ahead by threads of its own.
 * Order and draws come from the seed, the epoch and the image alone: the same
 * batches for any number of threads, and from the middle of an epoch on.
 * EXIF orientation is ignored, as the reference trains and evaluates. */

#include "data/augment.h"
#include "data/dataset.h"

struct adl_loader;

/* An image that cannot be read, told once for each, from adl_loader_next(). */
typedef void adl_loader_broken(void *context, size_t index, const char *reason);

struct adl_loader_options {
    struct adl_augment_options augment; /* with .train the order is shuffled, too */
    size_t batch;                       /* images */
    uint64_t seed;
    int threads;           /* that decode */
    size_t prefetch;       /* batches made ahead; 0: two */
    float mean[3], std[3]; /* of the network's input */
    adl_loader_broken *broken;
    void *context;
};

/* The data set has to outlive the loader. Fails with ARG on an empty one. */
struct adl_loader *adl_loader_create(const struct adl_dataset *dataset,
                                     const struct adl_loader_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;
void adl_loader_free(struct adl_loader *loader);

/* Batches of an epoch, the smaller last one included. */
size_t adl_loader_batches(const struct adl_loader *loader);

/* From now on batches `first_batch`, ... of that epoch. May be called at any
 * time; batches not yet taken are dropped. */
void adl_loader_start_epoch(struct adl_loader *loader, uint64_t epoch, size_t first_batch);

/* A batch whose images were broken has fewer, one where all were is left out.
 * Valid until the next call on the loader. */
struct adl_batch {
    size_t number;         /* in the epoch, from 0 */
    size_t count;          /* images, at least 1 */
    const float *input;    /* count x crop x crop x 3 (NHWC), normalised */
    const int *labels;     /* class ids */
    const size_t *indices; /* in the data set */
};

/* 1 and the next batch; 0 at the end of the epoch. Fails with NOMEM, and with
 * FORMAT when not one image of a whole epoch could be read. One thread. */
int adl_loader_next(struct adl_loader *loader, struct adl_batch *batch,
                    struct adl_error *err) ADL_MUST_CHECK;

/* Broken images so far, each counted once. */
size_t adl_loader_broken_count(const struct adl_loader *loader);

#endif
