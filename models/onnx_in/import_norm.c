/* Layer normalisation over the channels of each pixel: the operator LayerNormalization of operator
 * set 17, and what exporters write for older sets:
 *
 *     m = ReduceMean(x)   d = Sub(x, m)   s = Pow(d, 2)   v = ReduceMean(s)
 *     r = Sqrt(Add(v, eps))   y = Div(d, r)
 *
 * with the means over the channels. The Mul and the Add of weight and bias after it are read as any
 * others. */

#include <string.h>

#include "models/onnx_in/import.h"

/* Nodes from the Sub to the Div, with the constants that are written between them. */
#define MOST_BETWEEN 32

static int add_layernorm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         const struct adl_import_value *in, double eps,
                         struct adl_import_value *out, const char *part, struct adl_error *err)
{
    struct adl_stored_node *norm = adl_import_add(im, "layernorm", node, part, in->id, err);
    if (!norm)
        return -1;
    adl_stored_set(norm, "eps", adl_import_shortest(eps));
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

int adl_import_layernorm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    int axis = adl_import_index(in, adl_import_attr_int(node, "axis", -1));
    size_t rank = strlen(in->axes), channels = (size_t)adl_import_shape(im, in).c;
    if (in->final || axis != (int)rank - 1 || in->axes[axis] != 'C')
        return adl_import_refuse(node, err, "it does not normalise over the channels alone");
    if (add_layernorm(im, node, in, adl_import_attr_float(node, "epsilon", 1e-5), out, ".norm",
                      err) < 0)
        return -1;
    const struct adl_import_value *bias = adl_import_in(im, node, 2);
    const char *names[2] = {
        adl_import_tensor_param(im, node, adl_import_in(im, node, 1), "weight", 1, &channels, err),
        NULL};
    if (names[0] && bias)
        names[1] = adl_import_tensor_param(im, node, bias, "bias", 1, &channels, err);
    struct adl_stored_node *affine =
        err->kind ? NULL : adl_import_add(im, "channel_affine", node, "", out->id, err);
    if (!affine)
        return -1;
    memcpy(affine->params, names, sizeof names);
    affine->param_count = names[1] ? 2 : 1;
    out->id = adl_import_commit(im, node, err);
    return out->id < 0 ? -1 : 0;
}

/* Returns whether a mean is over the channels and keeps their axis. */
static bool is_mean(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    const struct adl_import_value *like)
{
    int64_t axes[ADL_LIMIT_RANK];
    int count = adl_import_ints(im, node, "axes", 1, axes, ADL_LIMIT_RANK);
    int axis = count == 1 ? adl_import_index(like, axes[0]) : -1;
    return axis >= 0 && like->axes[axis] == 'C' && adl_import_attr_int(node, "keepdims", 1) != 0;
}

/* Returns the number that a node adds or raises to; -1 if it is no number. */
static double number_of(struct adl_import *im, const struct adl_onnx_node_proto *node, size_t i)
{
    const struct adl_import_value *value = adl_import_in(im, node, i);
    return value && value->kind == ADL_IMPORT_CONSTANT && value->tensor->count == 1
               ? adl_onnx_tensor_number(value->tensor, 0)
               : -1;
}

static const struct adl_onnx_node_proto *after(struct adl_import *im,
                                               const struct adl_onnx_node_proto *node,
                                               const char *op)
{
    const struct adl_import_value *out = node ? adl_import_out(im, node, 0) : NULL;
    return out ? adl_import_next(im, out, op) : NULL;
}

int adl_import_plain_layernorm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                               struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);

    if (!in || in->kind != ADL_IMPORT_MAP || in->final || !is_mean(im, node, in))
        return 0;
    const struct adl_onnx_node_proto *sub = after(im, node, "Sub"), *square = NULL, *div = NULL;
    struct adl_import_value *d = sub ? adl_import_out(im, sub, 0) : NULL;
    if (!d || adl_import_in(im, sub, 0) != in)
        return 0;
    /* The difference is read by the square and by the division, which are soon after it. */
    size_t first = (size_t)(sub - im->proto->nodes), last = first + MOST_BETWEEN;
    for (size_t n = first; n < im->proto->node_count && n < last; n++) {
        const struct adl_onnx_node_proto *reader = &im->proto->nodes[n];
        if (!im->needed[n] || adl_import_in(im, reader, 0) != d)
            continue;
        bool power = strcmp(reader->op, "Pow") == 0 && number_of(im, reader, 1) == 2;
        bool product = strcmp(reader->op, "Mul") == 0 && adl_import_in(im, reader, 1) == d;
        square = power || product ? reader : square;
        div = strcmp(reader->op, "Div") == 0 ? reader : div;
    }
    const struct adl_onnx_node_proto *mean = square ? after(im, square, "ReduceMean") : NULL;
    const struct adl_onnx_node_proto *add = after(im, mean, "Add");
    const struct adl_onnx_node_proto *root = after(im, add, "Sqrt");
    double eps = add ? number_of(im, add, 1) : -1;
    if (!root || !div || eps < 0 || !is_mean(im, mean, in) ||
        adl_import_in(im, div, 1) != adl_import_out(im, root, 0) || !adl_import_out(im, div, 0))
        return 0;
    if (add_layernorm(im, div, in, eps, adl_import_out(im, div, 0), "", err) < 0)
        return -1;
    const struct adl_onnx_node_proto *const parts[] = {sub, square, mean, add, root, div};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        adl_import_skip(im, parts[i]);
    return 1;
}
