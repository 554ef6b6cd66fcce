/* Writes and reads the files of a training run. Each is replaced in one step (written under a
 * temporary name, then renamed), in this order: metrics.jsonl, predictions.csv,
 * best.safetensors, last.safetensors, state.safetensors. A run that is killed at any point
 * therefore resumes from a state that is not newer than the other files; it repeats the work since
 * that state, with bit-identical results, and writes the files again. */

#include "server/training/train_files.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/labels.h"
#include "io/file.h"
#include "io/json_text.h"
#include "kernels/blas.h"
#include "models/backbones/stored.h"
#include "models/file/description.h"
#include "models/file/save.h"
#include "server/tasks/directory.h"
#include "server/tasks/predictions.h"
#include "server/training/run_lock.h"
#include "server/training/run_record.h"
#include "server/training/train_config.h"
#include "server/training/train_data.h"
#include "train/checkpoint.h"

#define DAMAGED "%s: is damaged: its description cannot be read"

/* Removes the temporary files that a run left behind because it was killed during a save. */
static void remove_leftovers(const char *out)
{
    static const char *const names[] = {ADL_RUN_RECORD,     ADL_RUN_METRICS, ADL_RUN_STEPS,
                                        ADL_RUN_LAST,       ADL_RUN_BEST,    ADL_RUN_STATE,
                                        ADL_RUN_PREDICTIONS};
    struct adl_error none = {0};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char *path = adl_run_path(out, names[i], &none);
        if (path)
            adl_file_remove_leftovers(path);
        adl_free(path);
    }
}

/* Fails if there is a state and the run does not resume, or the other way round. */
static int check_state(const struct adl_train_run *run, bool exists, struct adl_error *err)
{
    const char *out = run->settings->out;
    if (exists && !run->settings->resume)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: already holds a run; resume it with --resume, or choose another "
                        "directory",
                        out);
    if (!exists && run->settings->resume)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s/%s: not found; start without --resume", out,
                        ADL_RUN_STATE);
    return 0;
}

int adl_train_open_dir(struct adl_train_run *run, struct adl_error *err)
{
    const char *out = run->settings->out;
    if (run->follows)
        return 0;
    if (adl_make_directory(out, err) < 0)
        return -1;
    char *state = adl_run_path(out, ADL_RUN_STATE, err);
    if (!state)
        return -1;
    run->lock = adl_run_lock(out, err);
    if (run->lock == -1) {
        adl_free(state);
        return -1;
    }
    if (run->lock >= 0)
        remove_leftovers(out);
    bool exists = access(state, F_OK) == 0;
    int writable = adl_file_check_place(state, err);
    adl_free(state);
    return writable < 0 ? -1 : check_state(run, exists, err);
}

int adl_train_check_dir(struct adl_train_run *run, struct adl_error *err)
{
    if (run->follows)
        return 0;
    char *state = adl_run_path(run->settings->out, ADL_RUN_STATE, err);
    if (!state)
        return -1;
    bool exists = access(state, F_OK) == 0;
    adl_free(state);
    /* If another run is in progress there, taking the lock fails with a message that says so,
     * which is more useful. */
    if (exists && !run->settings->resume)
        return adl_train_open_dir(run, err);
    return check_state(run, exists, err);
}

/* Returns the absolute path, written to `text`, so that the record does not depend on the working
 * directory; `path` itself if it cannot be resolved. */
static const char *absolute(const char *path, char text[PATH_MAX])
{
    return path && realpath(path, text) ? text : path;
}

int adl_train_save_record(const struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    const struct adl_model *model = run->model;
    char network[128], data[PATH_MAX], images[PATH_MAX], metadata[PATH_MAX], masks[PATH_MAX];
    struct adl_error unknown = {0};
    json_t *labels = model->classes ? json_array() : NULL;
    enum adl_isa isa;

    if (run->follows)
        return 0;
    for (size_t i = 0; model->classes && i < model->class_count; i++)
        if (json_array_append_new(labels, adl_json_from_text(model->classes[i])) < 0) {
            json_decref(labels);
            return adl_fail_nomem(err, "the class names");
        }
    adl_arch_describe(&model->arch, network, sizeof network);
    const struct adl_run_record record = {
        .program = "adl-server " ADL_VERSION,
        .command = run->command,
        .network = network,
        .data = adl_train_data(s),
        .data_dir = absolute(s->data, data),
        .image_dir = absolute(s->images, images),
        .metadata_dir = absolute(s->metadata, metadata),
        .mask_dir = absolute(s->masks, masks),
        .epochs = s->epochs,
        .train_images = run->train->count,
        .val_images = run->val ? adl_dataset_image_count(run->val) : 0,
        .classes = run->train->class_count,
        .val_boxes = run->val && run->val->box_count > 0,
        .curve_interval = s->curve_interval,
        .threads = adl_pool_threads(run->pool),
        .cpu_path =
            adl_isa_choose(ADL_ISA_AUTO, &isa, &unknown) == 0 ? adl_isa_name(isa) : "unknown",
        .processor = adl_cpu_name(),
        .blas_version = adl_blas_version(),
        .blas_threading = adl_blas_threading(),
        .config = run->config,
        .labels = labels};
    int result = adl_run_record_write(s->out, &record, err);
    json_decref(labels);
    return result;
}

static json_t *training_json(const struct adl_train_run *run)
{
    return json_pack("{s:s, s:o, s:o, s:i, s:O, s:O*}", "program", "adl-server " ADL_VERSION,
                     "command", adl_json_from_text(run->command), "data",
                     adl_json_from_text(adl_train_data(run->settings)), "epochs", run->epoch,
                     "config", run->config, "begun_from", run->origin);
}

int adl_train_fail_diverged(const struct adl_train_run *run, const char *symptom,
                            struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_error none = {0};
    char *last = adl_run_path(s->out, ADL_RUN_LAST, &none);
    bool saved = last && adl_file_is_regular(last);
    adl_free(last);
    return adl_fail(err, ADL_ERR_LIMIT,
                    "%s: training diverges; start again%s with a lower --lr than %g, or with "
                    "--warmup-epochs 1 or --clip-norm 1%s%s%s",
                    symptom, saved ? " in another --out" : "", s->method.optimizer.lr,
                    saved ? "; " : "", saved ? s->out : "",
                    saved ? " keeps the last good weights" : "");
}

int adl_train_check_finite(const struct adl_train_run *run, struct adl_error *err)
{
    char symptom[200];
    const char *name;
    if (adl_checkpoint_is_finite(run->model->graph, run->optimizer, &name))
        return 0;
    snprintf(symptom, sizeof symptom, "the weights %s are not finite in epoch %d", name,
             run->epoch + 1);
    return adl_train_fail_diverged(run, symptom, err);
}

int adl_train_save_model(struct adl_train_run *run, const char *name, struct adl_error *err)
{
    struct adl_model *model = run->model;
    float *const *params = adl_optimizer_evaluated(run->optimizer);

    if (adl_train_check_finite(run, err) < 0)
        return -1;
    if (run->follows)
        return 0;
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        memcpy(adl_tensors_find(model->weights, param->name)->data, params[i],
               param->count * sizeof(float));
    }
    adl_model_update_digest(model);
    json_decref(model->training);
    model->training = training_json(run);
    if (!model->training)
        return adl_fail_nomem(err, "the model's description");
    char *path = adl_run_path(run->settings->out, name, err);
    int result = path ? adl_model_save(model, path, err) : -1;
    adl_free(path);
    return result;
}

int adl_train_save_predictions(const struct adl_train_run *run, struct adl_error *err)
{
    /* Boxes were cut at the threshold before this epoch, not at the one that is saved with it. */
    const struct adl_predictions predictions = {
        .dataset = run->val, .model = run->model, .places = run->places, .localized = false};
    char *path = adl_run_path(run->settings->out, ADL_RUN_PREDICTIONS, err);
    int result = path ? adl_predictions_write(&predictions, path, err) : -1;
    adl_free(path);
    return result;
}

/* Adds what a resumed run cannot take from its options: the rule by which maps are formed and cut,
 * and the few-box head, if --init had them, and the layers of a network from ONNX. Returns -1 if
 * there is not enough memory. */
static int add_rule(const struct adl_train_run *run, json_t *state)
{
    const struct adl_model *model = run->model;
    json_t *described = adl_model_to_json(model), *head = json_array(), *layers = json_array();
    int failed = json_object_set(state, "cam", json_object_get(described, "cam"));

    /* The configuration names the ends of a network from ONNX; this is all of it. */
    if (model->stored)
        failed |= json_object_set_new(state, "graph", adl_stored_to_json(model->stored, true));
    const struct adl_foreground_head *from = model->foreground;
    for (size_t i = 0; from && i <= adl_foreground_channels(from); i++)
        failed |= json_array_append_new(head, json_real((double)from->weights[i]));
    for (int i = 0; from && i < from->layer_count; i++)
        failed |= json_array_append_new(layers, json_string(from->layers[i].name));
    if (from)
        failed |= json_object_set(state, "foreground", head) |
                  json_object_set(state, "foreground_layers", layers);
    json_decref(head);
    json_decref(layers);
    json_decref(described);
    return failed ? -1 : 0;
}

int adl_train_save_state(struct adl_train_run *run, struct adl_error *err)
{
    int result = -1;
    if (run->follows)
        return 0;
    char *path = adl_run_path(run->settings->out, ADL_RUN_STATE, err), *text = NULL;
    json_t *val = run->val ? adl_train_data_identity(run->val) : NULL;
    json_t *state = json_pack(
        "{s:i, s:O, s:O, s:O*, s:O*, s:i, s:I, s:I, s:f, s:I, s:I, s:f, s:o*, s:i, s:f}", "version",
        1, "config", run->config, "data", run->data, "val", json_object_get(val, "digest"),
        "origin", run->origin, "epoch", run->epoch, "batch", (json_int_t)run->batch, "steps",
        (json_int_t)adl_optimizer_steps(run->optimizer), "loss_sum", run->sums.loss, "images",
        (json_int_t)run->sums.images, "right", (json_int_t)run->sums.right, "best", run->best,
        "best_loss", isnan(run->best_loss) ? NULL : json_real(run->best_loss), "best_epoch",
        run->best_epoch, "threshold", run->model->map.threshold);
    if (run->val && !val) {
        json_decref(state);
        state = NULL;
    }
    json_decref(val);
    if (state && add_rule(run, state) < 0) {
        json_decref(state);
        state = NULL;
    }
    text = adl_json_to_text(state, JSON_COMPACT | JSON_REAL_PRECISION(17), NULL, err);
    if (path && text)
        result = adl_checkpoint_save(path, run->model->graph, run->optimizer, text, err);
    adl_free(text);
    json_decref(state);
    adl_free(path);
    return result;
}

int adl_train_read_state(struct adl_train_run *run, struct adl_error *err)
{
    int result = -1;
    char *path = adl_run_path(run->settings->out, ADL_RUN_STATE, err);
    char *text = path ? adl_checkpoint_text(path, err) : NULL;
    const json_t *data;

    if (!text)
        goto out;
    run->state = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json_object_get(run->state, "config"))) {
        adl_fail(err, ADL_ERR_FORMAT, DAMAGED, path);
        goto out;
    }
    data = json_object_get(run->state, "data");
    if (data)
        ADL_TRY(adl_train_data_compare(data, run->data, path, err));
    else
        adl_str_printf(&run->remarks,
                       "adl-server: train: %s was written by an older version and does not say "
                       "which images and classes it was trained on; they are not compared\n",
                       path);
    run->origin = json_incref(json_object_get(run->state, "origin"));
    result = 0;
out:
    adl_free(text);
    adl_free(path);
    return result;
}

/* Discards the best epoch if the val split has changed: epochs that were measured on another
 * split cannot be compared with later ones. */
static int compare_val(struct adl_train_run *run, struct adl_error *err)
{
    const json_t *saved = json_object_get(run->state, "val");
    if (!saved || !run->val)
        return 0;
    json_t *val = adl_train_data_identity(run->val);
    if (!val)
        return adl_fail_nomem(err, "the names of the images");
    if (!json_equal(saved, json_object_get(val, "digest"))) {
        adl_str_puts(&run->remarks,
                     "adl-server: train: the val split has changed since the run was started; "
                     "the best epoch is chosen among the epochs from here on\n");
        run->best = -1;
    }
    json_decref(val);
    return 0;
}

/* Discards the best epoch if the file with its weights is missing. */
static int check_best(struct adl_train_run *run, struct adl_error *err)
{
    char *path = adl_run_path(run->settings->out, ADL_RUN_BEST, err);
    if (!path)
        return -1;
    if (run->best_epoch > 0 && !adl_file_is_regular(path)) {
        adl_str_printf(&run->remarks,
                       "adl-server: train: %s, which was from epoch %d, is missing; the best epoch "
                       "is chosen among the epochs from here on\n",
                       path, run->best_epoch);
        run->best = -1;
        run->best_epoch = 0;
    }
    adl_free(path);
    return 0;
}

int adl_train_load_state(struct adl_train_run *run, struct adl_error *err)
{
    int result = -1;
    char *path = adl_run_path(run->settings->out, ADL_RUN_STATE, err), *text = NULL;
    json_t *config;
    json_int_t batch, images, right, steps = 0; /* an older version did not count steps */
    double threshold;

    if (!path)
        goto out;
    if (json_unpack(run->state, "{s:o, s:i, s:I, s?I, s:F, s:I, s:I, s:F, s:i, s:F}", "config",
                    &config, "epoch", &run->epoch, "batch", &batch, "steps", &steps, "loss_sum",
                    &run->sums.loss, "images", &images, "right", &right, "best", &run->best,
                    "best_epoch", &run->best_epoch, "threshold", &threshold) < 0 ||
        run->epoch < 0 || batch < 0 || steps < 0 || images < 0 || right < 0 ||
        !(threshold >= 0 && threshold <= 1)) {
        adl_fail(err, ADL_ERR_FORMAT, DAMAGED, path);
        goto out;
    }
    /* Compared before the weights are loaded, which would not fit another network. */
    ADL_TRY(adl_train_config_compare(config, run->config, path, err));
    ADL_TRY(adl_checkpoint_load(path, run->model->graph, run->optimizer, &text, err));
    /* `best` was measured on a val split that cannot be used any more. */
    if (run->best >= 0 && !run->val) {
        adl_fail(err, ADL_ERR_ARG, "%s: the run was started with a val split, which is missing now",
                 path);
        goto out;
    }
    ADL_TRY(compare_val(run, err));
    ADL_TRY(check_best(run, err));
    /* An older version did not measure the loss. */
    json_t *loss = json_object_get(run->state, "best_loss");
    run->best_loss =
        json_is_number(loss) && run->best_epoch > 0 ? json_number_value(loss) : (double)NAN;
    run->batch = (size_t)batch;
    adl_optimizer_set_steps(run->optimizer, (uint64_t)steps);
    run->sums.images = (size_t)images;
    run->sums.right = (size_t)right;
    run->model->map.threshold = threshold;
    result = 0;
out:
    adl_free(text);
    adl_free(path);
    return result;
}
