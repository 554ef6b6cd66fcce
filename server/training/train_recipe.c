/* The recipe for few images.
 *
 * Weights that have seen many photographs know more about where objects end than a few dozen
 * photographs can teach. What training on those does to the features is mostly harm: batch norm
 * takes statistics from batches of a few similar images, ADL hides what little there is to see, and
 * a high learning rate overwrites the features before the new classifier has found its place. So
 * batch norm keeps the statistics of the weights, no ADL layers are added, the features move slowly
 * and the classifier quickly. The rule by which the file of --init makes its maps, its threshold
 * and its few-box head are kept, because there are no boxes to choose others.
 *
 * The figures are in docs/results.md, "From few photographs". */

#include "server/training/train_recipe.h"

#include <string.h>

#include "base/plural.h"
#include "methods/methods.h"

/* Images from which on a run trains as on many. */
#define FEW_IMAGES 500
#define LEARNING_RATE 0.0003
#define CLASSIFIER_RATIO 30
/* With frozen batch norm nothing brings activations back that have grown. At a rate of 0.005, 80
 * images and Cutout, the loss of the model that ships went from 0.003 to 2440 within an epoch; with
 * this limit it stays at 0.013. */
#define CLIP_NORM 5

/* Returns whether the recipe applies. The number of images and --init are the same when a run is
 * resumed, but --init may be left out then, so the state decides. */
static bool applies(const struct adl_train_run *run)
{
    const struct adl_train_settings *s = run->settings;

    if (run->state)
        return json_is_true(json_object_get(json_object_get(run->state, "config"), "fine_tune"));
    return s->init && s->recipe == ADL_TRAIN_RECIPE_AUTO && run->train->count < FEW_IMAGES;
}

void adl_train_choose_recipe(struct adl_train_run *run)
{
    struct adl_train_settings *s = &run->chosen;

    run->chosen = *run->settings;
    run->settings = &run->chosen;
    run->fine_tunes = applies(run);
    if (!run->fine_tunes)
        return;
    s->method.frozen_batchnorm = true;
    if (s->arch.methods < 0)
        s->arch.methods = 0;
    if (!s->rate_given) {
        /* The rates of AdamW are about a tenth of those of SGD. */
        s->method.optimizer.lr =
            s->method.optimizer.kind == ADL_OPTIMIZER_ADAMW ? LEARNING_RATE / 10 : LEARNING_RATE;
        s->method.optimizer.lr_classifier_ratio = CLASSIFIER_RATIO;
    }
    adl_str_printf(&run->remarks,
                   "%zu image%s few: fine-tuning with frozen batch norm, method %s, learning rate "
                   "%g and %g times that for the classifier; --recipe plain trains as on many\n",
                   run->train->count, run->train->count == 1 ? " is" : "s are",
                   adl_method_set_text(adl_arch_settings_methods(&s->arch)).text,
                   s->method.optimizer.lr, s->method.optimizer.lr_classifier_ratio);
}

/* The linear scaling rule of Goyal et al. ("Accurate, Large Minibatch SGD", 2017): a step of k
 * times the images goes as far as k steps, as long as the weights change little meanwhile. Early in
 * a run they do not, which --warmup-epochs is for. */
int adl_train_scale_rate(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_train_settings *s = &run->chosen;
    double given = s->method.optimizer.lr;
    int images = s->batch_size * s->accumulate;

    if (!s->lr_scale_batch)
        return 0;
    s->method.optimizer.lr = given * images / s->lr_scale_batch;
    if (s->method.optimizer.lr > ADL_OPTIMIZER_HIGHEST_RATE)
        return adl_fail(err, ADL_ERR_ARG,
                        "--lr-scale-batch %d makes the learning rate %g; at most %d can be meant",
                        s->lr_scale_batch, s->method.optimizer.lr, ADL_OPTIMIZER_HIGHEST_RATE);
    adl_str_printf(&run->remarks, "learning rate %g for steps of %d image%s (%g for %d)%s\n",
                   s->method.optimizer.lr, images, ADL_S(images), given, s->lr_scale_batch,
                   images > s->lr_scale_batch && s->warmup_epochs <= 0
                       ? "; a higher rate is safer with --warmup-epochs 5"
                       : "");
    return 0;
}

void adl_train_choose_by_method(struct adl_train_run *run)
{
    const struct adl_method_set methods = run->model->arch.methods;
    const double limit = adl_method_set_clip_norm(methods);
    const double ratio = adl_method_set_new_layers_ratio(methods, run->chosen.method.values);

    if (!run->chosen.clip_given)
        run->chosen.clip_norm = limit > 0 || !run->fine_tunes ? limit : CLIP_NORM;
    if (!run->chosen.ratio_given && !run->fine_tunes && ratio > 0)
        run->chosen.method.optimizer.lr_classifier_ratio = ratio;
}
