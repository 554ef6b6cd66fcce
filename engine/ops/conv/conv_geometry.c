#include "ops/conv/conv_geometry.h"

#include <math.h>

#include "base/size.h"

/* With padding "SAME" as TensorFlow defines it, the output has P = ceil(H / stride) rows, for
 * which the last window must end at row (P - 1) * stride + R: the rows that the map lacks are
 * divided between top and bottom, and an odd row goes to the bottom. Columns are treated
 * likewise. */
void adl_conv_padding(const struct adl_conv_attr *attr, struct adl_shape in, int pads[4])
{
    if (!attr->tf_same) {
        pads[0] = attr->pad_top;
        pads[1] = attr->pad_left;
        pads[2] = attr->pad_bottom;
        pads[3] = attr->pad_right;
        return;
    }
    int p = (in.h + attr->stride - 1) / attr->stride;
    int q = (in.w + attr->stride - 1) / attr->stride;
    int rows = ADL_MAX((p - 1) * attr->stride + attr->r - in.h, 0);
    int columns = ADL_MAX((q - 1) * attr->stride + attr->s - in.w, 0);
    pads[0] = rows / 2;
    pads[1] = columns / 2;
    pads[2] = rows - pads[0];
    pads[3] = columns - pads[1];
}

struct adl_conv adl_conv_describe(const struct adl_conv_attr *attr, struct adl_shape in,
                                  struct adl_shape out)
{
    int pads[4];
    adl_conv_padding(attr, in, pads);
    return (struct adl_conv){
        .h = in.h,
        .w = in.w,
        .c = in.c,
        .p = out.h,
        .q = out.w,
        .k = out.c,
        .r = attr->r,
        .s = attr->s,
        .stride = attr->stride,
        .pad_top = pads[0],
        .pad_left = pads[1],
        .groups = attr->groups,
        .gap = attr->dilation > 1 ? attr->dilation - 1 : 0,
        .ldx = (size_t)in.c,
        .ldo = (size_t)out.c,
        .lo = -INFINITY,
        .hi = INFINITY,
    };
}

size_t adl_conv_weight_count(const struct adl_conv *conv)
{
    return (size_t)conv->k * adl_conv_depth(conv);
}

bool adl_conv_is_depthwise(const struct adl_conv *conv)
{
    return conv->groups == conv->c && conv->groups == conv->k && conv->gap == 0;
}

struct adl_conv_span adl_conv_span(const struct adl_conv *conv, int s)
{
    /* The tap lies in column q * stride + s - pad_left, which has to be in 0..W-1. */
    int from = conv->pad_left > s ? (conv->pad_left - s + conv->stride - 1) / conv->stride : 0;
    int last = conv->w - 1 + conv->pad_left - s;
    int to = last < 0 ? -1 : ADL_MIN(last / conv->stride, conv->q - 1);
    return (struct adl_conv_span){from, from * conv->stride + s - conv->pad_left, to - from + 1};
}
