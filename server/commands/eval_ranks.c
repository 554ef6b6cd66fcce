/* Divides the work of `eval`, see eval_ranks.h. */

#include "server/commands/eval_ranks.h"

#include <stdio.h>
#include <unistd.h>

#include "eval/evaluate_parts.h"
#include "io/json_text.h"
#include "server/serving/model_file.h"
#include "server/training/ranks_equal.h"
#include "server/training/train_data.h"

/* Writes the version of the model's file, which covers its weights and its map rule. */
static int version_of(const char *path, char version[ADL_MODEL_VERSION_DIGITS + 1],
                      struct adl_error *err)
{
    static const atomic_bool never = false;
    struct adl_file_stamp stamp;
    int fd;

    version[0] = '\0';
    if (!path)
        return 0;
    if (adl_model_file_open(-1, path, &fd, &stamp, err) < 0)
        return -1;
    int result = adl_model_file_version(fd, &never, version, err);
    close(fd);
    return result;
}

int adl_eval_ranks_compare(const struct adl_exchange *exchange, const char *command_line,
                           const char *model_path, const struct adl_dataset *dataset,
                           struct adl_error *err)
{
    char version[ADL_MODEL_VERSION_DIGITS + 1];
    if (!exchange)
        return 0;
    if (version_of(model_path, version, err) < 0)
        return -1;
    json_t *what = json_pack("{s:o, s:s, s:o}", "command", adl_json_from_text(command_line),
                             "model", version, "data", adl_train_data_identity(dataset));
    int result = adl_ranks_compare(exchange, what, "command line, model or data", err);
    json_decref(what);
    return result;
}

bool adl_eval_ranks_take(const struct adl_exchange *exchange, const struct adl_dataset *dataset,
                         struct adl_evaluate_options *options)
{
    if (!exchange)
        return true;
    if (adl_evaluate_divides(dataset, options)) {
        options->part = (size_t)exchange->rank;
        options->parts = (size_t)exchange->ranks;
        return true;
    }
    if (exchange->rank == 0)
        fprintf(stderr,
                "adl-server: eval: %s cannot be divided among processes; process 0 measures them "
                "alone\n",
                options->several ? "images of several labels" : "images with masks");
    return exchange->rank == 0;
}

int adl_eval_ranks_wait(const struct adl_exchange *exchange, struct adl_error *err)
{
    char written = 1;
    return exchange ? adl_exchange_copy(exchange, &written, sizeof written, err) : 0;
}
