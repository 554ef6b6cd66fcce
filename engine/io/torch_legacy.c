/* Reads PyTorch files from before version 1.6, streams without a directory:
 *
 *   five pickles, one after the other:
 *     the magic number 0x1950a86a20f9469cfc6c
 *     the protocol number 1001
 *     a description of the machine, {"little_endian": True, ...}
 *     the object, in which storages are persistent ids
 *     the list of the storages' keys
 *   for each key, in the order of the list:
 *     the number of elements       8 bytes, little-endian
 *     the elements
 *
 * A storage's size in bytes is known only from its class in the object's pickle, so a class
 * of unknown element size makes all storages after it unreadable. */

#include <string.h>

#include "base/name.h"
#include "base/size.h"
#include "io/torch_parts.h"

/* The magic number as the LONG1 opcode stores it: little-endian. */
static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
#define PROTOCOL 1001

/* Reads the next pickle of the stream; `name` is for messages. */
static int next_pickle(struct adl_pickle *pickle, const unsigned char *bytes, size_t length,
                       size_t *offset, const char *name, struct adl_error *err)
{
    if (adl_pickle_load(pickle, bytes + *offset, length - *offset, err) < 0)
        return adl_error_context(err, "%s", name);
    *offset += pickle->length;
    return 0;
}

static int check_prologue(const unsigned char *bytes, size_t length, size_t *offset,
                          struct adl_error *err)
{
    struct adl_pickle pickle = {0};
    const struct adl_pickle_value *little;
    int result = -1;

    ADL_TRY(next_pickle(&pickle, bytes, length, offset, "the magic number", err));
    if (pickle.root->kind != ADL_PICKLE_LONG || pickle.root->count != sizeof magic ||
        memcmp(pickle.root->text, magic, sizeof magic)) {
        adl_fail(err, ADL_ERR_UNSUPPORTED,
                 "a pickle, but not of PyTorch: save the state_dict with torch.save()");
        goto out;
    }
    adl_pickle_release(&pickle);
    ADL_TRY(next_pickle(&pickle, bytes, length, offset, "the protocol number", err));
    if (pickle.root->kind != ADL_PICKLE_INT || pickle.root->integer != PROTOCOL) {
        adl_fail(err, ADL_ERR_UNSUPPORTED, "not protocol %d of PyTorch's legacy files", PROTOCOL);
        goto out;
    }
    adl_pickle_release(&pickle);
    ADL_TRY(next_pickle(&pickle, bytes, length, offset, "the machine's description", err));
    little = adl_pickle_get(pickle.root, "little_endian");
    if (!little || little->kind != ADL_PICKLE_BOOL || !little->boolean) {
        adl_fail(err, ADL_ERR_UNSUPPORTED, "the file was saved on a big-endian machine");
        goto out;
    }
    result = 0;
out:
    adl_pickle_release(&pickle);
    return result;
}

/* Finds the data of the storage with key `key` at *offset, and moves *offset past them. */
static int find_storage(const struct adl_torch_storages *storages,
                        const struct adl_pickle_value *key, const unsigned char *bytes,
                        size_t length, size_t *offset, struct adl_error *err)
{
    struct adl_torch_storage *storage = adl_torch_storages_find(storages, key);
    struct adl_name_quoted name = key->kind == ADL_PICKLE_TEXT
                                      ? adl_name_quote(key->text, key->count)
                                      : adl_name_quote("?", 1);
    uint64_t count = 0;
    size_t size;

    if (!storage)
        return adl_fail(err, ADL_ERR_FORMAT, "storage %s belongs to no tensor", name.text);
    if (!storage->element_size)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "storage %s is of an unknown class", name.text);
    if (length - *offset < sizeof count)
        return adl_fail(err, ADL_ERR_FORMAT, "truncated before storage %s", name.text);
    for (size_t i = 0; i < sizeof count; i++)
        count |= (uint64_t)bytes[*offset + i] << (8 * i);
    *offset += sizeof count;
    if (count != storage->count)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "storage %s has %llu elements, but the object says %zu", name.text,
                        (unsigned long long)count, storage->count);
    if (adl_size_mul(storage->count, storage->element_size, &size) < 0 || size > length - *offset)
        return adl_fail(err, ADL_ERR_FORMAT, "truncated: storage %s has %zu elements of %zu bytes",
                        name.text, storage->count, storage->element_size);
    storage->data = bytes + *offset;
    *offset += size;
    return 0;
}

int adl_torch_legacy_open(struct adl_pickle *pickle, struct adl_torch_storages *storages,
                          const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_pickle keys = {0};
    size_t offset = 0;
    int result = -1;

    ADL_TRY(check_prologue(bytes, length, &offset, err));
    ADL_TRY(next_pickle(pickle, bytes, length, &offset, "the object", err));
    ADL_TRY(next_pickle(&keys, bytes, length, &offset, "the storages' keys", err));
    ADL_TRY(adl_torch_storages_collect(storages, pickle, err));
    if (keys.root->kind != ADL_PICKLE_LIST) {
        adl_fail(err, ADL_ERR_FORMAT, "the storages' keys are not a list");
        goto out;
    }
    for (size_t i = 0; i < keys.root->count; i++)
        ADL_TRY(find_storage(storages, keys.root->items[i], bytes, length, &offset, err));
    result = 0;
out:
    adl_pickle_release(&keys);
    return result;
}
