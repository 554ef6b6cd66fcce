/* What the answer to one image takes; see answer_cost.h and docs/operating.md, "Memory". */

#include "server/api/answer_cost.h"

#include "base/size.h"

/* A number of a heat map in a list takes 60 bytes, as a JSON value and as text, and there may be
 * two lists; a box takes 700. */
#define NUMBER_BYTES 120
#define BOX_BYTES 700
/* For each class, a pixel of a PNG heat map takes 4/3 bytes in base64 as a JSON value, and as many
 * in the text of the answer. A map that is being made takes 7 bytes a pixel more: grey, compressed,
 * in base64, and while buffers grow; several workers may make one each. */
#define PNG_CLASS_BYTES_PER_PIXEL 2.7
#define PNG_BYTES_PER_PIXEL 7
/* An overlay is drawn on the image, which is counted with the decoding. Its file, at most as large
 * as the pixels, is written into a buffer that grows, and copied. */
#define OVERLAY_BYTES_PER_PIXEL 9

/* Times on one core of a small server: boxes of a class; its two lists of numbers; a PNG heat map;
 * an overlay. */
#define CLASS_MS 0.35
#define NUMBERS_MS 0.5
#define PNG_NS_PER_PIXEL 12
#define OVERLAY_NS_PER_PIXEL 60

size_t adl_answer_map_cells(const struct adl_map_views *views, int input_h, int input_w)
{
    double scale = 1;

    for (int i = 0; i < views->scale_count; i++)
        scale = ADL_MAX(scale, views->scales[i]);
    /* The finest grid that a class map has is an eighth of the input's sides. */
    return (size_t)(scale * scale * (double)input_h * (double)input_w / 64);
}

struct adl_job_answer adl_answer_cost(const struct adl_answer_kind *kind)
{
    const double classes = (double)kind->classes;
    const size_t boxes = kind->boxes == ADL_BOXES_LARGEST ? 1 : ADL_LIMIT_BOXES;
    struct adl_job_answer cost = {
        .bytes = kind->classes * (ADL_ANSWER_CLASS_BYTES + boxes * BOX_BYTES),
        .ms = classes * CLASS_MS,
    };

    if (kind->overlay) {
        cost.bytes_per_pixel = OVERLAY_BYTES_PER_PIXEL;
        cost.ns_per_pixel = OVERLAY_NS_PER_PIXEL;
    } else if (kind->heatmap == ADL_HEATMAP_ARRAY) {
        cost.bytes += kind->classes * kind->map_cells * NUMBER_BYTES;
        cost.ms += classes * NUMBERS_MS;
    } else if (kind->heatmap == ADL_HEATMAP_PNG) {
        cost.bytes_per_pixel = PNG_CLASS_BYTES_PER_PIXEL * classes;
        cost.piece_bytes_per_pixel = PNG_BYTES_PER_PIXEL;
        cost.pieces = kind->classes;
        cost.ns_per_pixel = PNG_NS_PER_PIXEL * classes;
    }
    return cost;
}
