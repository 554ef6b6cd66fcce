/* A set of named tensors: an array in the order of addition, and an index of the names.
 *
 * The index is a hash table with open addressing and linear probing: a slot holds the number
 * of a tensor and its hash, and a look-up walks from the slot that the hash selects to the
 * first free one. A file chooses the names, and one with 65536 names of the same hash would
 * make every look-up walk over all of them: the hash therefore starts with a random number
 * for each set. */

#include "io/tensor.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor data is used as the files hold it");

#define NO_ITEM UINT32_MAX

struct slot {
    uint32_t item; /* index of the tensor, NO_ITEM when free */
    uint32_t hash;
};

struct meta {
    char *key;
    char *value;
};

struct adl_tensors {
    struct adl_tensor **items;
    size_t count;
    size_t capacity;
    struct slot *slots;
    size_t slot_count; /* a power of two, at least twice the count */
    uint64_t seed;     /* of the hash; random */
    struct meta *metas;
    size_t meta_count;
    size_t meta_capacity;
    char *note;
};

/* --- the index ------------------------------------------------------------ */

/* Returns the FNV-1a hash of a name, starting from the set's seed. Its low bits depend on too
 * few bits of the seed, so the bits are mixed and the upper half is used. */
static uint32_t hash_name(const struct adl_tensors *tensors, const char *name)
{
    uint64_t hash = adl_hash_text(tensors->seed, name);
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9u;
    return (uint32_t)(hash >> 32);
}

static void index_put(struct adl_tensors *tensors, uint32_t item, uint32_t hash)
{
    size_t mask = tensors->slot_count - 1, slot = hash & mask;
    while (tensors->slots[slot].item != NO_ITEM)
        slot = (slot + 1) & mask;
    tensors->slots[slot] = (struct slot){item, hash};
}

/* Returns the slot of the tensor of that name, or slot_count if there is none. */
static size_t index_find(const struct adl_tensors *tensors, const char *name)
{
    if (!tensors->slot_count)
        return 0;
    uint32_t hash = hash_name(tensors, name);
    size_t mask = tensors->slot_count - 1;
    for (size_t slot = hash & mask; tensors->slots[slot].item != NO_ITEM; slot = (slot + 1) & mask)
        if (tensors->slots[slot].hash == hash &&
            !strcmp(tensors->items[tensors->slots[slot].item]->name, name))
            return slot;
    return tensors->slot_count;
}

/* Frees a slot, the hole. An entry after it whose look-up walks over the hole would no longer
 * be found: each entry whose first slot (`home`) does not lie between the hole and the
 * entry's slot moves into the hole, and its old slot becomes the hole. */
static void index_remove(struct adl_tensors *tensors, size_t hole)
{
    size_t mask = tensors->slot_count - 1;
    for (size_t slot = (hole + 1) & mask; tensors->slots[slot].item != NO_ITEM;
         slot = (slot + 1) & mask) {
        size_t home = tensors->slots[slot].hash & mask;
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            tensors->slots[hole] = tensors->slots[slot];
            hole = slot;
        }
    }
    tensors->slots[hole].item = NO_ITEM;
}

static int reserve(struct adl_tensors *tensors, struct adl_error *err)
{
    struct adl_tensor **items =
        adl_array_grow(tensors->items, &tensors->capacity, tensors->count + 1, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "the list of tensors");
    tensors->items = items;
    /* Twice as many slots as tensors, so that walks stay short and always end. */
    size_t capacity = tensors->capacity;
    if (2 * capacity == tensors->slot_count)
        return 0;
    struct slot *slots = adl_malloc(capacity * 2, sizeof *slots);
    if (!slots)
        return adl_fail_nomem(err, "the index of tensors");
    for (size_t i = 0; i < capacity * 2; i++)
        slots[i].item = NO_ITEM;

    struct slot *old = tensors->slots;
    size_t old_count = tensors->slot_count;
    tensors->slots = slots;
    tensors->slot_count = capacity * 2;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].item != NO_ITEM)
            index_put(tensors, old[i].item, old[i].hash);
    adl_free(old);
    return 0;
}

/* --- the set -------------------------------------------------------------- */

struct adl_tensors *adl_tensors_create(struct adl_error *err)
{
    struct adl_tensors *tensors = adl_calloc(1, sizeof *tensors);
    if (!tensors) {
        adl_fail_nomem(err, "a set of tensors");
        return NULL;
    }
    /* Without random bytes the index works, but its collisions can be predicted. */
    if (getrandom(&tensors->seed, sizeof tensors->seed, GRND_NONBLOCK) < 0)
        tensors->seed = ADL_FNV_BASIS;
    return tensors;
}

static void free_tensor(struct adl_tensor *tensor)
{
    if (!tensor)
        return;
    adl_free((void *)(uintptr_t)tensor->name);
    adl_free(tensor->data);
    adl_free(tensor);
}

void adl_tensors_free(struct adl_tensors *tensors)
{
    if (!tensors)
        return;
    for (size_t i = 0; i < tensors->count; i++)
        free_tensor(tensors->items[i]);
    for (size_t i = 0; i < tensors->meta_count; i++) {
        adl_free(tensors->metas[i].key);
        adl_free(tensors->metas[i].value);
    }
    adl_free(tensors->items);
    adl_free(tensors->slots);
    adl_free(tensors->metas);
    adl_free(tensors->note);
    adl_free(tensors);
}

int adl_tensors_set_note(struct adl_tensors *tensors, const char *note, struct adl_error *err)
{
    char *copy = adl_strdup(note);
    if (!copy)
        return adl_fail_nomem(err, "a note");
    adl_free(tensors->note);
    tensors->note = copy;
    return 0;
}

const char *adl_tensors_note(const struct adl_tensors *tensors)
{
    return tensors->note;
}

size_t adl_tensors_count(const struct adl_tensors *tensors)
{
    return tensors->count;
}

const struct adl_tensor *adl_tensors_at(const struct adl_tensors *tensors, size_t index)
{
    return tensors->items[index];
}

const struct adl_tensor *adl_tensors_find(const struct adl_tensors *tensors, const char *name)
{
    size_t slot = index_find(tensors, name);
    return slot < tensors->slot_count ? tensors->items[tensors->slots[slot].item] : NULL;
}

static int check_name(const struct adl_tensors *tensors, const char *name, struct adl_error *err)
{
    size_t length = strlen(name);
    if (length > ADL_LIMIT_TENSOR_NAME_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "tensor name %s has %zu bytes; the limit is %d",
                        adl_name_quote(name, length).text, length, ADL_LIMIT_TENSOR_NAME_BYTES);
    if (adl_tensors_find(tensors, name))
        return adl_fail(err, ADL_ERR_FORMAT, "there are two tensors named %s",
                        adl_name_quote(name, length).text);
    return 0;
}

/* Adds a tensor with `data`, or with newly allocated data if that is NULL. */
static struct adl_tensor *add(struct adl_tensors *tensors, const char *name, enum adl_dtype dtype,
                              int rank, const size_t *shape, void *data, struct adl_error *err)
{
    struct adl_tensor *tensor = NULL;
    void *own = NULL;
    size_t count = 1;

    ADL_TRY(check_name(tensors, name, err));
    if (rank < 0 || rank > ADL_LIMIT_RANK) {
        adl_fail(err, ADL_ERR_LIMIT, "tensor %s has %d dimensions; the limit is %d",
                 adl_name_quote(name, strlen(name)).text, rank, ADL_LIMIT_RANK);
        goto out;
    }
    if (tensors->count >= ADL_LIMIT_TENSORS) {
        adl_fail(err, ADL_ERR_LIMIT, "there are more than %d tensors", ADL_LIMIT_TENSORS);
        goto out;
    }
    for (int i = 0; i < rank; i++) {
        /* Files store dimensions as signed 64-bit numbers. */
        if (shape[i] > INT64_MAX || adl_size_mul(count, shape[i], &count) < 0) {
            adl_fail(err, ADL_ERR_LIMIT, "tensor %s has more elements than can be counted",
                     adl_name_quote(name, strlen(name)).text);
            goto out;
        }
    }
    ADL_TRY(reserve(tensors, err));
    tensor = adl_calloc(1, sizeof *tensor);
    if (tensor) {
        tensor->name = adl_strdup(name);
        if (!data)
            data = own = adl_malloc(count, adl_dtype_size(dtype));
    }
    if (!tensor || !tensor->name || !data) {
        adl_fail(err, ADL_ERR_NOMEM, "out of memory for tensor %s of %zu elements",
                 adl_name_quote(name, strlen(name)).text, count);
        goto out;
    }
    tensor->data = data;
    tensor->dtype = dtype;
    tensor->rank = rank;
    tensor->count = count;
    if (rank)
        memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    index_put(tensors, (uint32_t)tensors->count, hash_name(tensors, name));
    tensors->items[tensors->count++] = tensor;
    return tensor;
out:
    free_tensor(tensor);
    adl_free(own);
    return NULL;
}

struct adl_tensor *adl_tensors_add_unset(struct adl_tensors *tensors, const char *name,
                                         enum adl_dtype dtype, int rank, const size_t *shape,
                                         struct adl_error *err)
{
    return add(tensors, name, dtype, rank, shape, NULL, err);
}

struct adl_tensor *adl_tensors_add_data(struct adl_tensors *tensors, const char *name,
                                        enum adl_dtype dtype, int rank, const size_t *shape,
                                        void *data, struct adl_error *err)
{
    return add(tensors, name, dtype, rank, shape, data, err);
}

void *adl_tensors_take_data(struct adl_tensors *tensors, const char *name)
{
    struct adl_tensor *tensor = tensors->items[tensors->slots[index_find(tensors, name)].item];
    void *data = tensor->data;
    tensor->data = NULL;
    return data;
}

struct adl_tensor *adl_tensors_add(struct adl_tensors *tensors, const char *name,
                                   enum adl_dtype dtype, int rank, const size_t *shape,
                                   struct adl_error *err)
{
    struct adl_tensor *tensor = adl_tensors_add_unset(tensors, name, dtype, rank, shape, err);
    if (tensor)
        memset(tensor->data, 0, adl_tensor_bytes(tensor));
    return tensor;
}

int adl_tensors_rename(struct adl_tensors *tensors, size_t index, const char *name,
                       struct adl_error *err)
{
    struct adl_tensor *tensor = tensors->items[index];
    if (!strcmp(tensor->name, name))
        return 0;
    if (check_name(tensors, name, err) < 0)
        return -1;
    char *copy = adl_strdup(name);
    if (!copy)
        return adl_fail_nomem(err, "a tensor's name");
    index_remove(tensors, index_find(tensors, tensor->name));
    adl_free((void *)(uintptr_t)tensor->name);
    tensor->name = copy;
    index_put(tensors, (uint32_t)index, hash_name(tensors, copy));
    return 0;
}

void adl_tensors_replace(struct adl_tensors *tensors, size_t index, enum adl_dtype dtype, int rank,
                         const size_t *shape, void *data)
{
    struct adl_tensor *tensor = tensors->items[index];

    adl_free(tensor->data);
    tensor->data = data;
    tensor->dtype = dtype;
    tensor->rank = rank;
    tensor->count = 1;
    for (int i = 0; i < rank; i++) {
        tensor->shape[i] = shape[i];
        tensor->count *= shape[i];
    }
}

/* --- metadata ------------------------------------------------------------- */

static struct meta *find_meta(const struct adl_tensors *tensors, const char *key)
{
    for (size_t i = 0; i < tensors->meta_count; i++)
        if (!strcmp(tensors->metas[i].key, key))
            return &tensors->metas[i];
    return NULL;
}

int adl_tensors_set_meta(struct adl_tensors *tensors, const char *key, const char *value,
                         struct adl_error *err)
{
    struct meta *meta = find_meta(tensors, key);
    if (!meta && tensors->meta_count >= ADL_LIMIT_METADATA)
        return adl_fail(err, ADL_ERR_LIMIT, "there are more than %d metadata entries",
                        ADL_LIMIT_METADATA);
    char *value_copy = adl_strdup(value);
    if (!value_copy)
        return adl_fail_nomem(err, "metadata");
    if (meta) {
        adl_free(meta->value);
        meta->value = value_copy;
        return 0;
    }
    char *key_copy = adl_strdup(key);
    if (!key_copy)
        goto nomem;
    struct meta *metas = adl_array_grow(tensors->metas, &tensors->meta_capacity,
                                        tensors->meta_count + 1, sizeof *metas);
    if (!metas)
        goto nomem;
    tensors->metas = metas;
    tensors->metas[tensors->meta_count++] = (struct meta){key_copy, value_copy};
    return 0;
nomem:
    adl_free(key_copy);
    adl_free(value_copy);
    return adl_fail_nomem(err, "metadata");
}

const char *adl_tensors_meta(const struct adl_tensors *tensors, const char *key)
{
    const struct meta *meta = find_meta(tensors, key);
    return meta ? meta->value : NULL;
}

size_t adl_tensors_meta_count(const struct adl_tensors *tensors)
{
    return tensors->meta_count;
}

void adl_tensors_meta_at(const struct adl_tensors *tensors, size_t index, const char **key,
                         const char **value)
{
    *key = tensors->metas[index].key;
    *value = tensors->metas[index].value;
}

/* --- elements -------------------------------------------------------------- */

size_t adl_tensor_bytes(const struct adl_tensor *tensor)
{
    return tensor->count * adl_dtype_size(tensor->dtype);
}

void adl_tensor_to_f32(const struct adl_tensor *tensor, float *out)
{
    adl_dtype_to_f32(tensor->dtype, tensor->data, tensor->count, out);
}

/* --- text ------------------------------------------------------------------ */

char *adl_tensor_shape_text(const struct adl_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    if (!size)
        return text;
    int put = snprintf(text, size, "[");
    for (int i = 0; put > 0 && i < tensor->rank; i++) {
        used = ADL_MIN(used + (size_t)put, size - 1);
        put = snprintf(text + used, size - used, "%s%zu", i ? ", " : "", tensor->shape[i]);
    }
    used = ADL_MIN(used + (size_t)ADL_MAX(put, 0), size - 1);
    snprintf(text + used, size - used, "]");
    return text;
}
