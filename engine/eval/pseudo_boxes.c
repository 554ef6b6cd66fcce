/* Draws pseudo boxes; see pseudo_boxes.h.
 *
 * All images are run once, and their last features and class maps are kept. Class by class, the
 * first principal component of the features is found, whose sign the class maps decide. The part of
 * an image's map above 0, the mean over the class, is the object: that is the threshold of the
 * method's authors, so nothing is left to choose. */

#include "eval/pseudo_boxes.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/ddt.h"
#include "eval/evaluate.h"
#include "wsol/localize.h"

struct drawing {
    struct adl_dataset *dataset;
    size_t cells, channels;
    int map_h, map_w, input_h, input_w;
    float *features; /* [image][cells][channels] */
    float *cams;     /* [image][cells] */
    float *maps;     /* [image][cells] */
    int *sizes;      /* [image][2]: width and height; 0 for an image that was not read */
    struct adl_dataset_box *boxes; /* [image] */
    const float **feature_rows, **cam_rows;
    float **map_rows; /* of the images of one class */
};

static int allocate(struct drawing *d, struct adl_error *err)
{
    size_t count = d->dataset->count, image, features;

    if (adl_size_mul(d->cells, d->channels, &image) == 0 &&
        adl_size_mul(image, count, &features) == 0) {
        d->features = adl_malloc(features, sizeof *d->features);
        d->cams = adl_calloc(count * d->cells, sizeof *d->cams);
        d->maps = adl_malloc(count * d->cells, sizeof *d->maps);
        d->sizes = adl_calloc(2 * count, sizeof *d->sizes);
        d->boxes = adl_malloc(count, sizeof *d->boxes);
        d->feature_rows = adl_malloc(count, sizeof *d->feature_rows);
        d->cam_rows = adl_malloc(count, sizeof *d->cam_rows);
        d->map_rows = adl_malloc(count, sizeof *d->map_rows);
    }
    if (!d->features || !d->cams || !d->maps || !d->sizes || !d->boxes || !d->feature_rows ||
        !d->cam_rows || !d->map_rows)
        return adl_fail_nomem(err, "the features of the images; use --boxes-per-class");
    return 0;
}

static void release(struct drawing *d)
{
    adl_free(d->features);
    adl_free(d->cams);
    adl_free(d->maps);
    adl_free(d->sizes);
    adl_free(d->boxes);
    adl_free(d->feature_rows);
    adl_free(d->cam_rows);
    adl_free(d->map_rows);
}

/* Keeps the features and the class map of an image. Called by any worker of the pool. */
static int keep_image(void *context, const struct adl_evaluate_visit *visit, struct adl_error *err)
{
    struct drawing *d = context;
    const struct adl_map_rule rule = {.weights = ADL_MAP_WEIGHTS_POSITIVE};
    const struct adl_session *session = visit->run->items[visit->view].session;
    size_t floats = d->cells * d->channels;

    (void)err;
    memcpy(d->features + visit->index * floats,
           adl_session_output(session, ADL_OUTPUT_FEATURES, visit->slot),
           floats * sizeof *d->features);
    adl_view_add(visit->run, visit->view, visit->slot, d->dataset->images[visit->index].class_id,
                 &rule, d->cams + visit->index * d->cells);
    d->sizes[2 * visit->index] = visit->width;
    d->sizes[2 * visit->index + 1] = visit->height;
    return 0;
}

/* Makes the maps of the images of a class. */
static int map_class(struct drawing *d, int class_id, struct adl_error *err)
{
    struct adl_ddt_images images = {.cells = d->cells,
                                    .channels = d->channels,
                                    .features = d->feature_rows,
                                    .cams = d->cam_rows};

    for (size_t i = 0; i < d->dataset->count; i++) {
        if (d->dataset->images[i].class_id != class_id || !d->sizes[2 * i])
            continue;
        d->feature_rows[images.count] = d->features + i * d->cells * d->channels;
        d->cam_rows[images.count] = d->cams + i * d->cells;
        d->map_rows[images.count++] = d->maps + i * d->cells;
    }
    return images.count > 0 ? adl_ddt_maps(&images, d->map_rows, err) : 0;
}

/* Cuts the box of an image out of its map. Returns 1, 0 if there is none, or -1. */
static int cut_box(const struct drawing *d, size_t index, struct adl_dataset_box *box,
                   struct adl_error *err)
{
    const struct adl_map_rule rule = {.normalise = ADL_MAP_MAX, .threshold = 0};
    const struct adl_class_map map = {.values = d->maps + index * d->cells,
                                      .h = d->map_h,
                                      .w = d->map_w,
                                      .input_h = d->input_h,
                                      .input_w = d->input_w};
    struct adl_localization found;

    if (!d->sizes[2 * index])
        return 0;
    if (adl_localize_map(&rule, &map, ADL_BOXES_LARGEST, false, d->sizes[2 * index],
                         d->sizes[2 * index + 1], &found, err) < 0)
        return -1;
    int result = found.box_count > 0;
    if (result)
        *box = (struct adl_dataset_box){found.boxes[0].box.x0, found.boxes[0].box.y0,
                                        found.boxes[0].box.x1, found.boxes[0].box.y1};
    adl_localization_release(&found);
    return result;
}

/* Cuts all boxes, and gives them to the images that have one. */
static int cut_boxes(struct drawing *d, struct adl_error *err)
{
    struct adl_dataset *data = d->dataset;
    size_t kept = 0;

    for (size_t i = 0; i < data->count; i++) {
        int found = cut_box(d, i, &d->boxes[kept], err);
        if (found < 0)
            return -1;
        if (!found)
            continue;
        data->images[kept] = data->images[i];
        data->images[kept].first_box = kept;
        data->images[kept].box_count = 1;
        kept++;
    }
    if (kept == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the images of no class have anything in common");
    adl_free(data->boxes);
    data->boxes = d->boxes;
    d->boxes = NULL;
    data->count = data->box_count = kept;
    return 0;
}

int adl_pseudo_boxes_draw(struct adl_dataset *dataset, struct adl_views *views,
                          const struct adl_pseudo_boxes_options *options, struct adl_error *err)
{
    const struct adl_plan *plan = adl_views_plan(views);
    struct adl_shape in = adl_plan_input_shape(plan);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    struct drawing d = {.dataset = dataset,
                        .cells = (size_t)features.h * (size_t)features.w,
                        .channels = (size_t)features.c,
                        .map_h = features.h,
                        .map_w = features.w,
                        .input_h = in.h,
                        .input_w = in.w};
    struct adl_evaluate_options how = {.curve_interval = ADL_EVALUATE_INTERVAL,
                                       .visit = keep_image,
                                       .visit_context = &d,
                                       .progress = options->progress,
                                       .report_context = options->progress_context};
    struct adl_evaluate_report report = {0};
    int result = -1;

    ADL_TRY(allocate(&d, err));
    memcpy(how.mean, options->mean, sizeof how.mean);
    memcpy(how.std, options->std, sizeof how.std);
    ADL_TRY(adl_evaluate_views(dataset, views, options->batch, options->pool, &how, &report, err));
    for (int k = 0; k < (int)dataset->class_count; k++)
        ADL_TRY(map_class(&d, k, err));
    ADL_TRY(cut_boxes(&d, err));
    result = 0;
out:
    adl_evaluate_report_release(&report);
    release(&d);
    return result;
}
