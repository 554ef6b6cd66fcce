/* Networks in 8 bits as ONNX's quantizers write them: QuantizeLinear and DequantizeLinear ("QDQ")
 * around operators in float32. An integer q stands for scale (q - zero point).
 *
 * Weights: a DequantizeLinear of a constant. It becomes float32 here, and keeps its integers and
 * scales beside, so that a convolution can store them as our own models in 8 bits do
 * (models/file/quantised.h): signed, without a zero point, with a scale for each output channel.
 * Before it may stand a QuantizeLinear of floats.
 *
 * Maps: a QuantizeLinear and a DequantizeLinear after it only say the range of a map, in bytes with
 * one scale and one zero point. Signed bytes are those of unsigned ones with a zero point that is
 * larger by 128. Where the smallest byte stands for 0, negative values become 0 as well: quantizers
 * leave out a ReLU before such a pair, so one is added unless the values cannot be negative. They
 * leave out a ReLU6 too, after which the largest byte stands for 6 at most; larger values become
 * the largest byte in the runtime, so a ReLU6 is added wherever that is so. A Clip of the bytes, as
 * PyTorch writes it after quantization-aware training, is a clip of the map. */

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "models/onnx_in/import.h"

/* The numbers of a QuantizeLinear or DequantizeLinear. */
struct scaling {
    const struct adl_onnx_tensor *scale, *zero; /* zero: NULL: 0 */
};

static int read_scaling(struct adl_import *im, const struct adl_onnx_node_proto *node,
                        struct scaling *s, struct adl_error *err)
{
    s->scale = adl_import_constant(im, node, 1, "scale", err);
    s->zero = NULL;
    if (!s->scale)
        return -1;
    if (adl_import_in(im, node, 2)) {
        s->zero = adl_import_constant(im, node, 2, "zero point", err);
        if (!s->zero)
            return -1;
    }
    if (!adl_onnx_tensor_is_real(s->scale) || s->scale->rank > 1 || s->scale->count < 1 ||
        (s->zero && (s->zero->count != s->scale->count || !adl_onnx_tensor_is_int(s->zero))))
        return adl_import_refuse(node, err,
                                 "its scale and zero point are not one number each, or one for "
                                 "each channel");
    for (size_t i = 0; i < s->scale->count; i++) {
        float value = (float)adl_onnx_tensor_number(s->scale, i);
        if (!isnormal(value) || value < 0)
            return adl_import_refuse(node, err, "scale %zu is %g; scales are positive numbers", i,
                                     (double)value);
    }
    return 0;
}

/* --- weights -------------------------------------------------------------------------------------
 */

/* Returns the number of elements that follow each other with one scale, before the next of the
 * scales is used, in turn; 0 if the scales do not fit. */
static size_t scale_run(const struct adl_onnx_node_proto *node, const struct adl_onnx_tensor *t,
                        const struct scaling *s)
{
    int64_t axis = adl_import_attr_int(node, "axis", 1);
    size_t run = 1;

    if (s->scale->count == 1)
        return t->count ? t->count : 1;
    axis += axis < 0 ? t->rank : 0;
    if (axis < 0 || axis >= t->rank || (size_t)t->dims[axis] != s->scale->count)
        return 0;
    for (int i = (int)axis + 1; i < t->rank; i++)
        run *= (size_t)t->dims[i];
    return run;
}

/* Reads the scales of a constant and how they are used in turn; *run is 0 if they do not fit. */
static int read_constant_scaling(struct adl_import *im, const struct adl_onnx_node_proto *node,
                                 const struct adl_onnx_tensor *t, struct scaling *s, size_t *run,
                                 struct adl_error *err)
{
    if (!adl_import_out(im, node, 0))
        return adl_import_refuse(node, err, "it has no output");
    if (read_scaling(im, node, s, err) < 0)
        return -1;
    *run = scale_run(node, t, s);
    return 0;
}

/* Makes the output a constant of the shape of `in` with other elements, which are in the arena, and
 * returns it. */
static struct adl_import_value *make_constant(struct adl_import *im,
                                              const struct adl_onnx_node_proto *node,
                                              const struct adl_import_value *in, int type,
                                              unsigned char *elements, struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct adl_onnx_tensor *made = adl_arena_alloc(&im->arena, 1, sizeof *made);

    if (!made) {
        adl_fail_nomem(err, "the ONNX graph");
        return NULL;
    }
    *made = *in->tensor;
    made->type = type;
    made->ints = NULL;
    made->raw = elements;
    out->kind = ADL_IMPORT_CONSTANT;
    out->tensor = made;
    out->origin = in->origin;
    return out;
}

/* Makes the output the float32 numbers of a constant. */
static int read_weights(struct adl_import *im, const struct adl_onnx_node_proto *node,
                        const struct adl_import_value *in, struct adl_error *err)
{
    const struct adl_onnx_tensor *t = in->tensor;
    struct scaling s;
    size_t run;

    if (read_constant_scaling(im, node, t, &s, &run, err) < 0)
        return -1;
    if (!adl_onnx_tensor_is_int(t) || run == 0)
        return adl_import_refuse(node, err, "its scales do not fit its integers");
    if (adl_import_spend(im, t->count, sizeof(float), err) < 0)
        return -1;
    float *values = adl_arena_alloc(&im->arena, t->count + 1, sizeof *values);
    if (!values)
        return adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < t->count; i++) {
        size_t k = i / run % s.scale->count;
        double zero = s.zero ? adl_onnx_tensor_number(s.zero, k) : 0;
        values[i] = (float)((double)(float)adl_onnx_tensor_number(s.scale, k) *
                            (adl_onnx_tensor_number(t, i) - zero));
    }
    struct adl_import_value *out =
        make_constant(im, node, in, ADL_ONNX_TYPE_FLOAT, (unsigned char *)values, err);
    if (!out)
        return -1;
    out->bytes = t;
    out->scale = s.scale;
    out->zero = s.zero;
    out->scale_run = run;
    return 1;
}

/* Rounds a constant, which exporters of quantization-aware training leave to the runtime. */
static int round_weights(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         const struct adl_import_value *in, struct adl_error *err)
{
    const struct adl_onnx_tensor *t = in->tensor;
    struct scaling s;
    size_t run;

    if (read_constant_scaling(im, node, t, &s, &run, err) < 0)
        return -1;
    int type = s.zero ? s.zero->type : ADL_ONNX_TYPE_UINT8;
    bool is_signed = type == ADL_ONNX_TYPE_INT8;
    if (!adl_onnx_tensor_is_real(t) || run == 0 || (type != ADL_ONNX_TYPE_UINT8 && !is_signed))
        return adl_import_refuse(node, err,
                                 "its scales do not fit its floats, or are not of bytes");
    if (adl_import_spend(im, t->count, 1, err) < 0)
        return -1;
    unsigned char *bytes = adl_arena_alloc(&im->arena, t->count + 1, 1);
    if (!bytes)
        return adl_fail_nomem(err, "the ONNX graph");
    double least = is_signed ? -128 : 0, most = least + 255;
    for (size_t i = 0; i < t->count; i++) {
        size_t k = i / run % s.scale->count;
        /* Divided in float32 and rounded to even, as the runtime does it. */
        float x = (float)adl_onnx_tensor_number(t, i) / (float)adl_onnx_tensor_number(s.scale, k);
        double value = nearbyint((double)x) + (s.zero ? adl_onnx_tensor_number(s.zero, k) : 0);
        value = value >= most ? most : value > least ? value : least; /* least for NaN */
        bytes[i] = (unsigned char)(int)value;
    }
    return make_constant(im, node, in, type, bytes, err) ? 1 : -1;
}

bool adl_import_has_bytes(const struct adl_import_value *weight)
{
    const struct adl_onnx_tensor *t = weight->bytes;
    bool fits = t && t->type == ADL_ONNX_TYPE_INT8 && t->rank == 4 && t->dims[0] > 0 &&
                (weight->scale->count == 1 || (weight->scale->count == (size_t)t->dims[0] &&
                                               weight->scale_run == t->count / (size_t)t->dims[0]));
    for (size_t i = 0; fits && weight->zero && i < weight->zero->count; i++)
        fits = adl_onnx_tensor_int(weight->zero, i) == 0;
    for (size_t i = 0; fits && i < t->count; i++)
        fits = adl_onnx_tensor_int(t, i) >= -127 && adl_onnx_tensor_int(t, i) <= 127;
    return fits;
}

int adl_import_bytes_param(struct adl_import *im, const struct adl_import_value *weight,
                           const char *name, const size_t shape[4], struct adl_error *err)
{
    if (adl_import_spend(im, weight->bytes->count, 1, err) < 0)
        return -1;
    const char *scale_name = adl_arena_printf(&im->arena, "%s_scale", name);
    struct adl_tensor *bytes =
        scale_name ? adl_tensors_add_unset(im->weights, name, ADL_I8, 4, shape, err) : NULL;
    struct adl_tensor *scales =
        bytes ? adl_tensors_add_unset(im->weights, scale_name, ADL_F32, 1, shape, err) : NULL;

    if (!scales)
        return scale_name ? -1 : adl_fail_nomem(err, "the ONNX graph");
    for (size_t i = 0; i < bytes->count; i++)
        ((int8_t *)bytes->data)[i] = (int8_t)adl_onnx_tensor_int(weight->bytes, i);
    for (size_t k = 0; k < shape[0]; k++)
        ((float *)scales->data)[k] =
            (float)adl_onnx_tensor_number(weight->scale, weight->scale->count == 1 ? 0 : k);
    im->bytes = true;
    return 0;
}

/* --- maps
 * ------------------------------------------------------------------------------------------ */

/* Returns whether a stored value cannot be negative. */
static bool is_positive(const struct adl_import *im, int value, int depth)
{
    static const char *const ops[] = {"relu", "relu6", "sigmoid", "hard_sigmoid"};
    static const char *const keeps[] = {"maxpool", "avgpool",       "pool",    "global_avgpool",
                                        "shuffle", "slice",         "dropout", "concat",
                                        "resize",  "global_maxpool"};
    const struct adl_stored_node *node = value > 0 ? &im->stored->nodes[value - 1] : NULL;
    bool found = false, all = true;

    for (size_t i = 0; node && i < sizeof ops / sizeof *ops; i++)
        if (adl_stored_is(node, ops[i]))
            return true;
    for (size_t i = 0; node && i < sizeof keeps / sizeof *keeps; i++)
        found |= adl_stored_is(node, keeps[i]);
    for (int i = 0; found && all && i < node->input_count; i++)
        all = depth > 0 && is_positive(im, node->inputs[i], depth - 1);
    return found && all;
}

/* Sets the range of a stored value; fails if it has another one. */
static int set_range(struct adl_import *im, const struct adl_onnx_node_proto *node, int value,
                     float scale, int zero, struct adl_error *err)
{
    if (value == 0)
        return 0; /* of the pixels: the first convolution reads floats */
    if (!im->activations)
        im->activations = json_object();
    const char *name = im->stored->nodes[value - 1].name;
    const json_t *known = json_object_get(im->activations, name);
    if (known && ((float)json_real_value(json_array_get(known, 0)) != scale ||
                  json_integer_value(json_array_get(known, 1)) != zero))
        return adl_import_refuse(
            node, err, "its input is rounded by another QuantizeLinear with other numbers");
    if (!known &&
        json_object_set_new(im->activations, name, json_pack("[f, i]", (double)scale, zero)) < 0)
        return adl_fail_nomem(err, "the ranges of maps");
    return 0;
}

/* Reads the bounds of a Clip of bytes, as numbers that they stand for; false if they are none that
 * are read. */
static bool read_byte_bounds(struct adl_import *im, const struct adl_onnx_node_proto *clip,
                             const struct scaling *s, double bounds[2])
{
    double zero = s->zero ? adl_onnx_tensor_number(s->zero, 0) : 0;
    double least = s->zero && s->zero->type == ADL_ONNX_TYPE_INT8 ? -128 : 0;

    for (size_t i = 0; i < 2; i++) {
        const struct adl_import_value *in = adl_import_in(im, clip, 1 + i);
        if (in && (in->kind != ADL_IMPORT_CONSTANT || in->tensor->count != 1 ||
                   !adl_onnx_tensor_is_int(in->tensor)))
            return false;
        double byte = in ? adl_onnx_tensor_number(in->tensor, 0) : i ? least + 255 : least;
        bounds[i] = (byte - zero) * (double)(float)adl_onnx_tensor_number(s->scale, 0);
        bounds[i] = fmax(-(double)FLT_MAX, fmin(bounds[i], (double)FLT_MAX));
    }
    return bounds[0] <= bounds[1];
}

/* Clips a map to what the bytes stand for that a Clip after its QuantizeLinear leaves, in place of
 * a ReLU before it. Returns the new value, -1 with an error. */
static int clip_map(struct adl_import *im, const struct adl_onnx_node_proto *node, int value,
                    double bounds[2], struct adl_error *err)
{
    const struct adl_stored_node *maker = &im->stored->nodes[value - 1];
    bool six = adl_stored_is(maker, "relu6");

    if (six || adl_stored_is(maker, "relu")) {
        value = maker->inputs[0];
        for (int i = 0; i < 2; i++)
            bounds[i] = fmin(fmax(bounds[i], 0), six ? 6 : (double)FLT_MAX);
    }
    struct adl_stored_node *clip = adl_import_add(im, "clip", node, "", value, err);
    if (!clip)
        return -1;
    adl_stored_set(clip, "a", bounds[0]);
    adl_stored_set(clip, "b", bounds[1]);
    return adl_import_commit(im, node, err);
}

int adl_import_quantize(struct adl_import *im, const struct adl_onnx_node_proto *node,
                        struct adl_error *err)
{
    const struct adl_import_value *given = adl_import_in(im, node, 0);
    if (given && given->kind == ADL_IMPORT_CONSTANT)
        return round_weights(im, node, given, err);
    const struct adl_import_value *in = adl_import_map(im, node, 0, NULL, err);
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct scaling s;

    if (!in || !out)
        return err->kind ? -1 : adl_import_refuse(node, err, "it has no output");
    if (read_scaling(im, node, &s, err) < 0)
        return -1;
    int type = s.zero ? s.zero->type : ADL_ONNX_TYPE_UINT8;
    if (s.scale->count != 1 || (type != ADL_ONNX_TYPE_UINT8 && type != ADL_ONNX_TYPE_INT8))
        return adl_import_refuse(node, err,
                                 "maps are read in 8 bits with one scale; per-channel scales and "
                                 "other types are for weights");
    int64_t least = type == ADL_ONNX_TYPE_INT8 ? -128 : 0;
    int64_t raw = s.zero ? adl_onnx_tensor_int(s.zero, 0) : 0;
    if (raw < least || raw > least + 255)
        return adl_import_refuse(node, err, "its zero point is not a byte");
    int zero = (int)(raw - least);
    /* PyTorch trains with 7 of 8 bits, and says so by a Clip of the bytes. */
    const struct adl_onnx_node_proto *next = adl_import_next(im, out, "Clip");
    struct adl_import_value *clipped = next ? adl_import_out(im, next, 0) : NULL;
    double bounds[2];
    if (clipped && !read_byte_bounds(im, next, &s, bounds))
        return adl_import_refuse(next, err, "its bounds are not constant whole numbers");
    adl_import_alias(out, in);
    int id = in->id;
    if (in->final) {
        /* Probabilities; the scores below them have a range of their own. */
    } else if (clipped && id > 0 && !adl_stored_is(&im->stored->nodes[id - 1], "linear")) {
        /* (A clip of the scores would be in the way of class maps.) */
        id = clip_map(im, node, id, bounds, err);
    } else if (zero == 0 && id > 0 && !is_positive(im, id, 8)) {
        /* 6 / 255 and back is not 6 in float32. */
        bool six = 255 * adl_onnx_tensor_number(s.scale, 0) <= 6.0001;
        id = adl_import_simple(im, six ? "relu6" : "relu", node, "", id, err);
    }
    if (id < 0)
        return -1;
    out->id = id;
    if (clipped) {
        adl_import_skip(im, next);
        adl_import_alias(clipped, out);
    }
    return in->final
               ? 0
               : set_range(im, node, id, (float)adl_onnx_tensor_number(s.scale, 0), zero, err);
}

int adl_import_dequantize(struct adl_import *im, const struct adl_onnx_node_proto *node,
                          struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    return in && in->kind == ADL_IMPORT_CONSTANT ? read_weights(im, node, in, err)
                                                 : adl_import_same(im, node, err);
}
