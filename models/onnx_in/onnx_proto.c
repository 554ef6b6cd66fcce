/* Reads the protocol buffers of an ONNX file: a ModelProto has a GraphProto, which has nodes,
 * initializers, inputs and outputs. Each repeated field is counted before it is read, so that its
 * array has the right size from the start and no more memory than a small multiple of the file is
 * ever asked for. Nothing here recurses: graphs within attributes are not read. */

#include "models/onnx_in/onnx_proto.h"

#include <string.h>

#include "base/mem.h"
#include "io/protobuf_reader.h"

enum { MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum {
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE = 15
};
enum {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTR = 5,
    NODE_DOMAIN = 7
};
enum { INFO_NAME = 1, INFO_TYPE = 2, TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1 };
enum {
    ATTR_NAME = 1,
    ATTR_F = 2,
    ATTR_I = 3,
    ATTR_S = 4,
    ATTR_T = 5,
    ATTR_FLOATS = 7,
    ATTR_INTS = 8,
    ATTR_TYPE = 20
};

/* --- attributes -------------------------------------------------------------------------- */

/* The type of an attribute is stated since IR version 1, but some writers leave it out; the field
 * that is there decides then. */
static enum adl_onnx_kind kind_of(uint64_t type)
{
    switch (type) {
    case 1: return ADL_ONNX_ATTR_FLOAT;
    case 2: return ADL_ONNX_ATTR_INT;
    case 3: return ADL_ONNX_ATTR_TEXT;
    case 4: return ADL_ONNX_ATTR_TENSOR;
    case 6: return ADL_ONNX_ATTR_FLOATS;
    case 7: return ADL_ONNX_ATTR_INTS;
    default: return ADL_ONNX_ATTR_OTHER;
    }
}

static int read_attr_tensor(struct adl_onnx_proto *proto, const struct adl_protobuf_field *field,
                            struct adl_onnx_attr *attr, struct adl_error *err)
{
    struct adl_onnx_tensor *tensor = adl_arena_alloc(&proto->arena, 1, sizeof *tensor);
    if (!tensor)
        return adl_fail_nomem(err, "the ONNX file");
    attr->tensor = tensor;
    return adl_onnx_tensor_read(&proto->arena, proto->files, field, tensor, err);
}

static int read_attr_lists(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                           struct adl_onnx_attr *attr, struct adl_error *err)
{
    uint64_t *values = NULL;

    if (attr->kind == ADL_ONNX_ATTR_INTS) {
        if (adl_onnx_numbers(&proto->arena, message, ATTR_INTS, ADL_WIRE_VARINT, &values,
                             &attr->count, err) < 0)
            return -1;
        attr->ints = (const int64_t *)values;
    } else if (attr->kind == ADL_ONNX_ATTR_FLOATS) {
        if (adl_onnx_numbers(&proto->arena, message, ATTR_FLOATS, ADL_WIRE_FIXED32, &values,
                             &attr->count, err) < 0)
            return -1;
        float *floats = adl_arena_alloc(&proto->arena, attr->count + 1, sizeof *floats);
        if (!floats)
            return adl_fail_nomem(err, "the ONNX file");
        for (size_t i = 0; i < attr->count; i++)
            floats[i] = adl_protobuf_as_float(values[i]);
        attr->floats = floats;
    }
    return 0;
}

static int read_attr(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                     struct adl_onnx_attr *attr, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    enum adl_onnx_kind seen = ADL_ONNX_ATTR_OTHER, stated = ADL_ONNX_ATTR_OTHER;
    int more;

    *attr = (struct adl_onnx_attr){.name = "", .text = ""};
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        int result = 0;
        switch (field.number) {
        case ATTR_NAME:
            result =
                adl_onnx_text(&proto->arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES, &attr->name, err);
            break;
        case ATTR_F:
            attr->f = adl_protobuf_as_float(field.value);
            seen = ADL_ONNX_ATTR_FLOAT;
            break;
        case ATTR_I:
            attr->i = (int64_t)field.value;
            seen = ADL_ONNX_ATTR_INT;
            break;
        case ATTR_S:
            /* Text of operators that are not read may be of any length and form. */
            if (field.wire == ADL_WIRE_LENGTH && field.length <= ADL_LIMIT_TENSOR_NAME_BYTES &&
                !memchr(field.data, 0, field.length)) {
                result = adl_onnx_text(&proto->arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES,
                                       &attr->text, err);
                seen = ADL_ONNX_ATTR_TEXT;
            }
            break;
        case ATTR_T:
            result = read_attr_tensor(proto, &field, attr, err);
            seen = ADL_ONNX_ATTR_TENSOR;
            break;
        case ATTR_FLOATS: seen = ADL_ONNX_ATTR_FLOATS; break;
        case ATTR_INTS: seen = ADL_ONNX_ATTR_INTS; break;
        case ATTR_TYPE: stated = kind_of(field.value); break;
        default: break;
        }
        if (result < 0)
            return -1;
    }
    if (more < 0)
        return -1;
    attr->kind = stated != ADL_ONNX_ATTR_OTHER ? stated : seen;
    if (attr->kind == ADL_ONNX_ATTR_TENSOR && !attr->tensor)
        attr->kind = ADL_ONNX_ATTR_OTHER;
    return read_attr_lists(proto, message, attr, err);
}

/* --- nodes ------------------------------------------------------------------------------- */

struct node_room {
    const char **inputs, **outputs;
    struct adl_onnx_attr *attrs;
};

static int make_room(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                     struct adl_onnx_node_proto *node, struct node_room *room,
                     struct adl_error *err)
{
    if (adl_onnx_count(message, NODE_INPUT, ADL_LIMIT_ONNX_PORTS, "inputs of one node",
                       &node->input_count, err) < 0 ||
        adl_onnx_count(message, NODE_OUTPUT, ADL_LIMIT_ONNX_PORTS, "outputs of one node",
                       &node->output_count, err) < 0 ||
        adl_onnx_count(message, NODE_ATTR, ADL_LIMIT_ONNX_PORTS, "attributes of one node",
                       &node->attr_count, err) < 0)
        return -1;
    room->inputs = adl_arena_alloc(&proto->arena, node->input_count + 1, sizeof *room->inputs);
    room->outputs = adl_arena_alloc(&proto->arena, node->output_count + 1, sizeof *room->outputs);
    room->attrs = adl_arena_alloc(&proto->arena, node->attr_count + 1, sizeof *room->attrs);
    if (!room->inputs || !room->outputs || !room->attrs)
        return adl_fail_nomem(err, "the ONNX file");
    node->inputs = room->inputs;
    node->outputs = room->outputs;
    node->attrs = room->attrs;
    return 0;
}

static int read_node(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                     struct adl_onnx_node_proto *node, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    struct node_room room;
    const size_t limit = ADL_LIMIT_TENSOR_NAME_BYTES;
    size_t inputs = 0, outputs = 0, attrs = 0;
    int more;

    *node = (struct adl_onnx_node_proto){.name = "", .op = "", .domain = ""};
    if (make_room(proto, message, node, &room, err) < 0)
        return -1;
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        int result = 0;
        switch (field.number) {
        case NODE_INPUT:
            result = adl_onnx_text(&proto->arena, &field, limit, &room.inputs[inputs++], err);
            break;
        case NODE_OUTPUT:
            result = adl_onnx_text(&proto->arena, &field, limit, &room.outputs[outputs++], err);
            break;
        case NODE_NAME:
            result = adl_onnx_text(&proto->arena, &field, limit, &node->name, err);
            break;
        case NODE_OP: result = adl_onnx_text(&proto->arena, &field, limit, &node->op, err); break;
        case NODE_DOMAIN:
            result = adl_onnx_text(&proto->arena, &field, limit, &node->domain, err);
            break;
        case NODE_ATTR:
            result = adl_onnx_is_message(&field, err);
            if (result == 0)
                result = read_attr(proto, &field, &room.attrs[attrs++], err);
            break;
        default: break;
        }
        if (result < 0)
            return -1;
    }
    if (strcmp(node->domain, "ai.onnx") == 0)
        node->domain = "";
    return more;
}

/* --- inputs and outputs ------------------------------------------------------------------ */

static int read_shape(const struct adl_protobuf_field *message, struct adl_onnx_port *port,
                      struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length), dim;
    struct adl_protobuf_field field, inner;
    int more, result = 0;

    port->rank = 0;
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number != SHAPE_DIM)
            continue;
        if (adl_onnx_is_message(&field, err) < 0)
            return -1;
        if (port->rank == ADL_LIMIT_RANK)
            return adl_fail(err, ADL_ERR_LIMIT, "a shape has more than %d dimensions",
                            ADL_LIMIT_RANK);
        port->dims[port->rank] = -1;
        dim = adl_protobuf_open(field.data, field.length);
        while ((result = adl_protobuf_next(&dim, &inner, err)) > 0)
            if (inner.number == DIM_VALUE && inner.wire == ADL_WIRE_VARINT &&
                (int64_t)inner.value > 0)
                port->dims[port->rank] = (int64_t)inner.value;
        if (result < 0)
            return -1;
        port->rank++;
    }
    return more;
}

static int read_tensor_type(const struct adl_protobuf_field *message, struct adl_onnx_port *port,
                            struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    int more;

    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == TENSOR_ELEMENT)
            port->type = field.value > 100 ? 100 : (int)field.value;
        if (field.number == TENSOR_SHAPE &&
            (adl_onnx_is_message(&field, err) < 0 || read_shape(&field, port, err) < 0))
            return -1;
    }
    return more;
}

static int read_port(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                     struct adl_onnx_port *port, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length), type;
    struct adl_protobuf_field field, inner;
    int more, result = 0;

    *port = (struct adl_onnx_port){.name = "", .rank = -1};
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == INFO_NAME &&
            adl_onnx_text(&proto->arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES, &port->name, err) < 0)
            return -1;
        if (field.number != INFO_TYPE)
            continue;
        if (adl_onnx_is_message(&field, err) < 0)
            return -1;
        type = adl_protobuf_open(field.data, field.length);
        while ((result = adl_protobuf_next(&type, &inner, err)) > 0)
            if (inner.number == TYPE_TENSOR &&
                (adl_onnx_is_message(&inner, err) < 0 || read_tensor_type(&inner, port, err) < 0))
                return -1;
        if (result < 0)
            return -1;
    }
    return more;
}

/* --- the graph and the file ---------------------------------------------------------------- */

static int read_graph_field(struct adl_onnx_proto *proto, const struct adl_protobuf_field *field,
                            struct adl_error *err)
{
    int result = adl_onnx_is_message(field, err);

    if (result < 0)
        return -1;
    /* The arrays have room for all, and belong to the arena. */
    switch (field->number) {
    case GRAPH_NODE:
        result = read_node(
            proto, field, (struct adl_onnx_node_proto *)(uintptr_t)&proto->nodes[proto->node_count],
            err);
        proto->node_count++;
        break;
    case GRAPH_INITIALIZER:
        result = adl_onnx_tensor_read(
            &proto->arena, proto->files, field,
            (struct adl_onnx_tensor *)(uintptr_t)&proto->tensors[proto->tensor_count], err);
        proto->tensor_count++;
        break;
    case GRAPH_INPUT:
        result =
            read_port(proto, field,
                      (struct adl_onnx_port *)(uintptr_t)&proto->inputs[proto->input_count], err);
        proto->input_count++;
        break;
    default:
        result =
            read_port(proto, field,
                      (struct adl_onnx_port *)(uintptr_t)&proto->outputs[proto->output_count], err);
        proto->output_count++;
        break;
    }
    return result;
}

static int read_graph(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                      struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    size_t nodes, tensors, inputs, outputs;
    int more;

    if (adl_onnx_count(message, GRAPH_NODE, ADL_LIMIT_ONNX_NODES, "nodes", &nodes, err) < 0 ||
        adl_onnx_count(message, GRAPH_INITIALIZER, ADL_LIMIT_TENSORS, "initializers", &tensors,
                       err) < 0 ||
        adl_onnx_count(message, GRAPH_INPUT, ADL_LIMIT_TENSORS, "inputs", &inputs, err) < 0 ||
        adl_onnx_count(message, GRAPH_OUTPUT, ADL_LIMIT_ONNX_PORTS, "outputs", &outputs, err) < 0)
        return -1;
    proto->nodes = adl_arena_alloc(&proto->arena, nodes + 1, sizeof *proto->nodes);
    proto->tensors = adl_arena_alloc(&proto->arena, tensors + 1, sizeof *proto->tensors);
    proto->inputs = adl_arena_alloc(&proto->arena, inputs + 1, sizeof *proto->inputs);
    proto->outputs = adl_arena_alloc(&proto->arena, outputs + 1, sizeof *proto->outputs);
    if (!proto->nodes || !proto->tensors || !proto->inputs || !proto->outputs)
        return adl_fail_nomem(err, "the ONNX file");
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == GRAPH_SPARSE)
            return adl_fail(err, ADL_ERR_UNSUPPORTED,
                            "the file has sparse initializers; export it with dense ones");
        if ((field.number == GRAPH_NODE || field.number == GRAPH_INITIALIZER ||
             field.number == GRAPH_INPUT || field.number == GRAPH_OUTPUT) &&
            read_graph_field(proto, &field, err) < 0)
            return -1;
    }
    return more;
}

static int read_opset(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                      struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    const char *domain = "";
    int64_t version = 0;
    int more;

    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == OPSET_DOMAIN &&
            adl_onnx_text(&proto->arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES, &domain, err) < 0)
            return -1;
        if (field.number == OPSET_VERSION)
            version = (int64_t)field.value;
    }
    if (more == 0 && (!*domain || strcmp(domain, "ai.onnx") == 0))
        proto->opset = version;
    return more;
}

static int read_metadata(struct adl_onnx_proto *proto, const struct adl_protobuf_field *message,
                         struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    bool ours = false;
    int more;

    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == ENTRY_KEY)
            ours =
                field.wire == ADL_WIRE_LENGTH && field.length == 3 && !memcmp(field.data, "adl", 3);
        if (field.number == ENTRY_VALUE && ours &&
            adl_onnx_text(&proto->arena, &field, ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES,
                          &proto->adl, err) < 0)
            return -1;
    }
    return more;
}

int adl_onnx_proto_read(struct adl_onnx_proto *proto, const void *bytes, size_t length,
                        struct adl_onnx_files *files, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(bytes, length);
    struct adl_protobuf_field field;
    bool graph = false;
    int more;

    *proto = (struct adl_onnx_proto){.files = files, .producer = ""};
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        int result = 0;
        if (field.number == MODEL_GRAPH || field.number == MODEL_OPSET ||
            field.number == MODEL_METADATA)
            result = adl_onnx_is_message(&field, err);
        if (result == 0 && field.number == MODEL_GRAPH) {
            if (graph)
                return adl_fail(err, ADL_ERR_FORMAT, "the file has more than one graph");
            graph = true;
            result = read_graph(proto, &field, err);
        } else if (result == 0 && field.number == MODEL_OPSET) {
            result = read_opset(proto, &field, err);
        } else if (result == 0 && field.number == MODEL_METADATA) {
            result = read_metadata(proto, &field, err);
        } else if (result == 0 && field.number == MODEL_PRODUCER) {
            result = adl_onnx_text(&proto->arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES,
                                   &proto->producer, err);
        }
        if (result < 0)
            return -1;
    }
    if (more == 0 && !graph)
        return adl_fail(err, ADL_ERR_FORMAT, "the file has no graph; it is no ONNX model");
    return more;
}

void adl_onnx_proto_release(struct adl_onnx_proto *proto)
{
    adl_arena_release(&proto->arena);
}

const struct adl_onnx_attr *adl_onnx_attr_find(const struct adl_onnx_node_proto *node,
                                               const char *name)
{
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}
