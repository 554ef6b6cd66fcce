/* Implements the steps from an image file to boxes; see predict.h.
 *
 * A prediction keeps its class map at the size of the feature map (a few hundred floats) instead
 * of the enlarged map (50,176 floats at 224 x 224). For an overlay or a PNG, adl_predict_map()
 * makes the enlarged map again from the small one. */

#include "server/tasks/predict.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "wsol/cam.h"
#include "wsol/session_cam.h"

void adl_predict_input_drop(struct adl_predict_input *input)
{
    adl_image_release(&input->image);
    adl_predict_input_loaded(input);
}

void adl_predict_input_loaded(struct adl_predict_input *input)
{
    adl_view_images_release(&input->resized);
    adl_free(input->tensor);
    input->tensor = NULL;
}

void adl_predict_input_release(struct adl_predict_input *input)
{
    adl_predict_input_drop(input);
    memset(input, 0, sizeof *input);
}

/* A reduced image has to suffice for the largest size. */
static struct adl_decode_options decode_options(const struct adl_predict_decode *how,
                                                const struct adl_view_sizes *sizes)
{
    struct adl_decode_options options = {.max_pixels = how->max_pixels,
                                         .max_memory_bytes = how->max_memory_bytes,
                                         .pause = how->pause,
                                         .decoder = how->decoder};

    for (int i = 0; how->reduced && !how->keep_image && i < sizes->count; i++) {
        options.target_width = ADL_MAX(options.target_width, sizes->items[i].w);
        options.target_height = ADL_MAX(options.target_height, sizes->items[i].h);
    }
    return options;
}

/* Resizes the whole image, which was kept. */
static int resize_input(const struct adl_view_sizes *sizes, struct adl_predict_input *input,
                        struct adl_error *err)
{
    if (adl_view_images_make(&input->image, sizes, &input->resized, err) == 0)
        return 0;
    adl_predict_input_drop(input);
    return -1;
}

static void set_sizes(const struct adl_view_sizes *sizes, struct adl_image *images)
{
    for (int i = 0; i < sizes->count; i++)
        images[i] = (struct adl_image){.width = sizes->items[i].w, .height = sizes->items[i].h};
}

int adl_predict_decode(const void *bytes, size_t length, const struct adl_predict_decode *how,
                       const struct adl_view_sizes *sizes, struct adl_predict_input *input,
                       struct adl_error *err)
{
    const struct adl_decode_options options = decode_options(how, sizes);

    memset(input, 0, sizeof *input);
    if (how->keep_image) {
        if (adl_image_decode(bytes, length, &options, &input->image, &input->info, err) < 0)
            return -1;
        return resize_input(sizes, input, err);
    }
    set_sizes(sizes, input->resized.items);
    return adl_image_decode_sizes(bytes, length, &options, input->resized.items, sizes->count,
                                  &input->info, err);
}

int adl_predict_examine(const void *bytes, size_t length, const struct adl_predict_decode *how,
                        const struct adl_view_sizes *sizes, struct adl_predict_needs *needs,
                        struct adl_error *err)
{
    const struct adl_decode_options options = decode_options(how, sizes);
    struct adl_image images[ADL_LIMIT_MAP_SCALES + 1];
    struct adl_image_needs image;

    *needs = (struct adl_predict_needs){0};
    set_sizes(sizes, images);
    if (adl_image_examine(bytes, length, &options, images, sizes->count, &image, err) < 0)
        return -1;
    needs->width = image.width;
    needs->height = image.height;
    needs->decode_ms = image.ms;
    for (int i = 0; i < sizes->count; i++)
        needs->kept_bytes += 3 * (size_t)sizes->items[i].w * (size_t)sizes->items[i].h;
    needs->decode_bytes = image.rows_bytes;
    if (how->keep_image) {
        /* Resizing the whole image takes an intermediate one, at most as large as a size is wide
         * and the image high. */
        size_t thin = 0;
        for (int i = 0; i < sizes->count; i++)
            thin = ADL_MAX(thin, 4 * (size_t)sizes->items[i].w * (size_t)image.height);
        needs->kept_bytes += image.image_bytes;
        needs->decode_bytes = ADL_MAX(image.whole_bytes, image.image_bytes + thin) +
                              needs->kept_bytes - image.image_bytes;
    }
    return 0;
}

int adl_predict_read(const char *path, const struct adl_predict_decode *how,
                     const struct adl_view_sizes *sizes, struct adl_predict_input *input,
                     struct adl_error *err)
{
    size_t length;
    void *bytes = adl_file_read(path, ADL_LIMIT_IMAGE_FILE_BYTES, &length, err);

    memset(input, 0, sizeof *input);
    if (!bytes)
        return -1;
    int result = adl_predict_decode(bytes, length, how, sizes, input, err);
    adl_free(bytes);
    return result < 0 ? adl_error_context(err, "%s", path) : 0;
}

void adl_predict_load(const struct adl_model *model, const struct adl_predict_input *input,
                      const struct adl_view_run *run, int view, int slot)
{
    if (input->tensor)
        adl_view_load_tensor(run, view, slot, input->tensor);
    else
        adl_view_load(run, view, slot, &input->resized, model->mean, model->std);
}

void adl_predictions_release(struct adl_predictions *predictions)
{
    for (size_t i = 0; predictions->items && i < predictions->count; i++) {
        adl_free(predictions->items[i].cam);
        adl_localization_release(&predictions->items[i].place);
    }
    adl_free(predictions->items);
    adl_free(predictions->outputs.logits);
    adl_free(predictions->outputs.scores);
    adl_free(predictions->outputs.cam);
    memset(predictions, 0, sizeof *predictions);
}

void adl_predict_query_certainty(struct adl_predict_query *query, const struct adl_model *model)
{
    query->labels = model->labels;
    if (query->label_threshold >= 0)
        query->labels.threshold = query->label_threshold;
    query->certainty = &model->certainty;
    query->confidence = adl_model_confidence(model, &query->map);
}

/* Returns the number of classes that are wanted of an image with these probabilities. */
static size_t class_count(const struct adl_predict_query *query, const float *probabilities,
                          size_t classes)
{
    const size_t most = query->most ? query->most : ADL_PREDICT_LABELS;
    size_t wanted = query->top_k;

    if (query->class_id >= 0)
        return 1;
    if (wanted == 0)
        wanted = query->labels.several
                     ? ADL_MIN(most, adl_labels_present(&query->labels, probabilities, classes))
                     : 1;
    return ADL_MIN(ADL_MAX(wanted, 1), classes);
}

/* Computes the probabilities of all classes, and chooses the indices of the `count` classes to
 * localize. They are chosen before the temperature is applied: it does not change the order, but
 * may round two probabilities to one. Sigmoids are rounded to 1 early, so their logits are
 * compared. The caller frees both arrays, also after a failure. */
static int choose_classes(const struct adl_session *session, int index,
                          const struct adl_predict_query *query, float **probabilities,
                          size_t **chosen, size_t *count, struct adl_error *err)
{
    const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, index);
    size_t classes =
        adl_shape_count(adl_plan_output_shape(adl_session_plan(session), ADL_OUTPUT_LOGITS));

    const double temperature = query->certainty ? query->certainty->temperature : 1;

    *probabilities = adl_malloc(classes, sizeof **probabilities);
    if (!*probabilities)
        return adl_fail_nomem(err, "the scores of an image");
    for (size_t i = 0; i < classes; i++)
        if (!isfinite(logits[i]))
            return adl_fail(err, ADL_ERR_INTERNAL,
                            "the network's scores for this image are not finite: its weights are "
                            "damaged or far too large; use another model file");
    adl_class_probabilities(&query->labels, query->labels.several ? temperature : 1, logits,
                            classes, *probabilities);
    *count = class_count(query, *probabilities, classes);
    *chosen = adl_malloc(*count, sizeof **chosen);
    if (!*chosen)
        return adl_fail_nomem(err, "the scores of an image");
    if (query->class_id >= 0)
        **chosen = (size_t)query->class_id;
    else
        adl_top_k(query->labels.several ? logits : *probabilities, classes, *count, *chosen);
    if (!query->labels.several && temperature != 1)
        adl_softmax_at(temperature, logits, classes, *probabilities);
    return 0;
}

/* Copies what the network itself gives: see struct adl_predict_outputs. */
static int keep_outputs(const struct adl_session *session, int slot, const float *probabilities,
                        int class_id, struct adl_predict_outputs *out, struct adl_error *err)
{
    const struct adl_plan *plan = adl_session_plan(session);
    const struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    const size_t classes = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS));

    *out = (struct adl_predict_outputs){
        .classes = classes,
        .logits = adl_malloc(classes, sizeof(float)),
        .scores = adl_malloc(classes, sizeof(float)),
        .map_w = map.w,
        .map_h = map.h,
        .cam = adl_malloc((size_t)map.h * (size_t)map.w, sizeof(float)),
    };
    if (!out->logits || !out->scores || !out->cam)
        return adl_fail_nomem(err, "the outputs of the network");
    memcpy(out->logits, adl_session_output(session, ADL_OUTPUT_LOGITS, slot),
           classes * sizeof(float));
    memcpy(out->scores, probabilities, classes * sizeof(float));
    adl_session_cam(session, slot, class_id, &(struct adl_map_rule){0}, out->cam);
    return 0;
}

/* Chooses the classes by the scores of the plain view and makes room for their maps. */
static int begin_predictions(const struct adl_view_run *run, int slot,
                             const struct adl_predict_query *query,
                             struct adl_predictions *predictions, struct adl_error *err)
{
    size_t cells = (size_t)run->map_h * (size_t)run->map_w;
    float *probabilities = NULL;
    size_t *chosen = NULL, count;
    int result = -1;

    *predictions =
        (struct adl_predictions){.cam_w = run->map_w,
                                 .cam_h = run->map_h,
                                 .input_w = run->sizes.items[0].w,
                                 .input_h = run->sizes.items[0].h,
                                 .map = query->map,
                                 .has_present = query->certainty && query->certainty->has_presence,
                                 .confidence = query->confidence};
    ADL_TRY(
        choose_classes(run->items[0].session, slot, query, &probabilities, &chosen, &count, err));
    predictions->items = adl_calloc(count, sizeof *predictions->items);
    if (!predictions->items) {
        adl_fail_nomem(err, "predictions");
        goto out;
    }
    predictions->count = count;
    for (size_t i = 0; i < count; i++) {
        struct adl_prediction *p = &predictions->items[i];
        p->class_id = (int)chosen[i];
        p->score = probabilities[chosen[i]];
        if (predictions->has_present)
            p->present = (float)adl_presence(&query->certainty->presence, (double)p->score);
        p->cam = adl_malloc(cells, sizeof *p->cam);
        if (!p->cam) {
            adl_fail_nomem(err, "a class map");
            goto out;
        }
    }
    if (query->keep_outputs)
        ADL_TRY(keep_outputs(run->items[0].session, slot, probabilities,
                             predictions->items[0].class_id, &predictions->outputs, err));
    result = 0;
out:
    adl_free(probabilities);
    adl_free(chosen);
    return result;
}

/* Adds the maps of all classes of a view, some at a time, so that they share what is the same. */
static void add_maps(const struct adl_view_run *run, int view, int slot,
                     const struct adl_map_rule *rule, const struct adl_predictions *predictions)
{
    enum { TOGETHER = 16 };
    int class_ids[TOGETHER];
    float *maps[TOGETHER];

    for (size_t first = 0; first < predictions->count; first += TOGETHER) {
        size_t some = ADL_MIN((size_t)TOGETHER, predictions->count - first);
        for (size_t i = 0; i < some; i++) {
            class_ids[i] = predictions->items[first + i].class_id;
            maps[i] = predictions->items[first + i].cam;
        }
        adl_view_add_all(run, view, slot, class_ids, some, rule, maps);
    }
}

int adl_predict_collect(const struct adl_view_run *run, int view, int slot,
                        const struct adl_predict_query *query, struct adl_predictions *predictions,
                        struct adl_error *err)
{
    int result = view == 0 ? begin_predictions(run, slot, query, predictions, err) : 0;

    if (result < 0) {
        adl_predictions_release(predictions);
        return -1;
    }
    add_maps(run, view, slot, &query->map, predictions);
    return 0;
}

static struct adl_class_map class_map(const struct adl_predictions *predictions, size_t index)
{
    return (struct adl_class_map){.values = predictions->items[index].cam,
                                  .h = predictions->cam_h,
                                  .w = predictions->cam_w,
                                  .input_h = predictions->input_h,
                                  .input_w = predictions->input_w,
                                  .confidence = predictions->confidence,
                                  .probability = (double)predictions->items[index].score};
}

/* What the boxes of all classes have in common. */
struct locating {
    const struct adl_predictions *predictions;
    enum adl_box_mode boxes;
    int image_w, image_h;
};

static int locate_class(void *of_body, size_t index, const struct adl_pause *pause,
                        struct adl_error *err)
{
    const struct locating *l = of_body;
    struct adl_prediction *p = &l->predictions->items[index];
    const struct adl_class_map cam = class_map(l->predictions, index);
    const struct adl_map_rule rule =
        adl_map_rule_of_class(&l->predictions->map, (size_t)p->class_id);

    (void)pause;
    return adl_localize_map(&rule, &cam, l->boxes, false, l->image_w, l->image_h, &p->place, err);
}

int adl_predict_locate(struct adl_predictions *predictions, const struct adl_predict_query *query,
                       int image_w, int image_h, const struct adl_pause *pause,
                       struct adl_error *err)
{
    struct locating l = {predictions, query->boxes, image_w, image_h};

    return adl_pause_for(predictions->count > 1 ? pause : NULL, predictions->count, locate_class,
                         &l, err);
}

float adl_predict_glow(const struct adl_predictions *predictions, size_t index)
{
    return predictions->has_present ? predictions->items[index].present : 1;
}

float *adl_predict_map(const struct adl_predictions *predictions, size_t index,
                       struct adl_error *err)
{
    const struct adl_class_map cam = class_map(predictions, index);
    return adl_localize_enlarge(&predictions->map, &cam, err);
}
