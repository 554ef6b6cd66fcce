/* Operators that join and cut the channels of maps. */

#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"

/* Earlier concatenations that are looked at; the one before is the last, or one of its parts. */
#define MOST_LOOKED_AT 4

/* Returns the number of values from the start of `ids` that an earlier concatenation joins, and
 * sets *joined to its value: networks like DenseNet join what they have with each new map, and all
 * of it is in one place if each of these reads the one before. 0: there is none. */
static int joined_before(const struct adl_import *im, const int *ids, int count, int *joined)
{
    int best = 0, looked = 0;
    for (int n = im->stored->count - 1; n >= 0 && looked < MOST_LOOKED_AT; n--) {
        const struct adl_stored_node *node = &im->stored->nodes[n];
        int flat[ADL_LIMIT_ONNX_PORTS] = {0}, length = node->input_count;
        if (!adl_stored_is(node, "concat"))
            continue;
        looked++;
        /* Its first input may be a concatenation in turn. */
        memcpy(flat, node->inputs, (size_t)length * sizeof *flat);
        while (length > 0 && length + ADL_MAX_OP_INPUTS <= ADL_LIMIT_ONNX_PORTS && flat[0] > 0 &&
               flat[0] != ids[0] && adl_stored_is(&im->stored->nodes[flat[0] - 1], "concat")) {
            const struct adl_stored_node *inner = &im->stored->nodes[flat[0] - 1];
            memmove(flat + inner->input_count, flat + 1, (size_t)(length - 1) * sizeof *flat);
            memcpy(flat, inner->inputs, (size_t)inner->input_count * sizeof *flat);
            length += inner->input_count - 1;
        }
        if (length > best && length <= count &&
            memcmp(flat, ids, (size_t)length * sizeof *ids) == 0) {
            best = length;
            *joined = n + 1;
        }
    }
    return best;
}

/* Returns whether the values are the mean and the maximum over all pixels of the same map. */
static bool is_mean_and_maximum(const struct adl_import *im, const int ids[2])
{
    const struct adl_stored_node *a = ids[0] > 0 ? &im->stored->nodes[ids[0] - 1] : NULL;
    const struct adl_stored_node *b = ids[1] > 0 ? &im->stored->nodes[ids[1] - 1] : NULL;
    return a && b && adl_stored_is(a, "global_avgpool") && adl_stored_is(b, "global_maxpool") &&
           a->inputs[0] == b->inputs[0];
}

/* Returns the value that was cut into these, in their order; -1: there is none. */
static int cut_apart(const struct adl_import *im, const int *ids, int count)
{
    int whole = -1, next = 0;
    for (int i = 0; i < count; i++) {
        const struct adl_stored_node *node = ids[i] > 0 ? &im->stored->nodes[ids[i] - 1] : NULL;
        if (!node || !adl_stored_is(node, "slice") || (i > 0 && node->inputs[0] != whole) ||
            (int)adl_stored_get(node, "first") != next)
            return -1;
        whole = node->inputs[0];
        next += (int)adl_stored_get(node, "count");
    }
    return whole > 0 && adl_graph_value(im->graph, whole)->shape.c == next ? whole : -1;
}

int adl_import_concat(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    const struct adl_import_value *like = adl_import_map(im, node, 0, NULL, err);
    int ids[ADL_LIMIT_ONNX_PORTS] = {0}, count = (int)node->input_count, joined = 0;

    if (!like || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    int axis = adl_import_index(like, adl_import_attr_int(node, "axis", 1));
    for (int i = 0; i < count; i++) {
        const struct adl_import_value *in = adl_import_map(im, node, (size_t)i, like->axes, err);
        if (!in)
            return -1;
        ids[i] = in->id;
    }
    if (axis >= 0 && like->axes[axis] == 'H' && count == 2 && is_mean_and_maximum(im, ids)) {
        int both = adl_import_simple(im, "global_avgmaxpool", node, "",
                                     im->stored->nodes[ids[0] - 1].inputs[0], err);
        adl_import_set(out, like, both);
        return both;
    }
    if (axis < 0 || like->axes[axis] != 'C' || like->final)
        return adl_import_refuse(node, err, "it does not join channels");
    int whole = cut_apart(im, ids, count);
    if (whole > 0) {
        adl_import_set(out, like, whole);
        return 0;
    }
    int first = joined_before(im, ids, count, &joined);
    int id = first > 0 ? joined : ids[0], at = first > 0 ? first : 1;
    while (at < count) {
        int some = ADL_MIN(count - at, ADL_MAX_OP_INPUTS - 1);
        struct adl_stored_node *concat =
            adl_import_add(im, "concat", node, at + some < count ? ".part" : "", id, err);
        if (!concat)
            return -1;
        memcpy(concat->inputs + 1, ids + at, (size_t)some * sizeof *ids);
        concat->input_count = 1 + some;
        id = adl_import_commit(im, node, err);
        if (id < 0)
            return -1;
        at += some;
    }
    adl_import_set(out, like, id);
    return 0;
}

/* Makes a value some of the channels of another one. */
static int cut(struct adl_import *im, const struct adl_onnx_node_proto *node,
               const struct adl_import_value *in, int64_t first, int64_t count,
               struct adl_import_value *out, struct adl_error *err)
{
    int64_t channels = adl_import_shape(im, in).c;

    if (first < 0 || count < 1 || count > channels || first > channels - count)
        return adl_import_refuse(node, err, "it cuts more than the %lld channels",
                                 (long long)channels);
    adl_import_alias(out, in);
    if (count == channels)
        return 0;
    struct adl_stored_node *slice =
        adl_import_add(im, "slice", node, first ? ".second" : "", in->id, err);
    if (!slice)
        return -1;
    adl_stored_set(slice, "first", (double)first);
    adl_stored_set(slice, "count", (double)count);
    out->id = adl_import_commit(im, node, err);
    return out->id < 0 ? -1 : 0;
}

int adl_import_split(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    int64_t sizes[64], first = 0;
    int count = in ? adl_import_ints(im, node, "split", 1, sizes, 64) : 0;

    if (!in)
        return -1;
    int axis = adl_import_index(in, adl_import_attr_int(node, "axis", 0));
    if (axis < 0 || in->axes[axis] != 'C' || in->final)
        return adl_import_refuse(node, err, "it does not split channels");
    if (count < 0 || (count > 0 && (size_t)count != node->output_count))
        return adl_import_refuse(node, err, "its sizes are not constants, one for each output");
    /* Without sizes, all parts but the last are equal. */
    int64_t channels = adl_import_shape(im, in).c, parts = (int64_t)node->output_count;
    for (size_t i = 0; i < node->output_count; i++) {
        int64_t equal = parts ? (channels + parts - 1) / parts : channels;
        int64_t size = count ? sizes[i] : ADL_MIN(equal, channels - first);
        struct adl_import_value *out = adl_import_out(im, node, i);
        if (out && cut(im, node, in, first, size, out, err) < 0)
            return -1;
        if (size < 0 || size > channels)
            return adl_import_refuse(node, err, "a size is not that of a part");
        first += size;
    }
    return 0;
}

int adl_import_slice(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int64_t start, end, axis_number = 0, step = 1;

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (adl_import_ints(im, node, "starts", 1, &start, 1) != 1 ||
        adl_import_ints(im, node, "ends", 2, &end, 1) != 1 ||
        adl_import_ints(im, node, "axes", 3, &axis_number, 1) < 0 ||
        adl_import_ints(im, node, "steps", 4, &step, 1) < 0 || step != 1)
        return adl_import_refuse(node, err, "it does not cut one axis at constants, step by step");
    int axis = adl_import_index(in, axis_number);
    int64_t extent = axis < 0 ? 0 : adl_import_extent(im, in, axis);
    start = ADL_MIN(ADL_MAX(start < 0 ? start + extent : start, 0), extent);
    end = ADL_MIN(end < 0 ? end + extent : end, extent);
    if (axis >= 0 && start == 0 && end == extent) {
        adl_import_alias(out, in);
        return 0;
    }
    if (axis < 0 || in->axes[axis] != 'C' || in->final)
        return adl_import_refuse(node, err, "it cuts something else than channels");
    return cut(im, node, in, start, end - start, out, err);
}

/* One channel of a map, as torchvision's networks that scale their input take it apart. With an
 * index that is no list, the axis is gone. */
int adl_import_gather(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    const struct adl_onnx_tensor *t = in ? adl_import_constant(im, node, 1, "index", err) : NULL;
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!t || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    int axis = adl_import_index(in, adl_import_attr_int(node, "axis", 0));
    int64_t channels = adl_import_shape(im, in).c;
    if (axis < 0 || in->axes[axis] != 'C' || in->final || t->count != 1 || t->rank > 1 ||
        !adl_onnx_tensor_is_int(t))
        return adl_import_refuse(node, err, "it picks something else than one channel of a map");
    int64_t index = adl_onnx_tensor_int(t, 0);
    if (cut(im, node, in, index + (index < 0 ? channels : 0), 1, out, err) < 0)
        return -1;
    char *gone = strchr(out->axes, 'C');
    if (t->rank == 0 && gone)
        memmove(gone, gone + 1, strlen(gone));
    return 0;
}
