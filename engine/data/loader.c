/* Fills a ring of batches by threads ahead of the training step.
 *
 * An epoch is a permutation of the images, cut into batches of B. Position p of the epoch
 * belongs to batch p / B, and batch n lives in slot n mod S of a ring of S = prefetch + 1
 * slots. The oldest batch still needed, `held`, is being handed to the caller or is with it, so
 * the ring holds the batches held .. held + S - 1. Workers take positions one by one, in order,
 * as long as the position's batch is one of these.
 *
 * Since an image's position is fixed before it is read, it does not matter which worker reads it
 * or when it finishes. The random numbers of an image come from a generator that is seeded with
 * the run's seed, the epoch and the image's index, so no sequence is shared between threads. The
 * fixed positions and these generators make batches reproducible for any number of threads, and
 * allow resuming in the middle of an epoch without replaying it. With balanced classes, an epoch
 * has as many images, drawn with replacement; then an image may come several times, and its
 * generator is seeded with the position.
 *
 * A loader that reads some of the parts of each batch takes the positions of these alone.
 *
 * The caller takes batches in order, closes the gaps that broken images left, and returns a
 * slot by asking for the next batch. Nothing is allocated per batch; for each image, its path, its
 * file and its pixels are. */

#include "data/loader.h"

#include <pthread.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/balanced_order.h"
#include "data/image_file.h"

#define DEFAULT_PREFETCH 2
/* The `item` of adl_rng_seed() for the order of an epoch; for an image it is the index. */
#define ORDER_ITEM UINT64_MAX
#define NO_BATCH SIZE_MAX

struct slot {
    size_t number;            /* of the batch in this slot; NO_BATCH: none */
    size_t count;             /* images of that batch that are read here */
    size_t done;              /* of these, read or found broken; protected by the lock */
    float *input;             /* [most][image_floats] */
    int *labels;              /* [most] class ids */
    size_t *indices;          /* [most] in the data set */
    size_t *places;           /* [most] in the batch */
    struct adl_error *errors; /* [most] why an image is missing */
};

struct adl_loader {
    const struct adl_dataset *dataset;
    struct adl_loader_options options;
    size_t batches;      /* of an epoch */
    size_t image_floats; /* of one input: crop x crop x 3 */
    struct slot *slots;
    size_t slot_count;
    pthread_t handles[ADL_LIMIT_THREADS];
    int threads; /* number of threads started */

    /* Written only while no worker is busy. */
    uint64_t epoch;
    size_t *order; /* [count] the permutation: index in the data set by position */
    struct adl_balanced_order *balanced; /* NULL: the order is a permutation */

    pthread_mutex_t lock; /* protects the following, and `done` of the slots */
    pthread_cond_t work;  /* signalled when there may be an image to take */
    pthread_cond_t done;  /* signalled when an image is done */
    size_t next;          /* position of the next image to be taken */
    size_t held;          /* the oldest batch that is still needed */
    size_t busy;          /* number of workers that are reading an image */
    bool *reading;        /* [count] if `balanced`: a worker is reading the image */
    bool paused;          /* no image may be taken */
    bool stop;            /* the workers have to end */

    /* Used by the calling thread only. */
    bool handed_out; /* the caller has batch `held` */
    bool *reported;  /* [count] the image was reported as broken */
    size_t *intact;  /* [class_count] images of the class that were not reported as broken */
    size_t broken_count;
    size_t first_batch;            /* the batch at which this epoch began */
    bool delivered;                /* a batch of this epoch was handed out */
    struct adl_error first_broken; /* error of the first broken image of this epoch */
};

/* --- parts of batches ------------------------------------------------------------ */

/* Returns whether other processes read some of the images. */
static bool reads_parts(const struct adl_loader *loader)
{
    return loader->options.own_shards < loader->options.shards;
}

/* The positions of a batch that are read here. */
struct slice {
    size_t planned;     /* images of the whole batch */
    size_t first, last; /* within it; last is one past the end */
};

static struct slice slice_of(const struct adl_loader *loader, size_t number)
{
    const struct adl_loader_options *o = &loader->options;
    size_t start = number * o->batch;
    size_t planned = ADL_MIN(o->batch, loader->dataset->count - start);
    if (!reads_parts(loader))
        return (struct slice){planned, 0, planned};
    return (struct slice){planned, adl_part_first(planned, o->shards, o->first_shard),
                          adl_part_first(planned, o->shards, o->first_shard + o->own_shards)};
}

/* Returns the first position from batch `number` on that is read here; the number of images if
 * there is none. */
static size_t first_position(const struct adl_loader *loader, size_t number)
{
    for (; number < loader->batches; number++) {
        struct slice slice = slice_of(loader, number);
        if (slice.first < slice.last)
            return number * loader->options.batch + slice.first;
    }
    return loader->dataset->count;
}

/* --- workers ------------------------------------------------------------------- */

/* Reads image `index`, augments it by the random numbers of `item` and normalises it into `input`.
 */
static int make_image(const struct adl_loader *loader, size_t index, size_t item, float *input,
                      struct adl_error *err)
{
    const struct adl_loader_options *o = &loader->options;
    struct adl_image image = {0}, crop = {0};
    struct adl_str path = {0};
    struct adl_rng rng;
    int result = -1, side = adl_augment_frame_side(&o->augment);

    adl_rng_seed(&rng, o->seed, loader->epoch, item);
    if (side > 0) {
        ADL_TRY(adl_frame_read(&o->frames, loader->dataset, index, side, side, &path, &image, NULL,
                               err));
        ADL_TRY(adl_augment_frame(&image, &o->augment, &rng, &crop, err));
    } else {
        ADL_TRY(adl_dataset_image_read(loader->dataset, index, &path, &image, err));
        ADL_TRY(adl_augment(&image, &o->augment, &rng, &crop, err));
    }
    adl_image_to_input(&crop, o->mean, o->std, input);
    result = 0;
out:
    adl_image_release(&image);
    adl_image_release(&crop);
    adl_str_release(&path);
    return result;
}

/* Returns whether there is a position to take and its batch has a slot. */
static bool has_work(const struct adl_loader *loader)
{
    return !loader->paused && loader->next < loader->dataset->count &&
           loader->next / loader->options.batch < loader->held + loader->slot_count;
}

/* Waits, under the lock, until no other worker is reading the image: the cache takes one at a time.
 */
static void begin_reading(struct adl_loader *loader, size_t index)
{
    if (!loader->balanced)
        return;
    while (loader->reading[index])
        pthread_cond_wait(&loader->done, &loader->lock);
    loader->reading[index] = true;
}

/* Takes positions under the lock and reads their images without it. */
static void *worker_main(void *argument)
{
    struct adl_loader *loader = argument;
    size_t batch = loader->options.batch;

    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->stop && !has_work(loader))
            pthread_cond_wait(&loader->work, &loader->lock);
        if (loader->stop)
            break;
        size_t position = loader->next, number = position / batch;
        struct slice slice = slice_of(loader, number);
        size_t i = position % batch - slice.first;
        struct slot *slot = &loader->slots[number % loader->slot_count];
        loader->next =
            slice.first + i + 1 < slice.last ? position + 1 : first_position(loader, number + 1);
        /* Positions are taken in order, so the first one of a batch claims the slot before any
         * other can need it. */
        if (i == 0) {
            slot->number = number;
            slot->count = slice.last - slice.first;
            slot->done = 0;
        }
        loader->busy++;
        size_t index = loader->order[position];
        begin_reading(loader, index);
        pthread_mutex_unlock(&loader->lock);

        slot->indices[i] = index;
        slot->places[i] = slice.first + i;
        slot->labels[i] = loader->dataset->images[index].class_id;
        adl_error_clear(&slot->errors[i]);
        /* adl_loader_next() finds a failure in the image's error. */
        (void)!make_image(loader, index, loader->balanced ? position : index,
                          slot->input + i * loader->image_floats, &slot->errors[i]);

        pthread_mutex_lock(&loader->lock);
        if (loader->balanced)
            loader->reading[index] = false;
        slot->done++;
        loader->busy--;
        pthread_cond_broadcast(&loader->done);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* --- creation and release --------------------------------------------------------- */

static int check_options(const struct adl_dataset *dataset, const struct adl_loader_options *o,
                         struct adl_error *err)
{
    if (dataset->count == 0)
        return adl_fail(err, ADL_ERR_ARG, "the data set has no image");
    if (!dataset->image_dir)
        return adl_fail(err, ADL_ERR_ARG, "the data set has lists, but no directory of images");
    if (o->batch < 1 || o->batch > ADL_LIMIT_BATCH)
        return adl_fail(err, ADL_ERR_ARG, "a batch of %zu is not in 1..%d", o->batch,
                        ADL_LIMIT_BATCH);
    if (o->shards > ADL_LIMIT_BATCH || o->first_shard > o->shards ||
        o->own_shards > o->shards - o->first_shard)
        return adl_fail(err, ADL_ERR_ARG, "parts %zu to %zu of %zu of a batch do not exist",
                        o->first_shard, o->first_shard + o->own_shards, o->shards);
    if (o->threads < 1 || o->threads > ADL_LIMIT_THREADS)
        return adl_fail(err, ADL_ERR_ARG, "%d threads are not in 1..%d", o->threads,
                        ADL_LIMIT_THREADS);
    if (o->prefetch > ADL_LIMIT_PREFETCH)
        return adl_fail(err, ADL_ERR_ARG, "a prefetch of %zu batches is more than %d", o->prefetch,
                        ADL_LIMIT_PREFETCH);
    return adl_augment_check(&o->augment, err);
}

/* Allocates all memory of the loader, so that nothing is allocated per batch. */
static int create_slots(struct adl_loader *loader, struct adl_error *err)
{
    const struct adl_loader_options *o = &loader->options;
    size_t most = ADL_MIN(o->batch, loader->dataset->count);
    size_t side = (size_t)loader->options.augment.crop_size, floats;

    /* No part is larger than the mean by a whole image. */
    if (reads_parts(loader))
        most = ADL_MIN(most, adl_ceil_div(most * o->own_shards, o->shards) + 1);
    loader->image_floats = side * side * 3;
    if (adl_size_mul(most, loader->image_floats, &floats) < 0)
        return adl_fail_nomem(err, "batches");
    loader->slots = adl_calloc(loader->slot_count, sizeof *loader->slots);
    for (size_t i = 0; loader->slots && i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        slot->number = NO_BATCH;
        slot->input = adl_malloc(floats, sizeof *slot->input);
        slot->labels = adl_malloc(most, sizeof *slot->labels);
        slot->indices = adl_malloc(most, sizeof *slot->indices);
        slot->places = adl_malloc(most, sizeof *slot->places);
        slot->errors = adl_calloc(most, sizeof *slot->errors);
        if (!slot->input || !slot->labels || !slot->indices || !slot->places || !slot->errors)
            return adl_fail_nomem(err, "batches");
    }
    loader->order = adl_malloc(loader->dataset->count, sizeof *loader->order);
    loader->reported = adl_calloc(loader->dataset->count, sizeof *loader->reported);
    loader->intact = adl_calloc(loader->dataset->class_count, sizeof *loader->intact);
    if (!loader->slots || !loader->order || !loader->reported || !loader->intact)
        return adl_fail_nomem(err, "batches");
    if (loader->options.balanced) {
        loader->balanced = adl_balanced_order_create(loader->dataset, err);
        loader->reading = adl_calloc(loader->dataset->count, sizeof *loader->reading);
        if (!loader->balanced || !loader->reading)
            return adl_fail_nomem(err, "batches");
    }
    for (size_t i = 0; i < loader->dataset->count; i++)
        loader->intact[loader->dataset->images[i].class_id]++;
    return 0;
}

struct adl_loader *adl_loader_create(const struct adl_dataset *dataset,
                                     const struct adl_loader_options *options,
                                     struct adl_error *err)
{
    if (check_options(dataset, options, err) < 0)
        return NULL;
    struct adl_loader *loader = adl_calloc(1, sizeof *loader);
    if (!loader) {
        adl_fail_nomem(err, "the loader");
        return NULL;
    }
    loader->dataset = dataset;
    loader->options = *options;
    loader->batches = (dataset->count - 1) / options->batch + 1;
    /* One more for the batch that the caller has. */
    loader->slot_count = (options->prefetch ? options->prefetch : DEFAULT_PREFETCH) + 1;
    loader->held = loader->batches;
    loader->paused = true;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->done, NULL);
    if (create_slots(loader, err) < 0) {
        adl_loader_free(loader);
        return NULL;
    }
    for (; loader->threads < options->threads; loader->threads++) {
        int code = pthread_create(&loader->handles[loader->threads], NULL, worker_main, loader);
        if (code != 0) {
            adl_fail(err, ADL_ERR_IO, "cannot start a thread: %s", strerror(code));
            adl_loader_free(loader);
            return NULL;
        }
    }
    return loader;
}

void adl_loader_free(struct adl_loader *loader)
{
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->threads; i++)
        pthread_join(loader->handles[i], NULL);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->work);
    pthread_cond_destroy(&loader->done);
    for (size_t i = 0; loader->slots && i < loader->slot_count; i++) {
        adl_free(loader->slots[i].input);
        adl_free(loader->slots[i].labels);
        adl_free(loader->slots[i].indices);
        adl_free(loader->slots[i].places);
        adl_free(loader->slots[i].errors);
    }
    adl_free(loader->slots);
    adl_balanced_order_free(loader->balanced);
    adl_free(loader->reading);
    adl_free(loader->order);
    adl_free(loader->reported);
    adl_free(loader->intact);
    adl_free(loader);
}

size_t adl_loader_batches(const struct adl_loader *loader)
{
    return loader->batches;
}

size_t adl_loader_broken_count(const struct adl_loader *loader)
{
    return loader->broken_count;
}

/* --- an epoch ----------------------------------------------------------------------- */

/* Workers read `epoch` and `order` without the lock, so these two change only while no worker is
 * reading an image; `paused` keeps the workers from taking another one. */
void adl_loader_start_epoch(struct adl_loader *loader, uint64_t epoch, size_t first_batch)
{
    size_t count = loader->dataset->count;
    struct adl_rng rng;

    pthread_mutex_lock(&loader->lock);
    loader->paused = true;
    while (loader->busy > 0)
        pthread_cond_wait(&loader->done, &loader->lock);
    loader->epoch = epoch;
    /* Starts from the identity each time, so that the order does not depend on earlier epochs. */
    for (size_t i = 0; i < count; i++)
        loader->order[i] = i;
    if (loader->options.augment.train) {
        adl_rng_seed(&rng, loader->options.seed, epoch, ORDER_ITEM);
        if (loader->balanced)
            adl_balanced_order_draw(loader->balanced, &rng, loader->order, count);
        else
            adl_rng_shuffle(&rng, loader->order, count);
    }
    for (size_t i = 0; i < loader->slot_count; i++)
        loader->slots[i].number = NO_BATCH;
    loader->held = ADL_MIN(first_batch, loader->batches);
    loader->next = first_position(loader, loader->held);
    loader->paused = false;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    loader->handed_out = loader->delivered = false;
    loader->first_batch = loader->held;
    adl_error_clear(&loader->first_broken);
}

/* Waits until all images of the oldest batch are done and returns its slot; NULL at the end of the
 * epoch. */
static struct slot *wait_for_batch(struct adl_loader *loader)
{
    struct slot *slot = NULL;

    pthread_mutex_lock(&loader->lock);
    if (loader->held < loader->batches) {
        slot = &loader->slots[loader->held % loader->slot_count];
        struct slice slice = slice_of(loader, loader->held);
        if (slice.first == slice.last) /* no worker takes a position of it */
            slot->number = loader->held, slot->count = slot->done = 0;
        while (slot->number != loader->held || slot->done < slot->count)
            pthread_cond_wait(&loader->done, &loader->lock);
    }
    pthread_mutex_unlock(&loader->lock);
    return slot;
}

/* Frees the slot of the oldest batch. */
static void give_back(struct adl_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->held++;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    loader->handed_out = false;
}

/* Keeps the epoch's first error, and counts and reports a broken image when it is first met. */
static void report(struct adl_loader *loader, size_t index, const struct adl_error *why)
{
    if (loader->first_broken.kind == ADL_ERR_NONE)
        loader->first_broken = *why;
    if (loader->reported[index])
        return;
    loader->reported[index] = true;
    loader->broken_count++;
    if (loader->options.broken)
        loader->options.broken(loader->options.context, index, why->message);
    int class_id = loader->dataset->images[index].class_id;
    if (--loader->intact[class_id] == 0 && loader->options.broken_class)
        loader->options.broken_class(loader->options.context, class_id);
}

/* Moves the images that could be read to the front, since the network needs a contiguous batch;
 * returns their number. */
static size_t close_gaps(struct adl_loader *loader, struct slot *slot)
{
    size_t kept = 0, floats = loader->image_floats;

    for (size_t i = 0; i < slot->count; i++) {
        if (slot->errors[i].kind != ADL_ERR_NONE) {
            report(loader, slot->indices[i], &slot->errors[i]);
            continue;
        }
        if (kept < i) {
            memcpy(slot->input + kept * floats, slot->input + i * floats, floats * sizeof(float));
            slot->labels[kept] = slot->labels[i];
            slot->indices[kept] = slot->indices[i];
            slot->places[kept] = slot->places[i];
        }
        kept++;
    }
    return kept;
}

/* Returns the first failure that is not the image's fault; NULL if there is none. */
static const struct adl_error *find_failure(const struct slot *slot)
{
    for (size_t i = 0; i < slot->count; i++)
        if (slot->errors[i].kind == ADL_ERR_NOMEM || slot->errors[i].kind == ADL_ERR_INTERNAL)
            return &slot->errors[i];
    return NULL;
}

int adl_loader_next(struct adl_loader *loader, struct adl_batch *batch, struct adl_error *err)
{
    struct slot *slot;

    if (loader->handed_out)
        give_back(loader);
    while ((slot = wait_for_batch(loader))) {
        const struct adl_error *failure = find_failure(slot);
        /* Such a failure is not a property of the image: skipping the image would change the
         * run. */
        if (failure)
            return adl_fail(err, failure->kind, "%s", failure->message);
        size_t count = close_gaps(loader, slot);
        if (count == 0 && !reads_parts(loader)) {
            give_back(loader);
            continue;
        }
        *batch = (struct adl_batch){.number = slot->number,
                                    .planned = slice_of(loader, slot->number).planned,
                                    .count = count,
                                    .input = slot->input,
                                    .labels = slot->labels,
                                    .indices = slot->indices,
                                    .places = slot->places};
        loader->handed_out = loader->delivered = true;
        return 1;
    }
    /* An epoch that was resumed after its last readable image is not a failure. */
    if (!loader->delivered && loader->first_batch == 0 && loader->first_broken.kind)
        return adl_fail(err, ADL_ERR_FORMAT, "not one of %zu image%s could be read: %s",
                        loader->dataset->count, ADL_S(loader->dataset->count),
                        loader->first_broken.message);
    return 0;
}
