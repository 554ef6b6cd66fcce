/* Converts predictions to JSON, and draws them on the image.
 *
 * The expensive part of a reply is a PNG heat map, which has the size of the image and not of
 * the network's input, and an answer may contain a hundred of them. Therefore their pixels are
 * limited, before each it is checked whether the client still waits for the answer, and each is
 * made by itself, so that several threads can make them. */

#include "server/tasks/reply_json.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "image/overlay.h"
#include "server/tasks/grey_map.h"

#define OVERLAY_JPEG_QUALITY 90

const char *const adl_reply_heatmap_names[] = {"none", "array", "png", NULL};

/* --- heat maps ------------------------------------------------------------- */

static json_t *heatmap_png(const struct adl_reply *reply, size_t index,
                           const struct adl_pause *pause, struct adl_error *err)
{
    uint8_t *grey = adl_malloc((size_t)reply->image_width, (size_t)reply->image_height);
    void *png = NULL;
    size_t length;
    struct adl_str text = {0};
    json_t *result = NULL;

    if (!grey) {
        adl_fail_nomem(err, "a heat map");
        goto out;
    }
    ADL_TRY(adl_grey_map(reply->predictions, index, reply->image_width, reply->image_height, pause,
                         grey, err));
    ADL_TRY(adl_image_encode_grey_png(grey, reply->image_width, reply->image_height, pause, &png,
                                      &length, err));
    adl_str_base64(&text, png, length);
    if (!text.failed)
        result = json_pack("{s:i, s:i, s:s}", "width", reply->image_width, "height",
                           reply->image_height, "data", text.data);
    if (!result)
        adl_fail_nomem(err, "a heat map");
out:
    adl_free(grey);
    adl_free(png);
    adl_str_release(&text);
    return result;
}

static json_t *numbers(const float *values, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < count; i++)
        if (json_array_append_new(list, json_real((double)values[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

void adl_reply_map(const struct adl_predictions *predictions,
                   const struct adl_prediction *prediction, bool clip, float *values)
{
    const size_t count = (size_t)predictions->cam_w * (size_t)predictions->cam_h;
    const struct adl_map_range *range = &prediction->place.range;
    const double width = range->high - range->low;

    if (adl_map_rule_is_reference(&predictions->map)) {
        adl_heatmap_normalise(prediction->cam, count, values);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = width > 0 ? (float)(((double)prediction->cam[i] - range->low) / width) : 0;
        if (clip)
            values[i] = fminf(fmaxf(values[i], 0), 1);
    }
}

/* Returns the class map in 0..1, at the size of the feature map. By the reference's rule it is
 * normalised by its minimum and maximum; enlarging it and normalising it again gives the map
 * that the boxes are cut from. Other rules clip the enlarged map, and the clipped values cannot
 * be recovered from clipped small ones. Therefore "data" has the values on the scale of the map
 * of the boxes, clipped to 0..1, and "raw" has them without clipping, so that "raw" enlarged and
 * then clipped is that map. */
static json_t *heatmap_array(const struct adl_predictions *predictions,
                             const struct adl_prediction *prediction, struct adl_error *err)
{
    size_t count = (size_t)predictions->cam_w * (size_t)predictions->cam_h;
    bool reference = adl_map_rule_is_reference(&predictions->map);
    float *values = adl_malloc(count, sizeof *values);
    json_t *data, *raw = NULL, *result = NULL;

    if (!values)
        goto out;
    if (!reference) {
        adl_reply_map(predictions, prediction, false, values);
        raw = numbers(values, count);
    }
    adl_reply_map(predictions, prediction, true, values);
    data = numbers(values, count);
    if (data && (reference || raw))
        result = json_pack("{s:i, s:i, s:O, s:O*}", "width", predictions->cam_w, "height",
                           predictions->cam_h, "data", data, "raw", raw);
    json_decref(data);
    json_decref(raw);
out:
    adl_free(values);
    if (!result)
        adl_fail_nomem(err, "a heat map");
    return result;
}

/* --- the object ------------------------------------------------------------ */

static json_t *boxes_json(const struct adl_localization *place)
{
    json_t *boxes = json_array();

    for (size_t i = 0; boxes && i < place->box_count; i++) {
        struct adl_box box = place->boxes[i].box;
        json_t *confidence = place->judged ? json_real(place->boxes[i].confidence) : NULL;
        if (json_array_append_new(boxes,
                                  json_pack("{s:i, s:i, s:i, s:i, s:f, s:o*}", "x0", box.x0, "y0",
                                            box.y0, "x1", box.x1, "y1", box.y1, "score",
                                            place->boxes[i].score, "confidence", confidence)) < 0) {
            json_decref(boxes);
            return NULL;
        }
    }
    return boxes;
}

static json_t *prediction_json(const struct adl_reply *reply, size_t index,
                               const struct adl_pause *pause, struct adl_error *err)
{
    const struct adl_prediction *prediction = &reply->predictions->items[index];
    char label[40];
    json_t *heatmap = NULL, *result;

    if (reply->heatmap != ADL_HEATMAP_NONE) {
        heatmap = reply->heatmap == ADL_HEATMAP_ARRAY
                      ? heatmap_array(reply->predictions, prediction, err)
                      : heatmap_png(reply, index, pause, err);
        if (!heatmap)
            return NULL;
    }
    json_t *present =
        reply->predictions->has_present ? json_real((double)prediction->present) : NULL;
    /* A class may have a threshold of its own. */
    const struct adl_map_rule *rule = &reply->predictions->map;
    double own = adl_map_rule_of_class(rule, (size_t)prediction->class_id).threshold;
    json_t *threshold = fabs(own - rule->threshold) > 0 ? json_real(own) : NULL;
    result =
        json_pack("{s:i, s:s, s:f, s:o*, s:o*, s:o, s:o*}", "class_id", prediction->class_id,
                  "label", adl_model_label(reply->model, prediction->class_id, label, sizeof label),
                  "score", (double)prediction->score, "present", present, "threshold", threshold,
                  "boxes", boxes_json(&prediction->place), "heatmap", heatmap);
    if (!result)
        adl_fail_nomem(err, "a prediction");
    return result;
}

static json_t *timing_json(const struct adl_reply_timing *timing)
{
    /* Rounded to microseconds, which keeps the numbers short. */
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "decode", round(timing->decode * 1e3) / 1e3,
                     "queue", round(timing->queue * 1e3) / 1e3, "inference",
                     round(timing->inference * 1e3) / 1e3, "postprocess",
                     round(timing->postprocess * 1e3) / 1e3, "total",
                     round(timing->total * 1e3) / 1e3);
}

/* Subtracts the pixels of this reply's PNG heat maps from the budget of the answer. Fails if it
 * does not suffice. */
static int reserve_pixels(const struct adl_reply *reply, struct adl_error *err)
{
    size_t pixels = (size_t)reply->image_width * (size_t)reply->image_height;
    size_t alone = ADL_LIMIT_HEATMAP_PIXELS;
    size_t *left = reply->heatmap_pixels ? reply->heatmap_pixels : &alone;

    if (adl_size_mul(pixels, reply->predictions->count, &pixels) < 0 || pixels > *left)
        return adl_fail(
            err, ADL_ERR_LIMIT,
            "%zu heat maps of %d x %d pixels exceed the limit of %zu megapixels for one "
            "answer; request fewer predictions, send fewer images, or use "
            "heatmap=array",
            reply->predictions->count, reply->image_width, reply->image_height,
            ADL_LIMIT_HEATMAP_PIXELS / 1000000);
    *left -= pixels;
    return 0;
}

/* The predictions of a reply, which are made by several threads. */
struct making {
    const struct adl_reply *reply;
    json_t **items;
};

static int make_prediction(void *of_body, size_t index, const struct adl_pause *pause,
                           struct adl_error *err)
{
    struct making *m = of_body;

    m->items[index] = prediction_json(m->reply, index, pause, err);
    return m->items[index] ? 0 : -1;
}

/* Returns the list of predictions. */
static json_t *predictions_json(const struct adl_reply *reply, struct adl_error *err)
{
    const size_t count = reply->predictions->count;
    struct making m = {reply, adl_calloc(ADL_MAX(count, 1), sizeof *m.items)};
    json_t *list = json_array(), *result = NULL;

    if (!m.items || !list) {
        adl_fail_nomem(err, "predictions");
        goto out;
    }
    ADL_TRY(adl_pause_for(reply->pause, count, make_prediction, &m, err));
    for (size_t i = 0; i < count; i++) {
        json_t *one = m.items[i];
        m.items[i] = NULL;
        if (json_array_append_new(list, one) < 0) {
            adl_fail_nomem(err, "predictions");
            goto out;
        }
    }
    result = json_incref(list);
out:
    for (size_t i = 0; m.items && i < count; i++)
        json_decref(m.items[i]);
    adl_free(m.items);
    json_decref(list);
    return result;
}

json_t *adl_reply_to_json(const struct adl_reply *reply, struct adl_error *err)
{
    json_t *list = NULL, *result = NULL;

    if (reply->heatmap == ADL_HEATMAP_PNG)
        ADL_TRY(reserve_pixels(reply, err));
    list = predictions_json(reply, err);
    if (!list)
        return NULL;
    result =
        json_pack("{s:s, s:s*, s:s*, s:{s:i, s:i}, s:f, s:O, s:o*}", "model", reply->model_name,
                  "model_version", reply->model_version, "request_id", reply->request_id, "image",
                  "width", reply->image_width, "height", reply->image_height, "threshold",
                  reply->predictions->map.threshold, "predictions", list, "timing_ms",
                  reply->timing ? timing_json(reply->timing) : NULL);
    if (!result)
        adl_fail_nomem(err, "a reply");
out:
    json_decref(list);
    return result;
}

/* --- overlays -------------------------------------------------------------- */

int adl_reply_draw(struct adl_image *image, const struct adl_model *model,
                   const struct adl_predictions *predictions, size_t index, float opacity,
                   struct adl_error *err)
{
    const struct adl_prediction *p = &predictions->items[index];
    char name[40], label[200];
    struct adl_overlay_box *boxes = adl_malloc(p->place.box_count, sizeof *boxes);
    float *map = adl_predict_map(predictions, index, err);
    int result = -1;

    if (!boxes || !map) {
        adl_fail_nomem(err, "an overlay");
        goto out;
    }
    for (size_t i = 0; i < p->place.box_count; i++) {
        struct adl_box box = p->place.boxes[i].box;
        boxes[i] = (struct adl_overlay_box){box.x0, box.y0, box.x1, box.y1};
    }
    snprintf(label, sizeof label, "%.180s %.0f%%",
             adl_model_label(model, p->class_id, name, sizeof name), (double)p->score * 100);
    struct adl_overlay overlay = {
        .heatmap = map,
        .heatmap_width = predictions->input_w,
        .heatmap_height = predictions->input_h,
        .opacity = opacity,
        .dimmed = 1 - adl_predict_glow(predictions, index),
        .boxes = boxes,
        .box_count = p->place.box_count,
        .label = label,
    };
    result = adl_overlay_draw(image, &overlay, err);
out:
    adl_free(map);
    adl_free(boxes);
    return result;
}

int adl_reply_overlay(struct adl_image *image, const struct adl_model *model,
                      const struct adl_predictions *predictions, size_t index,
                      enum adl_image_type type, void **bytes, size_t *length, struct adl_error *err)
{
    if (adl_reply_draw(image, model, predictions, index, ADL_REPLY_OPACITY, err) < 0)
        return -1;
    return type == ADL_IMAGE_PNG
               ? adl_image_encode_png(image, bytes, length, err)
               : adl_image_encode_jpeg(image, OVERLAY_JPEG_QUALITY, bytes, length, err);
}
