/* Reads the tensors of a PyTorch pickle. A tensor is a call of one of torch._utils' rebuild
 * functions,
 *
 *   _rebuild_tensor_v2(storage, offset, (size, ...), (stride, ...), requires_grad, hooks)
 *
 * which describes a strided view of a storage, counted in elements. A transposed tensor has
 * its strides exchanged, an expanded one a stride of 0, and several tensors may view one
 * storage. None of the numbers is trusted: before any element is read, the highest element that
 * the view touches, offset + sum of (size - 1) * stride, is computed with overflow checks and
 * compared with the size of the storage. Strides are never negative in PyTorch. */

#include <string.h>

#include "base/name.h"
#include "base/size.h"
#include "io/torch_parts.h"

#define MODULE "torch._utils"
/* A torch.nn.Parameter is pickled as a call around the call of its tensor. At most this many such
 * calls are unwrapped, so that a hostile file cannot nest them without end. */
#define WRAPPERS 4

static const struct {
    const char *name;
    enum adl_dtype dtype;
} dtypes[] = {
    {"float32", ADL_F32}, {"float64", ADL_F64}, {"float16", ADL_F16}, {"bfloat16", ADL_BF16},
    {"int64", ADL_I64},   {"int32", ADL_I32},   {"int16", ADL_I16},   {"int8", ADL_I8},
    {"uint64", ADL_U64},  {"uint32", ADL_U32},  {"uint16", ADL_U16},  {"uint8", ADL_U8},
    {"bool", ADL_BOOL},
};

/* Returns the arguments if `value` is a call of module.name with at least `min_count` of them;
 * else NULL. */
static const struct adl_pickle_value *arguments_of(const struct adl_pickle_value *value,
                                                   const char *module, const char *name,
                                                   uint32_t min_count)
{
    if (value->kind != ADL_PICKLE_CALL || !adl_pickle_is_global(value->items[0], module, name) ||
        value->items[1]->kind != ADL_PICKLE_TUPLE || value->items[1]->count < min_count)
        return NULL;
    return value->items[1];
}

static const struct adl_pickle_value *unwrap_parameter(const struct adl_pickle_value *value)
{
    for (int i = 0; i < WRAPPERS; i++) {
        const struct adl_pickle_value *args = arguments_of(value, MODULE, "_rebuild_parameter", 1);
        if (!args)
            args = arguments_of(value, MODULE, "_rebuild_parameter_with_state", 1);
        if (!args)
            break;
        value = args->items[0];
    }
    return value;
}

/* Returns the arguments of a rebuild call, or NULL if it is not one; *dtype_index is the
 * index of the dtype among them, or 0 if the class of the storage gives the dtype. */
static const struct adl_pickle_value *rebuild_arguments(const struct adl_pickle_value *value,
                                                        size_t *dtype_index)
{
    const struct adl_pickle_value *args;
    *dtype_index = 0;
    value = unwrap_parameter(value);
    if ((args = arguments_of(value, MODULE, "_rebuild_tensor_v2", 4)) ||
        (args = arguments_of(value, MODULE, "_rebuild_tensor", 4)))
        return args;
    if ((args = arguments_of(value, MODULE, "_rebuild_tensor_v3", 7)))
        *dtype_index = 6;
    return args;
}

bool adl_torch_is_tensor(const struct adl_pickle_value *value)
{
    size_t dtype_index;
    return rebuild_arguments(value, &dtype_index) != NULL;
}

/* Returns the key of the storage of a rebuild call; NULL if it has none. */
static const struct adl_pickle_value *storage_key(const struct adl_pickle_value *args)
{
    const struct adl_pickle_value *id =
        args->items[0]->kind == ADL_PICKLE_PERSID ? args->items[0]->items[0] : NULL;
    return id && id->kind == ADL_PICKLE_TUPLE && id->count >= 5 &&
                   id->items[2]->kind == ADL_PICKLE_TEXT
               ? id->items[2]
               : NULL;
}

bool adl_torch_same_view(const struct adl_pickle_value *a, const struct adl_pickle_value *b)
{
    size_t unused;
    if (a == b)
        return true;
    const struct adl_pickle_value *x = rebuild_arguments(a, &unused);
    const struct adl_pickle_value *y = rebuild_arguments(b, &unused);
    const struct adl_pickle_value *p = x ? storage_key(x) : NULL, *q = y ? storage_key(y) : NULL;
    return p && q && p->count == q->count && !memcmp(p->text, q->text, p->count) &&
           x->items[1]->kind == ADL_PICKLE_INT && y->items[1]->kind == ADL_PICKLE_INT &&
           x->items[1]->integer == y->items[1]->integer;
}

/* --- checking a view ------------------------------------------------------- */

static int take_size(const struct adl_pickle_value *value, size_t *size)
{
    if (value->kind != ADL_PICKLE_INT || value->integer < 0)
        return -1;
    *size = (size_t)value->integer;
    return 0;
}

/* Reads a tuple of sizes, which torch.Size may wrap. */
static int take_sizes(const struct adl_pickle_value *value, size_t *sizes, int *rank)
{
    const struct adl_pickle_value *wrapped = arguments_of(value, "torch", "Size", 1);
    if (wrapped)
        value = wrapped->items[0];
    if ((value->kind != ADL_PICKLE_TUPLE && value->kind != ADL_PICKLE_LIST) ||
        value->count > ADL_LIMIT_RANK)
        return -1;
    *rank = (int)value->count;
    for (uint32_t i = 0; i < value->count; i++)
        if (take_size(value->items[i], &sizes[i]) < 0)
            return -1;
    return 0;
}

/* Finds the storage, the type of its elements, and the range of elements that the tensor may
 * use: *room elements from *base on. */
static int take_storage(struct adl_torch_view *view, const struct adl_pickle_value *value,
                        const struct adl_pickle_value *dtype,
                        const struct adl_torch_storages *storages, size_t *base, size_t *room,
                        const char *quoted, struct adl_error *err)
{
    const struct adl_pickle_value *id = value->kind == ADL_PICKLE_PERSID ? value->items[0] : NULL;
    struct adl_torch_storage *storage = id && id->kind == ADL_PICKLE_TUPLE && id->count >= 5
                                            ? adl_torch_storages_find(storages, id->items[2])
                                            : NULL;
    if (!storage)
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s has no storage", quoted);

    bool known = storage->readable && storage->typed;
    view->dtype = storage->dtype;
    for (size_t i = 0; dtype && storage->readable && i < ADL_COUNT(dtypes); i++) {
        if (adl_pickle_is_global(dtype, "torch", dtypes[i].name)) {
            known = true;
            view->dtype = dtypes[i].dtype;
        }
    }
    if (!known)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "tensor %s is of a type not read here (complex, quantized or newer)",
                        quoted);
    if (storage->typed && adl_dtype_size(view->dtype) != storage->element_size)
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s contradicts the type of its storage",
                        quoted);
    view->storage = storage;
    *base = 0;
    *room = storage->typed ? storage->count : storage->count / adl_dtype_size(view->dtype);

    /* In legacy files a storage may be a part of another one. */
    const struct adl_pickle_value *part = id->count >= 6 ? id->items[5] : NULL;
    if (!part || part->kind == ADL_PICKLE_NONE)
        return 0;
    size_t part_room;
    if (part->kind != ADL_PICKLE_TUPLE || part->count < 3 || take_size(part->items[1], base) < 0 ||
        take_size(part->items[2], &part_room) < 0 || *base > *room || part_room > *room - *base)
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s reaches beyond its storage", quoted);
    *room = part_room;
    return 0;
}

int adl_torch_view_read(struct adl_torch_view *view, const struct adl_pickle_value *value,
                        const struct adl_torch_storages *storages, const char *name,
                        struct adl_error *err)
{
    struct adl_name_quoted quoted = adl_name_quote(name, strlen(name));
    size_t dtype_index, base, room, offset, reach, bytes;
    int strides;
    const struct adl_pickle_value *args = rebuild_arguments(value, &dtype_index);

    *view = (struct adl_torch_view){.count = 1};
    if (take_storage(view, args->items[0], dtype_index ? args->items[dtype_index] : NULL, storages,
                     &base, &room, quoted.text, err) < 0)
        return -1;
    if (take_size(args->items[1], &offset) < 0 ||
        take_sizes(args->items[2], view->shape, &view->rank) < 0 ||
        take_sizes(args->items[3], view->stride, &strides) < 0 || strides != view->rank)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "tensor %s: offset, size and stride are not up to %d numbers of at least 0",
                        quoted.text, ADL_LIMIT_RANK);
    for (int i = 0; i < view->rank; i++)
        if (adl_size_mul(view->count, view->shape[i], &view->count) < 0 ||
            adl_size_mul(view->count, adl_dtype_size(view->dtype), &bytes) < 0)
            return adl_fail(err, ADL_ERR_FORMAT, "tensor %s: its shape overflows", quoted.text);
    if (!view->count)
        return 0;
    for (int i = 0; i < view->rank; i++)
        if (adl_size_mul(view->shape[i] - 1, view->stride[i], &reach) < 0 ||
            adl_size_add(view->last, reach, &view->last) < 0)
            return adl_fail(err, ADL_ERR_FORMAT, "tensor %s: its strides overflow", quoted.text);
    if (adl_size_add(view->last, offset, &view->last) < 0 || view->last >= room)
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s reaches beyond its storage", quoted.text);
    view->first = base + offset;
    view->last += base;
    return 0;
}

/* --- copying --------------------------------------------------------------- */

/* Copies `count` blocks of `block` bytes that lie `step` bytes apart. Blocks of 2, 4 and 8 bytes
 * have loops of their own, in which the size is a constant and memcpy becomes a single move. */
static void copy_blocks(unsigned char *to, const unsigned char *from, size_t count, size_t block,
                        size_t step)
{
    switch (block) {
    case 2:
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * 2, from + i * step, 2);
        break;
    case 4:
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * 4, from + i * step, 4);
        break;
    case 8:
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * 8, from + i * step, 8);
        break;
    default:
        for (size_t i = 0; i < count; i++)
            memcpy(to + i * block, from + i * step, block);
        break;
    }
}

void adl_torch_view_copy(const struct adl_torch_view *view, void *to)
{
    size_t element = adl_dtype_size(view->dtype), run = 1;
    size_t index[ADL_LIMIT_RANK] = {0};
    int outer = view->rank;

    if (!view->count)
        return;
    /* The innermost dimensions that are contiguous form a block; the next one is a loop over
     * blocks, and the others count like an odometer, `index` being its digits. */
    while (outer > 0 && (view->shape[outer - 1] == 1 || view->stride[outer - 1] == run))
        run *= view->shape[--outer];
    size_t block = run * element;
    size_t count = outer ? view->shape[outer - 1] : 1;
    size_t step = outer ? view->stride[outer - 1] * element : 0;
    outer = outer ? outer - 1 : 0;

    unsigned char *out = to;
    const unsigned char *from = view->storage->data + view->first * element;
    for (;;) {
        copy_blocks(out, from, count, block, step);
        out += count * block;
        int i = outer - 1;
        while (i >= 0 && ++index[i] == view->shape[i]) {
            from -= (view->shape[i] - 1) * view->stride[i] * element;
            index[i--] = 0;
        }
        if (i < 0)
            break;
        from += view->stride[i] * element;
    }
}
