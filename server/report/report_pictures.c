/* Draws the same pictures of val after each epoch.
 *
 * They are chosen at random from all of val, once for a run: by its seed, so that runs of one seed
 * show the same pictures side by side. The network is run again on each, as for the report's
 * gallery; for every third the layers of a method that hides by attention are run as in
 * training too, and leave their attention and the factors that follow from it. Maps are reduced to
 * MAP_SIDE positions a side, which is as much as a network has.
 *
 * A picture that cannot be read is left out when the pictures are chosen. */

#include "server/report/report_pictures.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/image_file.h"
#include "io/file.h"
#include "io/json_text.h"
#include "methods/methods.h"
#include "server/options/method_options.h"
#include "server/report/report_parts.h"
#include "server/tasks/directory.h"
#include "server/training/run_pictures.h"
#include "train/tape.h"

/* Every how many pictures one has the maps of layers; positions a side of a map; the longer side of
 * a picture. */
enum { LAYERS_EVERY = 3, MAP_SIDE = 28, PICTURE_PX = 320, QUALITY = 82 };

struct pictures {
    const struct adl_train_event *event;
    struct adl_report_images images;
    union adl_method_value values[ADL_METHOD_VALUES];
    struct adl_plan *plan;
    struct adl_tape *tape; /* NULL: no layer has an attention */
    float **params;        /* of the tape; owned */
    size_t chosen[ADL_RUN_PICTURES_COUNT], count;
};

static void release(struct pictures *p)
{
    adl_tape_free(p->tape);
    adl_free(p->params);
    adl_views_free(p->images.views);
    adl_plan_unref(p->plan);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *box_json(double x0, double y0, double x1, double y1)
{
    return json_pack("[f, f, f, f]", x0, y0, x1, y1);
}

/* Reduces a map to `w` x `h` means and returns it as bytes from `least` to `most`. */
static json_t *map_json(const float *map, int from_w, int from_h, double least, double most)
{
    int w = ADL_MIN(from_w, (int)MAP_SIDE), h = ADL_MIN(from_h, (int)MAP_SIDE);
    uint8_t bytes[MAP_SIDE * MAP_SIDE];
    struct adl_str data = {0};
    struct adl_error none = {0};
    double range = most > least ? most - least : 1;

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int x0 = x * from_w / w, x1 = (x + 1) * from_w / w;
            int y0 = y * from_h / h, y1 = (y + 1) * from_h / h;
            double sum = 0;
            for (int row = y0; row < y1; row++)
                for (int column = x0; column < x1; column++)
                    sum += (double)map[row * from_w + column];
            double value = (sum / ((double)(x1 - x0) * (double)(y1 - y0)) - least) / range;
            bytes[y * w + x] = (uint8_t)lrint(255 * fmin(fmax(value, 0), 1));
        }
    }
    adl_str_base64(&data, bytes, (size_t)w * (size_t)h);
    char *text = adl_str_take(&data, NULL, &none);
    json_t *json =
        text ? json_pack("{s:i, s:i, s:s}", "width", w, "height", h, "data", text) : NULL;
    adl_free(text);
    return json;
}

/* Writes the JSON, which it frees, to a file of the run. */
static int write_json(const struct pictures *p, const char *name, json_t *json,
                      struct adl_error *err)
{
    size_t length;
    int result = -1;
    char *path = adl_run_path(p->event->dir, name, err);
    char *text =
        path ? adl_json_to_text(json, JSON_COMPACT | JSON_REAL_PRECISION(5), &length, err) : NULL;

    if (text) {
        const struct adl_file_piece pieces[] = {{text, length}, {"\n", 1}};
        result = adl_file_write(path, pieces, 2, err);
    }
    adl_free(text);
    adl_free(path);
    json_decref(json);
    return result;
}

/* --- which pictures --------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Chooses the pictures: the first ones of a shuffle that have a class and can be read. */
static int choose(struct pictures *p, struct adl_error *err)
{
    const struct adl_dataset *data = p->images.data;
    size_t *order = adl_malloc(data->count, sizeof *order), tried = 0;
    struct adl_str path = {0};
    struct adl_rng rng;

    if (!order)
        return adl_fail_nomem(err, "the pictures");
    for (size_t i = 0; i < data->count; i++)
        order[i] = i;
    adl_rng_seed(&rng, p->images.seed, 2, 0);
    for (size_t i = 0;
         i < data->count && p->count < ADL_RUN_PICTURES_COUNT && tried < 4 * ADL_RUN_PICTURES_COUNT;
         i++) {
        size_t at = i + adl_rng_below(&rng, data->count - i), index = order[at];
        struct adl_image image = {0};
        struct adl_error broken = {0};
        order[at] = order[i];
        if (data->images[index].bare)
            continue;
        tried++;
        if (adl_dataset_image_read(data, index, &path, &image, &broken) == 0)
            p->chosen[p->count++] = index;
        adl_image_release(&image);
    }
    qsort(p->chosen, p->count, sizeof *p->chosen, by_number);
    adl_str_release(&path);
    adl_free(order);
    return 0;
}

static json_t *truth_json(const struct pictures *p, size_t index, int width, int height)
{
    const struct adl_dataset_image *entry = &p->images.data->images[index];
    double w = entry->width ? entry->width : width, h = entry->height ? entry->height : height;
    json_t *boxes = json_array();

    for (size_t i = 0; i < entry->box_count; i++) {
        const struct adl_dataset_box *box = &p->images.data->boxes[entry->first_box + i];
        json_array_append_new(boxes, box_json(box->x0 / w, box->y0 / h, box->x1 / w, box->y1 / h));
    }
    return boxes;
}

static int write_picture(const struct pictures *p, size_t number, json_t *list,
                         struct adl_error *err)
{
    const struct adl_dataset_image *entry = &p->images.data->images[p->chosen[number]];
    struct adl_image image = {0}, small = {0};
    struct adl_str scratch = {0};
    char name[ADL_RUN_PICTURES_NAME], label[32], *path = NULL;
    void *bytes = NULL;
    size_t length;
    int result = -1;

    ADL_TRY(adl_dataset_image_read(p->images.data, p->chosen[number], &scratch, &image, err));
    double scale = fmin(1, PICTURE_PX / (double)ADL_MAX(image.width, image.height));
    ADL_TRY(adl_image_resize(&image, ADL_MAX((int)(image.width * scale), 1),
                             ADL_MAX((int)(image.height * scale), 1), &small, err));
    ADL_TRY(adl_image_encode_jpeg(&small, QUALITY, &bytes, &length, err));
    adl_run_pictures_jpeg(name, (long long)number);
    path = adl_run_path(p->event->dir, name, err);
    if (!path || adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, err) < 0)
        goto out;
    json_array_append_new(
        list, json_pack("{s:o, s:o, s:i, s:i, s:o}", "id", adl_json_from_text(entry->id), "label",
                        adl_json_from_text(
                            adl_model_label(p->images.model, entry->class_id, label, sizeof label)),
                        "width", small.width, "height", small.height, "boxes",
                        truth_json(p, p->chosen[number], image.width, image.height)));
    result = 0;
out:
    adl_free(path);
    adl_free(bytes);
    adl_str_release(&scratch);
    adl_image_release(&small);
    adl_image_release(&image);
    return result;
}

/* Writes a digest of what the list says of the pictures that were chosen: their names, classes and
 * boxes. */
static int describe(const struct pictures *p, char digest[17], struct adl_error *err)
{
    struct adl_str text = {0};

    for (size_t i = 0; i < p->count; i++) {
        const struct adl_dataset_image *entry = &p->images.data->images[p->chosen[i]];
        char label[32];
        adl_str_printf(&text, "%s\n%s\n", entry->id,
                       adl_model_label(p->images.model, entry->class_id, label, sizeof label));
        for (size_t k = 0; k < entry->box_count; k++) {
            const struct adl_dataset_box *box = &p->images.data->boxes[entry->first_box + k];
            adl_str_printf(&text, "%d,%d,%d,%d\n", box->x0, box->y0, box->x1, box->y1);
        }
    }
    bool failed = text.failed || !text.data;
    snprintf(digest, 17, "%016" PRIx64, failed ? 0 : adl_hash_text(ADL_FNV_BASIS, text.data));
    adl_str_release(&text);
    return failed ? adl_fail_nomem(err, "the pictures") : 0;
}

/* Writes the pictures and index.json last, so that a list is never without its pictures. */
static int write_pictures(const struct pictures *p, struct adl_error *err)
{
    char digest[17];
    char *folder = adl_run_path(p->event->dir, ADL_RUN_PICTURES, err);
    char *index = adl_run_path(p->event->dir, ADL_RUN_PICTURES_INDEX, err);
    int result = folder && index ? adl_make_directory(folder, err) : -1;

    if (result == 0)
        result = describe(p, digest, err);
    bool there = result == 0 && adl_file_is_regular(index);
    if (there && !adl_report_kept_fits(index, digest)) {
        result = adl_report_kept_forget(p->event->dir, p->event->epochs, err);
        there = false;
    }
    if (result == 0 && !there) {
        json_t *list = json_array();
        for (size_t i = 0; result == 0 && i < p->count; i++)
            result = write_picture(p, i, list, err);
        json_t *json =
            json_pack("{s:i, s:s, s:o}", "version", 1, "digest", digest, "pictures", list);
        if (result == 0)
            result = write_json(p, ADL_RUN_PICTURES_INDEX, json, err);
        else
            json_decref(json);
    }
    adl_free(folder);
    adl_free(index);
    return result;
}

/* --- what the network sees -------------------------------------------------------------------- */

static int open_views(struct pictures *p, struct adl_error *err)
{
    struct adl_model *model = p->event->model;
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};

    if (adl_model_keep_layer(model, &model->map.views, err) < 0)
        return -1;
    adl_model_plan_options(model, &options);
    p->plan = adl_plan_create(model->graph, model->params, &options, err);
    if (p->plan)
        p->images.views = adl_model_open_views(model, p->plan, p->event->pool, 1, err);
    return p->images.views ? 0 : -1;
}

static int open_tape(struct pictures *p, struct adl_error *err)
{
    const struct adl_model *model = p->images.model;
    const struct adl_method *method = adl_report_attention_method(model);

    if (!method)
        return 0;
    method->attention->preview(p->values + (adl_method_values(p->values, method) - p->values));
    p->params = adl_report_tape_params(model, err);
    if (p->params)
        p->tape = adl_tape_create(model->graph, model->input_h, model->input_w, 1, ADL_TAPE_SHARED,
                                  p->event->pool, err);
    return p->tape ? 0 : -1;
}

/* The map of a layer's values over the range that they span. */
static json_t *spanning_json(const float *map, struct adl_shape shape)
{
    double least = INFINITY, most = -INFINITY;

    for (size_t i = 0; i < (size_t)shape.h * (size_t)shape.w; i++) {
        least = fmin(least, (double)map[i]);
        most = fmax(most, (double)map[i]);
    }
    json_t *json = map_json(map, shape.w, shape.h, least, most);
    if (json) {
        json_object_set_new(json, "least", json_real(isfinite(least) ? least : 0));
        json_object_set_new(json, "most", json_real(isfinite(most) ? most : 0));
    }
    return json;
}

static int add_layer(const struct pictures *p, const struct adl_method *method, const char *name,
                     const float *attention, struct adl_shape shape, json_t *layers,
                     struct adl_error *err)
{
    size_t pixels = (size_t)shape.h * (size_t)shape.w, hidden = 0;
    float *factors = adl_malloc(pixels, sizeof *factors);
    double cut;

    if (!factors)
        return adl_fail_nomem(err, "a map");
    bool used = method->attention->maps(adl_method_values(p->values, method), attention, pixels,
                                        &cut, factors);
    for (size_t i = 0; i < pixels; i++)
        hidden += (double)attention[i] >= cut;
    json_array_append_new(layers, json_pack("{s:s, s:i, s:i, s:f, s:f, s:b, s:o, s:o}", "name",
                                            name, "width", shape.w, "height", shape.h, "cut",
                                            isfinite(cut) ? cut : 0, "hidden",
                                            (double)hidden / (double)pixels, "importance_used",
                                            used, "attention", spanning_json(attention, shape),
                                            "importance", spanning_json(factors, shape)));
    adl_free(factors);
    return 0;
}

/* The layers of a method that hides by attention, run as in training. */
static int add_layers(const struct pictures *p, const struct adl_view_images *inputs, json_t *out,
                      struct adl_error *err)
{
    const struct adl_model *model = p->images.model;
    const struct adl_method *method = adl_report_attention_method(model);
    const struct adl_train_mode mode = {
        .frozen_batchnorm = true, .method_layers = true, .method_values = p->values};
    json_t *layers = json_array();

    adl_image_to_input(&inputs->items[0], model->mean, model->std, adl_tape_input(p->tape));
    adl_tape_forward(p->tape, 1, p->params, &mode);
    json_object_set_new(out, "layers", layers);
    for (int i = 0; i < adl_graph_node_count(model->graph); i++) {
        const struct adl_node *node = adl_graph_node(model->graph, i);
        if (node->def == method->layer &&
            add_layer(p, method, adl_graph_value(model->graph, node->output)->name,
                      adl_tape_saved(p->tape, i), adl_tape_shape(p->tape, node->output), layers,
                      err) < 0)
            return -1;
    }
    return 0;
}

/* The IoU of the predicted box with the true one that it fits best, both in pixels and with
 * inclusive ends. The list of a data set may give the size of another copy of the image. */
static double best_iou(const struct pictures *p, size_t index, int width, int height,
                       struct adl_box box)
{
    const struct adl_dataset_image *entry = &p->images.data->images[index];
    int of_width = entry->width ? entry->width : width;
    int of_height = entry->height ? entry->height : height;
    double best = 0;

    for (size_t i = 0; i < entry->box_count; i++) {
        const struct adl_dataset_box *truth = &p->images.data->boxes[entry->first_box + i];
        struct adl_box listed = adl_box_to_inclusive(
            (struct adl_box){truth->x0, truth->y0, truth->x1, truth->y1}, of_width, of_height);
        struct adl_box scaled = adl_box_scale(listed, of_width, of_height, width, height);
        best = fmax(best, adl_box_iou(box, scaled));
    }
    return best;
}

static int add_sight(const struct pictures *p, size_t number, json_t *list, struct adl_error *err)
{
    size_t index = p->chosen[number];
    const struct adl_dataset_image *entry = &p->images.data->images[index];
    const struct adl_model *model = p->images.model;
    const struct adl_view_sizes plain = {.count = 1, .items = {{model->input_h, model->input_w}}};
    struct adl_report_prediction found = {0};
    struct adl_image small = {0};
    struct adl_view_images inputs = {0}, input = {0};
    struct adl_view_run run;
    char label[32];
    int width, height, result = -1;

    ADL_TRY(adl_views_prepare(p->images.views, &model->map, false, &run, err));
    ADL_TRY(adl_report_open_image(&p->images, index, &width, &height, &run.sizes, &small, &inputs,
                                  err));
    const struct adl_image frame = {.width = width, .height = height};
    ADL_TRY(adl_report_predict(&p->images, &run, entry->class_id, &frame, &inputs, &found, err));
    json_t *out =
        json_pack("{s:f, s:o, s:f, s:o}", "score", (double)found.probability, "top",
                  adl_json_from_text(adl_model_label(model, (int)found.top, label, sizeof label)),
                  "top_score", (double)found.top_probability, "map",
                  map_json(found.place.map, found.place.map_width, found.place.map_height, 0, 1));
    json_array_append_new(list, out);
    if (found.place.box_count) {
        struct adl_box box = found.place.boxes[0].box;
        json_object_set_new(out, "box",
                            box_json((double)box.x0 / width, (double)box.y0 / height,
                                     (box.x1 + 1.0) / width, (box.y1 + 1.0) / height));
        if (entry->box_count)
            json_object_set_new(out, "iou", json_real(best_iou(p, index, width, height, box)));
    }
    if (p->tape && number % LAYERS_EVERY == 0) {
        adl_image_release(&small);
        ADL_TRY(
            adl_report_open_image(&p->images, index, &width, &height, &plain, &small, &input, err));
        ADL_TRY(add_layers(p, &input, out, err));
    }
    result = 0;
out:
    adl_localization_release(&found.place);
    adl_view_images_release(&input);
    adl_view_images_release(&inputs);
    adl_image_release(&small);
    return result;
}

static int write_epoch(struct pictures *p, struct adl_error *err)
{
    char name[ADL_RUN_PICTURES_NAME];
    json_t *list = json_array();
    int result = open_views(p, err) < 0 || open_tape(p, err) < 0 ? -1 : 0;

    for (size_t i = 0; result == 0 && i < p->count; i++)
        result = add_sight(p, i, list, err);
    json_t *json = json_pack("{s:i, s:f, s:o}", "epoch", p->event->epoch, "threshold",
                             p->images.model->map.threshold, "pictures", list);
    if (result < 0) {
        json_decref(json);
        return -1;
    }
    adl_run_pictures_epoch(name, p->event->epoch);
    return write_json(p, name, json, err);
}

/* Returns whether the pictures of this epoch are kept: evenly over the run, the first and the last
 * among them. */
static bool is_kept(const struct adl_train_event *event)
{
    int step = (event->epochs + ADL_RUN_PICTURES_EPOCHS - 3) / (ADL_RUN_PICTURES_EPOCHS - 2);

    return event->epoch == 1 || event->kind == ADL_TRAIN_DONE ||
           event->epoch % ADL_MAX(step, 1) == 0;
}

int adl_report_pictures(const struct adl_train_event *event, struct adl_error *err)
{
    struct pictures p = {.event = event};
    struct adl_run_record record = {0};
    int result = -1;

    if (!event->val || !event->model || event->epoch < 1 || !is_kept(event))
        return 0;
    ADL_TRY(adl_run_record_read(event->dir, &record, err));
    adl_method_recall(record.config, p.values);
    p.images = (struct adl_report_images){
        .data = event->val,
        .model = event->model,
        .pool = event->pool,
        .values = p.values,
        .seed = (uint64_t)json_integer_value(json_object_get(record.config, "seed"))};
    ADL_TRY(choose(&p, err));
    if (p.count > 0) {
        ADL_TRY(write_pictures(&p, err));
        ADL_TRY(write_epoch(&p, err));
    }
    result = 0;
out:
    release(&p);
    adl_run_record_release(&record);
    return result;
}

int adl_report_attention_json(struct adl_model *model, const struct adl_image *image,
                              struct adl_pool *pool, json_t *out, struct adl_error *err)
{
    const struct adl_train_event event = {.pool = pool};
    const struct adl_view_sizes plain = {.count = 1, .items = {{model->input_h, model->input_w}}};
    struct pictures p = {.event = &event, .images = {.model = model, .pool = pool}};
    struct adl_view_images input = {0};
    int result = -1;

    if (!adl_report_attention_method(model))
        return adl_fail(err, ADL_ERR_ARG,
                        "the network has no layers that hide by attention; train it with --method "
                        "adl");
    adl_method_recall(json_object_get(model->training, "config"), p.values);
    ADL_TRY(open_tape(&p, err));
    ADL_TRY(adl_view_images_make(image, &plain, &input, err));
    result = add_layers(&p, &input, out, err);
out:
    adl_view_images_release(&input);
    release(&p);
    return result;
}
