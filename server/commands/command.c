/* Runs a subcommand: parses its command line, calls it, reports a failure. */

#include "server/commands/command.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/commands/hint.h"
#include "server/commands/terminal.h"
#include "server/serving/log.h"

int adl_exit_status(enum adl_error_kind kind)
{
    switch (kind) {
    case ADL_ERR_NONE: return 0;
    case ADL_ERR_ARG: return 2;
    case ADL_ERR_NOT_FOUND:
    case ADL_ERR_FORMAT:
    case ADL_ERR_UNSUPPORTED:
    case ADL_ERR_LIMIT:
    case ADL_ERR_IO:
    case ADL_ERR_NOMEM:
    case ADL_ERR_BUSY:
    case ADL_ERR_CANCELLED:
    case ADL_ERR_INTERNAL: return 1;
    }
    return 1;
}

/* Programs get one line; a person gets a second one where there is something to say. */
static void print_failure(const struct adl_command *command, const struct adl_error *err)
{
    const bool coloured = adl_terminal_coloured(STDERR_FILENO);
    char text[400];

    if (adl_log_is_json()) {
        adl_log(ADL_LOG_ERROR, "fail", err->message, NULL);
        return;
    }
    fprintf(stderr, "%sadl-server: %s: %s\n", adl_log_priority(ADL_LOG_ERROR), command->name,
            err->message);
    if (isatty(STDERR_FILENO) && adl_hint(command->name, err, text, sizeof text))
        fprintf(stderr, "%shint:%s %s\n", coloured ? "\033[33m" : "", coloured ? "\033[0m" : "",
                text);
}

int adl_command_main(const struct adl_command *command, const struct adl_command *const *all,
                     int argc, char **argv)
{
    struct adl_error err = {0};
    struct adl_options options = {0};
    struct adl_str help = {0};

    void *settings = adl_calloc(1, command->settings_bytes);
    if (!settings) {
        adl_fail_nomem(&err, "settings");
        goto out;
    }
    ADL_TRY(adl_options_parse(&options, command, argc, argv, settings, &err));
    if (options.help) {
        adl_options_help(command, &help);
        if (help.failed)
            adl_fail_nomem(&err, "help");
        else
            fputs(help.data, stdout);
        goto out;
    }
    options.commands = all;
    ADL_TRY(command->run(settings, &options, &err));
out:
    if (err.kind)
        print_failure(command, &err);
    adl_str_release(&help);
    adl_options_release(&options);
    adl_free(settings);
    return adl_exit_status(err.kind);
}
