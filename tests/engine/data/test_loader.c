/* data/loader: the same batches for any number of threads, when an epoch is resumed in the
 * middle, and with broken images. */

#include "support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/loader.h"
#include "io/file.h"

enum { IMAGES = 23, BATCH = 4, CROP = 8, BROKEN = 5, MISSING = 17 };

static struct adl_dataset *dataset;
static char folder[256];

/* Small images of different sizes. Two are broken: one file is truncated, one is missing. */
static void write_pictures(bool broken)
{
    char path[512];
    snprintf(folder, sizeof folder, "%s/loader-%d", test_tmp_dir(), broken);
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/images", folder);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/metadata", folder);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/metadata/train", folder);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/metadata/train/image_ids.txt", folder);
    FILE *ids = fopen(path, "w");
    snprintf(path, sizeof path, "%s/metadata/train/class_labels.txt", folder);
    FILE *labels = fopen(path, "w");
    CU_ASSERT_FATAL(ids && labels);
    for (int i = 0; i < IMAGES; i++) {
        struct adl_error err = {0};
        struct adl_image image;
        size_t length;
        void *png;
        TEST_OK(adl_image_init(&image, 9 + i % 5, 12 + i % 7, &err), &err);
        for (size_t k = 0; k < (size_t)image.width * (size_t)image.height * 3; k++)
            image.rgb[k] = (uint8_t)(k * 7 + (size_t)i * 31);
        TEST_OK(adl_image_encode_png(&image, &png, &length, &err), &err);
        adl_image_release(&image);
        if (broken && i == BROKEN)
            length /= 2;
        snprintf(path, sizeof path, "%s/images/%d.png", folder, i);
        struct adl_file_piece piece = {png, length};
        if (!broken || i != MISSING)
            TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
        adl_free(png);
        fprintf(ids, "%d.png\n", i);
        fprintf(labels, "%d.png,%d\n", i, i % 3);
    }
    fclose(ids);
    fclose(labels);
    struct adl_error err = {0};
    const struct adl_dataset_options options = {.dir = folder, .split = "train"};
    dataset = adl_dataset_open(&options, &err);
    CU_ASSERT_FATAL(dataset != NULL);
}

static void done_with_pictures(void)
{
    adl_dataset_free(dataset);
    dataset = NULL;
}

struct told {
    unsigned count;
    size_t indices[IMAGES];
    char reason[600];
};

static void tell(void *context, size_t index, const char *reason)
{
    struct told *told = context;
    if (told->count < IMAGES)
        told->indices[told->count++] = index;
    snprintf(told->reason, sizeof told->reason, "%s", reason);
}

static struct adl_loader_options training(uint64_t seed, int threads)
{
    return (struct adl_loader_options){
        .augment = {.train = true, .resize_size = 10, .crop_size = CROP, .flip = 0.5},
        .batch = BATCH,
        .seed = seed,
        .threads = threads,
        .mean = {0.5F, 0.4F, 0.3F},
        .std = {0.2F, 0.3F, 0.4F},
    };
}

/* All batches of an epoch from a given one on. */
struct record {
    size_t batches, images;
    size_t indices[IMAGES];
    char digest[65];
};

static size_t side = CROP; /* of the inputs that are played */

static struct record play(struct adl_loader *loader, uint64_t epoch, size_t first)
{
    struct adl_error err = {0};
    struct record record = {0};
    struct adl_sha256 hash;
    struct adl_batch batch;
    int more;
    adl_sha256_init(&hash);
    adl_loader_start_epoch(loader, epoch, first);
    while ((more = adl_loader_next(loader, &batch, &err)) > 0) {
        CU_ASSERT_FATAL(record.images + batch.count <= IMAGES);
        adl_sha256_update(&hash, &batch.number, sizeof batch.number);
        adl_sha256_update(&hash, batch.labels, batch.count * sizeof *batch.labels);
        adl_sha256_update(&hash, batch.indices, batch.count * sizeof *batch.indices);
        adl_sha256_update(&hash, batch.input, batch.count * side * side * 3 * sizeof *batch.input);
        for (size_t i = 0; i < batch.count; i++) {
            CU_ASSERT_EQUAL(batch.labels[i], (int)(batch.indices[i] % 3));
            record.indices[record.images++] = batch.indices[i];
        }
        record.batches++;
    }
    TEST_OK(more, &err);
    CU_ASSERT_EQUAL(adl_loader_next(loader, &batch, &err), 0);
    adl_sha256_hex(&hash, record.digest);
    return record;
}

static struct record play_new(const struct adl_loader_options *options, uint64_t epoch,
                              size_t first)
{
    struct adl_error err = {0};
    struct adl_loader *loader = adl_loader_create(dataset, options, &err);
    struct record record = {0};
    if (!loader)
        TEST_FAIL("%s", err.message);
    else
        record = play(loader, epoch, first);
    adl_loader_free(loader);
    return record;
}

static void every_image_comes_once(void)
{
    write_pictures(false);
    struct adl_loader_options options = training(1, 2);
    struct record record = play_new(&options, 0, 0);
    unsigned seen[IMAGES] = {0};
    CU_ASSERT_EQUAL_FATAL(record.images, IMAGES);
    CU_ASSERT_EQUAL(record.batches, 6);
    for (size_t i = 0; i < IMAGES; i++)
        seen[record.indices[i]]++;
    for (size_t i = 0; i < IMAGES; i++)
        CU_ASSERT_EQUAL(seen[i], 1);

    options.augment.train = false; /* then in order, and as the resize alone gives it */
    struct adl_error err = {0};
    struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
    CU_ASSERT_FATAL(loader != NULL);
    CU_ASSERT_EQUAL(adl_loader_batches(loader), 6);
    struct adl_batch batch;
    adl_loader_start_epoch(loader, 9, 1);
    CU_ASSERT_EQUAL_FATAL(adl_loader_next(loader, &batch, &err), 1);
    CU_ASSERT(batch.number == 1 && batch.count == BATCH && batch.indices[0] == BATCH);
    struct adl_image image, resized;
    TEST_OK(adl_image_init(&image, 9 + 4 % 5, 12 + 4 % 7, &err), &err);
    for (size_t k = 0; k < (size_t)image.width * (size_t)image.height * 3; k++)
        image.rgb[k] = (uint8_t)(k * 7 + 4 * 31);
    TEST_OK(adl_image_resize(&image, CROP, CROP, &resized, &err), &err);
    double want[CROP * CROP * 3];
    for (size_t k = 0; k < ADL_COUNT(want); k++)
        want[k] =
            (resized.rgb[k] / 255.0 - (double)options.mean[k % 3]) / (double)options.std[k % 3];
    test_close("the first image of the second batch", batch.input, want, ADL_COUNT(want), 1e-5);
    adl_image_release(&image);
    adl_image_release(&resized);
    adl_loader_free(loader);
    done_with_pictures();
}

static void batches_depend_on_the_seed_alone(void)
{
    for (int broken = 0; broken < 2; broken++) {
        write_pictures(broken);
        struct adl_loader_options options = training(5, 1);
        struct record one = play_new(&options, 3, 0);
        options.threads = 2;
        options.prefetch = 1;
        struct record two = play_new(&options, 3, 0);
        options.threads = 4;
        options.prefetch = 5;
        struct record four = play_new(&options, 3, 0);
        CU_ASSERT_STRING_EQUAL(one.digest, two.digest);
        CU_ASSERT_STRING_EQUAL(one.digest, four.digest);
        struct record other_epoch = play_new(&options, 4, 0);
        options.seed = 6;
        struct record other_seed = play_new(&options, 3, 0);
        CU_ASSERT(memcmp(one.indices, other_epoch.indices, sizeof one.indices) != 0);
        CU_ASSERT(memcmp(one.indices, other_seed.indices, sizeof one.indices) != 0);
        CU_ASSERT(memcmp(other_epoch.indices, other_seed.indices, sizeof one.indices) != 0);
        done_with_pictures();
    }
}

/* Drawn images come several times, each time augmented anew; the batches are the same for any
 * number of threads, from any batch on, and with a cache, which takes an image once at a time. */
static void draws_balanced_batches(void)
{
    struct adl_error err = {0};
    write_pictures(false);
    struct adl_loader_options options = training(5, 1);
    options.balanced = true;
    struct record one = play_new(&options, 3, 0), half = play_new(&options, 3, 3);
    CU_ASSERT(one.images == IMAGES && one.batches == 6);
    size_t seen[IMAGES] = {0}, repeated = 0;
    for (size_t i = 0; i < IMAGES; i++)
        repeated += seen[one.indices[i]]++ > 0;
    CU_ASSERT(repeated > 0);
    CU_ASSERT(memcmp(one.indices + 3 * BATCH, half.indices,
                     (IMAGES - 3 * BATCH) * sizeof *half.indices) == 0);
    for (int threads = 2; threads < 5; threads++) {
        const struct adl_frame_cache_options cache = {.memory_bytes = 1 << 20, .images = IMAGES};
        options.threads = threads;
        options.prefetch = (size_t)threads;
        options.frames.cache = adl_frame_cache_create(&cache, &err);
        CU_ASSERT_FATAL(options.frames.cache != NULL);
        struct record other = play_new(&options, 3, 0), from = play_new(&options, 3, 3);
        CU_ASSERT_STRING_EQUAL(one.digest, other.digest);
        CU_ASSERT_STRING_EQUAL(half.digest, from.digest);
        adl_frame_cache_free(options.frames.cache);
    }
    done_with_pictures();
}

static void goes_on_in_the_middle(void)
{
    write_pictures(true);
    struct adl_loader_options options = training(7, 3);
    struct adl_error err = {0};
    struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
    struct adl_batch batch;
    CU_ASSERT_FATAL(loader != NULL);
    CU_ASSERT_EQUAL(adl_loader_next(loader, &batch, &err), 0); /* no epoch yet */
    struct record whole = play(loader, 2, 0), again = play(loader, 2, 0);
    CU_ASSERT_STRING_EQUAL(whole.digest, again.digest);
    /* Half of another epoch is discarded. */
    adl_loader_start_epoch(loader, 8, 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(adl_loader_next(loader, &batch, &err), 1);
    struct record here = play(loader, 2, 4), elsewhere = play_new(&options, 2, 4);
    CU_ASSERT_STRING_EQUAL(here.digest, elsewhere.digest);
    CU_ASSERT(here.images > 0 && here.images < whole.images);
    CU_ASSERT(!memcmp(whole.indices + whole.images - here.images, here.indices,
                      here.images * sizeof *here.indices));
    CU_ASSERT_EQUAL(play(loader, 2, 1000).images, 0);
    adl_loader_free(loader);
    done_with_pictures();
}

/* Frames of 5 x 5 pixels, which all images are large enough for. */
static struct adl_loader_options with_frames(struct adl_frame_cache *cache, int threads)
{
    struct adl_loader_options options = training(7, threads);
    options.augment.resize_size = 5;
    options.augment.crop_size = 4;
    options.frames.cache = cache;
    return options;
}

static struct adl_frame_cache *new_cache(size_t bytes, const char *dir, size_t dir_bytes)
{
    struct adl_error err = {0};
    const struct adl_frame_cache_options options = {
        .memory_bytes = bytes, .images = IMAGES, .dir = dir, .dir_bytes = dir_bytes};
    struct adl_frame_cache *cache = adl_frame_cache_create(&options, &err);
    TEST_OK(cache ? 0 : -1, &err);
    CU_ASSERT_FATAL(cache != NULL);
    return cache;
}

static void remove_pictures(void)
{
    for (int i = 0; i < IMAGES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/images/%d.png", folder, i);
        CU_ASSERT_EQUAL(unlink(path), 0);
    }
}

/* The digests of epochs 0 and 1, and of the second half of epoch 1. */
static void play_three(struct adl_frame_cache *cache, int threads, char digests[3][65])
{
    struct adl_error err = {0};
    struct adl_loader_options options = with_frames(cache, threads);
    struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
    TEST_OK(loader ? 0 : -1, &err);
    for (int i = 0; loader && i < 3; i++)
        memcpy(digests[i], play(loader, i > 0, i == 2 ? 3 : 0).digest, 65);
    adl_loader_free(loader);
}

static void a_cache_changes_no_bit(void)
{
    /* None, room for three or four, room for all. */
    static const size_t sizes[] = {0, 500, 100000};
    char want[3][65], got[3][65];
    side = 4;
    write_pictures(false);
    play_three(NULL, 1, want);
    for (size_t i = 0; i < ADL_COUNT(sizes); i++) {
        for (int threads = 1; threads <= 3; threads += 2) {
            struct adl_frame_cache *cache = new_cache(sizes[i], NULL, 0);
            play_three(cache, threads, got);
            CU_ASSERT(!memcmp(want, got, sizeof want));
            struct adl_frame_cache_stats stats = adl_frame_cache_stats(cache);
            CU_ASSERT(stats.bytes <= sizes[i]);
            CU_ASSERT((stats.images == 0) == (i == 0));
            CU_ASSERT((stats.images == IMAGES) == (i == 2));
            if (i == 2) {
                /* Nothing is decoded again. */
                struct adl_loader_options options = with_frames(cache, threads);
                remove_pictures();
                CU_ASSERT_STRING_EQUAL(play_new(&options, 1, 0).digest, want[1]);
                done_with_pictures();
                write_pictures(false);
            }
            adl_frame_cache_free(cache);
        }
    }
    side = CROP;
    done_with_pictures();
}

/* Overwrites the byte `at` of each file in the cache, from its end if negative; or, with
 * `cut`, removes it and what follows. Returns the number of files. */
static int spoil(const char *dir, long at, bool cut)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    int count = 0;
    while (list && (entry = readdir(list))) {
        char path[1024];
        if (!strstr(entry->d_name, ".frame"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        FILE *file = fopen(path, "r+");
        CU_ASSERT_FATAL(file != NULL);
        fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
        if (cut) {
            CU_ASSERT_EQUAL(ftruncate(fileno(file), ftell(file)), 0);
        } else {
            int byte = fgetc(file);
            fseek(file, -1, SEEK_CUR);
            fputc(byte ^ 1, file);
        }
        fclose(file);
        count++;
    }
    closedir(list);
    return count;
}

static void a_cache_on_disk_is_checked(void)
{
    static const struct {
        long at;
        bool cut;
    } damages[] = {{0, false}, {8, false}, {72, false}, {-1, false}, {-1, true}, {0, true}};
    char want[3][65], got[3][65], dir[300], path[1100];
    side = 4;
    write_pictures(false);
    snprintf(dir, sizeof dir, "%s/frames", folder);
    CU_ASSERT_EQUAL(mkdir(dir, 0777), 0);
    play_three(NULL, 1, want);
    for (size_t i = 0; i <= ADL_COUNT(damages); i++) {
        struct adl_frame_cache *cache = new_cache(0, dir, 100000);
        play_three(cache, 2, got);
        CU_ASSERT(!memcmp(want, got, sizeof want));
        CU_ASSERT_EQUAL(adl_frame_cache_stats(cache).written, IMAGES);
        adl_frame_cache_free(cache);
        cache = new_cache(0, dir, 100000);
        play_three(cache, 2, got);
        CU_ASSERT(!memcmp(want, got, sizeof want));
        CU_ASSERT_EQUAL(adl_frame_cache_stats(cache).written, 0);
        adl_frame_cache_free(cache);
        if (i < ADL_COUNT(damages))
            CU_ASSERT_EQUAL(spoil(dir, damages[i].at, damages[i].cut), IMAGES);
    }

    /* An image that has changed is decoded anew, even to the same size. */
    snprintf(path, sizeof path, "cp '%s/images/1.png' '%s/images/2.png'", folder, folder);
    CU_ASSERT_EQUAL(system(path), 0);
    play_three(NULL, 1, want);
    struct adl_frame_cache *cache = new_cache(0, dir, 100000);
    play_three(cache, 1, got);
    CU_ASSERT(!memcmp(want, got, sizeof want));
    CU_ASSERT_EQUAL(adl_frame_cache_stats(cache).written, 1);
    adl_frame_cache_free(cache);

    /* The files do not take more than they may. */
    snprintf(dir, sizeof dir, "%s/few", folder);
    CU_ASSERT_EQUAL(mkdir(dir, 0777), 0);
    for (int i = 0; i < 2; i++) {
        cache = new_cache(0, dir, 1000);
        play_three(cache, 3, got);
        CU_ASSERT(!memcmp(want, got, sizeof want));
        CU_ASSERT_EQUAL(adl_frame_cache_stats(cache).written, i ? 0 : 1000 / (80 + 75));
        adl_frame_cache_free(cache);
    }
    side = CROP;
    done_with_pictures();
}

static void broken_images_are_told_once(void)
{
    write_pictures(true);
    struct told told = {0};
    struct adl_loader_options options = training(7, 3);
    options.broken = tell;
    options.context = &told;
    struct adl_error err = {0};
    struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
    CU_ASSERT_FATAL(loader != NULL);
    for (uint64_t epoch = 0; epoch < 3; epoch++)
        CU_ASSERT_EQUAL(play(loader, epoch, 0).images, IMAGES - 2);
    CU_ASSERT_EQUAL_FATAL(told.count, 2);
    CU_ASSERT(told.indices[0] + told.indices[1] == BROKEN + MISSING);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.reason, folder));
    CU_ASSERT_EQUAL(adl_loader_broken_count(loader), 2);
    adl_loader_free(loader);

    /* A batch without a readable image is left out; an epoch without one is an error. */
    options.batch = 1;
    struct record record = play_new(&options, 0, 0);
    CU_ASSERT(record.batches == IMAGES - 2 && record.images == IMAGES - 2);
    const char *right = dataset->image_dir;
    struct adl_batch batch;
    dataset->image_dir = "/nonexistent";
    loader = adl_loader_create(dataset, &options, &err);
    CU_ASSERT_FATAL(loader != NULL);
    adl_loader_start_epoch(loader, 0, 0);
    CU_ASSERT_EQUAL(adl_loader_next(loader, &batch, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "not one of 23 images"));
    adl_loader_free(loader);
    dataset->image_dir = right;
    done_with_pictures();
}

/* A list that names a FIFO does not stop the run. */
static void fifos_are_broken_images(void)
{
    char path[512];
    write_pictures(false);
    snprintf(path, sizeof path, "%s/images/%d.png", folder, MISSING);
    CU_ASSERT_EQUAL(remove(path), 0);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    struct told told = {0};
    struct adl_loader_options options = training(7, 2);
    options.broken = tell;
    options.context = &told;
    CU_ASSERT_EQUAL(play_new(&options, 0, 0).images, IMAGES - 1);
    CU_ASSERT(told.count == 1 && told.indices[0] == MISSING);
    CU_ASSERT_PTR_NOT_NULL(strstr(told.reason, "is not a regular file"));
    CU_ASSERT_EQUAL(remove(path), 0);
    done_with_pictures();
}

static void count_class(void *context, int class_id)
{
    int *counts = context;
    counts[class_id]++;
}

/* Of three classes one has no readable image: it is reported once, however many epochs. */
static void broken_classes_are_told_once(void)
{
    int counts[3] = {0};
    write_pictures(false);
    for (int i = 1; i < IMAGES; i += 3) {
        char path[512];
        snprintf(path, sizeof path, "%s/images/%d.png", folder, i);
        CU_ASSERT_EQUAL(remove(path), 0);
    }
    struct adl_loader_options options = training(7, 2);
    options.broken_class = count_class;
    options.context = counts;
    struct adl_error err = {0};
    struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
    CU_ASSERT_FATAL(loader != NULL);
    for (uint64_t epoch = 0; epoch < 3; epoch++)
        play(loader, epoch, 0);
    CU_ASSERT(counts[0] == 0 && counts[1] == 1 && counts[2] == 0);
    adl_loader_free(loader);
    done_with_pictures();
}

static void wrong_options_are_refused(void)
{
    write_pictures(false);
    struct adl_loader_options bad[5];
    for (size_t i = 0; i < ADL_COUNT(bad); i++)
        bad[i] = training(1, 1);
    bad[0].batch = 0;
    bad[1].threads = 0;
    bad[2].threads = 100000;
    bad[3].augment.crop_size = 11;
    bad[4].prefetch = 1000;
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        struct adl_error err = {0};
        CU_ASSERT_PTR_NULL(adl_loader_create(dataset, &bad[i], &err));
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
    struct adl_error err = {0};
    struct adl_loader_options good = training(1, 1);
    struct adl_dataset empty = {.image_dir = ""};
    CU_ASSERT_PTR_NULL(adl_loader_create(&empty, &good, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    done_with_pictures();
}

/* Failures of workers are returned by adl_loader_next(); none is taken for a broken image. */
static void survives_no_memory(void)
{
    write_pictures(false);
    struct adl_mem_stats before = adl_mem_stats();
    struct told told = {0};
    bool finished = false;
    for (uint64_t n = 1; !finished && n < 2000; n++) {
        struct adl_loader_options options = training(1, 2);
        struct adl_error err = {0};
        struct adl_batch batch;
        int more = -1;
        options.broken = tell;
        options.context = &told;
        adl_mem_fail_nth(n);
        struct adl_loader *loader = adl_loader_create(dataset, &options, &err);
        if (loader) {
            adl_loader_start_epoch(loader, 0, 0);
            while ((more = adl_loader_next(loader, &batch, &err)) > 0)
                ;
        }
        adl_loader_free(loader);
        adl_mem_fail_nth(0);
        finished = more == 0;
        if (!finished && err.kind != ADL_ERR_NOMEM)
            TEST_FAIL("allocation %d: %s", (int)n, err.message);
    }
    CU_ASSERT(finished);
    CU_ASSERT_EQUAL(told.count, 0);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    done_with_pictures();
}

/* Checks that a batch of a loader of parts has the images that the whole batch has there. */
static void check_part(const struct adl_batch *part, const struct adl_batch *whole, size_t first,
                       size_t last)
{
    size_t image = CROP * CROP * 3, next = 0;
    CU_ASSERT_EQUAL(part->number, whole->number);
    CU_ASSERT_EQUAL(part->planned, whole->planned);
    for (size_t i = 0; i < whole->count; i++) {
        if (whole->places[i] < first || whole->places[i] >= last)
            continue;
        CU_ASSERT_FATAL(next < part->count);
        CU_ASSERT_EQUAL(part->places[next], whole->places[i]);
        CU_ASSERT_EQUAL(part->indices[next], whole->indices[i]);
        CU_ASSERT_EQUAL(part->labels[next], whole->labels[i]);
        CU_ASSERT(
            !memcmp(part->input + next * image, whole->input + i * image, image * sizeof(float)));
        next++;
    }
    CU_ASSERT_EQUAL(next, part->count);
}

/* Loaders of parts have together what one loader has, in an epoch from its second batch on whose
 * last batch of 3 images leaves one of 4 parts empty, with broken images. */
static void parts_are_the_whole(void)
{
    struct adl_error err = {0};
    struct adl_batch whole, part;
    write_pictures(true);
    for (size_t shard = 0; shard < 4; shard++) {
        struct adl_loader_options options = training(5, 2);
        struct adl_loader *all = adl_loader_create(dataset, &options, &err);
        options.shards = 4;
        options.first_shard = shard;
        options.own_shards = 1;
        struct adl_loader *some = adl_loader_create(dataset, &options, &err);
        CU_ASSERT_FATAL(all && some);
        adl_loader_start_epoch(all, 2, 1);
        adl_loader_start_epoch(some, 2, 1);
        size_t batches = 0;
        for (; adl_loader_next(all, &whole, &err) > 0; batches++) {
            CU_ASSERT_EQUAL_FATAL(adl_loader_next(some, &part, &err), 1);
            check_part(&part, &whole, adl_part_first(whole.planned, 4, shard),
                       adl_part_first(whole.planned, 4, shard + 1));
        }
        CU_ASSERT_EQUAL(batches, 5);
        CU_ASSERT_EQUAL(adl_loader_next(some, &part, &err), 0);
        adl_loader_free(some);
        adl_loader_free(all);
    }
    done_with_pictures();
}

TEST_SUITE(loader, {"every image comes once", every_image_comes_once},
           {"batches depend on the seed alone", batches_depend_on_the_seed_alone},
           {"draws balanced batches", draws_balanced_batches},
           {"goes on in the middle of an epoch", goes_on_in_the_middle},
           {"a cache changes no bit", a_cache_changes_no_bit},
           {"a cache on disk is checked", a_cache_on_disk_is_checked},
           {"broken images are told once", broken_images_are_told_once},
           {"FIFOs are broken images", fifos_are_broken_images},
           {"broken classes are told once", broken_classes_are_told_once},
           {"wrong options are refused", wrong_options_are_refused},
           {"loading survives running out of memory", survives_no_memory},
           {"parts are the whole", parts_are_the_whole});
