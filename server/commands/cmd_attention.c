/* Implements `attention`, which prints what the layers of a network that hide parts of a map by its
 * attention see in images. The page /about shows one of its answers. */

#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "data/image_file.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/report/report_pictures.h"
#include "server/tasks/default_model.h"

struct settings {
    const char *model;
    int threads;
};

static int print_image(struct adl_model *model, struct adl_pool *pool, const char *path,
                       struct adl_error *err)
{
    struct adl_image image = {0};
    json_t *out = json_object();
    size_t length;
    char *text = NULL;
    int result = -1;

    ADL_TRY(adl_image_read(path, NULL, &image, NULL, err));
    json_object_set_new(out, "file", adl_json_from_text(path));
    json_object_set_new(out, "width", json_integer(image.width));
    json_object_set_new(out, "height", json_integer(image.height));
    ADL_TRY(adl_report_attention_json(model, &image, pool, out, err));
    text = adl_json_to_text(out, JSON_COMPACT | JSON_REAL_PRECISION(5), &length, err);
    if (text) {
        puts(text);
        result = 0;
    }
out:
    adl_free(text);
    json_decref(out);
    adl_image_release(&image);
    return result;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    char shipped[ADL_DEFAULT_MODEL_PATH];
    struct adl_model *model = NULL;
    struct adl_pool *pool = NULL;
    int result = -1;

    const char *path = adl_model_or_default(s->model, shipped, err);
    if (!path)
        return -1;
    model = adl_model_load(path, NULL, err);
    pool =
        model ? adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err) : NULL;
    if (!pool)
        goto out;
    for (int i = 0; i < options->operand_count; i++)
        ADL_TRY(print_image(model, pool, options->operands[i], err));
    result = 0;
out:
    adl_pool_free(pool);
    adl_model_free(model);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships",
                     .help = "model file, trained with --method adl"),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    {0},
};

const struct adl_command adl_command_attention = {
    .name = "attention",
    .summary = "Print what the ADL layers of a network see in images",
    .usage = "[--model FILE] IMAGE ...",
    .description =
        "Prints a JSON object for each image, one a line. \"layers\" has for each layer its name, "
        "its attention and its factors (importance) as maps of bytes in base64, from \"least\" to "
        "\"most\", the value from which positions are hidden when the layer drops (cut), and the "
        "share of positions that are. Layers run as in training, with batch norm frozen.",
    .examples = "  adl-server attention photo.jpg\n",
    .options = table,
    .min_operands = 1,
    .max_operands = INT_MAX,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
