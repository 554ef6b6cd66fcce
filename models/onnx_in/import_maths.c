/* Operators that work element by element. With a constant, arithmetic is a number or a weight for
 * each channel; between maps it is an addition, or a product: of equal maps, of a map and a vector
 * (the gate of squeeze-and-excitation), or of a map and one value for each pixel.
 *
 * Some activations are written as several operators, since older operator sets do not have them.
 * The last of these is recognised: x sigmoid(x) is SiLU, x hard_sigmoid(x) is HardSwish, and
 * x (1 + erf(x / sqrt 2)) / 2 is GELU, in the orders that PyTorch and TensorFlow write. */

#include <float.h>
#include <math.h>
#include <string.h>

#include "models/onnx_in/import.h"

/* --- recognising what came before ------------------------------------------------------------ */

/* Returns the stored node that computes a value, if it is of this op; NULL otherwise. */
static const struct adl_stored_node *made_by(const struct adl_import *im, int value, const char *op)
{
    const struct adl_stored_node *node = value > 0 ? &im->stored->nodes[value - 1] : NULL;
    return node && adl_stored_is(node, op) ? node : NULL;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(b) + 1e-12;
}

/* Returns the input of an affine node with these numbers; -1 if the value is something else. */
static int affine_of(const struct adl_import *im, int value, double a, double b)
{
    const struct adl_stored_node *node = made_by(im, value, "affine");
    return node && near(adl_stored_get(node, "a"), a) && near(adl_stored_get(node, "b"), b)
               ? node->inputs[0]
               : -1;
}

/* Returns x if the value is 1 + erf(x / sqrt 2); -1 otherwise. */
static int erf_of(const struct adl_import *im, int value)
{
    int inner = affine_of(im, value, 1, 1);
    const struct adl_stored_node *erf = inner < 0 ? NULL : made_by(im, inner, "erf");
    return erf ? affine_of(im, erf->inputs[0], sqrt(0.5), 0) : -1;
}

/* Returns the name of the activation that the product of two values is, and sets *x to its input;
 * NULL if it is a product of other things. */
static const char *activation_of(const struct adl_import *im, int a, int b, int *x)
{
    const struct adl_stored_node *sigmoid = made_by(im, b, "sigmoid");
    const struct adl_stored_node *hard = made_by(im, b, "hard_sigmoid");

    *x = a;
    if (sigmoid && sigmoid->inputs[0] == a)
        return "silu";
    if (hard && hard->inputs[0] == a && near(adl_stored_get(hard, "a"), 1.0 / 6) &&
        near(adl_stored_get(hard, "b"), 0.5))
        return "hard_swish";
    /* (x / 2) (1 + erf) */
    int half = affine_of(im, a, 0.5, 0);
    *x = half;
    return half >= 0 && erf_of(im, b) == half ? "gelu" : NULL;
}

/* Returns x if the value is x (1 + erf(x / sqrt 2)), or x (x relu6(x + 3)); -1 otherwise. */
static int product_of(const struct adl_import *im, int value, const char **op)
{
    const struct adl_stored_node *gate = made_by(im, value, "gate");
    for (int side = 0; gate && side < 2; side++) {
        int x = gate->inputs[side], other = gate->inputs[1 - side];
        const struct adl_stored_node *relu6 = made_by(im, other, "relu6");
        *op = "gelu";
        if (erf_of(im, other) == x)
            return x;
        *op = "hard_swish";
        if (relu6 && affine_of(im, relu6->inputs[0], 1, 3) == x)
            return x;
    }
    return -1;
}

/* --- with a constant ------------------------------------------------------------------------- */

/* Adds y = a x + b with two numbers, or the activation that ends in it. */
static int add_numbers(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       const struct adl_import_value *in, double a, double b,
                       struct adl_import_value *out, struct adl_error *err)
{
    const char *op = NULL;
    int x = b == 0 ? product_of(im, in->id, &op) : -1, id;

    if (a == 1 && b == 0) {
        adl_import_alias(out, in);
        return 0;
    }
    if (!(fabs(a) <= (double)FLT_MAX && fabs(b) <= (double)FLT_MAX))
        return adl_import_refuse(node, err, "its constant is not finite");
    if (x >= 0 && near(a, strcmp(op, "gelu") == 0 ? 0.5 : 1.0 / 6)) {
        id = adl_import_simple(im, op, node, "", x, err);
    } else {
        struct adl_stored_node *affine = adl_import_add(im, "affine", node, "", in->id, err);
        if (!affine)
            return -1;
        adl_stored_set(affine, "a", a);
        adl_stored_set(affine, "b", b);
        id = adl_import_commit(im, node, err);
    }
    adl_import_set(out, in, id);
    return id;
}

/* What a constant with one number for each channel becomes. */
struct per_channel {
    const struct adl_onnx_tensor *tensor;
    bool inverse, negative;
};

static float channel_element(const void *context, size_t i)
{
    const struct per_channel *p = context;
    double value = adl_onnx_tensor_number(p->tensor, i);
    value = p->inverse ? 1 / value : value;
    return (float)(p->negative ? -value : value);
}

/* Returns whether a constant has one number for each channel of a map, by ONNX's rule for shapes,
 * which are aligned at their ends. */
static bool fits_channels(const struct adl_import *im, const struct adl_import_value *map,
                          const struct adl_onnx_tensor *t)
{
    int axis = adl_import_axis(map, 'C'), rank = (int)strlen(map->axes), shift = rank - t->rank;
    bool fits =
        axis >= 0 && shift >= 0 && axis >= shift && t->count == (size_t)adl_import_shape(im, map).c;
    for (int i = 0; fits && i < t->rank; i++)
        fits = i + shift == axis || t->dims[i] == 1;
    return fits;
}

/* Adds x op constant, or constant op x where `reversed`. */
static int with_constant(struct adl_import *im, const struct adl_onnx_node_proto *node, char op,
                         bool reversed, struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, reversed ? 1 : 0, NULL, err);
    const struct adl_import_value *value = adl_import_in(im, node, reversed ? 0 : 1);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (in->final)
        return adl_import_refuse(node, err, "it comes after a Softmax, which has to be the end");
    if (op == '/' && reversed)
        return adl_import_refuse(node, err, "a constant divided by a map is not supported");
    if (!adl_onnx_tensor_is_real(value->tensor))
        return adl_import_refuse(node, err, "its constant does not have floats");
    if (value->tensor->count == 1) {
        double c = adl_onnx_tensor_number(value->tensor, 0);
        double a = op == '*' ? c : op == '/' ? 1 / c : op == '-' && reversed ? -1 : 1;
        double b = op == '+' || (op == '-' && reversed) ? c : op == '-' ? -c : 0;
        return add_numbers(im, node, in, a, b, out, err);
    }
    if (!fits_channels(im, in, value->tensor) || (op == '-' && reversed))
        return adl_import_refuse(node, err,
                                 "its constant is neither a number nor one for each channel");
    const struct per_channel p = {value->tensor, op == '/', op == '-'};
    bool weight = op == '*' || op == '/';
    size_t channels = value->tensor->count;
    const char *name = adl_import_param(im, node, value->origin, weight ? "weight" : "bias", 1,
                                        &channels, channel_element, &p, err);
    struct adl_stored_node *affine =
        name ? adl_import_add(im, "channel_affine", node, "", in->id, err) : NULL;
    if (!affine)
        return -1;
    affine->params[weight ? 0 : 1] = name;
    affine->param_count = weight ? 1 : 2;
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

/* --- between maps ------------------------------------------------------------------------------
 */

static int add_two(struct adl_import *im, const char *op, const struct adl_onnx_node_proto *node,
                   int a, int b, struct adl_error *err)
{
    struct adl_stored_node *two = adl_import_add(im, op, node, "", a, err);
    if (!two)
        return -1;
    two->inputs[1] = b;
    two->input_count = 2;
    return adl_import_commit(im, node, err);
}

static bool same_shape(struct adl_shape a, struct adl_shape b)
{
    return a.h == b.h && a.w == b.w && a.c == b.c;
}

/* The product of two maps of the same axes; `b` may be smaller. */
static int multiply(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    const struct adl_import_value *a, const struct adl_import_value *b,
                    struct adl_error *err)
{
    struct adl_shape x = adl_import_shape(im, a), g = adl_import_shape(im, b);
    int inner;

    if (same_shape(x, g)) {
        const char *op = activation_of(im, a->id, b->id, &inner);
        if (!op)
            op = activation_of(im, b->id, a->id, &inner);
        return op ? adl_import_simple(im, op, node, "", inner, err)
                  : add_two(im, "gate", node, a->id, b->id, err);
    }
    if (g.h == 1 && g.w == 1 && g.c == x.c)
        return add_two(im, "scale", node, a->id, b->id, err);
    /* A vector times a map of one channel, at every pixel. */
    if (x.c == 1 && g.h == 1 && g.w == 1)
        return add_two(im, "gate", node, b->id, a->id, err);
    return add_two(im, "gate", node, a->id, b->id, err);
}

static int combine(struct adl_import *im, const struct adl_onnx_node_proto *node, char op,
                   struct adl_error *err)
{
    const struct adl_import_value *first = adl_import_in(im, node, 0);
    const struct adl_import_value *second = adl_import_in(im, node, 1);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (second && second->kind == ADL_IMPORT_CONSTANT)
        return with_constant(im, node, op, false, err);
    if (first && first->kind == ADL_IMPORT_CONSTANT)
        return with_constant(im, node, op, true, err);
    const struct adl_import_value *a = adl_import_map(im, node, 0, NULL, err);
    const struct adl_import_value *b = a ? adl_import_map(im, node, 1, NULL, err) : NULL;
    if (!b || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (strcmp(a->axes, b->axes) != 0 || a->final || b->final)
        return adl_import_refuse(node, err, "its inputs have the axes %s and %s", a->axes, b->axes);
    struct adl_shape x = adl_import_shape(im, a), y = adl_import_shape(im, b);
    int id = -1;
    if (op == '*') {
        bool larger = adl_shape_count(y) > adl_shape_count(x);
        const struct adl_import_value *like = larger ? b : a;
        id = multiply(im, node, like, larger ? a : b, err);
        adl_import_set(out, like, id);
        return id;
    }
    if (!same_shape(x, y) || op == '/')
        return adl_import_refuse(node, err,
                                 "between a %dx%dx%d and a %dx%dx%d map it is not supported", x.h,
                                 x.w, x.c, y.h, y.w, y.c);
    int right = b->id;
    if (op == '-') {
        struct adl_stored_node *minus = adl_import_add(im, "affine", node, ".minus", right, err);
        if (!minus)
            return -1;
        adl_stored_set(minus, "a", -1);
        right = adl_import_commit(im, node, err);
        if (right < 0)
            return -1;
    }
    id = add_two(im, "add", node, a->id, right, err);
    adl_import_set(out, a, id);
    return id;
}

int adl_import_add_op(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    return combine(im, node, '+', err);
}

int adl_import_sub(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    return combine(im, node, '-', err);
}

int adl_import_mul(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    return combine(im, node, '*', err);
}

int adl_import_div(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    return combine(im, node, '/', err);
}

/* --- activations ---------------------------------------------------------------------------------
 */

/* Adds an op of one input with up to two numbers. */
static int add_activation(struct adl_import *im, const struct adl_onnx_node_proto *node,
                          const char *op, const double *numbers, int count, struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (in->final)
        return adl_import_refuse(node, err, "it comes after a Softmax, which has to be the end");
    struct adl_stored_node *added = adl_import_add(im, op, node, "", in->id, err);
    if (!added)
        return -1;
    for (int i = 0; i < count; i++)
        adl_stored_set(added, i ? "b" : "a", numbers[i]);
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

int adl_import_relu(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    return add_activation(im, node, "relu", NULL, 0, err);
}

/* Reads a bound of a Clip: an attribute before operator set 11, then an input. */
static int read_bound(struct adl_import *im, const struct adl_onnx_node_proto *node, size_t i,
                      const char *name, double *bound, struct adl_error *err)
{
    *bound = adl_import_attr_float(node, name, *bound);
    if (i >= node->input_count || !*node->inputs[i])
        return 0;
    const struct adl_onnx_tensor *t = adl_import_constant(im, node, i, name, err);
    if (!t)
        return -1;
    if (t->count != 1)
        return adl_import_refuse(node, err, "its %s is not one number", name);
    *bound = adl_onnx_tensor_number(t, 0);
    return 0;
}

int adl_import_clip(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    double bounds[2] = {-(double)FLT_MAX, (double)FLT_MAX};
    const struct adl_import_value *in = adl_import_in(im, node, 0);

    /* import_qdq.c reads these, unless others read the bytes too. */
    if (in && in->producer >= 0 && strcmp(im->proto->nodes[in->producer].op, "QuantizeLinear") == 0)
        return adl_import_refuse(node, err, "it clips bytes that others read before that");
    if (read_bound(im, node, 1, "min", &bounds[0], err) < 0 ||
        read_bound(im, node, 2, "max", &bounds[1], err) < 0)
        return -1;
    if (!(bounds[0] <= bounds[1]))
        return adl_import_refuse(node, err, "its bounds are %g and %g", bounds[0], bounds[1]);
    bounds[0] = fmax(bounds[0], -(double)FLT_MAX);
    bounds[1] = fmin(bounds[1], (double)FLT_MAX);
    if (bounds[0] == 0 && bounds[1] == 6)
        return add_activation(im, node, "relu6", NULL, 0, err);
    if (bounds[0] == 0 && bounds[1] == (double)FLT_MAX)
        return add_activation(im, node, "relu", NULL, 0, err);
    return add_activation(im, node, "clip", bounds, 2, err);
}

int adl_import_unary(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const char *op = node->op;
    double numbers[2] = {0, 0};

    if (strcmp(op, "Sigmoid") == 0)
        return add_activation(im, node, "sigmoid", NULL, 0, err);
    if (strcmp(op, "Erf") == 0)
        return add_activation(im, node, "erf", NULL, 0, err);
    if (strcmp(op, "Tanh") == 0)
        return add_activation(im, node, "tanh", NULL, 0, err);
    if (strcmp(op, "HardSwish") == 0)
        return add_activation(im, node, "hard_swish", NULL, 0, err);
    if (strcmp(op, "Gelu") == 0)
        return add_activation(
            im, node,
            strcmp(adl_import_attr_text(node, "approximate"), "tanh") == 0 ? "gelu_tanh" : "gelu",
            NULL, 0, err);
    if (strcmp(op, "LeakyRelu") == 0) {
        numbers[0] = adl_import_shortest(adl_import_attr_float(node, "alpha", 0.01));
        return add_activation(im, node, "leaky_relu", numbers, 1, err);
    }
    if (strcmp(op, "Neg") == 0) {
        numbers[0] = -1;
        return add_activation(im, node, "affine", numbers, 2, err);
    }
    numbers[0] = adl_import_shortest(adl_import_attr_float(node, "alpha", 0.2));
    numbers[1] = adl_import_shortest(adl_import_attr_float(node, "beta", 0.5));
    return add_activation(im, node, "hard_sigmoid", numbers, 2, err);
}

/* Operators that leave their input as it is at inference. */
int adl_import_same(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || !out || in->kind == ADL_IMPORT_NOT_YET)
        return adl_import_refuse(node, err, "it has no input or no output");
    adl_import_alias(out, in);
    return 0;
}

int adl_import_softmax(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    adl_import_alias(out, in);
    out->softmax = out->final = true;
    return 0;
}
