/* Means, sums and maxima: over all pixels, which are pools, and over the channels of each pixel, as
 * attention modules have them (CBAM). The engine computes the maximum and the mean over the
 * channels together; what only one of them is needed of is cut out. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"

/* Stored nodes that are looked at for one that has the same input. */
#define MOST_LOOKED_AT 8

/* What is computed, by the operator. */
enum { MEAN, MAXIMUM, SUM };

static int kind_of(const struct adl_onnx_node_proto *node)
{
    if (strcmp(node->op, "ReduceMax") == 0 || strcmp(node->op, "GlobalMaxPool") == 0)
        return MAXIMUM;
    return strcmp(node->op, "ReduceSum") == 0 ? SUM : MEAN;
}

/* Reduces all pixels; ONNX's shape keeps the two axes unless `drop`. */
static int over_pixels(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       const struct adl_import_value *in, bool drop, struct adl_error *err)
{
    static const char *const ops[] = {"global_avgpool", "global_maxpool", "global_sumpool"};
    struct adl_import_value *out = adl_import_out(im, node, 0);
    if (!out)
        return adl_import_refuse(node, err, "it has no output");
    int id = adl_import_simple(im, ops[kind_of(node)], node, "", in->id, err);
    adl_import_set(out, in, id);
    if (drop)
        snprintf(out->axes, sizeof out->axes, "NC");
    return id;
}

/* Returns the value that has maximum and mean over the channels of another one; -1 with an error.
 */
static int channelpool_of(struct adl_import *im, const struct adl_onnx_node_proto *node, int input,
                          struct adl_error *err)
{
    const struct adl_stored *stored = im->stored;
    for (int i = 1; i <= MOST_LOOKED_AT && i <= stored->count; i++) {
        const struct adl_stored_node *known = &stored->nodes[stored->count - i];
        if (adl_stored_is(known, "channelpool") && known->inputs[0] == input)
            return stored->count - i + 1;
    }
    return adl_import_simple(im, "channelpool", node, ".both", input, err);
}

static int over_channels(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         const struct adl_import_value *in, bool keep, struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int kind = kind_of(node), channels = adl_import_shape(im, in).c;
    if (!out)
        return adl_import_refuse(node, err, "it has no output");
    int both = channelpool_of(im, node, in->id, err);
    struct adl_stored_node *slice =
        both < 0 ? NULL : adl_import_add(im, "slice", node, kind == SUM ? ".mean" : "", both, err);
    if (!slice)
        return -1;
    adl_stored_set(slice, "first", kind == MAXIMUM ? 0 : 1);
    int id = adl_import_commit(im, node, err);
    if (id >= 0 && kind == SUM) {
        struct adl_stored_node *times = adl_import_add(im, "affine", node, "", id, err);
        if (!times)
            return -1;
        adl_stored_set(times, "a", channels);
        id = adl_import_commit(im, node, err);
    }
    adl_import_set(out, in, id);
    char *axis = strchr(out->axes, 'C');
    if (!keep && axis)
        memmove(axis, axis + 1, strlen(axis));
    return id;
}

int adl_import_global_pool(struct adl_import *im, const struct adl_onnx_node_proto *node,
                           struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, "NCHW", err);
    return in ? over_pixels(im, node, in, false, err) : -1;
}

/* Reads x.mean(3).mean(2), or the like: the mean over rows or columns of `in`, whose axes are
 * `letters`, and the mean over the others that alone reads it. 1, 0 if it is something else, -1
 * with an error. */
static int over_both(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     const struct adl_import_value *in, const char *letters, bool keep,
                     struct adl_error *err)
{
    const struct adl_import_value *out = adl_import_out(im, node, 0);
    const struct adl_onnx_node_proto *second =
        out && kind_of(node) == MEAN ? adl_import_next(im, out, "ReduceMean") : NULL;
    struct adl_import_value rest = *in;
    char *gone = strchr(rest.axes, *letters);
    int64_t axis;

    if (!second || in->final || !gone || (strcmp(letters, "H") != 0 && strcmp(letters, "W") != 0) ||
        adl_import_ints(im, second, "axes", 1, &axis, 1) != 1 ||
        (adl_import_attr_int(second, "keepdims", 1) != 0) != keep)
        return 0;
    if (!keep)
        memmove(gone, gone + 1, strlen(gone));
    int other = adl_import_index(&rest, axis);
    if (other < 0 || rest.axes[other] != (*letters == 'H' ? 'W' : 'H'))
        return 0;
    adl_import_skip(im, second);
    return over_pixels(im, second, in, !keep, err) < 0 ? -1 : 1;
}

/* A mean over the channels may be the beginning of a layer normalisation. */
int adl_import_reduce(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    int64_t axes[ADL_LIMIT_RANK];
    int count = in ? adl_import_ints(im, node, "axes", 1, axes, ADL_LIMIT_RANK) : 0;
    bool keep = adl_import_attr_int(node, "keepdims", 1) != 0;
    char letters[ADL_IMPORT_AXES + 1] = "";

    if (!in)
        return -1;
    int layernorm = kind_of(node) == MEAN ? adl_import_plain_layernorm(im, node, err) : 0;
    if (layernorm != 0)
        return layernorm < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        int axis = adl_import_index(in, axes[i]);
        if (axis < 0 || strlen(letters) == ADL_IMPORT_AXES)
            return adl_import_refuse(node, err, "its axes are not those of its input");
        letters[strlen(letters)] = in->axes[axis];
    }
    int both = over_both(im, node, in, letters, keep, err);
    if (both != 0)
        return both < 0 ? -1 : 0;
    if (!in->final && strcmp(letters, "C") == 0)
        return over_channels(im, node, in, keep, err);
    bool pixels =
        strcmp(letters, "HW") == 0 || strcmp(letters, "WH") == 0 || strcmp(letters, "P") == 0;
    if (!pixels || in->final)
        return adl_import_refuse(node, err,
                                 "it reduces the axes %s of %s; rows and columns together, and "
                                 "channels, are supported",
                                 letters, in->axes);
    return over_pixels(im, node, in, !keep || *letters == 'P', err);
}
