/* Reads ONNX files for tests, message by message and field by field. An unexpected field fails the
 * test, so that the writer cannot add one that no test checks. */

#include "support/onnx_file.h"

#include <stdlib.h>
#include <string.h>

#include "support/test.h"

bool onnx_slice_is(struct onnx_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

bool onnx_slice_same(struct onnx_slice a, struct onnx_slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* --- the wire format ----------------------------------------------------------- */

struct field {
    unsigned key; /* number * 8 + wire type */
    uint64_t number;
    struct onnx_slice content;
};

#define VARINT(field) ((field)*8)
#define CONTENT(field) ((field)*8 + 2)
#define FIXED32(field) ((field)*8 + 5)

static bool varint(struct onnx_slice *rest, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && rest->length; shift += 7) {
        unsigned byte = *rest->data++;
        rest->length--;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool field(struct onnx_slice *rest, struct field *out)
{
    uint64_t key, length;
    if (!varint(rest, &key) || key > UINT32_MAX)
        return false;
    out->key = (unsigned)key;
    switch (key & 7) {
    case 0: return varint(rest, &out->number);
    case 2:
        if (!varint(rest, &length) || length > rest->length)
            return false;
        break;
    case 5:
        length = 4;
        if (rest->length < 4)
            return false;
        break;
    default: return false;
    }
    out->content = (struct onnx_slice){rest->data, (size_t)length};
    rest->data += length;
    rest->length -= (size_t)length;
    return true;
}

typedef bool take_field(void *out, const struct field *f);

/* Calls `take` for every field of a message. */
static bool walk(struct onnx_slice message, take_field *take, void *out, const char *what)
{
    struct field f = {0};
    while (message.length) {
        if (!field(&message, &f)) {
            TEST_FAIL("%s: broken %zu bytes before its end", what, message.length);
            return false;
        }
        if (!take(out, &f)) {
            TEST_FAIL("%s: field %u of wire type %u cannot be taken", what, f.key / 8, f.key % 8);
            return false;
        }
    }
    return true;
}

/* --- messages -------------------------------------------------------------------- */

static bool push(int64_t *list, size_t *count, uint64_t value)
{
    if (*count == ONNX_MAX_LIST)
        return false;
    list[(*count)++] = (int64_t)value;
    return true;
}

static bool push_slice(struct onnx_slice *list, size_t *count, struct onnx_slice value)
{
    if (*count == ONNX_MAX_LIST)
        return false;
    list[(*count)++] = value;
    return true;
}

static bool take_attribute(void *out, const struct field *f)
{
    struct onnx_attribute *attribute = out;
    switch (f->key) {
    case CONTENT(1): attribute->name = f->content; return true;
    case FIXED32(2): memcpy(&attribute->f, f->content.data, 4); return true;
    case VARINT(3): attribute->i = (int64_t)f->number; return true;
    case VARINT(8): return push(attribute->ints, &attribute->int_count, f->number);
    case VARINT(20): attribute->type = (int64_t)f->number; return true;
    default: return false;
    }
}

static bool take_node(void *out, const struct field *f)
{
    struct onnx_node *node = out;
    switch (f->key) {
    case CONTENT(1): return push_slice(node->inputs, &node->input_count, f->content);
    case CONTENT(2): return push_slice(node->outputs, &node->output_count, f->content);
    case CONTENT(3): node->name = f->content; return true;
    case CONTENT(4): node->op = f->content; return true;
    case CONTENT(5):
        return node->attribute_count < ONNX_MAX_LIST &&
               walk(f->content, take_attribute, &node->attributes[node->attribute_count++],
                    "attribute");
    default: return false;
    }
}

static bool take_tensor(void *out, const struct field *f)
{
    struct onnx_tensor *tensor = out;
    switch (f->key) {
    case VARINT(1): return push(tensor->dims, &tensor->rank, f->number);
    case VARINT(2): tensor->data_type = (int64_t)f->number; return true;
    case CONTENT(8): tensor->name = f->content; return true;
    case CONTENT(9): tensor->raw = f->content; return true;
    default: return false;
    }
}

static bool take_dimension(void *out, const struct field *f)
{
    struct onnx_info *info = out;
    switch (f->key) {
    case VARINT(1): return push(info->dims, &info->rank, f->number);
    case CONTENT(2):
        info->dim_name = f->content;
        return push(info->dims, &info->rank, (uint64_t)-1);
    default: return false;
    }
}

static bool take_shape(void *out, const struct field *f)
{
    return f->key == CONTENT(1) && walk(f->content, take_dimension, out, "dimension");
}

static bool take_tensor_type(void *out, const struct field *f)
{
    struct onnx_info *info = out;
    if (f->key == VARINT(1)) {
        info->element = (int64_t)f->number;
        return true;
    }
    return f->key == CONTENT(2) && walk(f->content, take_shape, info, "shape");
}

static bool take_type(void *out, const struct field *f)
{
    return f->key == CONTENT(1) && walk(f->content, take_tensor_type, out, "tensor type");
}

static bool take_info(void *out, const struct field *f)
{
    struct onnx_info *info = out;
    switch (f->key) {
    case CONTENT(1): info->name = f->content; return true;
    case CONTENT(2): return walk(f->content, take_type, info, "type");
    case CONTENT(3): /* the documentation */ return f->content.length > 0;
    default: return false;
    }
}

/* Appends a zeroed object to the array whose address is `array`, and returns the object. */
static void *append(void *array, size_t *count, size_t size)
{
    void **items = array;
    void *grown = realloc(*items, (*count + 1) * size);
    if (!grown)
        abort();
    *items = grown;
    return memset((char *)grown + (*count)++ * size, 0, size);
}

static bool take_graph(void *out, const struct field *f)
{
    struct onnx_file *file = out;
    switch (f->key) {
    case CONTENT(1):
        return walk(f->content, take_node,
                    append(&file->nodes, &file->node_count, sizeof *file->nodes), "node");
    case CONTENT(2): file->graph_name = f->content; return true;
    case CONTENT(5):
        return walk(f->content, take_tensor,
                    append(&file->tensors, &file->tensor_count, sizeof *file->tensors), "tensor");
    case CONTENT(11):
        return file->input_count < ONNX_MAX_LIST &&
               walk(f->content, take_info, &file->inputs[file->input_count++], "input");
    case CONTENT(12):
        return file->output_count < ONNX_MAX_LIST &&
               walk(f->content, take_info, &file->outputs[file->output_count++], "output");
    default: return false;
    }
}

static bool take_opset(void *out, const struct field *f)
{
    struct onnx_file *file = out;
    file->opset = (int64_t)f->number;
    return f->key == VARINT(2);
}

static bool take_entry(void *out, const struct field *f)
{
    struct onnx_file *file = out;
    if (f->key == CONTENT(1))
        file->key = f->content;
    else
        file->value = f->content;
    return f->key == CONTENT(1) || f->key == CONTENT(2);
}

static bool take_model(void *out, const struct field *f)
{
    struct onnx_file *file = out;
    switch (f->key) {
    case VARINT(1): file->ir_version = (int64_t)f->number; return true;
    case CONTENT(2): file->producer = f->content; return true;
    case CONTENT(3): file->producer_version = f->content; return true;
    case CONTENT(7): return walk(f->content, take_graph, file, "graph");
    case CONTENT(8): return walk(f->content, take_opset, file, "operator set");
    case CONTENT(14): return walk(f->content, take_entry, file, "metadata");
    default: return false;
    }
}

bool onnx_file_read(struct onnx_file *file, const void *bytes, size_t length)
{
    *file = (struct onnx_file){0};
    return walk((struct onnx_slice){bytes, length}, take_model, file, "model");
}

void onnx_file_release(struct onnx_file *file)
{
    free(file->nodes);
    free(file->tensors);
    *file = (struct onnx_file){0};
}

const struct onnx_attribute *onnx_attribute(const struct onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->attribute_count; i++)
        if (onnx_slice_is(node->attributes[i].name, name))
            return &node->attributes[i];
    return NULL;
}
