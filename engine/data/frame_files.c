/* Reads and writes the files of a frame cache; see frame_files.h.
 *
 *   offset  bytes
 *        0      8  "adlframe"
 *        8     64  SHA-256, in hexadecimal digits, of the key's identity and all that follows
 *       72      8  width and height of the original, 4 bytes each, little-endian
 *       80      -  the frame's pixels, R, G, B */

#include "data/frame_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "io/file.h"

#define MAGIC "adlframe"
#define MAGIC_BYTES 8
#define DIGEST_BYTES 64
#define SIZE_BYTES 8
#define HEADER_BYTES (MAGIC_BYTES + DIGEST_BYTES + SIZE_BYTES)
#define ENDING ".frame"
/* Part of every name: increase it when decoding or resizing gives other pixels. */
#define VERSION 1

int adl_frame_key_make(struct adl_frame_key *key, const char *path, int width, int height,
                       bool upright, bool fast)
{
    char absolute[PATH_MAX], way[100], hex[65];
    struct adl_sha256 hash;
    struct stat file;

    if (!realpath(path, absolute) || stat(absolute, &file) < 0 || !S_ISREG(file.st_mode))
        return -1;
    snprintf(way, sizeof way, "%d %dx%d %d %d", VERSION, width, height, upright, fast);
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, absolute, strlen(absolute) + 1);
    adl_sha256_update(&hash, way, strlen(way) + 1);
    adl_sha256_hex(&hash, hex);
    snprintf(key->name, sizeof key->name, "%s" ENDING, hex);
    snprintf(way, sizeof way, "%lld %lld.%09ld", (long long)file.st_size,
             (long long)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, hex, sizeof hex);
    adl_sha256_update(&hash, way, strlen(way) + 1);
    adl_sha256_hex(&hash, key->identity);
    key->width = width;
    key->height = height;
    return 0;
}

static void digest_of(const struct adl_frame_key *key, const uint8_t *size, const uint8_t *pixels,
                      size_t bytes, char hex[65])
{
    struct adl_sha256 hash;
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, key->identity, sizeof key->identity);
    adl_sha256_update(&hash, size, SIZE_BYTES);
    adl_sha256_update(&hash, pixels, bytes);
    adl_sha256_hex(&hash, hex);
}

static char *path_of(const char *dir, const struct adl_frame_key *key, struct adl_error *err)
{
    struct adl_str path = {0};
    adl_str_printf(&path, "%s/%s", dir, key->name);
    return adl_str_take(&path, NULL, err);
}

static void put_number(uint8_t *bytes, int number)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)((unsigned)number >> (8 * i));
}

static int get_number(const uint8_t *bytes)
{
    return (int)((unsigned)bytes[0] | (unsigned)bytes[1] << 8 | (unsigned)bytes[2] << 16 |
                 (unsigned)bytes[3] << 24);
}

size_t adl_frame_file_bytes(const struct adl_image *frame)
{
    return HEADER_BYTES + (size_t)frame->width * (size_t)frame->height * 3;
}

bool adl_frame_file_read(const char *dir, const struct adl_frame_key *key, struct adl_image *frame,
                         struct adl_image *original)
{
    struct adl_error none = {0};
    struct adl_image read = {0};
    char hex[65];
    size_t pixels = (size_t)key->width * (size_t)key->height * 3, length = 0;
    char *path = path_of(dir, key, &none);
    /* Only a regular file is opened: a FIFO would wait for a writer. */
    uint8_t *bytes = path && adl_file_is_regular(path)
                         ? adl_file_read(path, HEADER_BYTES + pixels, &length, &none)
                         : NULL;
    bool intact = bytes && length == HEADER_BYTES + pixels && !memcmp(bytes, MAGIC, MAGIC_BYTES);

    if (intact) {
        const uint8_t *size = bytes + MAGIC_BYTES + DIGEST_BYTES;
        digest_of(key, size, bytes + HEADER_BYTES, pixels, hex);
        original->width = get_number(size);
        original->height = get_number(size + 4);
        intact = !memcmp(bytes + MAGIC_BYTES, hex, DIGEST_BYTES) && original->width > 0 &&
                 original->height > 0 && adl_image_init(&read, key->width, key->height, &none) == 0;
    }
    if (intact) {
        memcpy(read.rgb, bytes + HEADER_BYTES, pixels);
        *frame = read;
    }
    adl_free(bytes);
    adl_free(path);
    return intact;
}

int adl_frame_file_write(const char *dir, const struct adl_frame_key *key,
                         const struct adl_image *frame, const struct adl_image *original,
                         struct adl_error *err)
{
    uint8_t header[HEADER_BYTES];
    char hex[65];
    size_t pixels = (size_t)frame->width * (size_t)frame->height * 3;
    char *path = path_of(dir, key, err);

    if (!path)
        return -1;
    memcpy(header, MAGIC, MAGIC_BYTES);
    put_number(header + MAGIC_BYTES + DIGEST_BYTES, original->width);
    put_number(header + MAGIC_BYTES + DIGEST_BYTES + 4, original->height);
    digest_of(key, header + MAGIC_BYTES + DIGEST_BYTES, frame->rgb, pixels, hex);
    memcpy(header + MAGIC_BYTES, hex, DIGEST_BYTES);
    const struct adl_file_piece pieces[] = {{header, sizeof header}, {frame->rgb, pixels}};
    int result = adl_file_write(path, pieces, 2, err);
    adl_free(path);
    return result;
}

int adl_frame_files_bytes(const char *dir, size_t *bytes, struct adl_error *err)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    struct stat file;

    *bytes = 0;
    if (!list)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", dir, strerror(errno));
    while ((entry = readdir(list))) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot && !strcmp(dot, ENDING) && fstatat(dirfd(list), entry->d_name, &file, 0) == 0 &&
            S_ISREG(file.st_mode))
            *bytes += (size_t)file.st_size;
    }
    closedir(list);
    return 0;
}
