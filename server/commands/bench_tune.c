/* Measures every algorithm for every convolution; see bench_tune.h.
 *
 * Beside the plan that is used, there is one for each rank r, which gives each convolution the
 * algorithm that the cost model ranks r-th; a convolution with fewer algorithms keeps its last. So
 * every algorithm of every convolution is in one of the plans, and all are measured within a whole
 * network, with the caches as they are there. The time of an algorithm is the smallest of all plans
 * that use it. */

#include "server/commands/bench_tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "server/commands/bench_model.h"

/* Rounds at least, however long they take, and at most. */
#define LEAST_ROUNDS 5
#define MOST_ROUNDS 200
/* Smaller differences may be chance. */
#define NOISE 0.05

static const char *kernel_of(const struct adl_bench_tune *tune, int plan, int step)
{
    struct adl_step_info info;
    adl_plan_step_info(tune->plans[plan], step, &info);
    return info.kernel;
}

/* Returns whether the plan of a rank has the same algorithms as that of the rank before, and so all
 * after it. */
static bool repeats(const struct adl_bench_tune *tune, int plan)
{
    for (int i = 0; plan > 1 && i < adl_plan_step_count(tune->plans[plan]); i++)
        if (strcmp(kernel_of(tune, plan, i), kernel_of(tune, plan - 1, i)) != 0)
            return false;
    return plan > 1;
}

/* Makes a plan and its session. */
static int open_plan(struct adl_bench_tune *tune, const struct adl_bench_tune_options *o, int plan,
                     struct adl_session **session, struct adl_error *err)
{
    struct adl_plan_options how = {.input_h = o->input.h, .input_w = o->input.w};
    uint64_t state = 0x2545F4914F6CDD1DULL;

    if (plan > 0) {
        how.conv_rank = plan - 1;
        how.disabled = ADL_PASS_SHRINK;
    }
    tune->models[plan] = o->open(o->context, err);
    if (!tune->models[plan])
        return -1;
    tune->plans[plan] = adl_model_into_plan(tune->models[plan], &how, err);
    if (!tune->plans[plan])
        return -1;
    size_t steps = (size_t)adl_plan_step_count(tune->plans[plan]);
    tune->ms[plan] = adl_malloc(steps, sizeof *tune->ms[plan]);
    if (!tune->ms[plan])
        return adl_fail_nomem(err, "measurements");
    for (size_t i = 0; i < steps; i++)
        tune->ms[plan][i] = INFINITY;
    *session = adl_session_create(tune->plans[plan], o->pool, o->batch, err);
    if (!*session)
        return -1;
    for (int i = 0; i < o->batch; i++)
        for (size_t k = 0; k < adl_shape_count(o->input); k++)
            adl_session_input(*session, i)[k] = adl_bench_random_unit(&state);
    return 0;
}

/* Runs a batch and keeps the times that are smaller than before. seconds: scratch, by step. */
static void measure_once(struct adl_session *session, int batch, double *seconds, double *ms)
{
    int steps = adl_plan_step_count(adl_session_plan(session));

    memset(seconds, 0, (size_t)steps * sizeof *seconds);
    adl_session_profile(session, seconds);
    adl_session_run(session, batch);
    adl_session_profile(session, NULL);
    for (int i = 0; i < steps; i++)
        ms[i] = fmin(ms[i], 1000 * seconds[i] / batch);
}

int adl_bench_tune_measure(struct adl_bench_tune *tune,
                           const struct adl_bench_tune_options *options, struct adl_error *err)
{
    struct adl_session *sessions[ADL_BENCH_TUNE_PLANS] = {0};
    double *seconds = NULL;
    int result = -1;

    for (; tune->count < ADL_BENCH_TUNE_PLANS; tune->count++) {
        if (open_plan(tune, options, tune->count, &sessions[tune->count], err) < 0)
            goto out;
        if (repeats(tune, tune->count))
            break;
        adl_session_run(sessions[tune->count], options->batch);
    }
    seconds = adl_malloc((size_t)adl_plan_step_count(tune->plans[0]), sizeof *seconds);
    if (!seconds) {
        adl_fail_nomem(err, "measurements");
        goto out;
    }
    uint64_t start = adl_clock_ns();
    for (int round = 0; round < MOST_ROUNDS; round++) {
        if (round >= LEAST_ROUNDS && adl_clock_ms(start, adl_clock_ns()) > 1000 * options->seconds)
            break;
        for (int i = 0; i < tune->count; i++)
            measure_once(sessions[i], options->batch, seconds, tune->ms[i]);
    }
    result = 0;
out:
    for (int i = 0; i < ADL_BENCH_TUNE_PLANS; i++)
        adl_session_free(sessions[i]);
    adl_free(seconds);
    return result;
}

void adl_bench_tune_release(struct adl_bench_tune *tune)
{
    for (int i = 0; i < ADL_BENCH_TUNE_PLANS; i++) {
        adl_free(tune->ms[i]);
        adl_plan_unref(tune->plans[i]);
        adl_model_free(tune->models[i]);
    }
    *tune = (struct adl_bench_tune){0};
}

/* Returns whether a step is a convolution with several algorithms. */
static bool has_choice(const struct adl_bench_tune *tune, int step)
{
    for (int i = 1; i < tune->count; i++)
        if (strcmp(kernel_of(tune, i, step), kernel_of(tune, 0, step)) != 0)
            return true;
    return false;
}

/* Returns the time of an algorithm for a step. */
static double ms_of(const struct adl_bench_tune *tune, int step, const char *kernel)
{
    double ms = INFINITY;
    for (int i = 0; i < tune->count; i++)
        if (!strcmp(kernel_of(tune, i, step), kernel))
            ms = fmin(ms, tune->ms[i][step]);
    return ms;
}

/* Returns the fastest algorithm for a step: the one that is used, unless another takes at least 5 %
 * less. */
static const char *fastest_of(const struct adl_bench_tune *tune, int step)
{
    const char *used = kernel_of(tune, 0, step), *best = used;
    for (int i = 1; i < tune->count; i++)
        if (ms_of(tune, step, kernel_of(tune, i, step)) < ms_of(tune, step, best))
            best = kernel_of(tune, i, step);
    return ms_of(tune, step, best) < (1 - NOISE) * ms_of(tune, step, used) ? best : used;
}

struct sums {
    int steps, others;    /* convolutions with a choice; those for which another one is faster */
    double used, fastest; /* milliseconds per image of all of these convolutions */
};

static struct sums sum_up(const struct adl_bench_tune *tune)
{
    struct sums sums = {0};
    for (int i = 0; i < adl_plan_step_count(tune->plans[0]); i++) {
        const char *used = kernel_of(tune, 0, i), *fastest = fastest_of(tune, i);
        if (!has_choice(tune, i))
            continue;
        sums.steps++;
        sums.others += strcmp(used, fastest) != 0;
        sums.used += ms_of(tune, i, used);
        sums.fastest += ms_of(tune, i, fastest);
    }
    return sums;
}

static json_t *times_of(const struct adl_bench_tune *tune, int step)
{
    json_t *times = json_object();
    for (int i = 0; i < tune->count; i++) {
        const char *kernel = kernel_of(tune, i, step);
        json_object_set_new(times, kernel, json_real(ms_of(tune, step, kernel)));
    }
    return times;
}

json_t *adl_bench_tune_json(const struct adl_bench_tune *tune)
{
    const struct sums sums = sum_up(tune);
    json_t *steps = json_array();

    for (int i = 0; i < adl_plan_step_count(tune->plans[0]); i++) {
        struct adl_step_info info;
        if (!has_choice(tune, i))
            continue;
        adl_plan_step_info(tune->plans[0], i, &info);
        json_array_append_new(steps, json_pack("{s:s, s:s, s:s, s:o}", "name", info.name, "used",
                                               info.kernel, "fastest", fastest_of(tune, i), "ms",
                                               times_of(tune, i)));
    }
    return json_pack("{s:f, s:f, s:o}", "used_ms", sums.used, "fastest_ms", sums.fastest, "steps",
                     steps);
}

void adl_bench_tune_print(const struct adl_bench_tune *tune)
{
    const struct sums sums = sum_up(tune);

    printf("\n%d convolution%s with a choice of algorithms: %.3f ms with those that are used, "
           "%.3f ms with\nthe fastest of each (%.1f %% less); it would be another one for %d, by "
           "5 %% or more\n",
           sums.steps, ADL_S(sums.steps), sums.used, sums.fastest,
           sums.used > 0 ? 100 * (1 - sums.fastest / sums.used) : 0, sums.others);
    if (sums.others)
        printf("%-32s %14s   %-12s %9s   %-12s %9s\n", "step", "output", "used", "ms", "fastest",
               "ms");
    for (int i = 0; i < adl_plan_step_count(tune->plans[0]); i++) {
        const char *fastest = fastest_of(tune, i);
        struct adl_step_info info;
        char shape[40];
        adl_plan_step_info(tune->plans[0], i, &info);
        if (!has_choice(tune, i) || !strcmp(fastest, info.kernel))
            continue;
        snprintf(shape, sizeof shape, "%dx%dx%d", info.out.h, info.out.w, info.out.c);
        printf("%-32s %14s   %-12s %9.3f   %-12s %9.3f\n", info.name, shape, info.kernel,
               ms_of(tune, i, info.kernel), fastest, ms_of(tune, i, fastest));
    }
}
