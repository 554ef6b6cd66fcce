#ifndef ADL_SERVER_TASKS_REPLY_JSON_H
#define ADL_SERVER_TASKS_REPLY_JSON_H

/* Predictions as the JSON object of the HTTP interface, and drawn on the
 * picture. Shared by `serve` and `localize`. */

#include <jansson.h>

#include "server/tasks/predict.h"

/* How replies are dumped: six digits are what a float32 score carries. */
#define ADL_REPLY_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

/* What a reply says of each prediction's map: nothing, the h x w numbers of the
 * class map row by row, or a grey PNG of the image's size in base64. */
enum adl_reply_heatmap { ADL_HEATMAP_NONE, ADL_HEATMAP_ARRAY, ADL_HEATMAP_PNG };
extern const char *const adl_reply_heatmap_names[]; /* "none", ..., NULL */

/* Milliseconds of each stage of one image. */
struct adl_reply_timing {
    double decode;
    double queue;
    double inference;
    double postprocess;
    double total;
};

/* All that a reply is made of; everything is borrowed. */
struct adl_reply {
    const struct adl_model *model;
    const char *model_name;
    const char *request_id; /* NULL: left out */
    int image_width;
    int image_height;
    double threshold;
    const struct adl_predictions *predictions; /* located */
    enum adl_reply_heatmap heatmap;
    const struct adl_reply_timing *timing; /* NULL: left out */
    /* Heat maps as pictures: the pixels that are left for them in the answer this
     * reply is a part of, less its own afterwards. NULL: ADL_LIMIT_HEATMAP_PIXELS
     * for this reply alone. */
    size_t *heatmap_pixels;
    /* Asked before each prediction, as heat maps take their time; -1 with an error
     * ends the work. NULL: never. */
    int (*go_on)(void *context, struct adl_error *err);
    void *context;
};

/* {"model", "request_id", "image", "threshold", "predictions", "timing_ms"}; the
 * caller owns it. Fails with NOMEM, as go_on() does, or with LIMIT when the heat
 * maps as pictures would be too large together. */
json_t *adl_reply_to_json(const struct adl_reply *reply, struct adl_error *err) ADL_MUST_CHECK;

/* Draws a prediction's heat map, boxes and label onto the picture. `opacity` of
 * the heat map in 0..1. */
int adl_reply_draw(struct adl_image *image, const struct adl_model *model,
                   const struct adl_predictions *predictions, size_t index, float opacity,
                   struct adl_error *err) ADL_MUST_CHECK;

/* The same, as the bytes of a JPEG or PNG file that the caller frees with
 * adl_free. The picture is drawn upon. Opacity and JPEG quality are the
 * program's own choice. */
int adl_reply_overlay(struct adl_image *image, const struct adl_model *model,
                      const struct adl_predictions *predictions, size_t index,
                      enum adl_image_type type, void **bytes, size_t *length,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
