/* Makes a model in 8 bits with photographs; see int8_model.h.
 *
 * The photographs are read twice, for the extremes and for the histograms of all maps: decoding is
 * the smallest part, and so no more than one image is in memory. */

#include "server/tasks/int8_model.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/range_choice.h"
#include "eval/range_fit.h"
#include "eval/weight_bits.h"
#include "models/file/save.h"
#include "server/tasks/predict.h"

/* --- the photographs ------------------------------------------------------------------ */

int adl_int8_photos_open(struct adl_int8_photos *photos, const char *dir, struct adl_error *err)
{
    if (adl_image_list_add(&photos->list, dir, err) < 0)
        return -1;
    photos->count = ADL_MIN(photos->list.count, (size_t)ADL_INT8_IMAGES);
    return 0;
}

size_t adl_int8_photos_leave_out(struct adl_int8_photos *photos, const struct adl_image_list *other)
{
    struct adl_image_list *list = &photos->list;
    size_t all = list->count, kept = 0;

    for (size_t i = 0; i < all; i++)
        kept += !adl_image_list_holds(other, list->paths[i]);
    if (kept < ADL_INT8_FEW || kept == all)
        return 0;
    list->count = 0;
    for (size_t i = 0; i < all; i++)
        if (!adl_image_list_holds(other, list->paths[i]))
            list->paths[list->count++] = list->paths[i];
    photos->count = ADL_MIN(list->count, (size_t)ADL_INT8_IMAGES);
    return all - kept;
}

void adl_int8_photos_release(struct adl_int8_photos *photos)
{
    adl_image_list_release(&photos->list);
    *photos = (struct adl_int8_photos){0};
}

const char *adl_int8_photos_path(const struct adl_int8_photos *photos, size_t index)
{
    return photos->list.paths[index * photos->list.count / photos->count];
}

/* --- ranges ------------------------------------------------------------------------------ */

/* Notes the first image that cannot be read; fails for anything else. */
static int note_problem(struct adl_int8_photos *photos, const struct adl_error *problem,
                        struct adl_error *err)
{
    if (problem->kind == ADL_ERR_NOMEM) {
        *err = *problem;
        return -1;
    }
    if (!photos->skipped++)
        photos->first_problem = *problem;
    return 0;
}

/* Writes the network's input of one photograph. */
static int read_one(const struct adl_model *model, const char *path, float *to,
                    struct adl_error *problem)
{
    const struct adl_predict_decode how = {0};
    const struct adl_view_sizes sizes = {.count = 1, .items = {{model->input_h, model->input_w}}};
    struct adl_predict_input input;

    if (adl_predict_read(path, &how, &sizes, &input, problem) < 0)
        return -1;
    adl_image_to_input(&input.resized.items[0], model->mean, model->std, to);
    adl_predict_input_release(&input);
    return 0;
}

static int check_stop(const struct adl_int8_watch *watch, struct adl_error *err)
{
    if (watch && watch->stop && watch->stop(watch->context))
        return adl_fail(err, ADL_ERR_CANCELLED, "the choice of ranges was interrupted");
    return 0;
}

/* Lets the fit see all photographs once; the second time (`choice` is not NULL) their features are
 * noted. */
static int observe(const struct adl_model *model, struct adl_int8_photos *photos,
                   struct adl_range_fit *fit, struct adl_range_choice *choice,
                   const struct adl_int8_watch *watch, struct adl_error *err)
{
    const bool first = !choice;

    for (size_t i = 0; i < photos->count; i++) {
        struct adl_error problem = {0};
        if (check_stop(watch, err) < 0)
            return -1;
        if (read_one(model, adl_int8_photos_path(photos, i), adl_range_fit_input(fit), &problem) ==
            0) {
            adl_range_fit_observe(fit);
            if (choice)
                adl_range_choice_note(choice, fit, i);
        } else if (first && note_problem(photos, &problem, err) < 0) {
            /* The second time the same ones fail again. */
            return -1;
        }
        if (watch && watch->progress)
            watch->progress(watch->context, (first ? 0 : photos->count) + i + 1, 2 * photos->count);
    }
    if (photos->skipped < photos->count)
        return 0;
    *err = photos->first_problem;
    return -1;
}

/* --- rounding ---------------------------------------------------------------------------- */

/* What the description says of a packed tensor, besides its name, in bytes. */
#define PACKED_ENTRY 64

/* Takes bits from the weights of a model that has its ranges and scales, but not its rounded
 * weights, until the file takes at most `most` bytes, and changes the scales to those of the bits.
 */
static int fit_into(struct adl_model *model, size_t most, unsigned char *bits,
                    struct adl_error *err)
{
    size_t bytes, weights = 0, budget, least;

    /* As it is now the file has a byte for each weight. */
    if (adl_model_file_bytes(model, &bytes, err) < 0)
        return -1;
    for (int id = 0; id < model->quantisation->param_count; id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        if (!model->quantisation->scales[id])
            continue;
        weights += param->count;
        bytes += PACKED_ENTRY + strlen(param->name);
    }
    size_t rest = bytes - weights;
    budget = most > rest ? most - rest : 0;
    int wide = adl_weight_bits_choose(model->graph, model->params, budget, bits, &least, err);
    if (wide)
        return wide < 0 ? -1
                        : adl_fail(err, ADL_ERR_LIMIT,
                                   "the model does not fit into %zu bytes: with %d bits for each "
                                   "weight of the layers that can do with few it takes about %zu",
                                   most, ADL_WEIGHT_BITS_LEAST, rest + least);
    for (int id = 0; id < model->quantisation->param_count; id++)
        if (model->quantisation->scales[id])
            (void)adl_weight_bits_scales(adl_graph_param(model->graph, id), model->params[id],
                                         bits[id], model->quantisation->scales[id]);
    return 0;
}

/* Rounds the model's weights, which are in the order of its parameters. */
static int round_weights(struct adl_model *model, struct adl_range_fit *fit, size_t most,
                         struct adl_error *err)
{
    int count = adl_graph_param_count(model->graph);
    float **params = adl_malloc((size_t)count, sizeof *params);
    unsigned char *bits = adl_malloc((size_t)count, sizeof *bits);
    int result = -1;

    if (!params || !bits) {
        adl_fail_nomem(err, "the weights");
        goto out;
    }
    model->quantisation = adl_range_fit_finish(fit, err);
    if (!model->quantisation)
        goto out;
    memset(bits, 8, (size_t)count);
    if (most > 0)
        ADL_TRY(fit_into(model, most, bits, err));
    for (int id = 0; id < count; id++)
        params[id] = adl_model_param(model, id);
    adl_range_fit_round(fit, model->quantisation, bits, params);
    model->precision = ADL_PRECISION_INT8;
    model->bf16 = false;
    result = 0;
out:
    adl_free(bits);
    adl_free(params);
    return result;
}

struct load {
    const struct adl_model *model;
    const struct adl_int8_photos *photos;
    const struct adl_int8_watch *watch;
};

/* Once it is to stop there are no more photographs, so that the choice ends at once. */
static bool load_one(void *context, size_t photo, float *input)
{
    const struct load *load = context;
    struct adl_error ignored = {0};
    return check_stop(load->watch, &ignored) == 0 &&
           read_one(load->model, adl_int8_photos_path(load->photos, photo), input, &ignored) == 0;
}

int adl_int8_round(struct adl_model *model, struct adl_int8_photos *photos, size_t most,
                   const struct adl_int8_watch *watch, struct adl_error *err)
{
    struct adl_range_fit *fit = NULL;
    struct adl_range_choice *choice = NULL;
    struct load load = {model, photos, watch};
    int result = -1;

    if (model->quantisation)
        return adl_fail(err, ADL_ERR_ARG, "the model is in int8 already");
    fit = adl_range_fit_create(model->graph, model->params, model->input_h, model->input_w, err);
    if (!fit)
        return -1;
    photos->skipped = 0;
    ADL_TRY(observe(model, photos, fit, NULL, watch, err));
    ADL_TRY(adl_range_fit_begin_second(fit, err));
    choice = adl_range_choice_create(fit, photos->count, err);
    if (!choice)
        goto out;
    ADL_TRY(observe(model, photos, fit, choice, watch, err));
    ADL_TRY(round_weights(model, fit, most, err));
    ADL_TRY(adl_range_choice_run(choice, fit, model->params, load_one, &load, model->quantisation,
                                 err));
    ADL_TRY(check_stop(watch, err));
    adl_model_update_digest(model);
    result = 0;
out:
    adl_range_choice_free(choice);
    adl_range_fit_free(fit);
    return result;
}

static void show_progress(void *context, size_t done, size_t total)
{
    struct adl_progress *progress = context;
    progress->total = total;
    adl_progress_update(progress, done);
}

struct adl_int8_watch adl_int8_watch_on(struct adl_progress *progress)
{
    adl_progress_start(progress, "images", 0);
    return (struct adl_int8_watch){.progress = show_progress, .context = progress};
}

int adl_int8_check(int choice, const char *dir, struct adl_error *err)
{
    if (dir && choice != 1 + ADL_PRECISION_INT8)
        return adl_fail(err, ADL_ERR_ARG, "--calibrate is for --precision int8");
    return 0;
}

int adl_int8_choose(struct adl_model *model, int choice, const char *path, const char *dir,
                    const struct adl_int8_watch *watch, struct adl_error *err)
{
    struct adl_int8_photos photos = {0};
    int result = adl_int8_check(choice, dir, err);

    if (result < 0)
        return -1;
    if (dir && choice == 1 + ADL_PRECISION_INT8 && !model->quantisation) {
        result = adl_int8_photos_open(&photos, dir, err);
        if (result == 0)
            result = adl_int8_round(model, &photos, 0, watch, err);
        adl_int8_photos_release(&photos);
        if (result < 0)
            return adl_error_context(err, "--calibrate");
        json_decref(model->metrics);
        model->metrics = NULL;
    }
    return adl_model_choose_precision(model, choice, path, err);
}

int adl_int8_choose_shown(struct adl_model *model, int choice, const char *path, const char *dir,
                          struct adl_error *err)
{
    struct adl_progress progress;
    const struct adl_int8_watch watch = adl_int8_watch_on(&progress);
    int result = adl_int8_choose(model, choice, path, dir, &watch, err);

    adl_progress_finish(&progress);
    return result;
}
