/* Operators that change the shape of a map. They compute nothing: they change the list of axes.
 * Shuffling channels in groups is written as a Reshape to groups, a Transpose and a Reshape back;
 * the last of these becomes an op. */

#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"

static void set_axes(struct adl_import_value *out, const char *axes)
{
    memset(out->axes, 0, sizeof out->axes);
    memcpy(out->axes, axes, strlen(axes));
}

/* --- Reshape --------------------------------------------------------------------------------- */

static void put_letters(char *axes, const char *letters)
{
    memcpy(axes, letters, strlen(letters) + 1);
}

/* Resolves 0 and -1 in the shape that a Reshape asks for. */
static bool resolve(const struct adl_import *im, const struct adl_import_value *in, int64_t *dims,
                    int rank)
{
    int64_t total = im->batch, known = 1;
    int open = -1, old = (int)strlen(in->axes);

    if (__builtin_mul_overflow(total, (int64_t)adl_shape_count(adl_import_shape(im, in)), &total))
        return false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0 && i < old)
            dims[i] = adl_import_extent(im, in, i);
        if (dims[i] == -1 && open < 0)
            open = i;
        else if (dims[i] < 1 || __builtin_mul_overflow(known, dims[i], &known))
            return false;
    }
    if (open >= 0) {
        if (total % known)
            return false;
        dims[open] = total / known;
        known = total;
    }
    return known == total;
}

static bool dims_are(const int64_t *dims, int rank, int n, const int64_t *want)
{
    for (int i = 0; i < n; i++)
        if (rank != n || dims[i] != want[i])
            return false;
    return true;
}

/* The axes of a vector in a shape: one of all its dimensions is the number of channels. */
static bool vector_axes(const struct adl_import *im, const struct adl_import_value *in,
                        const int64_t *dims, int rank, char *axes)
{
    int64_t c = adl_import_shape(im, in).c;
    int at = -1;

    if (rank < 1 || rank > 4 || (rank > 1 && dims[0] != im->batch))
        return false;
    for (int i = rank > 1 ? 1 : 0; i < rank; i++)
        at = dims[i] == c && (at < 0 || c == 1) && !(c == 1 && at >= 0) ? i : at;
    if (at < 0)
        return false;
    if (rank == 1)
        put_letters(axes, im->batch == 1 ? "C" : "");
    else if (rank == 2)
        put_letters(axes, "NC");
    else if (rank == 4)
        put_letters(axes, at == 1 ? "NCHW" : at == 3 ? "NHWC" : "");
    else
        put_letters(axes, at == 1 ? "NCP" : at == 2 ? "NPC" : "");
    return *axes != '\0';
}

/* Sets `axes` to those of a map in a new shape; false if the shape is none that can be read. */
static bool map_axes(const struct adl_import *im, const struct adl_import_value *in,
                     const int64_t *dims, int rank, char *axes, int *groups)
{
    const struct adl_shape s = adl_import_shape(im, in);
    const int64_t n = im->batch, c = s.c, h = s.h, w = s.w;
    bool first = strcmp(in->axes, "NCHW") == 0, last = strcmp(in->axes, "NHWC") == 0;
    bool points = strcmp(in->axes, "NCP") == 0, points_last = strcmp(in->axes, "NPC") == 0;

    if (rank == 5 && first && dims[0] == n && dims[3] == h && dims[4] == w && dims[1] > 0 &&
        c % dims[1] == 0 && dims[1] * dims[2] == c) {
        *groups = (int)dims[1];
        put_letters(axes, "NGKHW");
    } else if (rank == 5 && last && dims[0] == n && dims[1] == h && dims[2] == w &&
               dims[3] * dims[4] == c) {
        *groups = (int)dims[3];
        put_letters(axes, "NHWGK");
    } else if (rank == 2 && (first || points) && dims[0] == n && dims[1] == c * h * w)
        put_letters(axes, "NF");
    else if (rank == 3 && first && dims_are(dims, rank, 3, (int64_t[]){n, c, h * w}))
        put_letters(axes, "NCP");
    else if (rank == 3 && last && dims_are(dims, rank, 3, (int64_t[]){n, h * w, c}))
        put_letters(axes, "NPC");
    else if (rank == 4 && strcmp(in->axes, "NHW") == 0 &&
             dims_are(dims, rank, 4, (int64_t[]){n, 1, h, w}))
        put_letters(axes, "NCHW");
    else if (rank == 4 && strcmp(in->axes, "NHW") == 0 &&
             dims_are(dims, rank, 4, (int64_t[]){n, h, w, 1}))
        put_letters(axes, "NHWC");
    else if (rank == 4 && points && dims_are(dims, rank, 4, (int64_t[]){n, c, h, w}))
        put_letters(axes, "NCHW");
    else if (rank == 4 && points_last && dims_are(dims, rank, 4, (int64_t[]){n, h, w, c}))
        put_letters(axes, "NHWC");
    else
        return false;
    return true;
}

/* Joins the groups of channels again; shuffles them if they were transposed. */
static int join_groups(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       const struct adl_import_value *in, const int64_t *dims, int rank,
                       struct adl_import_value *out, struct adl_error *err)
{
    const struct adl_shape s = adl_import_shape(im, in);
    const int64_t first[] = {im->batch, s.c, s.h, s.w}, last[] = {im->batch, s.h, s.w, s.c};
    bool shuffled = strcmp(in->axes, "NKGHW") == 0 || strcmp(in->axes, "NHWKG") == 0;
    bool is_first = in->axes[1] != 'H';
    int id = in->id;

    if (!dims_are(dims, rank, 4, is_first ? first : last) ||
        (!shuffled && strcmp(in->axes, "NGKHW") != 0 && strcmp(in->axes, "NHWGK") != 0))
        return adl_import_refuse(node, err, "it joins groups of channels in an unknown way");
    if (shuffled) {
        struct adl_stored_node *shuffle = adl_import_add(im, "shuffle", node, "", in->id, err);
        if (!shuffle)
            return -1;
        adl_stored_set(shuffle, "groups", in->groups);
        id = adl_import_commit(im, node, err);
        if (id < 0)
            return -1;
    }
    adl_import_set(out, in, id);
    set_axes(out, is_first ? "NCHW" : "NHWC");
    return 0;
}

static int reshape_to(struct adl_import *im, const struct adl_onnx_node_proto *node, int64_t *dims,
                      int rank, struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    char axes[ADL_IMPORT_AXES + 1] = "";
    int groups = 1;
    bool same = true;

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (rank < 1 || !resolve(im, in, dims, rank))
        return adl_import_refuse(node, err, "its shape does not fit its input");
    adl_import_alias(out, in);
    for (int i = 0; i < rank && same; i++)
        same = rank == (int)strlen(in->axes) && dims[i] == adl_import_extent(im, in, i);
    if (same)
        return 0;
    if (strchr(in->axes, 'G'))
        return join_groups(im, node, in, dims, rank, out, err);
    /* A vector in groups of its channels is cut up for other purposes than a shuffle. */
    if (!(adl_import_is_vector(im, in) && vector_axes(im, in, dims, rank, axes)) &&
        !map_axes(im, in, dims, rank, axes, &groups))
        return adl_import_refuse(node, err,
                                 "a map with the axes %s and %dx%dx%d values gets a shape that is "
                                 "none of a feature map",
                                 in->axes, adl_import_shape(im, in).h, adl_import_shape(im, in).w,
                                 adl_import_shape(im, in).c);
    set_axes(out, axes);
    out->groups = groups;
    return 0;
}

int adl_import_reshape(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    int64_t dims[ADL_IMPORT_AXES];
    int rank = adl_import_ints(im, node, "shape", 1, dims, ADL_IMPORT_AXES);

    if (rank < 1)
        return adl_import_refuse(node, err, "its shape is not a constant of up to %d numbers",
                                 ADL_IMPORT_AXES);
    return reshape_to(im, node, dims, rank, err);
}

int adl_import_flatten(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    int64_t dims[2] = {1, 1};

    if (!in)
        return -1;
    int64_t axis = adl_import_attr_int(node, "axis", 1), rank = (int64_t)strlen(in->axes);
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis > rank)
        return adl_import_refuse(node, err, "its axis is not one of its input");
    for (int i = 0; i < (int)rank; i++)
        dims[i < (int)axis ? 0 : 1] *= adl_import_extent(im, in, i);
    return reshape_to(im, node, dims, 2, err);
}

int adl_import_squeeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    int64_t axes[ADL_IMPORT_AXES], dims[ADL_IMPORT_AXES];
    int count = in ? adl_import_ints(im, node, "axes", 1, axes, ADL_IMPORT_AXES) : 0, rank = 0;

    if (!in)
        return -1;
    for (int i = 0; i < (int)strlen(in->axes); i++) {
        int64_t extent = adl_import_extent(im, in, i);
        bool gone = count == 0 && extent == 1 && i > 0;
        for (int k = 0; k < count; k++)
            gone |= adl_import_index(in, axes[k]) == i && extent == 1;
        if (!gone)
            dims[rank++] = extent;
    }
    return reshape_to(im, node, dims, rank, err);
}

int adl_import_unsqueeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    int64_t axes[ADL_IMPORT_AXES], dims[ADL_IMPORT_AXES];
    int count = in ? adl_import_ints(im, node, "axes", 1, axes, ADL_IMPORT_AXES) : 0;
    int from = 0, rank = in ? (int)strlen(in->axes) + count : 0;

    if (!in)
        return -1;
    if (count < 1 || rank > ADL_IMPORT_AXES)
        return adl_import_refuse(node, err, "its axes are not a constant");
    for (int i = 0; i < rank; i++) {
        bool added = false;
        for (int k = 0; k < count; k++)
            added |= (axes[k] < 0 ? axes[k] + rank : axes[k]) == i;
        if (!added && from >= (int)strlen(in->axes))
            return adl_import_refuse(node, err, "its axes do not fit its input");
        dims[i] = added ? 1 : adl_import_extent(im, in, from++);
    }
    return reshape_to(im, node, dims, rank, err);
}

int adl_import_transpose(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    char axes[ADL_IMPORT_AXES + 1] = "";
    int64_t perm[ADL_IMPORT_AXES];

    if (!in || in->kind != ADL_IMPORT_MAP || !out)
        return adl_import_refuse(node, err, "its input is not a map of the network");
    int rank = (int)strlen(in->axes);
    int count = adl_import_attr_ints(node, "perm", perm, ADL_IMPORT_AXES);
    for (int i = 0; i < rank; i++) {
        int64_t from = count == 0 ? rank - 1 - i : i < count ? perm[i] : -1;
        if (from < 0 || from >= rank || strchr(axes, in->axes[from]))
            return adl_import_refuse(node, err, "perm does not have the axes of its input");
        axes[i] = in->axes[from];
    }
    adl_import_alias(out, in);
    set_axes(out, axes);
    return 0;
}

/* --- Pad: a part of the convolution or pool after it -------------------------------------------
 */

int adl_import_pad(struct adl_import *im, const struct adl_onnx_node_proto *node,
                   struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    const char *mode = adl_import_attr_text(node, "mode");
    int64_t pads[2 * ADL_IMPORT_AXES];
    double value = adl_import_attr_float(node, "value", 0);

    if (!in || in->kind != ADL_IMPORT_MAP || !out || in->final)
        return adl_import_refuse(node, err, "its input is not a map of the network");
    int rank = (int)strlen(in->axes);
    int count = adl_import_ints(im, node, "pads", 1, pads, 2 * ADL_IMPORT_AXES);
    if (node->input_count > 2 && *node->inputs[2]) {
        const struct adl_onnx_tensor *t = adl_import_constant(im, node, 2, "value", err);
        if (!t)
            return -1;
        value = t->count == 1 ? adl_onnx_tensor_number(t, 0) : 1;
    }
    if (rank == 0 || count != 2 * rank || (*mode && strcmp(mode, "constant") != 0) || value != 0 ||
        (node->input_count > 3 && *node->inputs[3]))
        return adl_import_refuse(node, err, "only constant numbers of zeros can be added");
    adl_import_alias(out, in);
    for (int i = 0; i < count; i++) {
        char letter = in->axes[i % rank];
        int side = (i >= rank ? 2 : 0) + (letter == 'W');
        if (pads[i] == 0)
            continue;
        if ((letter != 'H' && letter != 'W') || pads[i] < 0 || pads[i] > 1024)
            return adl_import_refuse(node, err, "it adds something else than rows and columns");
        out->pads[side] += (int)pads[i];
        if (out->pads[side] > 4096)
            return adl_import_refuse(node, err, "it adds too many rows or columns");
    }
    return 0;
}

/* --- Expand: a gate is often written x * y.expand_as(x) ----------------------------------------
 */

/* Returns whether a value is a map with these extents. */
static bool has_extents(const struct adl_import *im, const struct adl_import_value *map,
                        const int64_t *dims, int rank)
{
    bool same = map && map->kind == ADL_IMPORT_MAP && (int)strlen(map->axes) == rank;
    for (int i = 0; same && i < rank; i++)
        same = adl_import_extent(im, map, i) == dims[i];
    return same;
}

/* A product repeats the smaller map by itself if the other one has the shape that is asked for, so
 * nothing is repeated here. */
int adl_import_expand(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int64_t dims[ADL_IMPORT_AXES];
    int rank = in ? adl_import_ints(im, node, "shape", 1, dims, ADL_IMPORT_AXES) : 0;

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    const struct adl_onnx_node_proto *mul = adl_import_next(im, out, "Mul");
    bool fits = rank == (int)strlen(in->axes);
    for (int i = 0; fits && i < rank; i++) {
        int64_t extent = adl_import_extent(im, in, i);
        dims[i] = dims[i] == 1 ? extent : dims[i];
        fits = extent == 1 || extent == dims[i];
    }
    bool same = fits && has_extents(im, in, dims, rank);
    for (size_t i = 0; fits && mul && !same && i < 2; i++)
        same = has_extents(im, adl_import_in(im, mul, i), dims, rank);
    if (!same)
        return adl_import_refuse(node, err,
                                 "it is read only before a product with a map of its shape");
    adl_import_alias(out, in);
    return 0;
}
