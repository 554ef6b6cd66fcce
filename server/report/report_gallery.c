/* The report's pictures: where val was localized well and badly, and what the
 * ADL layers see. */

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
#include "ops/ops.h"
#include "server/report/report_parts.h"
#include "train/tape.h"
#include "wsol/cam.h"
#include "wsol/localize.h"
#include "wsol/session_cam.h"

#define PER_GROUP 6
#define ADL_IMAGES 3
/* Longer side of a picture on the page: sharp at twice the pixels of its place. */
#define PICTURE_PX 340
#define HEAT_OPACITY 0.55f

#define NBSP "\xc2\xa0"

/* --- one picture ---------------------------------------------------------------------- */

/* The picture as training sees it: unturned, squashed to the input. `small` is
 * for the page and keeps its shape. */
static int open_picture(const struct adl_report_pictures *p, size_t index, int *width, int *height,
                        struct adl_image *small, struct adl_image *input, struct adl_error *err)
{
    const struct adl_decode_options how = {.ignore_orientation = true};
    struct adl_str path = {0};
    struct adl_image image = {0};
    int result = -1;

    const char *name = adl_dataset_path(p->data, index, &path, err);
    if (!name)
        goto out;
    ADL_TRY(adl_image_read(name, &how, &image, NULL, err));
    *width = image.width;
    *height = image.height;
    double scale = fmin(1, PICTURE_PX / (double)ADL_MAX(image.width, image.height));
    ADL_TRY(adl_image_resize(&image, ADL_MAX((int)(image.width * scale), 1),
                             ADL_MAX((int)(image.height * scale), 1), small, err));
    ADL_TRY(adl_image_resize(&image, p->model->input_w, p->model->input_h, input, err));
    result = 0;
out:
    adl_image_release(&image);
    adl_str_release(&path);
    return result;
}

/* The session's answer to the picture at `input`. */
struct answer {
    struct adl_localization place; /* in pixels of the small picture */
    float probability;             /* of the true class */
    size_t first;                  /* the most probable class, */
    float first_probability;       /* and how much it is */
};

static int ask(const struct adl_report_pictures *p, int class_id, const struct adl_image *small,
               const struct adl_image *input, struct answer *answer, struct adl_error *err)
{
    const struct adl_plan *plan = adl_session_plan(p->session);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    size_t classes = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS));
    size_t pixels = (size_t)features.h * (size_t)features.w;
    float *values = adl_malloc(ADL_MAX(classes, pixels), sizeof *values);
    int result = -1;

    if (!values)
        return adl_fail_nomem(err, "a class map");
    adl_image_to_input(input, p->model->mean, p->model->std, adl_session_input(p->session, 0));
    adl_session_run(p->session, 1);
    adl_softmax(adl_session_output(p->session, ADL_OUTPUT_LOGITS, 0), classes, values);
    adl_top_k(values, classes, 1, &answer->first);
    answer->first_probability = values[answer->first];
    answer->probability = values[class_id];
    adl_session_cam(p->session, 0, class_id, values);
    result = adl_localize_map(values, features.h, features.w, input->height, input->width,
                              p->model->cam_threshold, ADL_BOXES_LARGEST, small->width,
                              small->height, &answer->place, err);
    adl_free(values);
    return result;
}

static void put_rect(struct adl_str *page, const char *kind, double x0, double y0, double x1,
                     double y1)
{
    adl_str_printf(page,
                   "<rect class=\"edge\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                   "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                   x0, y0, x1 - x0, y1 - y0, kind, x0, y0, x1 - x0, y1 - y0);
}

static void put_boxes(struct adl_str *page, const struct adl_report_pictures *p, size_t index,
                      int width, int height, const struct adl_image *small,
                      const struct answer *answer)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    /* The lists' size, where they have one, is what their boxes refer to. */
    double x_scale = (double)small->width / (entry->width ? entry->width : width);
    double y_scale = (double)small->height / (entry->height ? entry->height : height);

    adl_str_printf(page, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\">",
                   small->width, small->height);
    for (size_t i = 0; i < entry->box_count; i++) {
        const struct adl_dataset_box *box = &p->data->boxes[entry->first_box + i];
        put_rect(page, "true", box->x0 * x_scale, box->y0 * y_scale, box->x1 * x_scale,
                 box->y1 * y_scale);
    }
    if (answer->place.box_count) {
        struct adl_box box = answer->place.boxes[0].box;
        put_rect(page, "found", box.x0, box.y0, box.x1 + 1, box.y1 + 1);
    }
    adl_str_puts(page, "</svg>");
}

static void put_caption(struct adl_str *page, const struct adl_report_pictures *p, size_t index,
                        const struct answer *answer)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    char text[32];

    adl_str_puts(page, "<figcaption><b>");
    adl_html_text(page, adl_model_label(p->model, entry->class_id, text, sizeof text));
    adl_str_puts(page, "</b><br/>");
    if (p->localized)
        adl_str_printf(page, "IoU %.2f, ", (double)p->places[index].iou);
    adl_str_printf(page, "%.1f" NBSP "%%", 100 * (double)answer->probability);
    if (answer->first != (size_t)entry->class_id) {
        adl_str_puts(page, "<br/><span>taken for ");
        adl_html_text(page, adl_model_label(p->model, (int)answer->first, text, sizeof text));
        adl_str_printf(page, ", %.1f" NBSP "%%</span>", 100 * (double)answer->first_probability);
    }
    adl_str_puts(page, "</figcaption>");
}

static int put_picture(struct adl_str *page, const struct adl_report_pictures *p, size_t index,
                       struct adl_error *err)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    struct adl_image small = {0}, input = {0};
    struct answer answer = {0};
    int width, height, result = -1;

    ADL_TRY(open_picture(p, index, &width, &height, &small, &input, err));
    ADL_TRY(ask(p, entry->class_id, &small, &input, &answer, err));
    const struct adl_overlay overlay = {.heatmap = answer.place.map,
                                        .heatmap_width = answer.place.map_width,
                                        .heatmap_height = answer.place.map_height,
                                        .opacity = HEAT_OPACITY};
    ADL_TRY(adl_overlay_draw(&small, &overlay, err));
    adl_str_puts(page, "<figure title=\"");
    adl_html_text(page, entry->id);
    adl_str_printf(page, "\"><div class=\"shot %s\"><div style=\"aspect-ratio:%d/%d\">",
                   small.width >= small.height ? "wide" : "tall", small.width, small.height);
    ADL_TRY(adl_html_jpeg(page, &small, entry->id, err));
    put_boxes(page, p, index, width, height, &small, &answer);
    adl_str_puts(page, "</div></div>");
    put_caption(page, p, index, &answer);
    adl_str_puts(page, "</figure>\n");
    result = 0;
out:
    adl_localization_release(&answer.place);
    adl_image_release(&input);
    adl_image_release(&small);
    return result;
}

/* --- the gallery ------------------------------------------------------------------------ */

struct ranked {
    size_t index;
    float worth;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *first = a, *second = b;
    if (first->worth != second->worth)
        return first->worth > second->worth ? -1 : 1;
    return first->index < second->index ? -1 : 1;
}

static int put_group(struct adl_str *page, const struct adl_report_pictures *p, const char *title,
                     const size_t *indices, size_t count, struct adl_error *err)
{
    adl_str_printf(page, "<h3>%s</h3><div class=\"shots\">\n", title);
    for (size_t i = 0; i < count; i++)
        if (put_picture(page, p, indices[i], err) < 0)
            return -1;
    adl_str_puts(page, "</div>\n");
    return 0;
}

/* The measured images, best first; where none was measured, all as they come. */
static struct ranked *rank(const struct adl_report_pictures *p, size_t *count,
                           struct adl_error *err)
{
    struct ranked *ranked = adl_calloc(p->data->count, sizeof *ranked);

    *count = 0;
    if (!ranked) {
        adl_fail_nomem(err, "the gallery");
        return NULL;
    }
    for (size_t i = 0; i < p->data->count; i++) {
        const struct adl_evaluate_place *place = p->places ? &p->places[i] : NULL;
        if (!place)
            ranked[(*count)++].index = i;
        else if (place->measured)
            ranked[(*count)++] = (struct ranked){i, p->localized ? place->iou : place->probability};
    }
    if (*count)
        qsort(ranked, *count, sizeof *ranked, compare_ranked);
    return ranked;
}

/* Puts `wanted` of the items, drawn by lot, to the front. */
static void draw_lot(struct adl_rng *rng, struct ranked *items, size_t count, size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        size_t chosen = i + adl_rng_below(rng, count - i);
        struct ranked swap = items[i];
        items[i] = items[chosen];
        items[chosen] = swap;
    }
}

int adl_report_gallery(struct adl_str *page, const struct adl_report_pictures *p,
                       struct adl_error *err)
{
    size_t best[PER_GROUP], worst[PER_GROUP], lot[PER_GROUP], count;
    struct adl_rng rng;
    int result = -1;
    struct ranked *ranked = rank(p, &count, err);

    if (!ranked)
        return -1;
    size_t shown = ADL_MIN(count, PER_GROUP);
    for (size_t i = 0; i < shown; i++) {
        best[i] = ranked[i].index;
        worst[i] = ranked[count - 1 - i].index;
    }
    adl_rng_seed(&rng, p->seed, 0, 0);
    draw_lot(&rng, ranked, count, shown);
    for (size_t i = 0; i < shown; i++)
        lot[i] = ranked[i].index;
    adl_str_printf(page,
                   "<p class=\"note\">The map of the true class over the picture; "
                   "<i class=\"sample\"></i>box found%s. The share is the probability of the "
                   "true class%s.</p>\n",
                   p->localized ? " <i class=\"sample dashed\"></i>true box" : "",
                   p->localized ? ", the IoU is that of the two boxes"
                                : "; there are no true boxes, so that the pictures are ordered "
                                  "by it");
    ADL_TRY(put_group(page, p, "Best", best, shown, err));
    ADL_TRY(put_group(page, p, "Worst", worst, shown, err));
    ADL_TRY(put_group(page, p, "By lot", lot, shown, err));
    result = 0;
out:
    adl_free(ranked);
    return result;
}

/* --- what the ADL layers see -------------------------------------------------------------- */

static void paint(uint8_t *rgb, const uint8_t color[3])
{
    memcpy(rgb, color, 3);
}

/* A map of 0..1 in colours, black to bright. */
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

/* Bright where the mask is 0. */
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

/* Attention, drop mask and importance of one position, by their definitions
 * (ops/adl.c) from the attention that the layer keeps. */
static int put_position(struct adl_str *page, const float *attention, struct adl_shape shape,
                        const char *name, double threshold, struct adl_error *err)
{
    size_t pixels = (size_t)shape.h * (size_t)shape.w, dropped;
    float *map = adl_malloc(pixels, sizeof *map);
    double least = INFINITY, most = -INFINITY;
    int result = -1;

    if (!map)
        return adl_fail_nomem(err, "a map");
    for (size_t i = 0; i < pixels; i++) {
        least = fmin(least, (double)attention[i]);
        most = fmax(most, (double)attention[i]);
    }
    adl_str_puts(page, "<tr>");
    adl_heatmap_normalise(attention, pixels, map);
    ADL_TRY(put_map(page, map, shape, "attention", err));
    ADL_TRY(put_mask(page, attention, (double)(float)(most * threshold), shape, &dropped, err));
    for (size_t i = 0; i < pixels; i++) {
        double importance = 1 / (1 + exp(-(double)attention[i]));
        map[i] = importance >= 0 ? (float)importance : 0; /* the attention may be no number */
    }
    ADL_TRY(put_map(page, map, shape, "importance", err));
    adl_str_puts(page, "<td class=\"sub\">");
    adl_html_text(page, name);
    adl_str_printf(page,
                   "<br/>%d × %d places<br/>drops %zu (%.1f %%)<br/>importance %.2f to %.2f</td>"
                   "</tr>\n",
                   shape.h, shape.w, dropped, 100 * (double)dropped / (double)pixels,
                   1 / (1 + exp(-least)), 1 / (1 + exp(-most)));
    result = 0;
out:
    adl_free(map);
    return result;
}

static int put_maps_of(struct adl_str *page, const struct adl_report_pictures *p,
                       struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, size_t index, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &p->data->images[index];
    const struct adl_graph *graph = p->model->graph;
    struct adl_image small = {0}, input = {0};
    char text[32];
    int width, height, result = -1;

    ADL_TRY(open_picture(p, index, &width, &height, &small, &input, err));
    adl_image_to_input(&input, p->model->mean, p->model->std, adl_tape_input(tape));
    adl_tape_forward(tape, 1, params, mode);
    adl_str_puts(page, "<div class=\"maps\"><figure class=\"photo\">");
    ADL_TRY(adl_html_jpeg(page, &small, entry->id, err));
    adl_str_puts(page, "<figcaption>");
    adl_html_text(page, adl_model_label(p->model, entry->class_id, text, sizeof text));
    adl_str_puts(page, "</figcaption></figure><table><thead><tr><th>attention</th>"
                       "<th>drop mask</th><th>importance</th><th></th></tr></thead><tbody>\n");
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (node->def == &adl_op_adl)
            ADL_TRY(put_position(page, adl_tape_saved(tape, i), adl_tape_shape(tape, node->output),
                                 adl_graph_value(graph, node->output)->name, p->adl_threshold,
                                 err));
    }
    adl_str_puts(page, "</tbody></table></div>\n");
    result = 0;
out:
    adl_image_release(&input);
    adl_image_release(&small);
    return result;
}

/* The weights as the tape takes them: the model's own, whose running statistics
 * the frozen mode leaves alone. */
static float **tape_params(const struct adl_model *model, struct adl_error *err)
{
    int count = adl_graph_param_count(model->graph);
    float **params = adl_malloc((size_t)count, sizeof *params);

    if (!params)
        adl_fail_nomem(err, "the weights");
    for (int i = 0; params && i < count; i++)
        params[i] = adl_tensors_find(model->weights, adl_graph_param(model->graph, i)->name)->data;
    return params;
}

int adl_report_adl_maps(struct adl_str *page, const struct adl_report_pictures *p,
                        struct adl_error *err)
{
    const struct adl_train_mode mode = {.frozen_batchnorm = true,
                                        .adl = true,
                                        .adl_draw = ADL_DRAW_IMPORTANCE,
                                        .adl_threshold = p->adl_threshold,
                                        .adl_identity_importance = !p->adl_importance};
    struct adl_rng rng;
    size_t count;
    int result = -1;

    struct ranked *items = rank(p, &count, err);
    float **params = items ? tape_params(p->model, err) : NULL;
    struct adl_tape *tape =
        params ? adl_tape_create(p->model->graph, p->model->input_h, p->model->input_w, 1,
                                 ADL_TAPE_SHARED, p->pool, err)
               : NULL;
    if (!tape)
        goto out;
    adl_html_note(
        page,
        "From left to right: the attention of each place (mean over the channels; black the "
        "least, bright the greatest), the drop mask (orange: hidden, from %g of the "
        "greatest attention on) and the importance map (sigmoid of the attention; black "
        "0, bright 1). Where the attention rests on the object, the mask hides its most "
        "telling part, so that the network has to learn the rest of it.",
        p->adl_threshold);
    if (!p->adl_importance)
        adl_html_note(page, "This run puts 1 in place of the importance map.");
    adl_rng_seed(&rng, p->seed, 1, 0);
    draw_lot(&rng, items, count, count);
    for (size_t i = 0, shown = 0; i < count && shown < ADL_IMAGES; i++) {
        size_t before = page->length;
        struct adl_error broken = {0};
        if (put_maps_of(page, p, tape, params, &mode, items[i].index, &broken) == 0) {
            shown++;
            continue;
        }
        /* Of images that nothing was measured on, some may be broken. */
        if (p->places || broken.kind == ADL_ERR_NOMEM) {
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
