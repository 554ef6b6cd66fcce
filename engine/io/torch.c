/* Reads PyTorch checkpoints.
 *
 * torch.save pickles an object, usually a dict that has the state_dict (parameter name to
 * tensor) and also the epoch, the optimizer and so on. In the pickle a tensor is a
 * call of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), where the
 * storage is a persistent id ('storage', class, key, device, element count) and its elements
 * are outside the pickle: in a zip archive as the entry data/KEY, in the legacy stream after
 * the pickles. So reading is: open the container, load the pickle as plain values, collect
 * the storages it mentions, find the state_dict, and copy each tensor's elements out of its
 * storage.
 *
 *   torch_zip.c, torch_legacy.c   the two containers
 *   torch_dict.c                  the search for the state_dict
 *   torch_storage.c               the storages that a pickle mentions
 *   torch_tensor.c                a tensor as a strided view of a storage */

#include "io/torch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "io/torch_parts.h"

/* The prefixes that DataParallel, torch.compile, FSDP, DeepSpeed and activation checkpointing add
 * to the names of parameters. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "_fsdp_wrapped_module.",
                                       "_forward_module.", "_checkpoint_wrapped_module."};

#define META_PREFIX "torch."
#define META_KEY_BYTES 256

struct reader {
    struct adl_pickle pickle;
    struct adl_torch_storages storages;
    struct adl_torch_zip zip;
    struct adl_torch_dict dict;
    bool zipped;
    size_t length;      /* of the file */
    size_t total_bytes; /* of the tensors so far */
    struct adl_error *err;
};

bool adl_torch_sniff(const void *bytes, size_t length)
{
    const unsigned char *head = bytes;
    return length >= 4 &&
           (!memcmp(head, "PK\3\4", 4) || (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5));
}

/* --- containers ------------------------------------------------------------ */

static int open_zip(struct reader *r, const void *bytes, size_t length)
{
    const unsigned char *data;
    size_t size;

    r->zipped = true;
    if (adl_torch_zip_open(&r->zip, bytes, length, r->err) < 0)
        return -1;
    int found = adl_torch_zip_find(&r->zip, "byteorder", 9, &data, &size, r->err);
    if (found < 0)
        return -1;
    if (found && (size != 6 || memcmp(data, "little", 6)))
        return adl_fail(r->err, ADL_ERR_UNSUPPORTED, "the file was saved on a big-endian machine");
    found = adl_torch_zip_find(&r->zip, "data.pkl", 8, &data, &size, r->err);
    if (found <= 0)
        return adl_fail(r->err, ADL_ERR_FORMAT, "the zip archive holds no data.pkl");
    if (adl_pickle_load(&r->pickle, data, size, r->err) < 0)
        return adl_error_context(r->err, "data.pkl");
    return adl_torch_storages_collect(&r->storages, &r->pickle, r->err);
}

/* Finds the bytes of a storage when it is first used. In a legacy stream all storages were
 * found when the stream was opened. */
static int locate(struct reader *r, struct adl_torch_storage *storage, const char *tensor)
{
    char name[sizeof "data/" + ADL_TORCH_KEY_BYTES];
    struct adl_name_quoted quoted = adl_name_quote(tensor, strlen(tensor));
    size_t size, expected;
    int found = 0;

    if (storage->data)
        return 0;
    if (r->zipped) {
        memcpy(name, "data/", 5);
        memcpy(name + 5, storage->key->text, storage->key->count);
        found = adl_torch_zip_find(&r->zip, name, 5 + (size_t)storage->key->count, &storage->data,
                                   &size, r->err);
    }
    if (found < 0)
        return adl_error_context(r->err, "tensor %s", quoted.text);
    if (!found)
        return adl_fail(r->err, ADL_ERR_FORMAT, "tensor %s: its storage is not in the file",
                        quoted.text);
    if (adl_size_mul(storage->count, storage->element_size, &expected) < 0 || size != expected) {
        storage->data = NULL;
        return adl_fail(r->err, ADL_ERR_FORMAT,
                        "tensor %s: its storage has %zu byte%s, not %zu elements of %zu",
                        quoted.text, size, ADL_S(size), storage->count, storage->element_size);
    }
    return 0;
}

/* --- entries --------------------------------------------------------------- */

void adl_torch_unwrap(const char *name, size_t length, char *bare)
{
    size_t used = 0;
    for (size_t next = 0; next < length;) {
        bool begins = used == 0 || bare[used - 1] == '.';
        size_t skip = 0;
        for (size_t i = 0; begins && i < ADL_COUNT(wrappers); i++)
            if (length - next > strlen(wrappers[i]) &&
                !memcmp(name + next, wrappers[i], strlen(wrappers[i])))
                skip = strlen(wrappers[i]);
        if (skip)
            next += skip;
        else
            bare[used++] = name[next++];
    }
    bare[used] = '\0';
}

/* Copies a parameter's name without the prefix that --key names and without those of wrappers. */
static int take_name(struct reader *r, const struct adl_pickle_value *key, char *name, size_t size)
{
    if (key->kind == ADL_PICKLE_BLOB)
        return adl_fail(r->err, ADL_ERR_LIMIT, "the state_dict has a name longer than %d bytes",
                        ADL_LIMIT_TENSOR_NAME_BYTES);
    if (key->kind != ADL_PICKLE_TEXT || memchr(key->text, '\0', key->count))
        return adl_fail(r->err, ADL_ERR_FORMAT, "a key of the state_dict is not a name");
    if (key->count >= size)
        return adl_fail(r->err, ADL_ERR_LIMIT, "tensor name %s is longer than %d bytes",
                        adl_name_quote(key->text, key->count).text, ADL_LIMIT_TENSOR_NAME_BYTES);
    size_t prefix = strlen(r->dict.prefix);
    adl_torch_unwrap(key->text + prefix, key->count - prefix, name);
    return 0;
}

/* Returns whether a value that is not a tensor may be skipped. */
static bool is_skipped(const struct adl_pickle_value *value)
{
    switch (value->kind) {
    case ADL_PICKLE_NONE:
    case ADL_PICKLE_BOOL:
    case ADL_PICKLE_INT:
    case ADL_PICKLE_LONG:
    case ADL_PICKLE_FLOAT:
    case ADL_PICKLE_TEXT:
    case ADL_PICKLE_BYTES:
    case ADL_PICKLE_BLOB:
    /* Some scripts add further dicts to the state_dict. */
    case ADL_PICKLE_DICT: return true;
    default: return false;
    }
}

static int take_entry(struct reader *r, struct adl_tensors *tensors,
                      const struct adl_pickle_value *key, const struct adl_pickle_value *value)
{
    char name[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    struct adl_torch_view view;

    size_t prefix = strlen(r->dict.prefix);
    if (prefix && (key->kind != ADL_PICKLE_TEXT || key->count <= prefix ||
                   memcmp(key->text, r->dict.prefix, prefix) != 0))
        return 0;
    if (take_name(r, key, name, sizeof name) < 0)
        return -1;
    if (!adl_torch_is_tensor(value)) {
        if (is_skipped(value))
            return 0;
        return adl_fail(r->err, ADL_ERR_UNSUPPORTED,
                        "entry %s of the state_dict is not a tensor but %s, which is not executed",
                        adl_name_quote(name, strlen(name)).text, adl_torch_callable(value).text);
    }
    if (adl_torch_view_read(&view, value, &r->storages, name, r->err) < 0 ||
        locate(r, view.storage, name) < 0)
        return -1;
    size_t most = ADL_MAX(r->length * ADL_LIMIT_TORCH_EXPANSION, ADL_LIMIT_TORCH_EXPANSION_BYTES);
    size_t bytes = view.count * adl_dtype_size(view.dtype);
    if (bytes > most - r->total_bytes)
        return adl_fail(
            r->err, ADL_ERR_LIMIT,
            "tensor %s: the tensors would fill %d times the file, since their views repeat "
            "what is stored",
            adl_name_quote(name, strlen(name)).text, ADL_LIMIT_TORCH_EXPANSION);
    r->total_bytes += bytes;
    struct adl_tensor *tensor =
        adl_tensors_add_unset(tensors, name, view.dtype, view.rank, view.shape, r->err);
    if (!tensor)
        return -1;
    adl_torch_view_copy(&view, tensor->data);
    return 0;
}

/* --- metadata -------------------------------------------------------------- */

static bool is_ascii(const struct adl_pickle_value *text)
{
    for (uint32_t i = 0; i < text->count; i++)
        if (text->text[i] <= 0)
            return false;
    return true;
}

/* Writes a scalar or string as text and returns `text`; NULL for other values, and for texts
 * that are too long or not ASCII. */
static const char *scalar_text(const struct adl_pickle_value *value, char *text, size_t size)
{
    switch (value->kind) {
    case ADL_PICKLE_BOOL: snprintf(text, size, "%s", value->boolean ? "true" : "false"); break;
    case ADL_PICKLE_INT: snprintf(text, size, "%lld", (long long)value->integer); break;
    case ADL_PICKLE_FLOAT:
        snprintf(text, size, "%.15g", value->real);
        if (isfinite(value->real) && strtod(text, NULL) != value->real)
            snprintf(text, size, "%.17g", value->real);
        break;
    case ADL_PICKLE_TEXT:
        if (value->count >= size || !is_ascii(value))
            return NULL;
        memcpy(text, value->text, value->count);
        text[value->count] = '\0';
        break;
    default: return NULL;
    }
    return text;
}

/* Adds the scalars and strings of the top object as metadata. They are not needed, so those that
 * cannot be metadata are left out without an error. */
static int take_metadata(struct reader *r, struct adl_tensors *tensors)
{
    const struct adl_pickle_value *root = r->pickle.root;
    char key[sizeof META_PREFIX + META_KEY_BYTES], value[1024];

    for (uint32_t i = 0; root->kind == ADL_PICKLE_DICT && i + 1 < root->count; i += 2) {
        const struct adl_pickle_value *name = root->items[i];
        if (name->kind != ADL_PICKLE_TEXT || name->count > META_KEY_BYTES || !is_ascii(name) ||
            !scalar_text(root->items[i + 1], value, sizeof value))
            continue;
        snprintf(key, sizeof key, META_PREFIX "%.*s", (int)name->count, name->text);
        if (adl_tensors_meta_count(tensors) < ADL_LIMIT_METADATA &&
            adl_tensors_set_meta(tensors, key, value, r->err) < 0)
            return -1;
    }
    return 0;
}

struct adl_tensors *adl_torch_parse(const void *bytes, size_t length, const char *key,
                                    struct adl_error *err)
{
    struct reader r = {.length = length, .err = err};
    struct adl_tensors *tensors = NULL;
    const struct adl_pickle_value *dict;
    bool done = false;

    if (!adl_torch_sniff(bytes, length)) {
        adl_fail(err, ADL_ERR_FORMAT, "not a PyTorch file");
        goto out;
    }
    if (length > ADL_LIMIT_WEIGHTS_BYTES) {
        adl_fail(err, ADL_ERR_LIMIT, "larger than %zu bytes", ADL_LIMIT_WEIGHTS_BYTES);
        goto out;
    }
    if (*(const char *)bytes == 'P')
        ADL_TRY(open_zip(&r, bytes, length));
    else
        ADL_TRY(adl_torch_legacy_open(&r.pickle, &r.storages, bytes, length, err));
    ADL_TRY(adl_torch_dict_find(&r.dict, r.pickle.root, key, err));
    dict = r.dict.dict;
    tensors = adl_tensors_create(err);
    if (!tensors)
        goto out;
    if (dict->count / 2 > 2 * ADL_LIMIT_TENSORS) {
        adl_fail(err, ADL_ERR_LIMIT, "the state_dict has more than %d entries",
                 2 * ADL_LIMIT_TENSORS);
        goto out;
    }
    for (uint32_t i = 0; i + 1 < dict->count; i += 2)
        ADL_TRY(take_entry(&r, tensors, dict->items[i], dict->items[i + 1]));
    ADL_TRY(take_metadata(&r, tensors));
    if (r.dict.note[0])
        ADL_TRY(adl_tensors_set_note(tensors, r.dict.note, err));
    done = true;
out:
    adl_torch_zip_close(&r.zip);
    adl_free(r.storages.items);
    adl_pickle_release(&r.pickle);
    if (!done) {
        adl_tensors_free(tensors);
        tensors = NULL;
    }
    return tensors;
}
