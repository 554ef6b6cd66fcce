/* Implements `report`, which writes the page about a training run again from its directory. */

#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/report/report.h"

struct settings {
    const char *data;
    const char *images;
    const char *metadata;
    const char *masks;
    int threads;
};

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct adl_pool *pool =
        adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!pool)
        return -1;
    const struct adl_report_options report = {.dir = options->operands[0],
                                              .depth = ADL_REPORT_FULL,
                                              .subcommand = "report",
                                              .pool = pool,
                                              .data = s->data,
                                              .images = s->images,
                                              .metadata = s->metadata,
                                              .masks = s->masks};
    int result = adl_report_write(&report, err);
    adl_pool_free(pool);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTIONS_DATA(struct settings, .default_note = "where the run found it", .help = "data set"),
    ADL_OPTION_TRUE_MASKS(struct settings, masks),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    {0},
};

const struct adl_command adl_command_report = {
    .name = "report",
    .summary = "Write the report of a training run again",
    .usage = "[options] DIR",
    .description =
        "Replaces report.html in DIR, the output directory of a training run. The best model so "
        "far is evaluated on the whole val split. If the data set cannot be read, the page has no "
        "images and says why.",
    .examples = "  adl-server report run\n"
                "  adl-server report --data /mnt/CUB_200_2011 run\n",
    .options = table,
    .min_operands = 1,
    .max_operands = 1,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
