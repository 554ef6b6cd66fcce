/* One step of a run: forward pass, loss, backward pass and the optimizer's step.
 *
 * With --shards, each shard of a batch (train/shards.h) has passes of its own: methods mix the
 * images of a shard with each other, and draw random numbers from the number of the shard and the
 * place of an image in it, so it does not matter which process computes it.
 *
 * With --sync-batchnorm all shards go through the network together (train/lockstep.h), and batch
 * norm alone sees more than a shard.
 *
 * With --accumulate, a group of batches shares one step of the optimizer. Each batch is weighted by
 * 1 / (number of batches in its group), so that a group has the effect of one larger batch; the
 * last group of an epoch may be smaller. */

#include "server/training/train_step.h"

#include <math.h>

#include "base/mem.h"
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

void adl_train_free_tape(struct adl_train_run *run)
{
    if (!run->lockstep)
        adl_tape_free(run->tape);
    adl_lockstep_free(run->lockstep);
    run->lockstep = NULL;
    run->tape = NULL;
}

/* Makes the tape, or one for each own shard, that trains the network of a round. */
static int make_tape(struct adl_train_run *run, int round, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    const struct adl_graph *graph = run->model->graph;
    enum adl_tape_memory memory = adl_method_memory(&s->method);
    int images = adl_train_part_images(run);

    adl_train_free_tape(run);
    if (!s->sync_batchnorm || !run->parts) {
        run->tape = adl_tape_create_part(graph, round, s->crop_size, s->crop_size, images, memory,
                                         run->pool, err);
        return run->tape ? 0 : -1;
    }
    run->lockstep =
        adl_lockstep_create(run->optimizer, graph, round, s->crop_size, s->crop_size, images,
                            run->own_shards, memory, s->exchange, run->pool, err);
    if (!run->lockstep)
        return -1;
    run->tape = adl_lockstep_tape(run->lockstep, 0);
    return 0;
}

int adl_train_enter_round(struct adl_train_run *run, struct adl_error *err)
{
    int round = adl_train_round_of(run, run->epoch).number;

    if (run->tape && run->round == round)
        return 0;
    if (make_tape(run, round, err) < 0)
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

double adl_train_guessing_loss(const struct adl_train_run *run)
{
    return log(run->settings->multi_label ? 2 : ADL_MAX(run->model->arch.num_classes, 2));
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
static void write_input(struct adl_train_run *run, const struct part *part, struct adl_tape *tape,
                        uint64_t key, struct adl_targets *targets)
{
    struct adl_shape shape = adl_tape_shape(tape, 0);
    struct adl_method_batch changed = {.images = part->batch->input +
                                                 part->first * adl_shape_count(shape),
                                       .input = adl_tape_input(tape),
                                       .count = part->count,
                                       .height = shape.h,
                                       .width = shape.w,
                                       .values = run->settings->method.values,
                                       .key = key,
                                       .partners = run->partners + part->first};

    adl_method_input(run->model->arch.methods, &changed);
    targets->partners = changed.partners;
    targets->share = changed.share;
}

/* Returns which classes the images of a part have; NULL if each has one, its label. */
static const float *write_labels(struct adl_train_run *run, const struct part *part)
{
    size_t classes = (size_t)run->model->arch.num_classes;

    if (!run->present)
        return NULL;
    float *present = run->present + part->first * classes;
    for (size_t i = 0; i < part->count; i++)
        adl_dataset_present(run->train, part->batch->indices[part->first + i], classes,
                            present + i * classes);
    return present;
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
    /* The epochs of --find-lr are short and not those of the run. If a method's warm-up ended in
     * them, the loss would jump at a rate that has nothing to do with it. */
    run->mode.method_layers = adl_method_takes_part(run->model->arch.methods, s->method.values,
                                                    s->find_lr ? INFINITY : epochs);
}

/* The passes of a part. */
struct pass {
    struct part part;
    struct adl_tape *tape;
    struct adl_train_mode mode;
    struct adl_targets targets;
    double weight; /* what the mean loss is over (adl_targets_weight) as a share of the batch */
    double loss;   /* the mean */
    size_t right;  /* images, or labels, that were right */
};

/* Writes the images and labels of a part. `key` is what its random numbers are derived from;
 * `nominal` is what all images of a batch weigh; 0 makes the weight of the part 1. */
static struct pass open_pass(struct adl_train_run *run, const struct part *part,
                             struct adl_tape *tape, uint64_t key, double nominal)
{
    struct pass pass = {.part = *part, .tape = tape, .mode = run->mode};

    pass.mode.key = key;
    pass.targets = (struct adl_targets){.labels = part->batch->labels + part->first,
                                        .smoothing = run->settings->method.label_smoothing,
                                        .weights = run->class_weights};
    pass.mode.labels = pass.targets.labels;
    pass.targets.present = write_labels(run, part);
    pass.weight = nominal > 0 ? adl_targets_weight(&pass.targets, part->count) / nominal : 1;
    write_input(run, part, tape, key, &pass.targets);
    return pass;
}

/* Computes the loss after the forward pass, and writes its gradient, times the weight of the part
 * and divided by `divisor`, for the backward pass. */
static void compute_loss(const struct adl_train_run *run, struct pass *pass, double divisor)
{
    pass->loss = adl_method_loss(run->model->arch.methods, pass->tape, &pass->targets, &pass->mode,
                                 (float)(divisor / pass->weight), &pass->right);
}

/* Adds the gradient of the mean loss of a part to `grads`; `watch` is told how far that is. */
static struct pass run_part(struct adl_train_run *run, const struct part *part, uint64_t key,
                            double divisor, double nominal, float *const *grads,
                            const struct adl_tape_watch *watch)
{
    float *const *params = adl_optimizer_params(run->optimizer);
    struct pass pass = open_pass(run, part, run->tape, key, nominal);

    adl_tape_forward(run->tape, (int)part->count, params, &pass.mode);
    compute_loss(run, &pass, divisor);
    adl_tape_backward_watched(run->tape, params, &pass.mode, grads, watch);
    return pass;
}

/* Returns what a shard adds to the sums of the batch; `pass` is NULL if it has no image. */
static struct adl_shard_sums sums_of(const struct adl_train_run *run, const struct pass *pass,
                                     int shard)
{
    struct adl_shard_sums sums = {.stop = shard == run->first_shard && *run->asked};
    if (!pass)
        return sums;
    sums.weight = pass->weight;
    sums.loss = pass->weight * pass->loss;
    sums.images = (double)pass->part.count;
    sums.right = (double)pass->right;
    return sums;
}

/* Runs the own shards of a batch one after the other. */
static void run_in_turn(struct adl_train_run *run, const struct adl_batch *batch, double divisor)
{
    adl_shards_begin(run->parts, adl_optimizer_params(run->optimizer));
    for (int shard = run->first_shard; shard < run->first_shard + run->own_shards; shard++) {
        struct part part = shard_of(run, batch, shard);
        float *const *grads = adl_shards_open(run->parts);
        struct pass pass;
        if (part.count > 0)
            pass = run_part(run, &part, shard_key(run->mode.key, shard), divisor,
                            run->settings->batch_size, grads, adl_shards_watch(run->parts));
        struct adl_shard_sums sums = sums_of(run, part.count > 0 ? &pass : NULL, shard);
        adl_shards_close(run->parts, &sums);
    }
}

/* Runs them together. The running statistics have their new values before the shards begin, and so
 * keep them. */
static int run_together(struct adl_train_run *run, const struct adl_batch *batch, double divisor,
                        struct adl_error *err)
{
    float *const *params = adl_optimizer_params(run->optimizer);
    int own = run->own_shards, result = -1;
    struct pass *passes = adl_calloc((size_t)own, sizeof *passes);
    struct adl_train_mode *modes = adl_calloc((size_t)own, sizeof *modes);
    int *images = adl_calloc((size_t)own, sizeof *images);

    if (!passes || !modes || !images) {
        adl_fail_nomem(err, "the shards of a batch");
        goto out;
    }
    for (int k = 0; k < own; k++) {
        struct part part = shard_of(run, batch, run->first_shard + k);
        images[k] = (int)part.count;
        modes[k] = run->mode;
        if (part.count == 0)
            continue;
        passes[k] =
            open_pass(run, &part, adl_lockstep_tape(run->lockstep, k),
                      shard_key(run->mode.key, run->first_shard + k), run->settings->batch_size);
        modes[k] = passes[k].mode;
    }
    ADL_TRY(adl_lockstep_forward(run->lockstep, images, params, modes, err));
    for (int k = 0; k < own; k++)
        if (images[k] > 0)
            compute_loss(run, &passes[k], divisor);
    ADL_TRY(adl_lockstep_backward(run->lockstep, params, modes, err));
    adl_shards_begin(run->parts, params);
    for (int k = 0; k < own; k++) {
        struct adl_shard_sums sums =
            sums_of(run, images[k] > 0 ? &passes[k] : NULL, run->first_shard + k);
        adl_lockstep_add_grads(run->lockstep, k, adl_shards_open(run->parts));
        adl_shards_close(run->parts, &sums);
    }
    result = 0;
out:
    adl_free(passes);
    adl_free(modes);
    adl_free(images);
    return result;
}

/* Adds the gradients of the shards of a batch to those of the optimizer. */
static int run_shards(struct adl_train_run *run, const struct adl_batch *batch, double divisor,
                      struct adl_shard_sums *sums, struct adl_error *err)
{
    if (run->lockstep && run_together(run, batch, divisor, err) < 0)
        return -1;
    if (!run->lockstep)
        run_in_turn(run, batch, divisor);
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
        struct pass pass = run_part(run, &whole, run->mode.key, (double)members, 0,
                                    adl_optimizer_grads(run->optimizer), NULL);
        sums.loss = pass.loss;
        sums.images = (double)batch->count;
        sums.right = (double)pass.right;
    }
    *loss = sums.loss;
    if (batch->number == first + members - 1)
        take_step(run, lr);
    run->sums.loss += sums.loss * sums.images;
    run->sums.images += (size_t)sums.images;
    run->sums.right += (size_t)sums.right;
    return 1;
}
