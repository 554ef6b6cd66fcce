/* One step of a run: forward pass, loss, backward pass and the optimizer's step.
 *
 * With --accumulate, a group of batches shares one step of the optimizer. Each batch is weighted by
 * 1 / (number of batches in its group), so that a group has the effect of one larger batch; the
 * last group of an epoch may be smaller. */

#include "server/training/train_step.h"

#include "base/rng.h"
#include "base/size.h"
#include "data/labels.h"
#include "methods/methods.h"

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
                                     s->batch_size, adl_method_memory(&s->method), run->pool, err);
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

/* Writes the images of a batch to the network's input, as the methods change them, and the other
 * labels that the changed images have to `targets`. */
static void write_input(struct adl_train_run *run, const struct adl_batch *batch,
                        struct adl_targets *targets)
{
    struct adl_shape shape = adl_tape_shape(run->tape, 0);
    struct adl_method_batch changed = {.images = batch->input,
                                       .input = adl_tape_input(run->tape),
                                       .count = batch->count,
                                       .height = shape.h,
                                       .width = shape.w,
                                       .values = run->settings->method.values,
                                       .key = run->mode.key,
                                       .partners = run->partners};

    adl_method_input(run->model->arch.methods, &changed);
    targets->partners = changed.partners;
    targets->share = changed.share;
}

/* Returns which classes the images of a batch have; NULL if each has one, its label. */
static const float *write_labels(struct adl_train_run *run, const struct adl_batch *batch)
{
    size_t classes = (size_t)run->model->arch.num_classes;

    for (size_t i = 0; run->present && i < batch->count; i++)
        adl_dataset_present(run->train, batch->indices[i], classes, run->present + i * classes);
    return run->present;
}

uint64_t adl_train_batch_key(const struct adl_train_settings *settings, int epoch, size_t batch)
{
    uint64_t key = (uint64_t)settings->seed;
    key = adl_rng_splitmix(&key) + ((uint64_t)epoch << 32) + batch;
    return adl_rng_splitmix(&key);
}

double adl_train_batch(struct adl_train_run *run, const struct adl_batch *batch)
{
    const struct adl_train_settings *s = run->settings;
    size_t batches = adl_loader_batches(run->loader), right;
    float *const *params = adl_optimizer_params(run->optimizer);
    size_t size = (size_t)s->accumulate, group = batch->number / size, first = group * size;
    size_t members = ADL_MIN(size, batches - first);
    double lr = adl_train_rate(run, batch->number);

    /* A group whose last batch had no readable image took no step and has left its gradients. */
    if (group != run->group)
        adl_optimizer_zero_grads(run->optimizer);
    run->group = group;
    run->trained = true;
    run->mode.key = adl_train_batch_key(s, run->epoch, batch->number);
    run->mode.labels = batch->labels;
    run->mode.progress =
        ADL_MIN((run->epoch + (double)batch->number / (double)batches) / (double)s->epochs, 1);
    run->mode.method_layers =
        adl_method_takes_part(run->model->arch.methods, s->method.values,
                              run->epoch + (double)batch->number / (double)batches);
    struct adl_targets targets = {.labels = batch->labels,
                                  .smoothing = s->method.label_smoothing,
                                  .weights = run->class_weights};
    targets.present = write_labels(run, batch);
    write_input(run, batch, &targets);
    adl_tape_forward(run->tape, (int)batch->count, params, &run->mode);
    double loss = adl_method_loss(run->model->arch.methods, run->tape, &targets, &run->mode,
                                  (float)members, &right);
    adl_tape_backward(run->tape, params, &run->mode, adl_optimizer_grads(run->optimizer));
    if (batch->number == first + members - 1) {
        if (s->clip_norm > 0)
            adl_optimizer_clip(run->optimizer, s->clip_norm);
        adl_optimizer_take_step(&s->method.optimizer, run->optimizer, lr, run->pool);
        adl_optimizer_zero_grads(run->optimizer);
        if (s->ema > 0)
            adl_optimizer_average(run->optimizer, s->ema, run->pool);
    }
    run->sums.loss += loss * (double)batch->count;
    run->sums.images += batch->count;
    run->sums.right += right;
    return loss;
}
