/* What an experiment owns, and where its files are. experiment_read.c fills it in. */

#include "server/experiment/experiment.h"

#include <stdio.h>

#include "base/mem.h"

json_t *adl_experiment_object(struct adl_experiment *experiment, struct adl_error *err)
{
    json_t *object = json_object();

    if (!experiment->owned || json_array_append_new(experiment->owned, object) < 0) {
        adl_fail_nomem(err, "the experiment");
        return NULL;
    }
    return object;
}

const char *adl_experiment_place(struct adl_experiment *experiment, const char *dir,
                                 const char *path, struct adl_error *err)
{
    if (!path || *path == '/' || !*dir)
        return path;
    return ADL_ARENA_TEXT(&experiment->arena, err, "%s/%s", dir, path);
}

void adl_experiment_release(struct adl_experiment *experiment)
{
    json_decref(experiment->owned);
    json_decref(experiment->json);
    adl_arena_release(&experiment->arena);
    *experiment = (struct adl_experiment){0};
}

struct adl_experiment_label adl_experiment_label(const struct adl_experiment *experiment,
                                                 size_t seed)
{
    struct adl_experiment_label label;

    if (experiment->fold_count)
        snprintf(label.text, sizeof label.text, "seed %d, fold %d", experiment->seeds[seed],
                 experiment->folds[seed]);
    else
        snprintf(label.text, sizeof label.text, "seed %d", experiment->seeds[seed]);
    return label;
}

const char *adl_experiment_path(const struct adl_experiment *experiment, size_t row, size_t seed,
                                const char *name, struct adl_arena *arena, struct adl_error *err)
{
    char fold[24] = "";

    if (experiment->fold_count)
        snprintf(fold, sizeof fold, "-fold%d", experiment->folds[seed]);
    return ADL_ARENA_TEXT(arena, err, "%s/%s/seed%d%s%s%s", experiment->out,
                          experiment->rows[row].name, experiment->seeds[seed], fold,
                          name ? "/" : "", name ? name : "");
}
