/* Reads the zip container of PyTorch files since version 1.6.
 *
 * A zip archive is read from its end:
 *
 *   local header, data      for each entry; torch.save pads the header with an "FB" extra
 *   ...                     field so that the data begin at a multiple of 64 bytes
 *   central directory       a record for each entry: name, sizes, CRC-32, offset
 *   end record              offset, length and number of entries of the directory
 *   comment                 of up to 65535 bytes
 *
 * Archives beyond 4 GiB have all ones in the 16- and 32-bit fields that are too small, and
 * the real values in a zip64 end record and in a zip64 extra field of the entry.
 *
 * torch.save stores all entries uncompressed below one top directory: data.pkl, the object's
 * pickle; data/KEY, a storage; byteorder; version. Sizes and offsets are taken from the
 * central directory alone; a local header only tells where the entry's data begin. Nothing is
 * inflated, so a small file cannot expand to a large one.
 *
 * No zip library is used, because only stored bytes have to be found, and because the libraries
 * accept archives that have to be refused here: those with entries that overlap or occur twice.
 *
 * Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 to 4.5. */

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/torch_parts.h"

#define END_BYTES ((size_t)22)
#define END64_BYTES ((size_t)56)
#define LOCATOR64_BYTES ((size_t)20)
#define CENTRAL_BYTES ((size_t)46)
#define LOCAL_BYTES ((size_t)30)
#define COMMENT_LIMIT_BYTES ((size_t)65535)

#define END_MAGIC 0x06054b50u
#define END64_MAGIC 0x06064b50u
#define LOCATOR64_MAGIC 0x07064b50u
#define CENTRAL_MAGIC 0x02014b50u
#define LOCAL_MAGIC 0x04034b50u
#define EXTRA_ZIP64 1u
#define FLAG_ENCRYPTED 1u

/* A 32-bit field of this value refers to the zip64 field. */
#define SATURATED 0xffffffffu

#define PICKLE_NAME "data.pkl"

static uint64_t number(const unsigned char *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static int fail_directory(struct adl_error *err)
{
    adl_fail(err, ADL_ERR_FORMAT, "the zip archive's directory is truncated or corrupt");
    return -1;
}

/* --- the central directory ------------------------------------------------- */

struct directory {
    size_t offset, length, count;
};

/* Searches for the end record from the end of the file, since a comment of unknown length may
 * follow it. The record holds the length of the comment, which must reach exactly to the end. */
static int find_end(const struct adl_torch_zip *zip, size_t *end, struct adl_error *err)
{
    for (size_t comment = 0; comment <= COMMENT_LIMIT_BYTES && comment + END_BYTES <= zip->length;
         comment++) {
        size_t offset = zip->length - END_BYTES - comment;
        if (number(zip->bytes + offset, 4) == END_MAGIC &&
            number(zip->bytes + offset + 20, 2) == comment) {
            *end = offset;
            return 0;
        }
    }
    return fail_directory(err);
}

static int find_directory(const struct adl_torch_zip *zip, struct directory *directory,
                          struct adl_error *err)
{
    size_t end;
    if (find_end(zip, &end, err) < 0)
        return -1;
    const unsigned char *record = zip->bytes + end;
    uint64_t count = number(record + 10, 2), length = number(record + 12, 4),
             offset = number(record + 16, 4), limit = end;

    if (count == 0xffff || length == SATURATED || offset == SATURATED) {
        if (end < LOCATOR64_BYTES + END64_BYTES ||
            number(record - LOCATOR64_BYTES, 4) != LOCATOR64_MAGIC)
            return fail_directory(err);
        limit = number(record - LOCATOR64_BYTES + 8, 8);
        if (limit > end - LOCATOR64_BYTES - END64_BYTES ||
            number(zip->bytes + limit, 4) != END64_MAGIC)
            return fail_directory(err);
        count = number(zip->bytes + limit + 32, 8);
        length = number(zip->bytes + limit + 40, 8);
        offset = number(zip->bytes + limit + 48, 8);
    }
    if (offset > limit || length > limit - offset || count > length / CENTRAL_BYTES)
        return fail_directory(err);
    if (count > ADL_LIMIT_ZIP_ENTRIES)
        return adl_fail(err, ADL_ERR_LIMIT, "the zip archive has more than %d entries",
                        ADL_LIMIT_ZIP_ENTRIES);
    *directory = (struct directory){(size_t)offset, (size_t)length, (size_t)count};
    return 0;
}

/* Replaces saturated fields by their zip64 values. `fields` are the size, the packed size
 * and the offset; the extra field has, in this order, those that are saturated. */
static int apply_zip64(const unsigned char *extra, size_t length, uint64_t *fields[3])
{
    while (length >= 4) {
        size_t id = (size_t)number(extra, 2), size = (size_t)number(extra + 2, 2);
        if (size > length - 4)
            return -1;
        if (id == EXTRA_ZIP64) {
            for (size_t i = 0, used = 0; i < 3; i++) {
                if (*fields[i] != SATURATED)
                    continue;
                if (used + 8 > size)
                    return -1;
                *fields[i] = number(extra + 4 + used, 8);
                used += 8;
            }
            return 0;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return 0;
}

/* Reads the record of the central directory at *offset, and moves *offset to the next record. */
static int read_entry(const struct adl_torch_zip *zip, struct adl_torch_zip_entry *entry,
                      size_t *offset, size_t end, struct adl_error *err)
{
    const unsigned char *record = zip->bytes + *offset;
    if (end - *offset < CENTRAL_BYTES || number(record, 4) != CENTRAL_MAGIC)
        return fail_directory(err);
    size_t name_length = (size_t)number(record + 28, 2);
    size_t extra_length = (size_t)number(record + 30, 2);
    size_t total = CENTRAL_BYTES + name_length + extra_length + (size_t)number(record + 32, 2);
    uint64_t packed = number(record + 20, 4), size = number(record + 24, 4),
             header_offset = number(record + 42, 4);
    uint64_t *fields[3] = {&size, &packed, &header_offset};
    if (end - *offset < total ||
        apply_zip64(record + CENTRAL_BYTES + name_length, extra_length, fields) < 0)
        return fail_directory(err);

    *entry = (struct adl_torch_zip_entry){
        .name = (const char *)record + CENTRAL_BYTES,
        .name_length = name_length,
        .size = (size_t)size,
        .offset = (size_t)header_offset,
        .crc = (uint32_t)number(record + 16, 4),
        .stored = number(record + 10, 2) == 0 && packed == size &&
                  !(number(record + 8, 2) & FLAG_ENCRYPTED),
    };
    *offset += total;
    return 0;
}

/* --- the top directory ----------------------------------------------------- */

static bool name_is(const struct adl_torch_zip_entry *entry, const char *name)
{
    return entry->name_length == strlen(name) && !memcmp(entry->name, name, entry->name_length);
}

static int compare_entries(const void *a, const void *b)
{
    const struct adl_torch_zip_entry *left = a, *right = b;
    size_t shorter = ADL_MIN(left->name_length, right->name_length);
    int order = memcmp(left->name, right->name, shorter);
    if (order)
        return order;
    return (left->name_length > right->name_length) - (left->name_length < right->name_length);
}

/* Finds the directory that holds data.pkl; *top is its name with the slash. */
static int find_top(const struct adl_torch_zip *zip, const char **top, size_t *top_length,
                    struct adl_error *err)
{
    *top = NULL;
    for (size_t i = 0; i < zip->count; i++) {
        const struct adl_torch_zip_entry *entry = &zip->entries[i];
        const char *slash = memchr(entry->name, '/', entry->name_length);
        size_t length = slash ? (size_t)(slash + 1 - entry->name) : 0;
        if (!slash || entry->name_length - length != strlen(PICKLE_NAME) ||
            memcmp(slash + 1, PICKLE_NAME, strlen(PICKLE_NAME)))
            continue;
        if (*top)
            return adl_fail(err, ADL_ERR_FORMAT, "the zip archive holds two " PICKLE_NAME);
        *top = entry->name;
        *top_length = length;
    }
    if (!*top)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a zip archive, but not of PyTorch: it holds no " PICKLE_NAME);
    return 0;
}

/* Checks that the entries together are no larger than the file. Each entry is read once to
 * verify its checksum, so entries that share bytes could cost far more work than the size of
 * the file suggests. Entries that are compressed or larger than the archive do not count:
 * adl_torch_zip_find() refuses them. */
static int check_total_size(const struct adl_torch_zip *zip, struct adl_error *err)
{
    size_t room = zip->data_end;
    for (size_t i = 0; i < zip->count; i++) {
        const struct adl_torch_zip_entry *entry = &zip->entries[i];
        if (!entry->stored || entry->size > zip->data_end)
            continue;
        if (entry->size > room)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "the zip archive's entries overlap: together they are larger than the "
                            "file");
        room -= entry->size;
    }
    return 0;
}

/* Keeps the entries of the top directory, without its name, sorted by name. */
static int keep_top(struct adl_torch_zip *zip, struct adl_error *err)
{
    const char *top;
    size_t top_length = 0, kept = 0;
    bool script = false;

    if (find_top(zip, &top, &top_length, err) < 0)
        return -1;
    for (size_t i = 0; i < zip->count; i++) {
        struct adl_torch_zip_entry entry = zip->entries[i];
        if (entry.name_length < top_length || memcmp(entry.name, top, top_length))
            continue;
        entry.name += top_length;
        entry.name_length -= top_length;
        script |= name_is(&entry, "constants.pkl") ||
                  (entry.name_length >= 5 && !memcmp(entry.name, "code/", 5));
        zip->entries[kept++] = entry;
    }
    zip->count = kept;
    if (script)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a TorchScript program, not a state_dict: re-save it in Python with "
                        "torch.save(torch.jit.load(IN).state_dict(), OUT)");
    qsort(zip->entries, kept, sizeof *zip->entries, compare_entries);
    for (size_t i = 1; i < kept; i++)
        if (!compare_entries(&zip->entries[i - 1], &zip->entries[i]))
            return adl_fail(err, ADL_ERR_FORMAT, "the zip archive holds %s twice",
                            adl_name_quote(zip->entries[i].name, zip->entries[i].name_length).text);
    return 0;
}

int adl_torch_zip_open(struct adl_torch_zip *zip, const void *bytes, size_t length,
                       struct adl_error *err)
{
    struct directory directory;
    int result = -1;

    *zip = (struct adl_torch_zip){.bytes = bytes, .length = length};
    ADL_TRY(find_directory(zip, &directory, err));
    zip->data_end = directory.offset;
    zip->entries = adl_calloc(directory.count, sizeof *zip->entries);
    if (!zip->entries) {
        adl_fail_nomem(err, "the zip archive's directory");
        goto out;
    }
    for (size_t offset = directory.offset; zip->count < directory.count; zip->count++)
        ADL_TRY(read_entry(zip, &zip->entries[zip->count], &offset,
                           directory.offset + directory.length, err));
    ADL_TRY(keep_top(zip, err));
    ADL_TRY(check_total_size(zip, err));
    result = 0;
out:
    if (result < 0)
        adl_torch_zip_close(zip);
    return result;
}

void adl_torch_zip_close(struct adl_torch_zip *zip)
{
    adl_free(zip->entries);
    zip->entries = NULL;
    zip->count = 0;
}

/* --- entries --------------------------------------------------------------- */

static uint32_t checksum(const unsigned char *data, size_t size)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, size);
}

int adl_torch_zip_find(const struct adl_torch_zip *zip, const char *name, size_t name_length,
                       const unsigned char **data, size_t *size, struct adl_error *err)
{
    struct adl_torch_zip_entry wanted = {.name = name, .name_length = name_length};
    const struct adl_torch_zip_entry *entry =
        bsearch(&wanted, zip->entries, zip->count, sizeof wanted, compare_entries);
    struct adl_name_quoted quoted = adl_name_quote(name, name_length);
    if (!entry)
        return 0;
    if (!entry->stored)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "zip entry %s is compressed or encrypted, which torch.save() never does",
                        quoted.text);
    if (entry->offset > zip->data_end || zip->data_end - entry->offset < LOCAL_BYTES ||
        number(zip->bytes + entry->offset, 4) != LOCAL_MAGIC)
        return adl_fail(err, ADL_ERR_FORMAT, "zip entry %s is not where the directory says",
                        quoted.text);
    const unsigned char *local = zip->bytes + entry->offset;
    size_t head = LOCAL_BYTES + (size_t)number(local + 26, 2) + (size_t)number(local + 28, 2);
    size_t room = zip->data_end - entry->offset;
    if (head > room || entry->size > room - head)
        return adl_fail(err, ADL_ERR_FORMAT, "zip entry %s reaches beyond the archive",
                        quoted.text);
    if (checksum(local + head, entry->size) != entry->crc)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "zip entry %s is damaged: its CRC-32 is not the directory's", quoted.text);
    *data = local + head;
    *size = entry->size;
    return 1;
}
