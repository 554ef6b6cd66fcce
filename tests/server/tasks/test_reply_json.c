/* server/tasks/reply_json: replies, their heat maps and overlays. */

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image_decode.h"
#include "models/file/load.h"
#include "server/tasks/reply_json.h"
#include "support/server_fixture.h"

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    return at && c ? (int)(at - digits) : 0;
}

/* A model, and predictions of one class with one box and a 2x2 map with its maximum at the lower
 * right. */
struct found {
    struct adl_model *model;
    struct adl_predictions predictions;
    struct adl_prediction prediction;
    struct adl_localized_box box;
    float heatmap[4];
};

static void open_found(struct found *found)
{
    struct adl_error err = {0};

    found->model = adl_model_load(test_small_model(), NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found->model);
    for (int i = 0; i < 4; i++)
        found->heatmap[i] = (float)i / 3;
    found->box = (struct adl_localized_box){.box = {1, 2, 3, 4}, .score = 0.75};
    found->prediction = (struct adl_prediction){.class_id = 2,
                                                .score = 0.5F,
                                                .cam = found->heatmap,
                                                .place = {.boxes = &found->box, .box_count = 1}};
    found->predictions = (struct adl_predictions){.items = &found->prediction,
                                                  .count = 1,
                                                  .cam_w = 2,
                                                  .cam_h = 2,
                                                  .input_w = 2,
                                                  .input_h = 2,
                                                  .map = {.threshold = 0.25}};
}

static struct adl_reply make_reply(const struct found *found, enum adl_reply_heatmap heatmap)
{
    return (struct adl_reply){.model = found->model,
                              .model_name = "m",
                              .image_width = 9,
                              .image_height = 7,
                              .predictions = &found->predictions,
                              .heatmap = heatmap};
}

static int stop(void *context, struct adl_error *err)
{
    (void)context;
    return adl_fail(err, ADL_ERR_CANCELLED, "stopped");
}

static void heatmaps_stretch_over_the_image(void)
{
    struct adl_error err = {0};
    struct found found;
    unsigned char png[4096];
    size_t length = 0;
    struct adl_image image;

    open_found(&found);
    struct adl_reply reply = make_reply(&found, ADL_HEATMAP_PNG);
    json_t *json = adl_reply_to_json(&reply, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_PTR_NULL(json_object_get(json, "request_id"));
    CU_ASSERT_PTR_NULL(json_object_get(json, "timing_ms"));
    json_t *one = json_array_get(json_object_get(json, "predictions"), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "label")), "cat");
    const char *text = json_string_value(json_object_get(json_object_get(one, "heatmap"), "data"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (; text[0] && text[1] && length < sizeof png - 3; text += 4) {
        int bits = base64_value(text[0]) << 18 | base64_value(text[1]) << 12 |
                   base64_value(text[2]) << 6 | base64_value(text[3]);
        for (int shift = 16; shift >= 0; shift -= 8)
            png[length++] = (unsigned char)(bits >> shift & 255);
    }
    TEST_OK(adl_image_decode(png, length, NULL, &image, NULL, &err), &err);
    CU_ASSERT(image.width == 9 && image.height == 7);
    /* The corners equal those of the map, the middle its mean. */
    CU_ASSERT_EQUAL(image.rgb[0], 0);
    CU_ASSERT_EQUAL(image.rgb[8 * 3], 85);
    CU_ASSERT_EQUAL(image.rgb[(size_t)(6 * 9) * 3], 170);
    CU_ASSERT_EQUAL(image.rgb[(size_t)(6 * 9 + 8) * 3], 255);
    CU_ASSERT(abs(image.rgb[(size_t)(3 * 9 + 4) * 3] - 128) <= 1);
    adl_image_release(&image);
    json_decref(json);

    /* The pixels left for the heat maps of an answer can be used up but not exceeded. */
    size_t left = 2 * 9 * 7 - 1;
    reply.heatmap_pixels = &left;
    json_decref(adl_reply_to_json(&reply, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NONE);
    CU_ASSERT_EQUAL(left, 9 * 7 - 1);
    CU_ASSERT_PTR_NULL(adl_reply_to_json(&reply, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    CU_ASSERT_EQUAL(left, 9 * 7 - 1);
    reply.heatmap_pixels = NULL;
    adl_error_clear(&err);

    /* The client has left. */
    const struct adl_pause pause = {.call = stop, .context = NULL};
    reply.pause = &pause;
    CU_ASSERT_PTR_NULL(adl_reply_to_json(&reply, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_CANCELLED);
    reply.pause = NULL;
    adl_error_clear(&err);

    /* Far too many pixels for one answer. */
    reply.image_width = reply.image_height = 60000;
    CU_ASSERT_PTR_NULL(adl_reply_to_json(&reply, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_model_free(found.model);
}

/* What is not known is left out, and what is known is there as it is; the heat map is not scaled
 * by it. */
static void certainty_is_shown_where_it_is_known(void)
{
    struct adl_error err = {0};
    struct found found;

    open_found(&found);
    const struct adl_reply reply = make_reply(&found, ADL_HEATMAP_ARRAY);
    for (int known = 0; known < 2; known++) {
        found.prediction.present = 0.25F;
        found.predictions.has_present = known;
        found.box.confidence = 0.75;
        found.prediction.place.judged = known;
        json_t *json = adl_reply_to_json(&reply, &err);
        json_t *one = json_array_get(json_object_get(json, "predictions"), 0);
        json_t *first = json_array_get(json_object_get(one, "boxes"), 0);
        json_t *data = json_object_get(json_object_get(one, "heatmap"), "data");
        CU_ASSERT_EQUAL(json_object_get(one, "present") != NULL, known);
        CU_ASSERT_EQUAL(json_real_value(json_object_get(one, "present")), known ? 0.25 : 0);
        CU_ASSERT_EQUAL(json_object_get(first, "confidence") != NULL, known);
        CU_ASSERT_EQUAL(json_real_value(json_object_get(first, "confidence")), known ? 0.75 : 0);
        CU_ASSERT_EQUAL(json_real_value(json_array_get(data, 3)), 1);
        json_decref(json);
    }
    adl_model_free(found.model);
}

/* Where a class is hardly seen its heat is dark: the brightest pixel of the overlay fades. */
static void heat_fades_with_the_presence(void)
{
    struct adl_error err = {0};
    struct found found;
    struct adl_image image;
    int last = 256;

    open_found(&found);
    found.prediction.place.box_count = 0;
    for (int step = 4; step >= 0; step--) {
        found.prediction.present = (float)step / 4;
        found.predictions.has_present = true;
        TEST_OK(adl_image_init(&image, 60, 60, &err), &err);
        memset(image.rgb, 0, 60 * 60 * 3);
        TEST_OK(adl_reply_draw(&image, found.model, &found.predictions, 0, 1, &err), &err);
        int red = image.rgb[3 * (60 * 60 - 1)];
        CU_ASSERT(red < last);
        last = red;
        adl_image_release(&image);
    }
    CU_ASSERT(last < 5);
    adl_model_free(found.model);
}

static void overlays_show_what_was_found(void)
{
    struct adl_error err = {0};
    struct found found;
    struct adl_image image;

    open_found(&found);
    for (uint64_t n = 1;; n++) {
        size_t blocks = adl_mem_stats().live_blocks, length;
        void *bytes = NULL;
        adl_error_clear(&err);
        TEST_OK(adl_image_init(&image, 40, 30, &err), &err);
        memset(image.rgb, 128, 40 * 30 * 3);
        adl_mem_fail_nth(n);
        int result = adl_reply_overlay(&image, found.model, &found.predictions, 0, ADL_IMAGE_PNG,
                                       &bytes, &length, &err);
        adl_mem_fail_nth(0);
        if (result == 0) {
            CU_ASSERT_EQUAL(adl_image_sniff(bytes, length), ADL_IMAGE_PNG);
            adl_free(bytes);
        }
        adl_image_release(&image);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        if (result == 0)
            break;
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
    adl_model_free(found.model);
}

TEST_SUITE(reply_json, {"heatmaps stretch over the image", heatmaps_stretch_over_the_image},
           {"certainty is shown where it is known", certainty_is_shown_where_it_is_known},
           {"heat fades with the presence", heat_fades_with_the_presence},
           {"overlays show what was found", overlays_show_what_was_found});
