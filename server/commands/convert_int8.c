/* Implements `convert --precision int8`.
 *
 * The photographs are read four times: for the extremes and for the histograms of all maps, and for
 * the answers of the model before and after. Decoding is the smallest part, and so no more than one
 * image is in memory. */

#include "server/commands/convert_int8.h"

#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "eval/range_fit.h"
#include "server/commands/image_list.h"
#include "server/tasks/predict.h"
#include "server/tasks/progress.h"

/* What a model says of one photograph. */
struct answer {
    bool known;
    int class_id;
    bool has_box;
    struct adl_box box;
};

struct convert {
    struct adl_model *model;
    struct adl_image_list list;
    size_t count, skipped; /* images that are used; of these, those that cannot be read */
    struct adl_error first_problem;
    struct adl_progress progress;
    struct adl_range_fit *fit;
    struct adl_pool *pool;
    struct answer *before, *after;
};

static const char *path_of(const struct convert *c, size_t i)
{
    return c->list.paths[i * c->list.count / c->count];
}

/* Notes the first image that cannot be read; fails for anything else. */
static int note_problem(struct convert *c, const struct adl_error *problem, struct adl_error *err)
{
    if (problem->kind == ADL_ERR_NOMEM)
        return adl_fail_nomem(err, "an image");
    if (!c->skipped++)
        c->first_problem = *problem;
    return 0;
}

/* Lets the fit see all images once. */
static int observe(struct convert *c, bool first, struct adl_error *err)
{
    const struct adl_predict_decode how = {0};
    const struct adl_view_sizes sizes = {.count = 1,
                                         .items = {{c->model->input_h, c->model->input_w}}};

    for (size_t i = 0; i < c->count; i++) {
        struct adl_predict_input input;
        struct adl_error problem = {0};
        if (adl_predict_read(path_of(c, i), &how, &sizes, &input, &problem) < 0) {
            if (problem.kind == ADL_ERR_NOMEM) {
                *err = problem;
                return -1;
            }
            if (first && note_problem(c, &problem, err) < 0)
                return -1;
            continue;
        }
        adl_image_to_input(&input.resized.items[0], c->model->mean, c->model->std,
                           adl_range_fit_input(c->fit));
        adl_predict_input_release(&input);
        adl_range_fit_observe(c->fit);
        adl_progress_update(&c->progress, (first ? 0 : c->count) + i + 1);
    }
    if (c->skipped == c->count) {
        *err = c->first_problem;
        return -1;
    }
    return 0;
}

/* Rounds the model's weights, which are in the order of its parameters. */
static int round_weights(struct convert *c, struct adl_error *err)
{
    int count = adl_graph_param_count(c->model->graph);
    struct adl_quantisation *q = adl_range_fit_finish(c->fit, err);
    float **params = adl_malloc((size_t)count, sizeof *params);

    if (!q || !params) {
        adl_quantisation_free(q);
        adl_free(params);
        return q ? adl_fail_nomem(err, "the weights") : -1;
    }
    for (int id = 0; id < count; id++)
        params[id] = adl_model_param(c->model, id);
    adl_range_fit_round(c->fit, q, params);
    adl_free(params);
    c->model->quantisation = q;
    c->model->precision = ADL_PRECISION_INT8;
    adl_model_update_digest(c->model);
    return 0;
}

/* --- agreement ---------------------------------------------------------------------------- */

static int answer_one(const struct convert *c, const struct adl_view_run *run, const char *path,
                      struct answer *answer, struct adl_error *err)
{
    const struct adl_predict_decode how = {0};
    const struct adl_predict_query query = {
        .class_id = -1, .top_k = 1, .map = c->model->map, .boxes = ADL_BOXES_LARGEST};
    struct adl_predict_input input;
    struct adl_predictions found = {0};
    struct adl_error problem = {0};
    int result = -1;

    if (adl_predict_read(path, &how, &run->sizes, &input, &problem) < 0) {
        if (problem.kind != ADL_ERR_NOMEM)
            return 0;
        *err = problem;
        return -1;
    }
    for (int view = 0; view < run->count; view++) {
        adl_predict_load(c->model, &input, run, view, 0);
        adl_session_run(run->items[view].session, 1);
        ADL_TRY(adl_predict_collect(run, view, 0, &query, &found, err));
    }
    ADL_TRY(adl_predict_locate(&found, &query, input.info.width, input.info.height, err));
    *answer = (struct answer){.known = true,
                              .class_id = found.items[0].class_id,
                              .has_box = found.items[0].place.box_count > 0};
    if (answer->has_box)
        answer->box = found.items[0].place.boxes[0].box;
    result = 0;
out:
    adl_predictions_release(&found);
    adl_predict_input_release(&input);
    return result;
}

/* Asks the model, as it is now, about all images. */
static int answer_all(struct convert *c, struct answer *answers, struct adl_error *err)
{
    struct adl_plan_options how = {
        .input_h = c->model->input_h, .input_w = c->model->input_w, .pool = c->pool};

    adl_model_plan_options(c->model, &how);
    /* Not adl_model_into_plan(): the model keeps its weights, because it is written. */
    struct adl_plan *plan = adl_plan_create(c->model->graph, c->model->params, &how, err);
    struct adl_views *views = plan ? adl_model_open_views(c->model, plan, c->pool, 1, err) : NULL;
    struct adl_view_run run;
    int result = -1;

    if (!views)
        goto out;
    ADL_TRY(adl_views_prepare(views, &c->model->map, true, &run, err));
    for (size_t i = 0; i < c->count; i++)
        ADL_TRY(answer_one(c, &run, path_of(c, i), &answers[i], err));
    result = 0;
out:
    adl_views_free(views);
    adl_plan_unref(plan);
    return result;
}

static void report(const struct convert *c, FILE *table)
{
    size_t images = 0, same_class = 0, close = 0, boxes = 0;
    double sum = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct answer *a = &c->before[i], *b = &c->after[i];
        if (!a->known || !b->known)
            continue;
        images++;
        if (a->class_id != b->class_id)
            continue;
        same_class++;
        if (!a->has_box && !b->has_box)
            continue;
        double iou = a->has_box && b->has_box ? adl_box_iou(a->box, b->box) : 0;
        boxes++;
        close += iou >= 0.9;
        sum += iou;
    }
    fprintf(table, "int8: ranges chosen on %zu photograph%s of %zu", c->count - c->skipped,
            ADL_S(c->count - c->skipped), c->list.count);
    if (c->skipped)
        fprintf(table, ", %zu could not be read", c->skipped);
    fprintf(table,
            "\nint8: on these, the same most probable class as in float32 in %zu of %zu; the boxes "
            "of the same class have a mean IoU of %.3f, %zu of %zu at least 0.9\n",
            same_class, images, boxes ? sum / (double)boxes : 1, close, boxes);
}

static int open_all(struct convert *c, const char *dir, struct adl_error *err)
{
    if (c->model->quantisation)
        return adl_fail(err, ADL_ERR_ARG, "the model is in int8 already");
    if (adl_image_list_add(&c->list, dir, err) < 0)
        return -1;
    c->count = c->list.count < ADL_INT8_IMAGES ? c->list.count : ADL_INT8_IMAGES;
    c->before = adl_calloc(c->count, sizeof *c->before);
    c->after = adl_calloc(c->count, sizeof *c->after);
    if (!c->before || !c->after)
        return adl_fail_nomem(err, "the answers of the model");
    c->pool = adl_pool_create(adl_pool_default_threads(), err);
    if (!c->pool)
        return -1;
    c->fit = adl_range_fit_create(c->model->graph, c->model->params, c->model->input_h,
                                  c->model->input_w, err);
    return c->fit ? 0 : -1;
}

int adl_convert_int8(struct adl_model *model, const char *dir, FILE *table, struct adl_error *err)
{
    struct convert c = {.model = model};
    int result = -1;

    ADL_TRY(open_all(&c, dir, err));
    adl_progress_start(&c.progress, "images", 2 * c.count);
    result = observe(&c, true, err);
    if (result == 0)
        result = adl_range_fit_begin_second(c.fit, err);
    if (result == 0)
        result = observe(&c, false, err);
    adl_progress_finish(&c.progress);
    if (result == 0)
        result = answer_all(&c, c.before, err);
    if (result == 0)
        result = round_weights(&c, err);
    if (result == 0)
        result = answer_all(&c, c.after, err);
    if (result == 0)
        report(&c, table);
out:
    adl_range_fit_free(c.fit);
    adl_pool_free(c.pool);
    adl_free(c.before);
    adl_free(c.after);
    adl_image_list_release(&c.list);
    return result;
}
