/* Finds a learning rate by trying all of them in one short run (Smith, "Cyclical Learning Rates for
 * Training Neural Networks", WACV 2017).
 *
 * Step i of N, from 0, has the rate FROM (TO / FROM)^(i / (N - 1)). A rate that is too low leaves
 * the loss as it is, a good one lowers it, and one that is too high makes it explode. The loss is
 * smoothed, because single batches differ:
 *
 *     a <- b a + (1 - b) loss,  smoothed = a / (1 - b^(i + 1)),  b = 0.9
 *
 * The run ends when it is 4 times its lowest, as in the common implementations, or 1.5 times the
 * larger of the first loss and that of guessing: the loss of a new network of many classes falls
 * little in so few steps, and batch norm keeps it from growing far.
 *
 * The suggested rate is the one at which the smoothed loss falls steepest, over a tenth of the
 * steps, before it is lowest. At the lowest loss itself the rate is already too high.
 *
 * The rates below 2e-5 are no candidates, since they change nothing yet. Their losses tell where
 * the loss begins, their mean, and by how much batches differ: s^2 = mean (loss_i - loss_(i-1))^2
 * / 2. A fall of less than s is none: the smoothed loss of batches that no rate changes varies by a
 * quarter of it, s sqrt((1 - b) / (1 + b)). */

#include "server/training/train_find_lr.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/training/train_step.h"

#define LOWEST_RATE 1e-6
#define HIGHEST_RATE 10
#define SMOOTHING 0.9
/* The smoothed loss at which a run ends, as multiples of its lowest, and of the larger of the first
 * and guessing's. */
#define OF_LOWEST 4
#define OF_FIRST 1.5
#define FLAT_BELOW 2e-5

bool adl_train_choose_rate(struct adl_train_rates *rates)
{
    size_t reach = ADL_MAX(rates->count / 20, 1), flat = 0;
    double fall = 0, first = 0, differences = 0;

    while (flat < rates->count && rates->rates[flat] < FLAT_BELOW)
        flat++;
    if (flat < 2 || rates->count <= flat)
        return false;
    size_t lowest = flat, steepest = 0;
    for (size_t i = 0; i < flat; i++) {
        first += rates->losses[i] / (double)flat;
        differences += i > 0 ? pow(rates->losses[i] - rates->losses[i - 1], 2) : 0;
    }
    double noise = sqrt(differences / (double)(flat - 1) / 2);
    for (size_t i = flat; i < rates->count; i++)
        if (rates->smoothed[i] < rates->smoothed[lowest])
            lowest = i;
    for (size_t i = ADL_MAX(flat, reach); i + reach <= lowest; i++) {
        double difference = rates->smoothed[i - reach] - rates->smoothed[i + reach];
        if (difference > fall) {
            fall = difference;
            steepest = i;
        }
    }
    rates->lowest = rates->rates[lowest];
    rates->suggested = rates->rates[steepest];
    return steepest > 0 && first - rates->smoothed[lowest] > noise;
}

static int allocate(struct adl_train_rates *rates, size_t steps, struct adl_error *err)
{
    rates->rates = adl_calloc(steps, sizeof *rates->rates);
    rates->losses = adl_calloc(steps, sizeof *rates->losses);
    rates->smoothed = adl_calloc(steps, sizeof *rates->smoothed);
    return rates->rates && rates->losses && rates->smoothed ? 0 : adl_fail_nomem(err, "the rates");
}

void adl_train_rates_release(struct adl_train_rates *rates)
{
    adl_free(rates->rates);
    adl_free(rates->losses);
    adl_free(rates->smoothed);
    *rates = (struct adl_train_rates){0};
}

double adl_train_step_loss(struct adl_train_step_mean *mean, size_t group, double loss)
{
    if (mean->batches == 0 || group != mean->group)
        *mean = (struct adl_train_step_mean){.group = group};
    mean->sum += loss;
    mean->batches++;
    return mean->sum / (double)mean->batches;
}

/* Makes the next steps take this rate. */
static void set_rate(struct adl_train_run *run, double rate)
{
    run->schedule = (struct adl_schedule){.kind = ADL_SCHEDULE_STEP, .lr = rate, .decay = 1};
}

/* Adds the loss of a step, the mean of its batches. Returns whether it diverges. */
static bool add_step(struct adl_train_rates *rates, double loss, double guessing, double *average,
                     double *lowest)
{
    size_t i = rates->count++;
    *average = SMOOTHING * *average + (1 - SMOOTHING) * loss;
    rates->losses[i] = loss;
    rates->smoothed[i] = *average / (1 - pow(SMOOTHING, (double)(i + 1)));
    *lowest = fmin(*lowest, rates->smoothed[i]);
    double limit = OF_FIRST * fmax(rates->losses[0], guessing);
    return !(rates->smoothed[i] <= fmin(OF_LOWEST * *lowest, limit));
}

/* Takes the steps of an epoch. Returns 1 at its end, 0 when no more steps are needed. */
static int find_in_epoch(struct adl_train_run *run, struct adl_train_rates *rates, double *average,
                         double *lowest, struct adl_error *err)
{
    size_t steps = (size_t)run->settings->find_lr_steps;
    struct adl_train_step_mean mean = {0};
    struct adl_batch batch;
    int more;

    run->group = SIZE_MAX;
    adl_loader_start_epoch(run->loader, (uint64_t)run->epoch, 0);
    while ((more = adl_loader_next(run->loader, &batch, err)) > 0) {
        uint64_t before = adl_optimizer_steps(run->optimizer);
        double part = (double)rates->count / (double)(steps - 1);
        double rate = LOWEST_RATE * pow(HIGHEST_RATE / LOWEST_RATE, part);
        set_rate(run, rate);
        double loss;
        int trained = adl_train_batch(run, &batch, &loss, err);
        if (trained < 0)
            return -1;
        loss = adl_train_step_loss(&mean, run->group, loss);
        adl_progress_update(&run->progress, rates->count);
        if (*run->stop)
            return adl_fail(err, ADL_ERR_CANCELLED, "stopped before a learning rate was found");
        if (adl_optimizer_steps(run->optimizer) == before)
            continue;
        rates->rates[rates->count] = rate;
        if (add_step(rates, loss, adl_train_guessing_loss(run), average, lowest) ||
            rates->count == steps)
            return 0;
        snprintf(run->progress.note, sizeof run->progress.note, "rate %.2g, loss %.3f", rate,
                 rates->smoothed[rates->count - 1]);
    }
    return more < 0 ? -1 : 1;
}

int adl_train_find_rate(struct adl_train_run *run, struct adl_train_rates *rates,
                        struct adl_error *err)
{
    double average = 0, lowest = INFINITY;
    int more = 1;

    *rates = (struct adl_train_rates){0};
    if (allocate(rates, (size_t)run->settings->find_lr_steps, err) < 0)
        return -1;
    adl_progress_start(&run->progress, "steps", (size_t)run->settings->find_lr_steps);
    run->progressing = true;
    for (; more > 0; run->epoch++)
        more = find_in_epoch(run, rates, &average, &lowest, err);
    adl_progress_finish(&run->progress);
    run->progressing = false;
    if (more < 0)
        return -1;
    if (!adl_train_choose_rate(rates))
        return adl_fail(err, ADL_ERR_LIMIT,
                        "the loss falls at no learning rate from %g to %g by more than batches "
                        "differ; take larger batches or more steps (--find-lr-steps), or look at "
                        "the data",
                        LOWEST_RATE, rates->count ? rates->rates[rates->count - 1] : 0);
    return 0;
}
