/* Packs and unpacks weights of fewer than 8 bits; see packed.h. */

#include "models/file/packed.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

#define SUFFIX "_packed"
#define LEAST 2
#define MOST 7

int adl_packed_bits(const signed char *values, size_t count)
{
    int largest = 0, bits = LEAST;

    for (size_t i = 0; i < count; i++)
        largest = ADL_MAX(largest, abs(values[i]));
    while ((1 << (bits - 1)) - 1 < largest)
        bits++;
    return bits;
}

/* Writes NAME_packed to `text`; returns whether it fits into the limit of names. */
static bool packed_name(const char *name, char text[ADL_LIMIT_TENSOR_NAME_BYTES + 1])
{
    int length = snprintf(text, ADL_LIMIT_TENSOR_NAME_BYTES + 1, "%s" SUFFIX, name);
    return length > 0 && length <= ADL_LIMIT_TENSOR_NAME_BYTES;
}

int adl_packed_add(struct adl_tensors *set, const char *name, const signed char *values,
                   size_t count, int bits, struct adl_error *err)
{
    char text[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    size_t bytes = (count * (size_t)bits + 7) / 8;

    if (!packed_name(name, text))
        return adl_fail(err, ADL_ERR_LIMIT, "tensor %s: its name is too long to be packed", name);
    struct adl_tensor *packed = adl_tensors_add(set, text, ADL_U8, 1, &bytes, err);
    if (!packed)
        return -1;
    uint8_t *out = packed->data;
    for (size_t i = 0, at = 0; i < count; i++, at += (size_t)bits) {
        unsigned value = (unsigned)values[i] & ((1U << bits) - 1);
        value <<= at % 8;
        out[at / 8] = (uint8_t)(out[at / 8] | (value & 0xFF));
        if (value > 0xFF)
            out[at / 8 + 1] = (uint8_t)(value >> 8);
    }
    return 0;
}

static void unpack(const uint8_t *packed, size_t bytes, size_t count, int bits, int8_t *values)
{
    for (size_t i = 0, at = 0; i < count; i++, at += (size_t)bits) {
        unsigned value = packed[at / 8];
        if (at / 8 + 1 < bytes)
            value |= (unsigned)packed[at / 8 + 1] << 8;
        value = (value >> (at % 8)) & ((1U << bits) - 1);
        /* The highest bit counts negatively. */
        values[i] = (int8_t)((int)value - ((value >> (bits - 1)) ? 1 << bits : 0));
    }
}

/* What the description says of one packed tensor. */
struct layout {
    int bits, rank;
    size_t shape[ADL_LIMIT_RANK], count;
};

static int read_layout(const char *name, const json_t *json, struct layout *layout,
                       struct adl_error *err)
{
    size_t length = json_array_size(json);
    json_int_t bits = json_integer_value(json_array_get(json, 0));

    *layout = (struct layout){.bits = (int)bits, .rank = (int)length - 1, .count = 1};
    bool good = length >= 2 && length - 1 <= ADL_LIMIT_RANK && bits >= LEAST && bits <= MOST;
    for (size_t i = 1; good && i < length; i++) {
        json_int_t side = json_integer_value(json_array_get(json, i));
        good = side > 0 && adl_size_mul(layout->count, (size_t)side, &layout->count) == 0 &&
               layout->count <= SIZE_MAX / 8;
        layout->shape[i - 1] = (size_t)side;
    }
    if (good)
        return 0;
    return adl_fail(err, ADL_ERR_FORMAT,
                    "packed: %s is not [bits, then the shape] with %d to %d bits and positive "
                    "sides",
                    adl_name_quote(name, strlen(name)).text, LEAST, MOST);
}

/* Returns the index of a tensor of the set. */
static size_t index_of(const struct adl_tensors *set, const struct adl_tensor *tensor)
{
    size_t index = 0;
    while (adl_tensors_at(set, index) != tensor)
        index++;
    return index;
}

static int expand_one(struct adl_tensors *set, const char *name, const json_t *json,
                      struct adl_error *err)
{
    char text[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    struct layout layout;

    if (read_layout(name, json, &layout, err) < 0)
        return -1;
    const struct adl_tensor *packed = packed_name(name, text) ? adl_tensors_find(set, text) : NULL;
    size_t bytes = (layout.count * (size_t)layout.bits + 7) / 8;
    if (!packed || packed->dtype != ADL_U8 || packed->rank != 1 || packed->count != bytes)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "packed: %s should be in a tensor %s, U8 [%zu], which the file does not "
                        "have",
                        adl_name_quote(name, strlen(name)).text,
                        adl_name_quote(text, strlen(text)).text, bytes);
    int8_t *values = adl_malloc(layout.count, sizeof *values);
    if (!values)
        return adl_fail_nomem(err, "unpacked weights");
    unpack(packed->data, bytes, layout.count, layout.bits, values);
    size_t index = index_of(set, packed);
    if (adl_tensors_rename(set, index, name, err) < 0) {
        adl_free(values);
        return -1;
    }
    adl_tensors_replace(set, index, ADL_I8, layout.rank, layout.shape, values);
    return 0;
}

int adl_packed_expand(struct adl_tensors *set, struct adl_error *err)
{
    const char *text = adl_tensors_meta(set, "adl"), *name;
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *layout;
    int result = -1;

    json_object_foreach(json_object_get(json, "packed"), name, layout)
        ADL_TRY(expand_one(set, name, layout, err));
    result = 0;
out:
    if (result < 0)
        adl_error_context(err, "metadata \"adl\"");
    json_decref(json);
    return result;
}
