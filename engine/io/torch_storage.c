/* Collects the storages that a PyTorch pickle mentions. Each mention is a persistent id, a tuple
 * ('storage', class, key, device, element count[, part of another storage]); tensors that
 * share memory mention the same key. The class gives the element type, such as
 * torch.FloatStorage. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/torch_parts.h"

static const struct {
    const char *module, *name;
    size_t element_size;
    bool typed, readable;
    enum adl_dtype dtype;
} classes[] = {
    {"torch", "FloatStorage", 4, true, true, ADL_F32},
    {"torch", "DoubleStorage", 8, true, true, ADL_F64},
    {"torch", "HalfStorage", 2, true, true, ADL_F16},
    {"torch", "BFloat16Storage", 2, true, true, ADL_BF16},
    {"torch", "LongStorage", 8, true, true, ADL_I64},
    {"torch", "IntStorage", 4, true, true, ADL_I32},
    {"torch", "ShortStorage", 2, true, true, ADL_I16},
    {"torch", "CharStorage", 1, true, true, ADL_I8},
    {"torch", "ByteStorage", 1, true, true, ADL_U8},
    {"torch", "BoolStorage", 1, true, true, ADL_BOOL},
    {"torch.storage", "UntypedStorage", 1, false, true, ADL_U8},
    /* Not readable; their sizes are known, so that a legacy stream can be read past them. */
    {"torch", "ComplexFloatStorage", 8, true, false, ADL_U8},
    {"torch", "ComplexDoubleStorage", 16, true, false, ADL_U8},
    {"torch", "QInt8Storage", 1, true, false, ADL_U8},
    {"torch", "QUInt8Storage", 1, true, false, ADL_U8},
    {"torch", "QInt32Storage", 4, true, false, ADL_U8},
};

static int compare_keys(const struct adl_pickle_value *a, const struct adl_pickle_value *b)
{
    size_t shorter = ADL_MIN(a->count, b->count);
    int order = shorter ? memcmp(a->text, b->text, shorter) : 0;
    return order ? order : (a->count > b->count) - (a->count < b->count);
}

static int compare_storages(const void *a, const void *b)
{
    const struct adl_torch_storage *left = a, *right = b;
    return compare_keys(left->key, right->key);
}

/* Returns false for a persistent id that is not a storage (legacy files also have persistent
 * ids for the source code of classes) and for a storage whose key is too long. */
static bool parse_storage(struct adl_torch_storage *storage, const struct adl_pickle_value *persid)
{
    const struct adl_pickle_value *id = persid->items[0];
    if (id->kind != ADL_PICKLE_TUPLE || id->count < 5 ||
        !adl_pickle_is_text(id->items[0], "storage") || id->items[2]->kind != ADL_PICKLE_TEXT ||
        id->items[2]->count > ADL_TORCH_KEY_BYTES || id->items[4]->kind != ADL_PICKLE_INT ||
        id->items[4]->integer < 0)
        return false;
    *storage =
        (struct adl_torch_storage){.key = id->items[2], .count = (size_t)id->items[4]->integer};
    for (size_t i = 0; i < ADL_COUNT(classes); i++) {
        if (adl_pickle_is_global(id->items[1], classes[i].module, classes[i].name)) {
            storage->element_size = classes[i].element_size;
            storage->typed = classes[i].typed;
            storage->readable = classes[i].readable;
            storage->dtype = classes[i].dtype;
        }
    }
    return true;
}

int adl_torch_storages_collect(struct adl_torch_storages *storages, const struct adl_pickle *pickle,
                               struct adl_error *err)
{
    size_t found = 0, kept = 0;
    struct adl_torch_storage *items = adl_calloc(pickle->persid_count, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "the list of storages");
    *storages = (struct adl_torch_storages){.items = items};
    for (size_t i = 0; i < pickle->persid_count; i++)
        found += parse_storage(&items[found], pickle->persids[i]);
    qsort(items, found, sizeof *items, compare_storages);
    for (size_t i = 0; i < found; i++) {
        if (kept && !compare_storages(&items[kept - 1], &items[i])) {
            if (items[kept - 1].element_size != items[i].element_size ||
                items[kept - 1].dtype != items[i].dtype || items[kept - 1].count != items[i].count)
                return adl_fail(err, ADL_ERR_FORMAT, "storage %s is described in two ways",
                                adl_name_quote(items[i].key->text, items[i].key->count).text);
            continue;
        }
        items[kept++] = items[i];
    }
    storages->count = kept;
    return 0;
}

struct adl_torch_storage *adl_torch_storages_find(const struct adl_torch_storages *storages,
                                                  const struct adl_pickle_value *key)
{
    struct adl_torch_storage wanted = {.key = key};
    if (key->kind != ADL_PICKLE_TEXT || !storages->count)
        return NULL;
    return bsearch(&wanted, storages->items, storages->count, sizeof wanted, compare_storages);
}
