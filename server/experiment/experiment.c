/* What an experiment owns, and where its files are. experiment_read.c fills it in. */

#include "server/experiment/experiment.h"

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

const char *adl_experiment_path(const struct adl_experiment *experiment, size_t row, size_t seed,
                                const char *name, struct adl_arena *arena, struct adl_error *err)
{
    return ADL_ARENA_TEXT(arena, err, "%s/%s/seed%d%s%s", experiment->out,
                          experiment->rows[row].name, experiment->seeds[seed], name ? "/" : "",
                          name ? name : "");
}
