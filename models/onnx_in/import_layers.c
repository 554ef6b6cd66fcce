/* Layers with weights: convolutions, batch norms, and linear layers, which ONNX writes as Gemm or
 * as MatMul and Add. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/onnx_in/import.h"

/* --- convolutions --------------------------------------------------------------------------------
 */

/* The numbers of a window that moves over a map. */
struct window {
    int64_t kernel[2], strides[2], dilations[2];
    int64_t pads[4]; /* top, left, bottom, right */
};

/* Sets the pads that make the output as large as the input divided by the stride, rounded up. */
static void same_pads(struct window *w, struct adl_shape in, bool upper)
{
    const int64_t sides[2] = {in.h, in.w};
    for (int i = 0; i < 2; i++) {
        int64_t out = (sides[i] + w->strides[i] - 1) / w->strides[i];
        int64_t span = (out - 1) * w->strides[i] + (w->kernel[i] - 1) * w->dilations[i] + 1;
        int64_t total = ADL_MAX(span - sides[i], 0);
        w->pads[i] = upper ? total / 2 : total - total / 2;
        w->pads[2 + i] = total - w->pads[i];
    }
}

static bool in_range(const int64_t *values, int count, int64_t least, int64_t most)
{
    for (int i = 0; i < count; i++)
        if (values[i] < least || values[i] > most)
            return false;
    return true;
}

/* `in` is the map without the pads before this layer, which come before its own. */
static int read_window(const struct adl_onnx_node_proto *node, struct adl_shape in,
                       const int pads_before[4], struct window *w, struct adl_error *err)
{
    const char *mode = adl_import_attr_text(node, "auto_pad");
    int64_t kernel[2];
    int sides = adl_import_attr_ints(node, "kernel_shape", kernel, 2);
    int strides = adl_import_attr_ints(node, "strides", w->strides, 2);
    int dilations = adl_import_attr_ints(node, "dilations", w->dilations, 2);
    int pads = adl_import_attr_ints(node, "pads", w->pads, 4);

    if ((sides != 0 && (sides != 2 || kernel[0] != w->kernel[0] || kernel[1] != w->kernel[1])) ||
        (strides != 0 && strides != 2) || (dilations != 0 && dilations != 2) ||
        (pads != 0 && pads != 4) || !in_range(w->kernel, 2, 1, 1024) ||
        !in_range(w->strides, 2, 1, 1024) || !in_range(w->dilations, 2, 1, 1024) ||
        !in_range(w->pads, 4, 0, 4096))
        return adl_import_refuse(node, err,
                                 "its kernel_shape, strides, dilations and pads are not those of a "
                                 "convolution over rows and columns");
    in.h += pads_before[0] + pads_before[2];
    in.w += pads_before[1] + pads_before[3];
    if (strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0)
        same_pads(w, in, mode[5] == 'U');
    else if (strcmp(mode, "VALID") == 0)
        memset(w->pads, 0, sizeof w->pads);
    for (int i = 0; i < 4; i++)
        w->pads[i] += pads_before[i];
    return 0;
}

/* Returns the input of a layer, which may be padded; NULL with an error. */
static const struct adl_import_value *padded_map(struct adl_import *im,
                                                 const struct adl_onnx_node_proto *node,
                                                 int pads[4], struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    memset(pads, 0, 4 * sizeof *pads);
    if (!in || in->kind != ADL_IMPORT_MAP || strcmp(in->axes, "NCHW") != 0 || in->final)
        return adl_import_map(im, node, 0, "NCHW", err);
    memcpy(pads, in->pads, sizeof in->pads);
    return in;
}

/* Adds the weight of a convolution, in 8 bits if the file has it so; returns its name. */
static const char *conv_weight(struct adl_import *im, const struct adl_onnx_node_proto *node,
                               bool linear, const size_t shape[4], struct adl_error *err)
{
    const struct adl_import_value *value = adl_import_in(im, node, 1);
    if (linear || !adl_import_has_bytes(value))
        return adl_import_tensor_param(im, node, value, "weight", linear ? 2 : 4, shape, err);
    const char *name = adl_import_param_name(im, node, value->origin, "weight");
    if (!name)
        adl_fail_nomem(err, "the ONNX graph");
    return name && adl_import_bytes_param(im, value, name, shape, err) == 0 ? name : NULL;
}

int adl_import_conv(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    struct window w = {.strides = {1, 1}, .dilations = {1, 1}};
    int pads[4];
    const struct adl_import_value *in = padded_map(im, node, pads, err);
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "weight", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int64_t groups = adl_import_attr_int(node, "group", 1);

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (t->rank != 4 || t->dims[0] < 1 || groups < 1 || groups > t->dims[0] ||
        t->dims[1] * groups != adl_import_shape(im, in).c)
        return adl_import_refuse(node, err, "its weight does not fit an input of %d channels",
                                 adl_import_shape(im, in).c);
    w.kernel[0] = t->dims[2];
    w.kernel[1] = t->dims[3];
    if (read_window(node, adl_import_shape(im, in), pads, &w, err) < 0)
        return -1;
    if (w.strides[0] != w.strides[1] || w.dilations[0] != w.dilations[1] ||
        (w.dilations[0] > 1 && groups > 1))
        return adl_import_refuse(node, err,
                                 "different strides in rows and columns, different dilations, and "
                                 "dilations with groups are not supported");
    const size_t shape[4] = {(size_t)t->dims[0], (size_t)t->dims[1], (size_t)t->dims[2],
                             (size_t)t->dims[3]};
    /* Of a vector, a 1x1 convolution is a linear layer; so is the end of many networks written. */
    bool linear = adl_import_is_vector(im, in) && shape[2] == 1 && shape[3] == 1 && groups == 1 &&
                  !w.pads[0] && !w.pads[1] && !w.pads[2] && !w.pads[3];
    const char *weight = conv_weight(im, node, linear, shape, err);
    if (!weight)
        return -1;
    const struct adl_import_value *b = adl_import_in(im, node, 2);
    const char *bias = b ? adl_import_tensor_param(im, node, b, "bias", 1, shape, err) : NULL;
    if (b && !bias)
        return -1;
    struct adl_stored_node *conv =
        adl_import_add(im, linear ? "linear" : "conv", node, "", in->id, err);
    if (!conv)
        return -1;
    static const char *const sides[] = {"top", "left", "bottom", "right"};
    adl_stored_set(conv, "k", (double)t->dims[0]);
    for (int i = 0; i < 4 && !linear; i++)
        adl_stored_set(conv, sides[i], (double)w.pads[i]);
    if (!linear) {
        adl_stored_set(conv, "r", (double)t->dims[2]);
        adl_stored_set(conv, "s", (double)t->dims[3]);
        adl_stored_set(conv, "stride", (double)w.strides[0]);
        adl_stored_set(conv, "groups", (double)groups);
        adl_stored_set(conv, "dilation", (double)w.dilations[0]);
    }
    conv->params[0] = weight;
    conv->params[1] = bias;
    conv->param_count = bias ? 2 : 1;
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

/* --- batch norms ---------------------------------------------------------------------------------
 */

int adl_import_batchnorm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    static const char *const roles[] = {"weight", "bias", "running_mean", "running_var"};
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    const char *names[4];

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (adl_import_axis(in, 'C') != 1 || in->final)
        return adl_import_refuse(node, err, "its input does not have its channels first");
    size_t channels = (size_t)adl_import_shape(im, in).c;
    for (size_t i = 0; i < 4; i++) {
        names[i] = adl_import_tensor_param(im, node, adl_import_in(im, node, 1 + i), roles[i], 1,
                                           &channels, err);
        if (!names[i])
            return -1;
    }
    struct adl_stored_node *norm = adl_import_add(im, "batchnorm", node, "", in->id, err);
    if (!norm)
        return -1;
    adl_stored_set(norm, "eps", adl_import_shortest(adl_import_attr_float(node, "epsilon", 1e-5)));
    memcpy(norm->params, names, sizeof names);
    norm->param_count = 4;
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

/* --- linear layers -------------------------------------------------------------------------------
 */

/* A weight of C x K, or K x C, times a factor. */
struct matrix {
    const struct adl_onnx_tensor *tensor;
    size_t rows, columns; /* K, C */
    bool transposed;      /* it is C x K */
    float factor;
};

static float matrix_element(const void *context, size_t i)
{
    const struct matrix *m = context;
    size_t k = i / m->columns, c = i % m->columns;
    return m->factor *
           (float)adl_onnx_tensor_number(m->tensor, m->transposed ? c * m->rows + k : i);
}

/* The bias of a linear layer: one number, or one for each output. */
struct vector {
    const struct adl_onnx_tensor *tensor;
    float factor;
};

static float vector_element(const void *context, size_t i)
{
    const struct vector *v = context;
    return v->factor * (float)adl_onnx_tensor_number(v->tensor, v->tensor->count == 1 ? 0 : i);
}

static int add_linear(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      const struct adl_import_value *in, struct matrix m,
                      const struct adl_import_value *bias, float beta, struct adl_import_value *out,
                      struct adl_error *err)
{
    struct adl_shape s = adl_import_shape(im, in);
    bool flat = strchr(in->axes, 'F') != NULL;
    const size_t shape[4] = {m.rows, flat ? (size_t)s.c : m.columns, (size_t)s.h, (size_t)s.w};
    const char *names[2] = {NULL, NULL};

    if (!adl_onnx_tensor_is_real(m.tensor))
        return adl_import_refuse(node, err, "its weight does not have floats");
    names[0] = adl_import_param(im, node, adl_import_in(im, node, 1)->origin, "weight",
                                flat ? 4 : 2, shape, matrix_element, &m, err);
    if (!names[0])
        return -1;
    if (bias) {
        const struct vector v = {bias->tensor, beta};
        if (bias->kind != ADL_IMPORT_CONSTANT || !adl_onnx_tensor_is_real(bias->tensor) ||
            (bias->tensor->count != m.rows && bias->tensor->count != 1))
            return adl_import_refuse(node, err, "its bias is not a constant of %zu floats", m.rows);
        names[1] =
            adl_import_param(im, node, bias->origin, "bias", 1, shape, vector_element, &v, err);
        if (!names[1])
            return -1;
    }
    struct adl_stored_node *linear =
        adl_import_add(im, flat ? "conv" : "linear", node, "", in->id, err);
    if (!linear)
        return -1;
    adl_stored_set(linear, "k", (double)m.rows);
    if (flat) {
        adl_stored_set(linear, "r", s.h);
        adl_stored_set(linear, "s", s.w);
    }
    memcpy(linear->params, names, sizeof names);
    linear->param_count = bias ? 2 : 1;
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    if (flat)
        memcpy(out->axes, "NC", sizeof "NC");
    return id;
}

/* Returns the number of values of each row that a linear layer reads. */
static size_t columns_of(const struct adl_import *im, const struct adl_import_value *in)
{
    struct adl_shape s = adl_import_shape(im, in);
    return strchr(in->axes, 'F') ? adl_shape_count(s) : (size_t)s.c;
}

/* Returns the input of a linear layer: a vector, a map whose channels are last, or a flattened map,
 * of which the layer is a convolution with a kernel of the map's size. */
static const struct adl_import_value *linear_input(struct adl_import *im,
                                                   const struct adl_onnx_node_proto *node,
                                                   struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    if (!in)
        return NULL;
    size_t rank = strlen(in->axes);
    if (strcmp(in->axes, "NF") == 0 && !in->final)
        return in; /* channel after channel, as the weights of a convolution */
    if (in->final || in->axes[rank - 1] != 'C')
        adl_import_refuse(node, err, "its input has the axes %s; channels have to be last",
                          in->axes);
    else
        return in;
    return NULL;
}

int adl_import_gemm(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    const struct adl_import_value *in = linear_input(im, node, err);
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "weight", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);
    bool transposed = adl_import_attr_int(node, "transB", 0) == 0;

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    size_t channels = columns_of(im, in);
    if (t->rank != 2 || adl_import_attr_int(node, "transA", 0) != 0 ||
        (size_t)t->dims[transposed ? 0 : 1] != channels || t->dims[transposed ? 1 : 0] < 1)
        return adl_import_refuse(node, err, "its weight does not fit an input of %zu values",
                                 channels);
    const struct matrix m = {t, (size_t)t->dims[transposed ? 1 : 0], channels, transposed,
                             (float)adl_import_attr_float(node, "alpha", 1)};
    return add_linear(im, node, in, m, adl_import_in(im, node, 2),
                      (float)adl_import_attr_float(node, "beta", 1), out, err);
}

/* Returns whether a value is one number for each of `count` outputs: [count] or [1, count]. */
static bool is_bias(const struct adl_import_value *value, int64_t count)
{
    const struct adl_onnx_tensor *t = value->tensor;
    return value->kind == ADL_IMPORT_CONSTANT && t->count == (size_t)count &&
           (t->rank <= 1 || (t->rank == 2 && t->dims[0] == 1));
}

/* MatMul, with an Add of a constant after it as the bias. */
int adl_import_matmul(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    int resize = adl_import_resize_product(im, node, err);
    if (resize != 0)
        return resize < 0 ? -1 : 0;
    const struct adl_import_value *in = linear_input(im, node, err), *bias = NULL;
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "weight", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    size_t channels = columns_of(im, in);
    if (t->rank != 2 || (size_t)t->dims[0] != channels || t->dims[1] < 1)
        return adl_import_refuse(node, err, "its weight does not fit an input of %zu values",
                                 channels);
    const struct adl_onnx_node_proto *add = adl_import_next(im, out, "Add");
    for (size_t i = 0; add && !bias && i < 2; i++) {
        bias = adl_import_in(im, add, i);
        bias = bias && is_bias(bias, t->dims[1]) ? bias : NULL;
    }
    if (bias && adl_import_out(im, add, 0)) {
        adl_import_skip(im, add);
        out = adl_import_out(im, add, 0);
    } else {
        bias = NULL;
    }
    const struct matrix m = {t, (size_t)t->dims[1], channels, true, 1};
    return add_linear(im, node, in, m, bias, 1, out, err);
}
