/* The models of `serve`: those of --model and --example, or the one that ships, and with --watch
 * those in the folder of --models-dir. */

#include "server/commands/serve_models.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "io/file.h"
#include "server/api/model_changes.h"
#include "server/options/service_hint.h"
#include "server/serving/watch.h"
#include "server/tasks/default_model.h"

/* Fails unless a model is a readable regular file, which can be read again on SIGHUP. */
static int check_file(const char *path, struct adl_error *err)
{
    if (!strcmp(path, "-"))
        return adl_fail(
            err, ADL_ERR_ARG,
            "--model -: standard input cannot be read again on SIGHUP; save it to a file "
            "first");
    if (access(path, R_OK) < 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: cannot read the model: %s", path, strerror(errno));
        adl_service_explain(path, err);
        return -1;
    }
    if (!adl_file_is_regular(path))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: is %s; a model has to be a regular file, so that SIGHUP can read it "
                        "again",
                        path, adl_file_is_folder(path) ? "a directory" : "not a regular file");
    return 0;
}

/* Adds the two networks that differ in nothing but ADL: models/README.md. */
static int add_example(struct adl_registry *registry, struct adl_error *err)
{
    static const char *const names[] = {"cam", "adl"};

    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char file[40], path[ADL_DEFAULT_MODEL_PATH], text[ADL_DEFAULT_MODEL_PATH + 8];
        snprintf(file, sizeof file, "example-%s.safetensors", names[i]);
        if (adl_shipped_model(file, path, err) < 0)
            return -1;
        snprintf(text, sizeof text, "%s=%s", names[i], path);
        if (adl_registry_add(registry, text, err) < 0)
            return -1;
    }
    return 0;
}

static int add_models(struct adl_registry *registry, const struct adl_serve_models *options,
                      struct adl_error *err)
{
    const struct adl_option_list *models = options->models;
    char path[ADL_DEFAULT_MODEL_PATH];
    struct adl_registry_table *table;
    int result = 0;

    for (size_t i = 0; i < models->count; i++)
        if (adl_registry_add(registry, models->items[i], err) < 0)
            return -1;
    if (options->example && add_example(registry, err) < 0)
        return -1;
    if (models->count == 0 && !options->example &&
        (adl_default_model(path, err) < 0 || adl_registry_add(registry, path, err) < 0))
        return -1;
    table = adl_registry_table(registry);
    for (size_t i = 0; result == 0 && i < table->count; i++)
        result = check_file(table->entries[i].path, err);
    adl_registry_table_release(table);
    return result;
}

int adl_serve_models_open(struct adl_server *server, const struct adl_serve_models *options,
                          struct adl_error *err)
{
    const struct adl_watch_config watch = {.registry = server->registry, .folder = options->folder};

    adl_registry_keep_versions(server->registry, (size_t)options->keep_versions);
    if (add_models(server->registry, options, err) < 0)
        return -1;
    if (options->folder && adl_registry_open_folder(server->registry, options->folder, err) < 0) {
        adl_service_explain(options->folder, err);
        return -1;
    }
    if (!options->watch || options->check_only)
        return 0;
    server->watch = adl_watch_create(&watch, err);
    return server->watch ? 0 : -1;
}

static bool on_changed(void *context, const char *name, const char *file)
{
    return adl_model_changes_notice(context, ADL_MODEL_CHANGED, name, file);
}

static bool on_gone(void *context, const char *name, const char *file)
{
    return adl_model_changes_notice(context, ADL_MODEL_GONE, name, file);
}

int adl_serve_models_watch(struct adl_server *server, struct adl_error *err)
{
    const struct adl_watch_hooks hooks = {
        .changed = on_changed, .gone = on_gone, .context = server->model_changes};

    return server->watch ? adl_watch_start(server->watch, &hooks, err) : 0;
}
