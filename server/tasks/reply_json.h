#ifndef ADL_SERVER_TASKS_REPLY_JSON_H
#define ADL_SERVER_TASKS_REPLY_JSON_H

/* Converts predictions to the JSON object of the HTTP interface, and to an overlay on the image.
 * Used by `serve` and `localize`. */

#include <jansson.h>

#include "server/tasks/predict.h"

/* Flags of json_dumps() for replies: a float32 score carries about six significant digits. */
#define ADL_REPLY_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

/* The form of a prediction's map in a reply: none, the h x w numbers of the class map row by
 * row, or a grey PNG of the image's size in base64. */
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

/* The parts of a reply; everything is borrowed. */
struct adl_reply {
    const struct adl_model *model;
    const char *model_name;
    const char *model_version; /* NULL: omitted */
    const char *request_id;    /* NULL: omitted */
    int image_width;
    int image_height;
    const struct adl_predictions *predictions; /* located */
    enum adl_reply_heatmap heatmap;
    const struct adl_reply_timing *timing; /* NULL: omitted */
    /* An answer consists of one or several replies. The number of pixels that the PNG heat maps
     * of the answer may still have; those of this reply are subtracted. NULL:
     * ADL_LIMIT_HEATMAP_PIXELS for this reply alone. */
    size_t *heatmap_pixels;
    /* Called before each prediction, and between rows of a PNG heat map, since these take time; it
     * may share the predictions among threads, and fails if the reply is not needed any more,
     * because the client has disconnected or the deadline has passed. NULL: the reply is always
     * completed. */
    const struct adl_pause *pause;
};

/* Returns {"model", "model_version", "request_id", "image", "threshold", "predictions",
 * "timing_ms"}, owned by the caller. Fails with ADL_ERR_NOMEM, as `pause` does, or with
 * ADL_ERR_LIMIT if the PNG heat maps have too many pixels in total. */
json_t *adl_reply_to_json(const struct adl_reply *reply, struct adl_error *err) ADL_MUST_CHECK;

/* Writes the class map of a located prediction, cam_h x cam_w values on the scale of the map that
 * its boxes are cut from, where 0 and 1 are the ends: with `clip`, in 0..1. By the reference's rule
 * they are so in any case. */
void adl_reply_map(const struct adl_predictions *predictions,
                   const struct adl_prediction *prediction, bool clip, float *values);

#define ADL_REPLY_OPACITY 0.5F
/* Draws a prediction's heat map, boxes and label onto the image. `opacity` is the opacity of the
 * heat map, 0..1. */
int adl_reply_draw(struct adl_image *image, const struct adl_model *model,
                   const struct adl_predictions *predictions, size_t index, float opacity,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Draws as adl_reply_draw() does, with ADL_REPLY_OPACITY, and encodes the image as a JPEG or PNG
 * file, to be freed with adl_free(). */
int adl_reply_overlay(struct adl_image *image, const struct adl_model *model,
                      const struct adl_predictions *predictions, size_t index,
                      enum adl_image_type type, void **bytes, size_t *length,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
