/* Operators that are others under another name: bounds as Max and Min, sums of several maps, whole
 * powers, PRelu with one slope; Dropout, which is kept for training; and casts between floats. */

#include <float.h>
#include <math.h>
#include <string.h>

#include "models/onnx_in/import.h"

/* Returns the only map among the inputs, and sets *constant to the only constant, of one number;
 * NULL with an error. */
static const struct adl_import_value *map_and_number(struct adl_import *im,
                                                     const struct adl_onnx_node_proto *node,
                                                     double *constant, struct adl_error *err)
{
    const struct adl_import_value *a = adl_import_in(im, node, 0), *b = adl_import_in(im, node, 1);
    bool swapped = a && a->kind == ADL_IMPORT_CONSTANT;
    const struct adl_import_value *number = swapped ? a : b;

    if (node->input_count != 2 || !number || number->kind != ADL_IMPORT_CONSTANT ||
        number->tensor->count != 1 || !adl_onnx_tensor_is_real(number->tensor)) {
        adl_import_refuse(node, err, "it is supported between a map and a constant number");
        return NULL;
    }
    *constant = adl_onnx_tensor_number(number->tensor, 0);
    const struct adl_import_value *in = adl_import_map(im, node, swapped ? 1 : 0, NULL, err);
    if (in && in->final) {
        adl_import_refuse(node, err, "it comes after a Softmax, which has to be the end");
        return NULL;
    }
    return in;
}

/* Max and Min with a number: TensorFlow writes its clips so. */
int adl_import_bound(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    double bound;
    const struct adl_import_value *in = map_and_number(im, node, &bound, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    bool least = strcmp(node->op, "Max") == 0;

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (!isfinite(bound))
        return adl_import_refuse(node, err, "its constant is not finite");
    bool relu = least && !(bound < 0 || bound > 0);
    struct adl_stored_node *clip =
        adl_import_add(im, relu ? "relu" : "clip", node, "", in->id, err);
    if (!clip)
        return -1;
    if (!relu)
        adl_stored_set(clip, least ? "a" : "b", bound);
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

int adl_import_sum(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    const struct adl_import_value *first = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!first || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    int id = first->id;
    if (first->final)
        return adl_import_refuse(node, err, "it comes after a Softmax, which has to be the end");
    for (size_t i = 1; i < node->input_count; i++) {
        const struct adl_import_value *in = adl_import_map(im, node, i, first->axes, err);
        struct adl_stored_node *add =
            in ? adl_import_add(im, "add", node, i + 1 < node->input_count ? ".part" : "", id, err)
               : NULL;
        if (!add)
            return -1;
        add->inputs[1] = in->id;
        add->input_count = 2;
        id = adl_import_commit(im, node, err);
        if (id < 0)
            return -1;
    }
    adl_import_set(out, first, id);
    return 0;
}

/* x, x x or x x x. */
int adl_import_pow(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "exponent", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    double power = t->count == 1 ? adl_onnx_tensor_number(t, 0) : 0;
    if (in->final || !(power >= 1 && power <= 3 && !(power > floor(power))))
        return adl_import_refuse(node, err, "powers of 1, 2 and 3 are supported");
    int id = in->id;
    for (int i = 1; i < (int)power; i++) {
        struct adl_stored_node *gate =
            adl_import_add(im, "gate", node, i + 1 < (int)power ? ".square" : "", id, err);
        if (!gate)
            return -1;
        gate->inputs[1] = in->id;
        gate->input_count = 2;
        id = adl_import_commit(im, node, err);
        if (id < 0)
            return -1;
    }
    adl_import_set(out, in, id);
    return 0;
}

int adl_import_prelu(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "slope", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (t->count != 1 || in->final || !isfinite(adl_onnx_tensor_number(t, 0)))
        return adl_import_refuse(node, err, "one slope for all channels is supported");
    struct adl_stored_node *leaky = adl_import_add(im, "leaky_relu", node, "", in->id, err);
    if (!leaky)
        return -1;
    adl_stored_set(leaky, "a", adl_onnx_tensor_number(t, 0));
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

/* Nothing at inference; a file that was exported for training has it, and training uses it. */
int adl_import_dropout(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0),
                                  *rate = adl_import_in(im, node, 1);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    double ratio = adl_import_attr_float(node, "ratio", 0.5);

    if (rate && rate->kind == ADL_IMPORT_CONSTANT && rate->tensor->count == 1)
        ratio = adl_onnx_tensor_number(rate->tensor, 0);
    if (!in || !out || in->kind != ADL_IMPORT_MAP || in->final || !(ratio > 0 && ratio <= 0.999))
        return adl_import_same(im, node, err);
    if (!adl_import_map(im, node, 0, NULL, err))
        return -1;
    struct adl_stored_node *dropout = adl_import_add(im, "dropout", node, "", in->id, err);
    if (!dropout)
        return -1;
    adl_stored_set(dropout, "rate", adl_import_shortest(ratio));
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

/* Maps are float32 whatever the file says, so only casts that round to whole numbers matter. */
int adl_import_cast(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    bool whole = in && in->kind == ADL_IMPORT_CONSTANT && adl_onnx_tensor_is_int(in->tensor);

    switch (adl_import_attr_int(node, "to", 0)) {
    case ADL_ONNX_TYPE_FLOAT:
    case ADL_ONNX_TYPE_DOUBLE:
    case ADL_ONNX_TYPE_HALF:
    case ADL_ONNX_TYPE_BF16: return adl_import_same(im, node, err);
    default:
        return whole ? adl_import_same(im, node, err)
                     : adl_import_refuse(node, err, "it makes whole numbers of a map");
    }
}
