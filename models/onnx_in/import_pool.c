/* Pools over windows; those that cover the map are pools over all pixels (import_reduce.c). */

#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"

/* Makes the output the mean over all pixels, or the maximum. */
static int add_global(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      const struct adl_import_value *in, bool average, struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    if (!out)
        return adl_import_refuse(node, err, "it has no output");
    int id =
        adl_import_simple(im, average ? "global_avgpool" : "global_maxpool", node, "", in->id, err);
    adl_import_set(out, in, id);
    return id;
}

/* --- windows --------------------------------------------------------------------------------- */

struct pool {
    int64_t kernel[2], strides[2], pads[4];
    bool average, ceil_mode, count_padding;
};

/* `in` is the map without the pads before this pool, which come before its own. */
static int read_pool(const struct adl_onnx_node_proto *node, struct adl_shape in,
                     const int pads_before[4], struct pool *p, struct adl_error *err)
{
    const char *mode = adl_import_attr_text(node, "auto_pad");
    int64_t dilations[2] = {1, 1};
    int strides = adl_import_attr_ints(node, "strides", p->strides, 2);
    int pads = adl_import_attr_ints(node, "pads", p->pads, 4);
    int gaps = adl_import_attr_ints(node, "dilations", dilations, 2);
    bool fine = adl_import_attr_ints(node, "kernel_shape", p->kernel, 2) == 2 &&
                (strides == 0 || strides == 2) && (pads == 0 || pads == 4) &&
                (gaps == 0 || gaps == 2) && dilations[0] == 1 && dilations[1] == 1;

    for (int i = 0; i < 2; i++)
        fine = fine && p->kernel[i] >= 1 && p->kernel[i] <= 1024 && p->strides[i] >= 1 &&
               p->strides[i] <= 1024 && p->pads[i] >= 0 && p->pads[i] <= 1024 &&
               p->pads[2 + i] >= 0 && p->pads[2 + i] <= 1024;
    if (!fine)
        return adl_import_refuse(node, err,
                                 "its kernel_shape, strides, pads and dilations are not those of a "
                                 "pool over rows and columns without dilation");
    if (strncmp(mode, "SAME", 4) == 0)
        for (int i = 0; i < 2; i++) {
            int64_t side = (i ? in.w : in.h) + pads_before[i] + pads_before[2 + i];
            int64_t out = (side + p->strides[i] - 1) / p->strides[i];
            int64_t total = ADL_MAX((out - 1) * p->strides[i] + p->kernel[i] - side, 0);
            p->pads[i] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
            p->pads[2 + i] = total - p->pads[i];
        }
    p->ceil_mode = adl_import_attr_int(node, "ceil_mode", 0) != 0;
    p->count_padding = adl_import_attr_int(node, "count_include_pad", 0) != 0;
    return 0;
}

/* Adds the zeros of a Pad to the padding of a pool: an average counts them; a maximum ignores its
 * padding, which is the same if no value is below 0. */
static int add_pads(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    const struct adl_import_value *in, struct pool *p, struct adl_error *err)
{
    bool padded = in->pads[0] || in->pads[1] || in->pads[2] || in->pads[3];
    bool own = p->pads[0] || p->pads[1] || p->pads[2] || p->pads[3];
    const struct adl_stored_node *before = in->id > 0 ? &im->stored->nodes[in->id - 1] : NULL;

    if (!padded)
        return 0;
    if (p->average && own && !p->count_padding)
        return adl_import_refuse(node, err, "it has padding that counts and padding that does not");
    if (!p->average &&
        !(before && (adl_stored_is(before, "relu") || adl_stored_is(before, "relu6") ||
                     adl_stored_is(before, "sigmoid"))))
        return adl_import_refuse(
            node, err, "a Pad with zeros before a maximum is supported after a ReLU only");
    p->count_padding = p->average;
    for (int i = 0; i < 4; i++)
        p->pads[i] += in->pads[i];
    return 0;
}

static bool covers_all(const struct pool *p, struct adl_shape in)
{
    return !p->ceil_mode && p->kernel[0] == in.h && p->kernel[1] == in.w && !p->pads[0] &&
           !p->pads[1] && !p->pads[2] && !p->pads[3];
}

/* Returns whether the engine's pools for square windows can do it. */
static bool is_square(const struct pool *p)
{
    bool padded = p->pads[0] != 0;
    return p->kernel[0] == p->kernel[1] && p->strides[0] == p->strides[1] &&
           p->kernel[0] <= ADL_LIMIT_WINDOW && p->pads[0] == p->pads[1] &&
           p->pads[0] == p->pads[2] && p->pads[0] == p->pads[3] && p->pads[0] < p->kernel[0] &&
           (!p->average || (!p->ceil_mode && (!padded || p->count_padding)));
}

static int add_window(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      const struct adl_import_value *in, const struct pool *p,
                      struct adl_error *err)
{
    static const char *const sides[] = {"top", "left", "bottom", "right"};
    struct adl_stored_node *pool;

    if (is_square(p)) {
        pool = adl_import_add(im, p->average ? "avgpool" : "maxpool", node, "", in->id, err);
        if (!pool)
            return -1;
        adl_stored_set(pool, "size", (double)p->kernel[0]);
        adl_stored_set(pool, "stride", (double)p->strides[0]);
        adl_stored_set(pool, "pad", (double)p->pads[0]);
        adl_stored_set(pool, "ceil", p->ceil_mode);
        return adl_import_commit(im, node, err);
    }
    pool = adl_import_add(im, "pool", node, "", in->id, err);
    if (!pool)
        return -1;
    adl_stored_set(pool, "r", (double)p->kernel[0]);
    adl_stored_set(pool, "s", (double)p->kernel[1]);
    adl_stored_set(pool, "stride_h", (double)p->strides[0]);
    adl_stored_set(pool, "stride_w", (double)p->strides[1]);
    for (int i = 0; i < 4; i++)
        adl_stored_set(pool, sides[i], (double)p->pads[i]);
    adl_stored_set(pool, "average", p->average);
    adl_stored_set(pool, "count_padding", p->count_padding);
    adl_stored_set(pool, "ceil", p->ceil_mode);
    return adl_import_commit(im, node, err);
}

int adl_import_pool(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    struct pool p = {.strides = {1, 1}, .average = *node->op == 'A'};
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    struct adl_import_value *out = adl_import_out(im, node, 0);

    if (!in || in->kind != ADL_IMPORT_MAP || strcmp(in->axes, "NCHW") != 0 || in->final)
        return adl_import_refuse(node, err, "its input is not a map with the axes NCHW");
    if (!out)
        return adl_import_refuse(node, err, "it has no output");
    if (read_pool(node, adl_import_shape(im, in), in->pads, &p, err) < 0 ||
        add_pads(im, node, in, &p, err) < 0)
        return -1;
    if (covers_all(&p, adl_import_shape(im, in)))
        return add_global(im, node, in, p.average, err);
    int id = add_window(im, node, in, &p, err);
    adl_import_set(out, in, id);
    return id;
}
