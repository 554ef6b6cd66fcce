/* Measures the time of each step of a plan. */

#include "server/commands/bench_layers.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/commands/bench_yardstick.h"

#define PROFILES 7

/* Writes the median of each step to `out`, in milliseconds per image. `all` has PROFILES x steps
 * times, in seconds per batch. */
static void take_medians(const double *all, size_t steps, int batch, double *out)
{
    for (size_t step = 0; step < steps; step++) {
        double values[PROFILES];
        for (size_t i = 0; i < PROFILES; i++)
            values[i] = 1000 * all[i * steps + step] / batch;
        out[step] = adl_bench_median((struct adl_bench_times){values, PROFILES});
    }
}

int adl_bench_layers_measure(struct adl_bench_layers *layers, struct adl_session *session,
                             struct adl_session *other, int batch, struct adl_error *err)
{
    struct adl_session *sessions[2] = {session, other};
    size_t steps = (size_t)adl_plan_step_count(adl_session_plan(session));
    double *all = adl_calloc(2 * PROFILES * steps, sizeof *all);

    layers->plan = adl_session_plan(session);
    layers->other = adl_session_plan(other);
    layers->ms = adl_calloc(steps, sizeof *layers->ms);
    layers->other_ms = adl_calloc(steps, sizeof *layers->other_ms);
    if (!all || !layers->ms || !layers->other_ms) {
        adl_free(all);
        return adl_fail_nomem(err, "measurements");
    }
    size_t floats = adl_shape_count(adl_plan_input_shape(layers->plan));
    for (int i = 0; i < batch; i++)
        memcpy(adl_session_input(other, i), adl_session_input(session, i), floats * sizeof(float));
    adl_session_run(other, batch);
    for (size_t i = 0; i < PROFILES; i++)
        for (size_t j = 0; j < 2; j++) {
            adl_session_profile(sessions[j], all + (j * PROFILES + i) * steps);
            adl_session_run(sessions[j], batch);
            adl_session_profile(sessions[j], NULL);
        }
    take_medians(all, steps, batch, layers->ms);
    take_medians(all + PROFILES * steps, steps, batch, layers->other_ms);
    adl_free(all);
    return 0;
}

void adl_bench_layers_release(struct adl_bench_layers *layers)
{
    adl_free(layers->ms);
    adl_free(layers->other_ms);
}

struct row {
    struct adl_step_info info;
    double ms, gflops;
    double fraction;   /* of the time of all steps */
    const char *other; /* NULL: no other algorithm applies */
    double other_ms;
};

static struct row row_of(const struct adl_bench_layers *layers, int step)
{
    struct adl_step_info other;
    double total = 0;
    struct row row = {.ms = layers->ms[step], .other_ms = layers->other_ms[step]};

    for (int i = 0; i < adl_plan_step_count(layers->plan); i++)
        total += layers->ms[i];
    adl_plan_step_info(layers->plan, step, &row.info);
    adl_plan_step_info(layers->other, step, &other);
    row.gflops = row.ms > 0 ? 2e-6 * (double)row.info.macs / row.ms : 0;
    row.fraction = total > 0 ? row.ms / total : 0;
    if (strcmp(row.info.kernel, other.kernel) != 0)
        row.other = other.kernel;
    return row;
}

json_t *adl_bench_layers_json(const struct adl_bench_layers *layers)
{
    json_t *array = json_array();

    for (int i = 0; i < adl_plan_step_count(layers->plan); i++) {
        struct row row = row_of(layers, i);
        json_t *item =
            json_pack("{s:s, s:s, s:[i, i, i], s:f, s:f, s:f, s:f}", "name", row.info.name,
                      "kernel", row.info.kernel, "shape", row.info.out.h, row.info.out.w,
                      row.info.out.c, "mmac", (double)row.info.macs * 1e-6, "ms", row.ms, "gflops",
                      row.gflops, "share", row.fraction);
        if (row.other)
            json_object_set_new(item, "alternative",
                                json_pack("{s:s, s:f}", "kernel", row.other, "ms", row.other_ms));
        json_array_append_new(array, item);
    }
    return array;
}

void adl_bench_layers_print(const struct adl_bench_layers *layers)
{
    printf("\n%-32s %-10s %14s %9s %9s %9s %6s   %s\n", "step", "kernel", "output", "MMAC", "ms",
           "GFLOP/s", "share", "next best, ms");
    for (int i = 0; i < adl_plan_step_count(layers->plan); i++) {
        struct row row = row_of(layers, i);
        char shape[40];
        snprintf(shape, sizeof shape, "%dx%dx%d", row.info.out.h, row.info.out.w, row.info.out.c);
        printf("%-32s %-10s %14s %9.2f %9.3f %9.1f %5.1f%%", row.info.name, row.info.kernel, shape,
               (double)row.info.macs * 1e-6, row.ms, row.gflops, 100 * row.fraction);
        if (row.other)
            printf("   %-10s %9.3f%s", row.other, row.other_ms,
                   row.other_ms < row.ms ? " faster" : "");
        printf("\n");
    }
}
