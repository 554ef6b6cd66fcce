/* Reads requests of the Open Inference Protocol; see inference_request.h.
 *
 * What is not understood is refused, as everywhere in this server, with one exception: parameters.
 * The specification defines none, every server has its own, and a client that is written for
 * several sends them all; so those that this server does not have are ignored. Refused are the ones
 * that would change what the data is (shared memory) or what the answer means (classification). */

#include "server/api/inference_request.h"

#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

const char *const adl_tensor_type_names[] = {"FP32", "INT64", "BYTES"};

const struct adl_inference_output_row adl_inference_outputs[ADL_INFERENCE_OUTPUTS] = {
    [ADL_INFERENCE_LOGITS] = {"logits", ADL_TENSOR_FP32, .infer = true},
    [ADL_INFERENCE_SCORES] = {"scores", ADL_TENSOR_FP32, .infer = true},
    [ADL_INFERENCE_CAM] = {"cam", ADL_TENSOR_FP32, .infer = true},
    [ADL_INFERENCE_BOXES] = {"boxes", ADL_TENSOR_FP32, .infer = true, .explain = true},
    [ADL_INFERENCE_MAP] = {"map", ADL_TENSOR_FP32, .explain = true},
    [ADL_INFERENCE_CLASSES] = {"classes", ADL_TENSOR_INT64, .explain = true},
    [ADL_INFERENCE_LABELS] = {"labels", ADL_TENSOR_BYTES, .explain = true},
};

void adl_inference_request_release(struct adl_inference_request *request)
{
    json_decref(request->head);
    request->head = NULL;
}

/* Returns a member that has to be an object if it is there; NULL: it is not. Fails if it is
 * something else. */
static int optional_object(json_t *in, const char *name, json_t **out, struct adl_error *err)
{
    *out = json_object_get(in, name);
    if (*out && !json_is_object(*out))
        return adl_fail(err, ADL_ERR_ARG, "\"%s\" is not an object", name);
    return 0;
}

/* --- parameters ------------------------------------------------------------------------- */

/* The parameters that have the meaning of those of /localize. */
static const char *const own[] = {
    "class",         "threshold",      "boxes",       "map",        "map_weights",
    "map_normalise", "map_percentile", "map_classes", "foreground", "map_flip",
    "map_scales",    "map_stride",     "map_layer",
};

static bool is_own(const char *name)
{
    for (size_t i = 0; i < ADL_COUNT(own); i++)
        if (!strcmp(name, own[i]))
            return true;
    return false;
}

/* Fails if a value is none of those that a parameter may have, or if ignoring the parameter would
 * give another answer than the one that was asked for. */
static int check_parameter(const char *name, const json_t *value, struct adl_error *err)
{
    if (!json_is_string(value) && !json_is_number(value) && !json_is_boolean(value))
        return adl_fail(err, ADL_ERR_ARG,
                        "the parameter \"%s\" is not a string, a number or a boolean",
                        ADL_SHORT(name));
    if (!strncmp(name, "shared_memory_", 14) || !strcmp(name, "classification"))
        return adl_fail(err, ADL_ERR_ARG,
                        "the parameter \"%s\" belongs to an extension that this server does not "
                        "have; GET /v2 lists those that it has",
                        ADL_SHORT(name));
    return 0;
}

static int read_boolean(json_t *parameters, const char *name, bool *out, struct adl_error *err)
{
    const json_t *value = json_object_get(parameters, name);

    if (value && !json_is_boolean(value))
        return adl_fail(err, ADL_ERR_ARG, "the parameter \"%s\" is not a boolean", name);
    if (value)
        *out = json_is_true(value);
    return 0;
}

static int check_parameters(json_t *parameters, struct adl_error *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(parameters, name,
                        value) if (check_parameter(name, value, err) < 0) return -1;
    return 0;
}

/* Reads the parameters of the request. */
static int read_parameters(struct adl_inference_request *request, bool *binary,
                           struct adl_error *err)
{
    struct adl_query_pair pairs[ADL_COUNT(own)];
    char texts[ADL_COUNT(own)][32];
    json_t *parameters, *value;
    const char *name;
    size_t count = 0;

    if (optional_object(request->head, "parameters", &parameters, err) < 0 ||
        check_parameters(parameters, err) < 0 ||
        read_boolean(parameters, "binary_data_output", binary, err) < 0)
        return -1;
    json_object_foreach(parameters, name, value)
    {
        if (!is_own(name))
            continue;
        struct adl_query_pair *pair = &pairs[count];
        *pair = (struct adl_query_pair){name, texts[count], 0};
        if (json_is_string(value))
            *pair =
                (struct adl_query_pair){name, json_string_value(value), json_string_length(value)};
        else
            pair->value_length = adl_params_value_text(value, texts[count], sizeof texts[count]);
        count++;
    }
    return adl_params_parse(&request->params, pairs, count, err);
}

/* --- outputs ---------------------------------------------------------------------------- */

static int fail_output(const char *name, struct adl_error *err)
{
    struct adl_nearest nearest = {.word = name};
    char list[100];
    int length = 0;

    for (size_t i = 0; i < ADL_INFERENCE_OUTPUTS; i++) {
        adl_nearest_offer(&nearest, adl_inference_outputs[i].name);
        length += snprintf(list + length, sizeof list - (size_t)length, "%s%s", i ? ", " : "",
                           adl_inference_outputs[i].name);
    }
    return adl_fail(err, ADL_ERR_ARG, "there is no output \"%s\"%s%s%s", ADL_SHORT(name),
                    nearest.best ? "; did you mean " : "; the outputs are ",
                    nearest.best ? nearest.best : list, nearest.best ? "?" : "");
}

static int read_output(struct adl_inference_request *request, json_t *output, bool binary,
                       struct adl_error *err)
{
    struct adl_inference_wish wish = {.binary = binary};
    const char *name = json_string_value(json_object_get(output, "name"));
    json_t *parameters;
    size_t row = 0;

    if (!name)
        return adl_fail(err, ADL_ERR_ARG, "an element of \"outputs\" has no \"name\"");
    while (row < ADL_INFERENCE_OUTPUTS && strcmp(adl_inference_outputs[row].name, name) != 0)
        row++;
    if (row == ADL_INFERENCE_OUTPUTS)
        return fail_output(name, err);
    wish.which = (enum adl_inference_output)row;
    for (size_t i = 0; i < request->wish_count; i++)
        if (request->wishes[i].which == wish.which)
            return adl_fail(err, ADL_ERR_ARG, "the output \"%s\" is asked for twice", name);
    if (optional_object(output, "parameters", &parameters, err) < 0 ||
        check_parameters(parameters, err) < 0 ||
        read_boolean(parameters, "binary_data", &wish.binary, err) < 0)
        return -1;
    request->wishes[request->wish_count++] = wish;
    return 0;
}

static int read_outputs(struct adl_inference_request *request, bool explain, bool binary,
                        struct adl_error *err)
{
    json_t *outputs = json_object_get(request->head, "outputs"), *output;
    size_t index;

    if (outputs && !json_is_array(outputs))
        return adl_fail(err, ADL_ERR_ARG, "\"outputs\" is not an array");
    json_array_foreach(outputs, index,
                       output) if (read_output(request, output, binary, err) < 0) return -1;
    for (size_t i = 0; json_array_size(outputs) == 0 && i < ADL_INFERENCE_OUTPUTS; i++) {
        const struct adl_inference_output_row *row = &adl_inference_outputs[i];
        if (explain ? row->explain : row->infer)
            request->wishes[request->wish_count++] =
                (struct adl_inference_wish){(enum adl_inference_output)i, binary};
    }
    return 0;
}

/* --- inputs ------------------------------------------------------------------------------ */

/* An element of "inputs" while it is read. */
struct input {
    const char *name;
    json_t *shape;
    struct adl_span text; /* of its data; absent: binary */
    struct adl_span bytes;
};

/* Returns the dimension with this index; SIZE_MAX if it is not a number that can be one. */
static size_t dimension(const struct input *input, size_t index)
{
    const json_t *value = json_array_get(input->shape, index);
    const json_int_t number = json_integer_value(value);

    return json_is_integer(value) && number >= 0 ? (size_t)number : SIZE_MAX;
}

static int read_count(struct adl_inference_request *request, const struct input *input,
                      struct adl_error *err)
{
    request->images = dimension(input, 0);
    if (request->images < 1 || request->images > ADL_LIMIT_MULTIPART_PARTS)
        return adl_fail(err, ADL_ERR_ARG,
                        "the first dimension of the shape of \"%s\" has to be an integer from 1 to "
                        "%d",
                        input->name, ADL_LIMIT_MULTIPART_PARTS);
    return 0;
}

static int read_tensor(struct adl_inference_request *request, const struct input *input,
                       const struct adl_model *model, struct adl_error *err)
{
    const size_t h = (size_t)model->input_h, w = (size_t)model->input_w;
    size_t bytes;

    if (json_array_size(input->shape) != 4 || dimension(input, 1) != 3 ||
        dimension(input, 2) != h || dimension(input, 3) != w)
        return adl_fail(err, ADL_ERR_ARG,
                        "the shape of \"input\" has to be [N,3,%zu,%zu], the size of the network's "
                        "input; \"image\" takes pictures of any size",
                        h, w);
    if (read_count(request, input, err) < 0)
        return -1;
    if (adl_size_mul(3 * h * w, request->images, &bytes) < 0 ||
        adl_size_mul(bytes, sizeof(float), &bytes) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "the shape of \"input\" has too many elements");
    if (input->text.data) {
        request->numbers = (struct adl_number_text){
            .text = input->text, .images = request->images, .dims = {3, h, w}};
        return adl_number_text_divide(&request->numbers, request->starts, err);
    }
    if (input->bytes.length != bytes)
        return adl_fail(err, ADL_ERR_ARG,
                        "\"input\" has %zu bytes of binary data, and its shape needs %zu",
                        input->bytes.length, bytes);
    request->binary = true;
    request->floats = input->bytes;
    return 0;
}

/* Reads elements of binary data, each after its length in four bytes. */
static int read_files(struct adl_span bytes, size_t count, struct adl_span *files,
                      struct adl_error *err)
{
    const char *at = bytes.data, *end = at + bytes.length;

    for (size_t i = 0; i < count; i++) {
        uint32_t length;
        if ((size_t)(end - at) < sizeof length)
            return adl_fail(err, ADL_ERR_ARG,
                            "the binary data of \"image\" ends before the length of element %zu",
                            i);
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        length = le32toh(length);
        if ((size_t)(end - at) < length)
            return adl_fail(err, ADL_ERR_ARG,
                            "element %zu of \"image\" has %" PRIu32
                            " bytes, and its binary data has %zu more",
                            i, length, (size_t)(end - at));
        files[i] = (struct adl_span){at, length};
        at += length;
    }
    if (at != end)
        return adl_fail(err, ADL_ERR_ARG,
                        "the binary data of \"image\" has %zu bytes after its last element",
                        (size_t)(end - at));
    return 0;
}

static int read_pictures(struct adl_inference_request *request, const struct input *input,
                         struct adl_error *err)
{
    const size_t rank = json_array_size(input->shape);

    if ((rank != 1 && rank != 2) || (rank == 2 && dimension(input, 1) != 1))
        return adl_fail(err, ADL_ERR_ARG, "the shape of \"image\" has to be [N] or [N,1]");
    if (read_count(request, input, err) < 0)
        return -1;
    request->pictures = true;
    if (input->text.data)
        return adl_base64_text_read(input->text, request->images, request->files, err);
    return read_files(input->bytes, request->images, request->files, err);
}

/* Takes the binary data of an input, of which `rest` is what is left of the body. */
static int take_bytes(struct input *input, json_t *parameters, struct adl_span *rest,
                      struct adl_error *err)
{
    const json_t *size = json_object_get(parameters, "binary_data_size");

    if (size && (!json_is_integer(size) || json_integer_value(size) < 0))
        return adl_fail(err, ADL_ERR_ARG, "\"binary_data_size\" is not a number of bytes");
    if (!size && !input->text.data)
        return adl_fail(err, ADL_ERR_ARG,
                        "the input \"%s\" has neither an array \"data\" nor the parameter "
                        "\"binary_data_size\"",
                        input->name);
    if (!size)
        return 0;
    if (input->text.data)
        return adl_fail(err, ADL_ERR_ARG,
                        "the input \"%s\" has both \"data\" and \"binary_data_size\"", input->name);
    const size_t bytes = (size_t)json_integer_value(size);
    if (bytes > rest->length)
        return adl_fail(err, ADL_ERR_ARG,
                        "\"binary_data_size\" of \"%s\" is %zu, and %zu bytes follow the JSON "
                        "(Inference-Header-Content-Length says where it ends)",
                        input->name, bytes, rest->length);
    input->bytes = (struct adl_span){rest->data, bytes};
    *rest = (struct adl_span){rest->data + bytes, rest->length - bytes};
    return 0;
}

static int read_input(struct adl_inference_request *request, json_t *json, struct adl_span text,
                      struct adl_span *rest, const struct adl_model *model, struct adl_error *err)
{
    struct input input = {.name = json_string_value(json_object_get(json, "name")),
                          .shape = json_object_get(json, "shape"),
                          .text = text};
    const char *type = json_string_value(json_object_get(json, "datatype"));
    json_t *parameters;

    if (!input.name || !type || !json_is_array(input.shape))
        return adl_fail(err, ADL_ERR_ARG,
                        "an input needs \"name\" and \"datatype\", which are strings, and "
                        "\"shape\", an array");
    const bool tensor = !strcmp(input.name, "input");
    if (!tensor && strcmp(input.name, "image") != 0)
        return adl_fail(err, ADL_ERR_ARG,
                        "there is no input \"%s\"; give \"input\", a tensor, or \"image\", "
                        "pictures",
                        ADL_SHORT(input.name));
    const char *want = adl_tensor_type_names[tensor ? ADL_TENSOR_FP32 : ADL_TENSOR_BYTES];
    if (strcmp(type, want) != 0)
        return adl_fail(err, ADL_ERR_ARG, "the datatype of \"%s\" has to be %s, not \"%s\"",
                        input.name, want, ADL_SHORT(type));
    if (optional_object(json, "parameters", &parameters, err) < 0 ||
        check_parameters(parameters, err) < 0 || take_bytes(&input, parameters, rest, err) < 0)
        return -1;
    return tensor ? read_tensor(request, &input, model, err) : read_pictures(request, &input, err);
}

static int read_inputs(struct adl_inference_request *request, const struct adl_span *data,
                       struct adl_span rest, const struct adl_model *model, struct adl_error *err)
{
    json_t *inputs = json_object_get(request->head, "inputs");

    if (!json_is_array(inputs))
        return adl_fail(err, ADL_ERR_ARG, "the request has no array \"inputs\"");
    if (json_array_size(inputs) != 1)
        return adl_fail(err, ADL_ERR_ARG,
                        "\"inputs\" has %zu elements; give one: \"input\", a tensor, or "
                        "\"image\", pictures",
                        json_array_size(inputs));
    if (read_input(request, json_array_get(inputs, 0), data[0], &rest, model, err) < 0)
        return -1;
    if (rest.length > 0)
        return adl_fail(err, ADL_ERR_ARG, "the body has %zu bytes after the data of its inputs",
                        rest.length);
    return 0;
}

/* --- the request --------------------------------------------------------------------- */

/* Reads the JSON apart from the data of the inputs. */
static int read_head(struct adl_inference_request *request, const char *text, size_t length,
                     struct adl_span *data, struct adl_error *err)
{
    struct adl_str head = {0};
    json_error_t problem;
    int result = -1;

    ADL_TRY(adl_inference_split(text, length, &head, data, err));
    request->head =
        json_loadb(head.data ? head.data : "", head.length, JSON_REJECT_DUPLICATES, &problem);
    if (!request->head) {
        adl_fail(err, ADL_ERR_ARG, "the request is no JSON: %s", problem.text);
        goto out;
    }
    if (!json_is_object(request->head)) {
        adl_fail(err, ADL_ERR_ARG, "the request is no JSON object");
        goto out;
    }
    result = 0;
out:
    adl_str_release(&head);
    return result;
}

int adl_inference_request_read(struct adl_inference_request *request, char *body, size_t length,
                               size_t json_length, const struct adl_model *model, bool explain,
                               struct adl_error *err)
{
    struct adl_span data[ADL_LIMIT_INFERENCE_INPUTS];
    const struct adl_span rest = {body + json_length, length - json_length};
    bool binary = false;

    if (read_head(request, body, json_length, data, err) < 0)
        return -1;
    const json_t *id = json_object_get(request->head, "id");
    if (id && !json_is_string(id))
        return adl_fail(err, ADL_ERR_ARG, "\"id\" is not a string");
    request->id = json_string_value(id);
    request->id_length = json_string_length(id);
    if (read_parameters(request, &binary, err) < 0 ||
        read_outputs(request, explain, binary, err) < 0)
        return -1;
    return read_inputs(request, data, rest, model, err);
}

/* --- tensors ---------------------------------------------------------------------------- */

static int read_floats(const struct adl_inference_request *request, size_t index, size_t height,
                       size_t width, float *nhwc, struct adl_error *err)
{
    const size_t plane = height * width, count = 3 * plane;
    const char *bytes = request->floats.data + index * count * sizeof(float);

    for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < plane; p++) {
            uint32_t bits;
            float value;
            memcpy(&bits, bytes + (c * plane + p) * sizeof bits, sizeof bits);
            bits = le32toh(bits);
            memcpy(&value, &bits, sizeof value);
            if (!isfinite(value))
                return adl_fail(err, ADL_ERR_ARG, "element %zu of \"input\" is not finite",
                                index * count + c * plane + p);
            nhwc[3 * p + c] = value;
        }
    return 0;
}

int adl_inference_request_tensor(const struct adl_inference_request *request, size_t index,
                                 size_t height, size_t width, const struct adl_pause *pause,
                                 float *nhwc, struct adl_error *err)
{
    if (request->binary)
        return read_floats(request, index, height, width, nhwc, err);
    return adl_number_text_read(&request->numbers, request->starts, index, pause, nhwc, err);
}
