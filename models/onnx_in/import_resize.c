/* Resizing: Resize, Upsample before operator set 10, and products with constant matrices along rows
 * or columns, as which our own files write it (models/onnx/onnx_attention.c). Sizes that are whole
 * multiples of the input's are kept as factors, so that the network takes other input sizes. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"
#include "ops/resize.h"

/* Difference between a matrix and the weights of a resize, at most: those of float32 numbers. */
#define MATRIX_BOUND 1e-5

/* --- Resize and Upsample -----------------------------------------------------------------------
 */

static int find_text(const char *text, const char *const *names, int count)
{
    int i = 0;
    while (i < count && strcmp(text, names[i]) != 0)
        i++;
    return i < count ? i : -1;
}

/* Reads the mode, in which older operator sets leave no choice. */
static int read_mode(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_resize_attr *attr, struct adl_error *err)
{
    static const char *const places[] = {"half_pixel", "pytorch_half_pixel", "asymmetric",
                                         "align_corners", "tf_half_pixel_for_nn"};
    static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                         "ceil"};
    const char *mode = adl_import_attr_text(node, "mode");
    const char *place = adl_import_attr_text(node, "coordinate_transformation_mode");
    const char *nearest = adl_import_attr_text(node, "nearest_mode");
    const char *policy = adl_import_attr_text(node, "keep_aspect_ratio_policy");
    bool old = im->proto->opset < 11 || *node->op == 'U';

    attr->linear = strcmp(mode, "linear") == 0;
    if (!attr->linear && *mode && strcmp(mode, "nearest") != 0)
        return adl_import_refuse(node, err, "its mode is %.20s; nearest and linear are supported",
                                 mode);
    int at = old       ? ADL_RESIZE_ASYMMETRIC
             : !*place ? 0
                       : find_text(place, places, ADL_COUNT(places));
    int round = old         ? ADL_RESIZE_FLOOR
                : !*nearest ? 0
                            : find_text(nearest, rounds, ADL_COUNT(rounds));
    if (at < 0 || round < 0)
        return adl_import_refuse(node, err,
                                 "its coordinate_transformation_mode \"%.30s\" or its nearest_mode "
                                 "\"%.30s\" is not supported",
                                 place, nearest);
    if (adl_import_attr_int(node, "antialias", 0) != 0 ||
        (*policy && strcmp(policy, "stretch") != 0))
        return adl_import_refuse(node, err,
                                 "antialiasing and keeping the aspect ratio are not supported");
    attr->place = (enum adl_resize_place)at;
    attr->round = (enum adl_resize_round)round;
    return 0;
}

/* Returns the size that a Resize gives an axis, and sets *scale to its factor; -1 if they do not
 * fit the axis. */
static int64_t size_of(const struct adl_onnx_tensor *t, bool sizes, size_t i, int64_t from,
                       double *scale)
{
    if (!sizes) {
        *scale = adl_onnx_tensor_number(t, i);
        return *scale > 0 && *scale <= ADL_RESIZE_MOST
                   ? (int64_t)floorf((float)*scale * (float)from)
                   : -1;
    }
    int64_t size = adl_onnx_tensor_int(t, i);
    *scale = (double)size / (double)from;
    return size;
}

/* Sets the size of rows or columns: as a factor where it is one. */
static void set_size(double *to_scale, int *to_size, bool sizes, int64_t size, int64_t from,
                     double scale)
{
    bool factor = !sizes || size % from == 0;
    *to_scale = factor ? scale : 1;
    *to_size = factor ? 0 : (int)size;
}

/* Reads sizes or scales of the axes. */
static int read_sizes(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      const struct adl_import_value *in, struct adl_resize_attr *attr,
                      struct adl_error *err)
{
    size_t scales_at = im->proto->opset < 11 || *node->op == 'U' ? 1 : 2;
    const struct adl_import_value *value = adl_import_in(im, node, scales_at);
    bool sizes = !value || (value->kind == ADL_IMPORT_CONSTANT && value->tensor->count == 0);
    const struct adl_onnx_tensor *t = adl_import_constant(im, node, sizes ? 3 : scales_at,
                                                          sizes ? "size" : "list of scales", err);
    int64_t axes[ADL_IMPORT_AXES];
    int rank = (int)strlen(in->axes);
    int count = t ? adl_import_attr_ints(node, "axes", axes, ADL_IMPORT_AXES) : 0;

    if (!t)
        return -1;
    for (int i = 0; count == 0 && i < rank; i++)
        axes[i] = i;
    count = count == 0 ? rank : count;
    if (count < 0 || t->count != (size_t)count ||
        (sizes ? !adl_onnx_tensor_is_int(t) : !adl_onnx_tensor_is_real(t)))
        return adl_import_refuse(node, err, "it does not have a size or a scale for each axis");
    attr->scale_h = attr->scale_w = 1;
    for (int i = 0; i < count; i++) {
        int axis = adl_import_index(in, axes[i]);
        int64_t from = axis < 0 ? 1 : adl_import_extent(im, in, axis);
        double scale;
        int64_t size = size_of(t, sizes, (size_t)i, from, &scale);
        char letter = axis < 0 ? '?' : in->axes[axis];
        if (letter == '?' || size < 1 || size > ADL_RESIZE_MOST ||
            (letter != 'H' && letter != 'W' && size != from))
            return adl_import_refuse(node, err, "it resizes something else than rows and columns");
        if (letter == 'H')
            set_size(&attr->scale_h, &attr->h, sizes, size, from, scale);
        else if (letter == 'W')
            set_size(&attr->scale_w, &attr->w, sizes, size, from, scale);
    }
    return 0;
}

static int add_resize(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      const struct adl_import_value *in, const struct adl_resize_attr *attr,
                      struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct adl_stored_node *resize = adl_import_add(im, "resize", node, "", in->id, err);
    if (!resize)
        return -1;
    adl_stored_set(resize, "scale_h", attr->scale_h);
    adl_stored_set(resize, "scale_w", attr->scale_w);
    adl_stored_set(resize, "h", attr->h);
    adl_stored_set(resize, "w", attr->w);
    adl_stored_set(resize, "linear", attr->linear);
    adl_stored_set(resize, "place", attr->place);
    adl_stored_set(resize, "round", attr->round);
    int id = adl_import_commit(im, node, err);
    adl_import_set(out, in, id);
    return id;
}

int adl_import_resize(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct adl_resize_attr attr = {0};

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (in->final || (strcmp(in->axes, "NCHW") != 0 && strcmp(in->axes, "NHWC") != 0))
        return adl_import_refuse(node, err, "its input has the axes %s", in->axes);
    if (read_mode(im, node, &attr, err) < 0 || read_sizes(im, node, in, &attr, err) < 0)
        return -1;
    if (!attr.h && !attr.w && attr.scale_h == 1 && attr.scale_w == 1 &&
        attr.place != ADL_RESIZE_HALF_PIXEL_NN) {
        adl_import_alias(out, in);
        return 0;
    }
    return add_resize(im, node, in, &attr, err);
}

/* --- products with constant matrices -----------------------------------------------------------
 */

/* Returns whether a matrix of to x from weights, or transposed, is that of a resize. */
static bool is_resize(const struct adl_onnx_tensor *t, bool transposed,
                      const struct adl_resize_attr *attr, int from, int to)
{
    for (int p = 0; p < to; p++) {
        struct adl_between at = adl_resize_at(attr, 0, p, from, to);
        for (int i = 0; i < from; i++) {
            double want =
                (i == at.first ? 1 - (double)at.t : 0) + (i == at.second ? (double)at.t : 0);
            size_t index = transposed ? (size_t)i * (size_t)to + (size_t)p
                                      : (size_t)p * (size_t)from + (size_t)i;
            if (!(fabs(adl_onnx_tensor_number(t, index) - want) <= MATRIX_BOUND))
                return false;
        }
    }
    return true;
}

/* Finds the kind of resize that a matrix is; false if it is none. */
static bool find_resize(const struct adl_onnx_tensor *t, bool transposed, int from, int to,
                        struct adl_resize_attr *attr)
{
    for (int linear = 1; linear >= 0; linear--)
        for (int place = 0; place < ADL_RESIZE_PLACES; place++)
            for (int round = 0; round < (linear ? 1 : ADL_RESIZE_ROUNDS); round++) {
                attr->linear = linear;
                attr->place = (enum adl_resize_place)place;
                attr->round = (enum adl_resize_round)round;
                if (is_resize(t, transposed, attr, from, to))
                    return true;
            }
    return false;
}

int adl_import_resize_product(struct adl_import *im, const struct adl_onnx_node_proto *node,
                              struct adl_error *err)
{
    const struct adl_import_value *a = adl_import_in(im, node, 0), *b = adl_import_in(im, node, 1);
    bool rows = a && a->kind == ADL_IMPORT_CONSTANT;
    const struct adl_import_value *in = rows ? b : a, *matrix = rows ? a : b;
    struct adl_resize_attr attr = {.scale_h = 1, .scale_w = 1};

    if (!in || !matrix || in->kind != ADL_IMPORT_MAP || matrix->kind != ADL_IMPORT_CONSTANT ||
        strcmp(in->axes, "NCHW") != 0 || in->final || !adl_import_out(im, node, 0))
        return 0;
    const struct adl_onnx_tensor *t = matrix->tensor;
    struct adl_shape s = adl_import_shape(im, in);
    int from = rows ? s.h : s.w;
    if (t->rank != 2 || !adl_onnx_tensor_is_real(t) || t->dims[rows ? 1 : 0] != from ||
        t->dims[rows ? 0 : 1] < 1 || t->dims[rows ? 0 : 1] > ADL_RESIZE_MOST)
        return 0;
    int to = (int)t->dims[rows ? 0 : 1];
    if (!adl_import_map(im, node, rows ? 1 : 0, "NCHW", err))
        return -1;
    if (!find_resize(t, !rows, from, to, &attr))
        return adl_import_refuse(node, err,
                                 "it multiplies a map's rows or columns by a matrix that is not "
                                 "that of a bilinear or nearest resize");
    if (to == from && attr.linear) { /* the first that fits, so it is the identity */
        adl_import_alias(adl_import_out(im, node, 0), in);
        return 1;
    }
    set_size(rows ? &attr.scale_h : &attr.scale_w, rows ? &attr.h : &attr.w, true, to, from,
             (double)to / (double)from);
    return add_resize(im, node, in, &attr, err) < 0 ? -1 : 1;
}
