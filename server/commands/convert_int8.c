/* Implements `convert --precision int8`: rounds the model, and says what that changed. */

#include "server/commands/convert_int8.h"

#include "base/mem.h"
#include "base/plural.h"
#include "server/commands/int8_accuracy.h"
#include "server/tasks/int8_model.h"
#include "server/tasks/predict.h"
#include "server/tasks/progress.h"

/* Images that are measured together. */
#define BATCH 8

/* What a model says of one photograph. */
struct answer {
    bool known;
    int class_id;
    bool has_box;
    struct adl_box box;
};

struct convert {
    struct adl_model *model;
    struct adl_int8_photos photos;
    size_t left_out; /* photographs that are measured, and not used for ranges */
    struct adl_int8_accuracy accuracy;
    struct adl_pool *pool;
    struct answer *answers[ADL_INT8_SIDES];
};

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
    ADL_TRY(adl_predict_locate(&found, &query, input.info.width, input.info.height, NULL, err));
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

/* Asks the model, as it is now, about all photographs, and measures it. */
static int ask(struct convert *c, enum adl_int8_side side, struct adl_error *err)
{
    struct adl_plan_options how = {
        .input_h = c->model->input_h, .input_w = c->model->input_w, .pool = c->pool};
    int batch = c->accuracy.dataset ? BATCH : 1;

    adl_model_plan_options(c->model, &how);
    /* Not adl_model_into_plan(): the model keeps its weights, because it is written. */
    struct adl_plan *plan = adl_plan_create(c->model->graph, c->model->params, &how, err);
    struct adl_views *views =
        plan ? adl_model_open_views(c->model, plan, c->pool, batch, err) : NULL;
    struct adl_view_run run;
    struct adl_progress progress;
    int result = -1;

    if (!views)
        goto out;
    ADL_TRY(adl_views_prepare(views, &c->model->map, true, &run, err));
    adl_progress_start(&progress, "images", c->photos.count);
    for (size_t i = 0; i < c->photos.count; adl_progress_update(&progress, ++i))
        ADL_TRY(
            answer_one(c, &run, adl_int8_photos_path(&c->photos, i), &c->answers[side][i], err));
    adl_progress_finish(&progress);
    result = adl_int8_accuracy_measure(&c->accuracy, side, c->model, views, batch, c->pool, err);
out:
    adl_views_free(views);
    adl_plan_unref(plan);
    return result;
}

static void report(const struct convert *c, FILE *table)
{
    size_t images = 0, same_class = 0, close = 0, boxes = 0;
    double sum = 0;

    for (size_t i = 0; i < c->photos.count; i++) {
        const struct answer *a = &c->answers[ADL_INT8_BEFORE][i],
                            *b = &c->answers[ADL_INT8_AFTER][i];
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
    size_t read = c->photos.count - c->photos.skipped;
    fprintf(table, "int8: ranges chosen on %zu photograph%s of %zu", read, ADL_S(read),
            c->photos.list.count);
    if (c->photos.skipped)
        fprintf(table, ", %zu could not be read", c->photos.skipped);
    if (c->left_out)
        fprintf(table, "; %zu with labels left out", c->left_out);
    fprintf(table,
            "\nint8: on these, the same most probable class as in float32 in %zu of %zu; the boxes "
            "of the same class have a mean IoU of %.3f, %zu of %zu at least 0.9\n",
            same_class, images, boxes ? sum / (double)boxes : 1, close, boxes);
}

static int open_all(struct convert *c, const struct adl_convert_int8 *how, struct adl_error *err)
{
    if (adl_int8_photos_open(&c->photos, how->dir, err) < 0 ||
        adl_int8_accuracy_open(&c->accuracy, c->model, how->model_path, how->dir, how->split, err) <
            0)
        return -1;
    if (c->accuracy.dataset)
        c->left_out = adl_int8_photos_leave_out(&c->photos, &c->accuracy.images);
    for (int side = 0; side < ADL_INT8_SIDES; side++) {
        c->answers[side] = adl_calloc(c->photos.count, sizeof *c->answers[side]);
        if (!c->answers[side])
            return adl_fail_nomem(err, "the answers of the model");
    }
    c->pool = adl_pool_create(adl_pool_default_threads(), err);
    return c->pool ? 0 : -1;
}

static int round_model(struct convert *c, size_t most, struct adl_error *err)
{
    struct adl_progress progress;
    const struct adl_int8_watch watch = adl_int8_watch_on(&progress);
    int result = adl_int8_round(c->model, &c->photos, most, &watch, err);

    adl_progress_finish(&progress);
    return result;
}

int adl_convert_int8(struct adl_model *model, const struct adl_convert_int8 *how,
                     struct adl_error *err)
{
    struct convert c = {.model = model};
    int result = -1;

    if (model->quantisation)
        return adl_fail(err, ADL_ERR_ARG, "the model is in int8 already");
    ADL_TRY(open_all(&c, how, err));
    ADL_TRY(ask(&c, ADL_INT8_BEFORE, err));
    ADL_TRY(round_model(&c, how->most_bytes, err));
    ADL_TRY(ask(&c, ADL_INT8_AFTER, err));
    report(&c, how->table);
    adl_int8_accuracy_print(&c.accuracy, how->table);
    result = 0;
out:
    adl_pool_free(c.pool);
    for (int side = 0; side < ADL_INT8_SIDES; side++)
        adl_free(c.answers[side]);
    adl_int8_accuracy_release(&c.accuracy);
    adl_int8_photos_release(&c.photos);
    return result;
}
