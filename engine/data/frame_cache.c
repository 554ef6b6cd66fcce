/* Keeps frames in memory; see frame_cache.h. */

#include "data/frame_cache.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/frame_files.h"
#include "data/image_file.h"

struct entry {
    int width, height;       /* of the original */
    struct adl_image pixels; /* resized */
};

struct adl_frame_cache {
    struct adl_frame_cache_options options;
    pthread_mutex_t lock;   /* protects all below; an entry does not change once it is set */
    struct entry **entries; /* [options.images]; NULL without memory for frames */
    struct adl_frame_cache_stats stats;
    size_t dir_used; /* bytes of the frame files in the directory */
};

struct adl_frame_cache *adl_frame_cache_create(const struct adl_frame_cache_options *options,
                                               struct adl_error *err)
{
    struct adl_frame_cache *cache = adl_calloc(1, sizeof *cache);

    if (!cache) {
        adl_fail_nomem(err, "the cache");
        return NULL;
    }
    cache->options = *options;
    pthread_mutex_init(&cache->lock, NULL);
    if (options->memory_bytes > 0) {
        cache->entries = adl_calloc(options->images, sizeof *cache->entries);
        if (!cache->entries)
            adl_fail_nomem(err, "the cache");
    }
    if (err->kind ||
        (options->dir && adl_frame_files_bytes(options->dir, &cache->dir_used, err) < 0)) {
        adl_frame_cache_free(cache);
        return NULL;
    }
    return cache;
}

static void free_entry(struct entry *entry)
{
    if (entry)
        adl_image_release(&entry->pixels);
    adl_free(entry);
}

void adl_frame_cache_free(struct adl_frame_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; cache->entries && i < cache->options.images; i++)
        free_entry(cache->entries[i]);
    adl_free(cache->entries);
    pthread_mutex_destroy(&cache->lock);
    adl_free(cache);
}

struct adl_frame_cache_stats adl_frame_cache_stats(struct adl_frame_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    struct adl_frame_cache_stats stats = cache->stats;
    pthread_mutex_unlock(&cache->lock);
    return stats;
}

static size_t bytes_of(const struct adl_image *image)
{
    return (size_t)image->width * (size_t)image->height * 3;
}

static int copy_image(const struct adl_image *from, struct adl_image *to, struct adl_error *err)
{
    if (adl_image_init(to, from->width, from->height, err) < 0)
        return -1;
    memcpy(to->rgb, from->rgb, bytes_of(from));
    return 0;
}

/* Returns the entry of an image, or NULL. */
static const struct entry *look_up(struct adl_frame_cache *cache, size_t image)
{
    if (!cache || !cache->entries)
        return NULL;
    pthread_mutex_lock(&cache->lock);
    const struct entry *entry = cache->entries[image];
    pthread_mutex_unlock(&cache->lock);
    return entry;
}

/* Keeps a copy of a frame in memory if there is room. Its bytes are counted before the copy is
 * made, so that several threads together do not exceed the limit. */
static void keep(struct adl_frame_cache *cache, size_t image, const struct adl_image *frame,
                 const struct adl_image *original)
{
    struct adl_error none = {0};
    size_t bytes = bytes_of(frame) + sizeof(struct entry);

    if (!cache->entries)
        return;
    pthread_mutex_lock(&cache->lock);
    bool room = bytes <= cache->options.memory_bytes - cache->stats.bytes;
    cache->stats.bytes += room ? bytes : 0;
    pthread_mutex_unlock(&cache->lock);
    if (!room)
        return;
    struct entry *entry = adl_calloc(1, sizeof *entry);
    if (entry) {
        entry->width = original->width;
        entry->height = original->height;
        if (copy_image(frame, &entry->pixels, &none) < 0) {
            free_entry(entry);
            entry = NULL;
        }
    }
    pthread_mutex_lock(&cache->lock);
    cache->entries[image] = entry;
    cache->stats.images += entry != NULL;
    cache->stats.bytes -= entry ? 0 : bytes;
    pthread_mutex_unlock(&cache->lock);
}

/* Writes the file of a frame, unless the files would exceed their limit or a write has failed. */
static void write_file(struct adl_frame_cache *cache, const struct adl_frame_key *key,
                       const struct adl_image *frame, const struct adl_image *original)
{
    struct adl_error why = {0};
    size_t bytes = adl_frame_file_bytes(frame);

    pthread_mutex_lock(&cache->lock);
    bool room = !cache->stats.fail.kind && cache->dir_used <= cache->options.dir_bytes &&
                bytes <= cache->options.dir_bytes - cache->dir_used;
    cache->dir_used += room ? bytes : 0;
    pthread_mutex_unlock(&cache->lock);
    if (!room)
        return;
    int result = adl_frame_file_write(cache->options.dir, key, frame, original, &why);
    pthread_mutex_lock(&cache->lock);
    cache->stats.written += result == 0;
    if (result < 0 && !cache->stats.fail.kind)
        cache->stats.fail = why;
    pthread_mutex_unlock(&cache->lock);
}

/* Decodes an image and resizes it. */
static int make_frame(const struct adl_frame_source *source, const struct adl_dataset *dataset,
                      size_t index, int width, int height, struct adl_str *path,
                      struct adl_image *frame, struct adl_image *original, struct adl_error *err)
{
    const struct adl_decode_options how = {.target_width = source->fast ? width : 0,
                                           .target_height = source->fast ? height : 0,
                                           .aligned = true};
    struct adl_image image = {0};
    struct adl_image_info info;
    int result = -1;

    ADL_TRY(adl_dataset_image_reduced(dataset, index, &how, path, &image, &info, err));
    original->width = info.width;
    original->height = info.height;
    result = adl_image_resize(&image, width, height, frame, err);
out:
    adl_image_release(&image);
    return result;
}

int adl_frame_read(const struct adl_frame_source *source, const struct adl_dataset *dataset,
                   size_t index, int width, int height, struct adl_str *path,
                   struct adl_image *frame, struct adl_image *original, struct adl_error *err)
{
    struct adl_frame_cache *cache = source->cache;
    const struct entry *entry = look_up(cache, source->first + index);
    struct adl_image size = {0};
    struct adl_frame_key key;
    bool keyed = false, read = false;

    if (entry) {
        if (original)
            *original = (struct adl_image){.width = entry->width, .height = entry->height};
        return copy_image(&entry->pixels, frame, err);
    }
    if (cache && cache->options.dir) {
        const char *file = adl_dataset_path(dataset, index, path, err);
        if (!file)
            return -1;
        keyed = adl_frame_key_make(&key, file, width, height, dataset->upright, source->fast) == 0;
        read = keyed && adl_frame_file_read(cache->options.dir, &key, frame, &size);
    }
    if (!read && make_frame(source, dataset, index, width, height, path, frame, &size, err) < 0)
        return -1;
    if (original)
        *original = size;
    if (cache && (size_t)size.width * (size_t)size.height >=
                     ADL_FRAME_SHRINK * (size_t)width * (size_t)height) {
        keep(cache, source->first + index, frame, &size);
        if (keyed && !read)
            write_file(cache, &key, frame, &size);
    }
    return 0;
}
