/* Collects, formats and compares settings; see train_config.h. */

#include "server/training/train_config.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/json_text.h"
#include "methods/methods.h"
#include "server/training/train_augment.h"
#include "server/training/train_balance.h"
#include "server/training/train_open.h"
#include "server/training/train_ranks.h"
#include "server/training/train_state.h"
#include "train/schedule.h"

/* Sets an entry of the configuration, whose reference it takes. */
static int set(struct adl_train_run *run, const char *key, json_t *value)
{
    return json_object_set_new(run->config, key, value);
}

/* Records what every run has. */
static int record_settings(struct adl_train_run *run)
{
    const struct adl_train_settings *s = run->settings;
    const struct adl_method_settings *m = &s->method;
    const struct adl_optimizer_settings *o = &m->optimizer;
    const struct adl_model *model = run->model;
    run->config = json_pack(
        "{s:o, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:f, s:b, s:i, s:f, s:i, s:f, s:f, "
        "s:f, s:f, s:f, s:f, s:b, s:b, s:b, s:f, s:[f, f, f], s:[f, f, f]}",
        "arch", adl_arch_to_json(&model->arch), "method",
        adl_method_set_text(model->arch.methods).text, "images", (json_int_t)run->train->count,
        "batch_size", s->batch_size, "accumulate", s->accumulate, "resize_size", s->resize_size,
        "crop_size", s->crop_size, "seed", s->seed, "flip", s->flip, "random_resized_crop",
        s->random_resized_crop, "schedule", s->schedule, "lr_decay", s->lr_decay,
        "lr_decay_frequency", s->lr_decay_frequency, "warmup_epochs", s->warmup_epochs, "clip_norm",
        s->clip_norm, "lr", o->lr, "lr_classifier_ratio", o->lr_classifier_ratio, "momentum",
        o->momentum, "weight_decay", o->weight_decay, "nesterov", !o->no_nesterov, "dropout",
        !m->no_dropout, "frozen_batchnorm", m->frozen_batchnorm, "label_smoothing",
        m->label_smoothing, "mean", (double)model->mean[0], (double)model->mean[1],
        (double)model->mean[2], "std", (double)model->std[0], (double)model->std[1],
        (double)model->std[2]);
    if (!run->config || adl_method_record(run->config, model->arch.methods, m->values) < 0)
        return -1;
    return adl_optimizer_record(run->config, o);
}

/* Records what applies to some runs only. Defaults are not recorded, so that runs of versions
 * without the option can be resumed. */
static int record_choices(struct adl_train_run *run)
{
    const struct adl_train_settings *s = run->settings;
    if (adl_train_decodes_fast(s) && set(run, "fast_decode", json_true()) < 0)
        return -1;
    if (run->fine_tunes && set(run, "fine_tune", json_true()) < 0)
        return -1;
    /* The learning rates of a cosine schedule, and what some methods do, depend on the number of
     * epochs. */
    if ((s->schedule == ADL_SCHEDULE_COSINE ||
         adl_method_set_follows_progress(run->model->arch.methods)) &&
        set(run, "epochs", json_integer(s->epochs)) < 0)
        return -1;
    if (adl_train_record_augment(run->config, s) < 0)
        return -1;
    if (s->batchnorm_batches != ADL_TRAIN_BATCHNORM_BATCHES &&
        set(run, "batchnorm_batches", json_integer(s->batchnorm_batches)) < 0)
        return -1;
    if (s->balance != ADL_BALANCE_NONE &&
        set(run, "balance", json_string(adl_train_balance_names[s->balance])) < 0)
        return -1;
    if (s->method.precision != 0 &&
        set(run, "precision", json_string(adl_train_precision_names[s->method.precision])) < 0)
        return -1;
    if (s->lr_scale_batch > 0 && set(run, "lr_scale_batch", json_integer(s->lr_scale_batch)) < 0)
        return -1;
    if (s->ema > 0 && set(run, "ema", json_real(s->ema)) < 0)
        return -1;
    if (adl_train_record_shards(run->config, run) < 0)
        return -1;
    if (s->freeze && set(run, "freeze", adl_json_from_text(s->freeze)) < 0)
        return -1;
    return adl_train_record_data(run->config, s);
}

/* Records the weights that the run began with; a resumed run takes them from its state. */
static int record_init(struct adl_train_run *run)
{
    if (run->settings->init)
        return set(run, "init", json_string(run->settings->init));
    json_t *saved =
        run->state ? json_object_get(json_object_get(run->state, "config"), "init") : NULL;
    return saved ? json_object_set(run->config, "init", saved) : 0;
}

int adl_train_make_config(struct adl_train_run *run, struct adl_error *err)
{
    if (record_settings(run) < 0 || record_choices(run) < 0 || record_init(run) < 0)
        return adl_fail_nomem(err, "the configuration");
    return 0;
}

/* The text of a struct adl_train_config_text, to which words are appended. */
struct words {
    char *text;
    size_t length;
};

static void append(struct words *words, const char *word)
{
    size_t room = sizeof((struct adl_train_config_text *)0)->text - words->length;
    int written = snprintf(words->text + words->length, room, "%s", word);
    words->length += written < 0 ? 0 : (size_t)written < room ? (size_t)written : room - 1;
}

static void append_value(struct words *words, const char *key, const json_t *value)
{
    char number[40];

    if (!value || json_is_null(value)) {
        append(words, !strcmp(key, "precision")            ? adl_train_precision_names[0]
                      : !strcmp(key, "exchange_precision") ? adl_train_precision_names[0]
                      : !strcmp(key, "shards")             ? "1"
                      : !strcmp(key, "sync_batchnorm")     ? "no"
                                                           : "unset");
    } else if (!strcmp(key, "schedule") && json_is_integer(value) &&
               json_integer_value(value) >= 0 && json_integer_value(value) <= ADL_SCHEDULE_COSINE) {
        append(words, adl_schedule_names[json_integer_value(value)]);
    } else if (json_is_string(value)) {
        append(words, json_string_value(value));
    } else if (json_is_boolean(value)) {
        append(words, json_is_true(value) ? "yes" : "no");
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        append(words, number);
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.10g", json_real_value(value));
        append(words, number);
    } else {
        append(words, json_is_object(value) ? "set" : "a list");
    }
}

struct adl_train_config_text adl_train_config_text(const char *key, const json_t *value)
{
    struct adl_train_config_text result;
    struct words words = {result.text, 0};
    size_t i;
    json_t *item;

    result.text[0] = '\0';
    if (!json_is_array(value))
        append_value(&words, key, value);
    json_array_foreach(value, i, item)
    {
        if (i > 0)
            append(&words, ",");
        append_value(&words, key, item);
    }
    /* A text that fills the buffer is cut after an item of a list, or else between two
     * characters of UTF-8. */
    if (words.length + 1 == sizeof result.text) {
        size_t end = words.length - 3;
        char *comma = json_is_array(value) ? memrchr(result.text, ',', end) : NULL;
        while (!comma && end > 0 && ((unsigned char)result.text[end] & 0xc0) == 0x80)
            end--;
        memcpy(comma ? comma + 1 : result.text + end, "...", sizeof "...");
    }
    return result;
}

/* Compares one setting; `prefix` is the name of the object that it is in, or "". */
static int compare(const char *prefix, const char *key, const json_t *saved, const json_t *current,
                   const char *path, struct adl_error *err)
{
    char name[80];
    const char *inner;
    json_t *value;

    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? " " : "", key);
    if (json_is_object(saved) && json_is_object(current)) {
        json_object_foreach((json_t *)(uintptr_t)current, inner, value)
        {
            if (compare(name, inner, json_object_get(saved, inner), value, path, err) < 0)
                return -1;
        }
        json_object_foreach((json_t *)(uintptr_t)saved, inner, value)
        {
            if (!json_object_get(current, inner) &&
                compare(name, inner, value, NULL, path, err) < 0)
                return -1;
        }
        return 0;
    }
    if (json_equal(saved, current))
        return 0;
    return adl_fail(err, ADL_ERR_ARG, "%s: the run was started with %s %s, not %s", path, name,
                    adl_train_config_text(key, saved).text,
                    adl_train_config_text(key, current).text);
}

int adl_train_config_compare(const json_t *saved, const json_t *current, const char *path,
                             struct adl_error *err)
{
    return compare("", "", saved, current, path, err);
}
