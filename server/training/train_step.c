/* One step of a run: forward pass, loss, backward pass and the optimizer's step.
 *
 * With --shards, each shard of a batch (train/shards.h) has passes of its own: methods mix the
 * images of a shard with each other, and draw random numbers from the number of the shard and the
 * place of an image in it, so it does not matter which process computes it.
 *
 * With --accumulate, a group of batches shares one step of the optimizer. Each batch is weighted by
 * 1 / (number of batches in its group), so that a group has the effect of one larger batch; the
 * last group of an epoch may be smaller. */

#include "server/training/train_step.h"

#include "base/rng.h"
#include "base/size.h"
#include "data/labels.h"
#include "methods/methods.h"
#include "server/training/train_ranks.h"

struct adl_train_round adl_train_round_of(const struct adl_train_run *run, int epoch)
{
    int64_t epochs = ADL_MAX(run->settings->epochs, 1);
    int64_t rounds = adl_arch_rounds(&run->model->arch) ? run->model->arch.rounds : 1;
    int64_t round = ADL_MIN(rounds * epoch / epochs, rounds - 1);
    int64_t first = (round * epochs + rounds - 1) / rounds;
    int64_t next = ((round + 1) * epochs + rounds - 1) / rounds;
    return (struct adl_train_round){(int)round + 1, (int)first, (int)(next - first)};
}

int adl_train_enter_round(struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    int round = adl_train_round_of(run, run->epoch).number;

    if (run->tape && run->round == round)
        return 0;
    adl_tape_free(run->tape);
    run->tape = adl_tape_create_part(run->model->graph, round, s->crop_size, s->crop_size,
                                     adl_train_part_images(run), adl_method_memory(&s->method),
                                     run->pool, err);
    if (!run->tape)
        return -1;
    run->round = round;
    if (run->epoch == adl_train_round_of(run, run->epoch).first && run->batch == 0)
        adl_optimizer_set_steps(run->optimizer, 0);
    if (adl_arch_rounds(&run->model->arch))
        adl_optimizer_set_part(run->optimizer, round);
    return 0;
}

void adl_train_follow(struct adl_train_run *run)
{
    if (adl_arch_rounds(&run->model->arch))
        adl_optimizer_copy_part(run->optimizer, run->round);
}

double adl_train_rate(const struct adl_train_run *run, size_t batch)
{
    struct adl_train_round round = adl_train_round_of(run, run->epoch);
    struct adl_schedule schedule = run->schedule;
    schedule.epochs = round.epochs;
    return adl_schedule_lr(&schedule, run->epoch - round.first, batch,
                           adl_loader_batches(run->loader));
}

/* A part of a batch that has a forward and a backward pass of its own: all of it, or a shard. */
struct part {
    const struct adl_batch *batch;
    size_t first, count; /* images of it, at least 1 */
};

/* Returns the images of a shard, without broken ones; there may be none. */
static struct part shard_of(const struct adl_train_run *run, const struct adl_batch *batch,
                            int shard)
{
    struct adl_train_range range = adl_train_shard_range(run, batch, shard);
    return (struct part){batch, range.first, range.count};
}

/* Writes the images of a part to the network's input, as the methods change them, and the other
 * labels that the changed images have to `targets`. */
static void write_input(struct adl_train_run *run, const struct part *part,
                        struct adl_targets *targets)
{
    struct adl_shape shape = adl_tape_shape(run->tape, 0);
    struct adl_method_batch changed = {.images = part->batch->input +
                                                 part->first * adl_shape_count(shape),
                                       .input = adl_tape_input(run->tape),
                                       .count = part->count,
                                       .height = shape.h,
                                       .width = shape.w,
                                       .values = run->settings->method.values,
                                       .key = run->mode.key,
                                       .partners = run->partners};

    adl_method_input(run->model->arch.methods, &changed);
    targets->partners = changed.partners;
    targets->share = changed.share;
}

/* Returns which classes the images of a part have; NULL if each has one, its label. */
static const float *write_labels(struct adl_train_run *run, const struct part *part)
{
    size_t classes = (size_t)run->model->arch.num_classes;

    for (size_t i = 0; run->present && i < part->count; i++)
        adl_dataset_present(run->train, part->batch->indices[part->first + i], classes,
                            run->present + i * classes);
    return run->present;
}

uint64_t adl_train_batch_key(const struct adl_train_settings *settings, int epoch, size_t batch)
{
    uint64_t key = (uint64_t)settings->seed;
    key = adl_rng_splitmix(&key) + ((uint64_t)epoch << 32) + batch;
    return adl_rng_splitmix(&key);
}

/* Returns the number that all random numbers of a shard are derived from: that of the batch for
 * shard 0, so that a batch of one shard is as without shards. */
static uint64_t shard_key(uint64_t batch_key, int shard)
{
    uint64_t key = batch_key + (uint64_t)shard;
    return shard > 0 ? adl_rng_splitmix(&key) : batch_key;
}

/* Sets what the ops of a batch need to know, apart from the images. */
static void set_mode(struct adl_train_run *run, size_t number)
{
    const struct adl_train_settings *s = run->settings;
    double epochs = run->epoch + (double)number / (double)adl_loader_batches(run->loader);
    run->mode.key = adl_train_batch_key(s, run->epoch, number);
    run->mode.progress = ADL_MIN(epochs / (double)s->epochs, 1);
    run->mode.method_layers =
        adl_method_takes_part(run->model->arch.methods, s->method.values, epochs);
}

/* Adds the gradient of the mean loss of a part to `grads`, times its weight and divided by
 * `divisor`. Returns that loss; *right becomes the number of images that were right, and *weight
 * what the mean is over (adl_targets_weight) divided by `nominal`; 1 if `nominal` is 0. */
static double run_part(struct adl_train_run *run, const struct part *part, double divisor,
                       double nominal, float *const *grads, size_t *right, double *weight)
{
    float *const *params = adl_optimizer_params(run->optimizer);
    struct adl_targets targets = {.labels = part->batch->labels + part->first,
                                  .smoothing = run->settings->method.label_smoothing,
                                  .weights = run->class_weights};

    run->mode.labels = targets.labels;
    targets.present = write_labels(run, part);
    *weight = nominal > 0 ? adl_targets_weight(&targets, part->count) / nominal : 1;
    write_input(run, part, &targets);
    adl_tape_forward(run->tape, (int)part->count, params, &run->mode);
    double loss = adl_method_loss(run->model->arch.methods, run->tape, &targets, &run->mode,
                                  (float)(divisor / *weight), right);
    adl_tape_backward(run->tape, params, &run->mode, grads);
    return loss;
}

/* Adds the gradients of the shards of a batch to those of the optimizer. */
static int run_shards(struct adl_train_run *run, const struct adl_batch *batch, double divisor,
                      struct adl_shard_sums *sums, struct adl_error *err)
{
    uint64_t key = run->mode.key;

    adl_shards_begin(run->parts, adl_optimizer_params(run->optimizer));
    for (int shard = run->first_shard; shard < run->first_shard + run->own_shards; shard++) {
        struct part part = shard_of(run, batch, shard);
        struct adl_shard_sums own = {.stop = shard == run->first_shard && *run->asked};
        float *const *grads = adl_shards_open(run->parts);
        size_t right = 0;
        run->mode.key = shard_key(key, shard);
        if (part.count > 0) {
            double loss = run_part(run, &part, divisor, run->settings->batch_size, grads, &right,
                                   &own.weight);
            own.loss = own.weight * loss;
        }
        own.images = (double)part.count;
        own.right = (double)right;
        adl_shards_close(run->parts, &own);
    }
    if (adl_shards_join(run->parts, true, sums, err) < 0)
        return -1;
    adl_train_heed(run, sums);
    return 0;
}

/* Takes the step of the optimizer for a group of batches. */
static void take_step(struct adl_train_run *run, double lr)
{
    const struct adl_train_settings *s = run->settings;
    if (s->clip_norm > 0)
        adl_optimizer_clip(run->optimizer, s->clip_norm);
    adl_optimizer_take_step(&s->method.optimizer, run->optimizer, lr, run->pool);
    adl_optimizer_zero_grads(run->optimizer);
    if (s->ema > 0)
        adl_optimizer_average(run->optimizer, s->ema, run->pool);
}

int adl_train_batch(struct adl_train_run *run, const struct adl_batch *batch, double *loss,
                    struct adl_error *err)
{
    size_t batches = adl_loader_batches(run->loader);
    size_t size = (size_t)run->settings->accumulate, group = batch->number / size;
    size_t first = group * size, members = ADL_MIN(size, batches - first);
    double lr = adl_train_rate(run, batch->number);
    struct adl_shard_sums sums = {0};

    /* A group whose last batch had no readable image took no step and has left its gradients. */
    if (group != run->group)
        adl_optimizer_zero_grads(run->optimizer);
    run->group = group;
    run->trained = true;
    set_mode(run, batch->number);
    if (run->parts) {
        if (run_shards(run, batch, (double)members, &sums, err) < 0)
            return -1;
        if (!(sums.images > 0))
            return 0;
    } else {
        const struct part whole = {batch, 0, batch->count};
        size_t right;
        double weight;
        sums.loss = run_part(run, &whole, (double)members, 0, adl_optimizer_grads(run->optimizer),
                             &right, &weight);
        sums.images = (double)batch->count;
        sums.right = (double)right;
    }
    *loss = sums.loss;
    if (batch->number == first + members - 1)
        take_step(run, lr);
    run->sums.loss += sums.loss * sums.images;
    run->sums.images += (size_t)sums.images;
    run->sums.right += (size_t)sums.right;
    return 1;
}
