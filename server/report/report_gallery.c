/* Writes the sections of the report that have images.
 *
 * The gallery shows the images of val that were localized best and worst, by the IoU that the
 * evaluation measured (or, without true boxes, by the probability of the true class), and
 * some of the others chosen at random, since the extremes do not show the usual case. The network
 * is run again on each to draw its map.
 *
 * The ADL section shows, for each ADL layer and a few random images, the three maps of the
 * paper (Choe & Shim, CVPR 2019). With F the input of the layer, H x W x C, the attention is
 * A[h,w] = mean over c of F[h,w,c]; the drop mask is 0 where A >= threshold * max(A), else 1;
 * the importance map is sigmoid(A). In training a layer multiplies F by the mask or by the
 * importance map, drawn at random. One forward pass of the training tape, with batch norm
 * frozen, makes A available (the layer saves it for the backward pass); the others follow
 * from it. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/image_file.h"
#include "image/colormap.h"
#include "image/overlay.h"
#include "methods/methods.h"
#include "server/report/report_parts.h"
#include "train/tape.h"
#include "wsol/cam.h"
#include "wsol/localize.h"

#define PER_GROUP 6
#define ATTENTION_IMAGES 3
/* The longer side of an image on the page, which shows it at half that size, so
 * that it stays sharp on displays with two pixels per CSS pixel. */
#define IMAGE_PX 340
#define HEAT_OPACITY 0.55f

/* --- one image ---------------------------------------------------------------------- */

int adl_report_open_image(const struct adl_report_images *p, size_t index, int *width, int *height,
                          const struct adl_view_sizes *sizes, struct adl_image *small,
                          struct adl_view_images *inputs, struct adl_error *err)
{
    struct adl_str path = {0};
    struct adl_image image = {0};
    int result = -1;

    ADL_TRY(adl_dataset_image_read(p->data, index, &path, &image, err));
    *width = image.width;
    *height = image.height;
    double scale = fmin(1, IMAGE_PX / (double)ADL_MAX(image.width, image.height));
    ADL_TRY(adl_image_resize(&image, ADL_MAX((int)(image.width * scale), 1),
                             ADL_MAX((int)(image.height * scale), 1), small, err));
    ADL_TRY(adl_view_images_make(&image, sizes, inputs, err));
    result = 0;
out:
    adl_image_release(&image);
    adl_str_release(&path);
    return result;
}

/* Runs the views of the image. Sets the probabilities, and makes the map of the class. */
static void run_views(const struct adl_report_images *p, const struct adl_view_run *run,
                      int class_id, const struct adl_view_images *inputs, float *probabilities,
                      float *cam)
{
    size_t classes = p->model->class_count;

    for (int view = 0; view < run->count; view++) {
        adl_view_load(run, view, 0, inputs, p->model->mean, p->model->std);
        adl_session_run(run->items[view].session, 1);
        if (view == 0)
            adl_class_probabilities(&p->model->labels, p->model->certainty.temperature,
                                    adl_session_output(run->items[0].session, ADL_OUTPUT_LOGITS, 0),
                                    classes, probabilities);
        adl_view_add(run, view, 0, class_id, &p->model->map, cam);
    }
}

int adl_report_predict(const struct adl_report_images *p, const struct adl_view_run *run,
                       int class_id, const struct adl_image *small,
                       const struct adl_view_images *inputs,
                       struct adl_report_prediction *prediction, struct adl_error *err)
{
    size_t classes = p->model->class_count;
    float *values = adl_malloc(classes + (size_t)run->map_h * (size_t)run->map_w, sizeof *values);

    if (!values)
        return adl_fail_nomem(err, "a class map");
    const struct adl_class_map cam = {.values = values + classes,
                                      .h = run->map_h,
                                      .w = run->map_w,
                                      .input_h = p->model->input_h,
                                      .input_w = p->model->input_w};
    run_views(p, run, class_id, inputs, values, values + classes);
    adl_top_k(values, classes, 1, &prediction->top);
    prediction->top_probability = values[prediction->top];
    prediction->probability = values[class_id];
    const struct adl_map_rule rule = adl_map_rule_of_class(&p->model->map, (size_t)class_id);
    int result = adl_localize_map(&rule, &cam, ADL_BOXES_LARGEST, true, small->width, small->height,
                                  &prediction->place, err);
    adl_free(values);
    return result;
}

/* Returns by how much the heat of a class of this probability is dimmed, as `serve` does it. */
static float dimmed(const struct adl_model *model, float probability)
{
    const struct adl_certainty *certainty = &model->certainty;
    return certainty->has_presence
               ? 1 - (float)adl_presence(&certainty->presence, (double)probability)
               : 0;
}

static void put_rect(struct adl_str *page, const char *kind, double x0, double y0, double x1,
                     double y1)
{
    adl_str_printf(page,
                   "<rect class=\"edge\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                   "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                   x0, y0, x1 - x0, y1 - y0, kind, x0, y0, x1 - x0, y1 - y0);
}

static void put_boxes(struct adl_str *page, const struct adl_report_images *p, size_t index,
                      int width, int height, const struct adl_image *small,
                      const struct adl_report_prediction *prediction)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    /* Boxes refer to the image's size in the lists, if they have it. */
    double x_scale = (double)small->width / (entry->width ? entry->width : width);
    double y_scale = (double)small->height / (entry->height ? entry->height : height);

    adl_str_printf(page, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\">",
                   small->width, small->height);
    for (size_t i = 0; i < entry->box_count; i++) {
        const struct adl_dataset_box *box = &p->data->boxes[entry->first_box + i];
        put_rect(page, "true", box->x0 * x_scale, box->y0 * y_scale, box->x1 * x_scale,
                 box->y1 * y_scale);
    }
    if (prediction->place.box_count) {
        struct adl_box box = prediction->place.boxes[0].box;
        put_rect(page, "found", box.x0, box.y0, box.x1 + 1, box.y1 + 1);
    }
    adl_str_puts(page, "</svg>");
}

static void put_caption(struct adl_str *page, const struct adl_report_images *p, size_t index,
                        const struct adl_report_prediction *prediction)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    char text[32];

    adl_str_puts(page, "<figcaption><b>");
    adl_html_text(page, adl_model_label(p->model, entry->class_id, text, sizeof text));
    adl_str_puts(page, "</b><br/>");
    if (p->localized && p->places)
        adl_str_printf(page, "IoU %.2f, ", (double)p->places[index].iou);
    adl_str_printf(page, "%.1f" NBSP "%%", 100 * (double)prediction->probability);
    if (p->model->labels.several) {
        if ((double)prediction->probability < p->model->labels.threshold)
            adl_str_puts(page, "<br/><span>not found</span>");
    } else if (prediction->top != (size_t)entry->class_id) {
        adl_str_puts(page, "<br/><span>mistaken for ");
        adl_html_text(page, adl_model_label(p->model, (int)prediction->top, text, sizeof text));
        adl_str_printf(page, ", %.1f" NBSP "%%</span>", 100 * (double)prediction->top_probability);
    }
    adl_str_puts(page, "</figcaption>");
}

int adl_report_shot(struct adl_str *page, const struct adl_report_images *p, size_t index,
                    struct adl_error *err)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    struct adl_image small = {0};
    struct adl_view_images inputs = {0};
    struct adl_view_run run;
    struct adl_report_prediction prediction = {0};
    int width, height, result = -1;

    ADL_TRY(adl_views_prepare(p->views, &p->model->map, false, &run, err));
    ADL_TRY(adl_report_open_image(p, index, &width, &height, &run.sizes, &small, &inputs, err));
    ADL_TRY(adl_report_predict(p, &run, entry->class_id, &small, &inputs, &prediction, err));
    const struct adl_overlay overlay = {.heatmap = prediction.place.map,
                                        .heatmap_width = prediction.place.map_width,
                                        .heatmap_height = prediction.place.map_height,
                                        .opacity = HEAT_OPACITY,
                                        .dimmed = dimmed(p->model, prediction.probability)};
    ADL_TRY(adl_overlay_draw(&small, &overlay, err));
    adl_str_puts(page, "<figure title=\"");
    adl_html_text(page, entry->id);
    adl_str_printf(page, "\"><div class=\"shot %s\"><div style=\"aspect-ratio:%d/%d\">",
                   small.width >= small.height ? "wide" : "tall", small.width, small.height);
    ADL_TRY(adl_html_jpeg(page, &small, entry->id, err));
    put_boxes(page, p, index, width, height, &small, &prediction);
    adl_str_puts(page, "</div></div>");
    put_caption(page, p, index, &prediction);
    adl_str_puts(page, "</figure>\n");
    result = 0;
out:
    adl_localization_release(&prediction.place);
    adl_view_images_release(&inputs);
    adl_image_release(&small);
    return result;
}

/* --- the gallery ------------------------------------------------------------------------ */

struct ranked {
    size_t index;
    float score; /* IoU, or the probability of the true class */
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *first = a, *second = b;
    if (first->score != second->score)
        return first->score > second->score ? -1 : 1;
    return first->index < second->index ? -1 : 1;
}

static int put_group(struct adl_str *page, const struct adl_report_images *p, const char *title,
                     const size_t *indices, size_t count, struct adl_error *err)
{
    adl_str_printf(page, "<h3>%s</h3><div class=\"shots\">\n", title);
    for (size_t i = 0; i < count; i++)
        if (adl_report_shot(page, p, indices[i], err) < 0)
            return -1;
    adl_str_puts(page, "</div>\n");
    return 0;
}

/* Returns the measured images, best first, or, if nothing was measured, all images in order.
 * The caller frees the array. */
static struct ranked *rank(const struct adl_report_images *p, size_t *count, struct adl_error *err)
{
    struct ranked *ranked = adl_calloc(p->data->count, sizeof *ranked);

    *count = 0;
    if (!ranked) {
        adl_fail_nomem(err, "the gallery");
        return NULL;
    }
    for (size_t i = 0; i < p->data->count; i++) {
        const struct adl_evaluate_place *place = p->places ? &p->places[i] : NULL;
        if (p->data->images[i].bare) /* it has no class to show a map of */
            continue;
        if (!place)
            ranked[(*count)++].index = i;
        else if (place->measured)
            ranked[(*count)++] = (struct ranked){i, p->localized ? place->iou : place->probability};
    }
    if (*count)
        qsort(ranked, *count, sizeof *ranked, compare_ranked);
    return ranked;
}

/* Moves `wanted` items, chosen at random, to the front: the first steps of a
 * Fisher-Yates shuffle. */
static void choose_random(struct adl_rng *rng, struct ranked *items, size_t count, size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        size_t chosen = i + adl_rng_below(rng, count - i);
        struct ranked swap = items[i];
        items[i] = items[chosen];
        items[chosen] = swap;
    }
}

int adl_report_gallery(struct adl_str *page, const struct adl_report_images *images,
                       struct adl_error *err)
{
    size_t best[PER_GROUP], worst[PER_GROUP], random[PER_GROUP], count;
    size_t best_count, worst_count, random_count;
    struct adl_rng rng;
    int result = -1;
    struct ranked *ranked = rank(images, &count, err);

    if (!ranked)
        return -1;
    /* No image is in two groups; of few images each group has a third. */
    best_count = ADL_MIN((count + 2) / 3, (size_t)PER_GROUP);
    worst_count = ADL_MIN((count - best_count + 1) / 2, (size_t)PER_GROUP);
    random_count = ADL_MIN(count - best_count - worst_count, (size_t)PER_GROUP);
    for (size_t i = 0; i < best_count; i++)
        best[i] = ranked[i].index;
    for (size_t i = 0; i < worst_count; i++)
        worst[i] = ranked[count - 1 - i].index;
    adl_rng_seed(&rng, images->seed, 0, 0);
    choose_random(&rng, ranked + best_count, count - best_count - worst_count, random_count);
    for (size_t i = 0; i < random_count; i++)
        random[i] = ranked[best_count + i].index;
    adl_str_printf(page,
                   "<p class=\"note\">Each image is overlaid with the map of its true class; "
                   "<i class=\"sample\"></i>predicted box%s. The percentage is the probability of "
                   "the true class%s.</p>\n",
                   images->data->box_count > 0 ? " <i class=\"sample dashed\"></i>true box" : "",
                   images->data->box_count > 0 ? "; the IoU is that of the two boxes"
                   : images->localized
                       ? "; the IoU is that of the map, cut at the model's threshold, and the mask"
                       : ", by which the images are ordered, because there are no true "
                         "boxes");
    ADL_TRY(put_group(page, images, "Best", best, best_count, err));
    ADL_TRY(put_group(page, images, "Worst", worst, worst_count, err));
    if (random_count > 0)
        ADL_TRY(put_group(page, images, "Random, of the others", random, random_count, err));
    result = 0;
out:
    adl_free(ranked);
    return result;
}

/* --- what the layers of a method see
 * -------------------------------------------------------------- */

static void paint(uint8_t *rgb, const uint8_t color[3])
{
    memcpy(rgb, color, 3);
}

/* Appends a map of values in 0..1 as an image, from black (0) to bright (1). */
static int put_map(struct adl_str *page, const float *map, struct adl_shape shape, const char *alt,
                   struct adl_error *err)
{
    struct adl_image image = {0};

    if (adl_image_init(&image, shape.w, shape.h, err) < 0)
        return -1;
    for (size_t i = 0; i < (size_t)shape.h * (size_t)shape.w; i++)
        paint(image.rgb + 3 * i, adl_colormap_inferno[(int)(map[i] * 255 + 0.5f)]);
    adl_str_puts(page, "<td>");
    int result = adl_html_png(page, &image, alt, err);
    adl_str_puts(page, "</td>");
    adl_image_release(&image);
    return result;
}

/* Appends the drop mask as an image, bright where it is 0; *dropped counts those pixels. */
static int put_mask(struct adl_str *page, const float *attention, double cut,
                    struct adl_shape shape, size_t *dropped, struct adl_error *err)
{
    static const uint8_t kept_color[3] = {58, 66, 86}, dropped_color[3] = {255, 176, 64};
    struct adl_image image = {0};

    if (adl_image_init(&image, shape.w, shape.h, err) < 0)
        return -1;
    *dropped = 0;
    for (size_t i = 0; i < (size_t)shape.h * (size_t)shape.w; i++) {
        bool kept = (double)attention[i] < cut;
        paint(image.rgb + 3 * i, kept ? kept_color : dropped_color);
        *dropped += !kept;
    }
    adl_str_puts(page, "<td>");
    int result = adl_html_png(page, &image, "drop mask", err);
    adl_str_puts(page, "</td>");
    adl_image_release(&image);
    return result;
}

/* Appends a table row with the maps of one layer: its attention, what it hides, and the factors of
 * the rest. The attention and the factors are drawn over the range that they span. */
static int put_position(struct adl_str *page, const struct adl_report_images *p,
                        const float *attention, struct adl_shape shape, const char *name,
                        const struct adl_method *method, struct adl_error *err)
{
    size_t pixels = (size_t)shape.h * (size_t)shape.w, dropped;
    float *factors = adl_malloc(pixels, sizeof *factors), *map = adl_malloc(pixels, sizeof *map);
    double least = INFINITY, most = -INFINITY, cut;
    int result = -1;

    if (!map || !factors) {
        adl_fail_nomem(err, "a map");
        goto out;
    }
    bool scaled = method->attention->maps(adl_method_values(p->values, method), attention, pixels,
                                          &cut, factors);
    for (size_t i = 0; i < pixels; i++) {
        least = fmin(least, (double)factors[i]);
        most = fmax(most, (double)factors[i]);
    }
    adl_str_puts(page, "<tr>");
    adl_heatmap_normalise(attention, pixels, map);
    ADL_TRY(put_map(page, map, shape, "attention", err));
    ADL_TRY(put_mask(page, attention, cut, shape, &dropped, err));
    adl_heatmap_normalise(factors, pixels, map);
    ADL_TRY(put_map(page, map, shape, "importance", err));
    adl_str_puts(page, "<td class=\"sub\">");
    adl_html_text(page, name);
    adl_str_printf(page,
                   "<br/>%d × %d positions<br/>%zu dropped (%.1f %%)<br/>importance %.2f to %.2f%s"
                   "</td></tr>\n",
                   shape.h, shape.w, dropped, 100 * (double)dropped / (double)pixels, least, most,
                   scaled ? "" : ", not used");
    result = 0;
out:
    adl_free(factors);
    adl_free(map);
    return result;
}

/* Returns the method whose attention the report shows; NULL if there is none. */
const struct adl_method *adl_report_attention_method(const struct adl_model *model)
{
    return model ? adl_method_set_attention(model->arch.methods) : NULL;
}

static int put_maps(struct adl_str *page, const struct adl_report_images *p, struct adl_tape *tape,
                    float *const *params, const struct adl_train_mode *mode, size_t index,
                    struct adl_error *err)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    const struct adl_graph *graph = p->model->graph;
    const struct adl_method *method = adl_report_attention_method(p->model);
    const struct adl_view_sizes sizes = {.count = 1,
                                         .items = {{p->model->input_h, p->model->input_w}}};
    struct adl_image small = {0};
    struct adl_view_images inputs = {0};
    char text[32];
    int width, height, result = -1;

    ADL_TRY(adl_report_open_image(p, index, &width, &height, &sizes, &small, &inputs, err));
    adl_image_to_input(&inputs.items[0], p->model->mean, p->model->std, adl_tape_input(tape));
    adl_tape_forward(tape, 1, params, mode);
    adl_str_puts(page, "<div class=\"maps\"><figure class=\"photo\">");
    ADL_TRY(adl_html_jpeg(page, &small, entry->id, err));
    adl_str_puts(page, "<figcaption>");
    adl_html_text(page, adl_model_label(p->model, entry->class_id, text, sizeof text));
    adl_str_puts(page, "</figcaption></figure><table><thead><tr><th>attention</th>"
                       "<th>drop mask</th><th>importance</th><th>layer</th></tr></thead><tbody>\n");
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (node->def == method->layer)
            ADL_TRY(put_position(page, p, adl_tape_saved(tape, i),
                                 adl_tape_shape(tape, node->output),
                                 adl_graph_value(graph, node->output)->name, method, err));
    }
    adl_str_puts(page, "</tbody></table></div>\n");
    result = 0;
out:
    adl_view_images_release(&inputs);
    adl_image_release(&small);
    return result;
}

float **adl_report_tape_params(const struct adl_model *model, struct adl_error *err)
{
    int count = adl_graph_param_count(model->graph);
    float **params = adl_malloc((size_t)count, sizeof *params);

    if (!params)
        adl_fail_nomem(err, "the weights");
    for (int i = 0; params && i < count; i++)
        params[i] = adl_tensors_find(model->weights, adl_graph_param(model->graph, i)->name)->data;
    return params;
}

int adl_report_attention(struct adl_str *page, const struct adl_report_images *images,
                         struct adl_error *err)
{
    const struct adl_method *method = adl_report_attention_method(images->model);
    union adl_method_value values[ADL_METHOD_VALUES];
    const struct adl_train_mode mode = {
        .frozen_batchnorm = true, .method_layers = true, .method_values = values};
    struct adl_rng rng;
    size_t count;
    int result = -1;

    memcpy(values, images->values, sizeof values);
    method->attention->preview(values + (adl_method_values(values, method) - values));
    struct ranked *items = rank(images, &count, err);
    float **params = items ? adl_report_tape_params(images->model, err) : NULL;
    struct adl_tape *tape =
        params ? adl_tape_create(images->model->graph, images->model->input_h,
                                 images->model->input_w, 1, ADL_TAPE_SHARED, images->pool, err)
               : NULL;
    if (!tape)
        goto out;
    adl_html_note(page,
                  "From left to right: %s The left and the right map are drawn from black for "
                  "their lowest to bright for their highest value; orange is hidden.",
                  method->attention->note);
    adl_rng_seed(&rng, images->seed, 1, 0);
    choose_random(&rng, items, count, count);
    for (size_t i = 0, shown = 0; i < count && shown < ATTENTION_IMAGES; i++) {
        size_t before = page->length;
        struct adl_error broken = {0};
        if (put_maps(page, images, tape, params, &mode, items[i].index, &broken) == 0) {
            shown++;
            continue;
        }
        /* If nothing was measured, an image may be unreadable: the next one is tried. */
        if (images->places || broken.kind == ADL_ERR_NOMEM) {
            adl_fail(err, broken.kind, "%s", broken.message);
            goto out;
        }
        page->length = before;
    }
    result = 0;
out:
    adl_tape_free(tape);
    adl_free(params);
    adl_free(items);
    return result;
}
