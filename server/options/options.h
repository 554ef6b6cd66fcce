#ifndef ADL_SERVER_OPTIONS_OPTIONS_H
#define ADL_SERVER_OPTIONS_OPTIONS_H

/* Options of the command line. One row of a table (option.h) defines an option: the parser,
 * --help, the configuration file, the environment, shell completion, --print-config and the
 * test of the man page all read that row.
 *
 *     struct settings {
 *         int threads;
 *         const char *model;
 *     };
 *     static const struct adl_option options[] = {
 *         {"threads", ADL_INT(struct settings, threads), .min = 1, .max = 64,
 *          .default_note = "all processors", .metavar = "N", .help = "compute threads"},
 *         {"model", ADL_STRING(struct settings, model), .metavar = "FILE", .help = "the model"},
 *         {0},
 *     };
 *     static int run(const void *settings, const struct adl_options *options,
 *                    struct adl_error *err);
 *     const struct adl_command adl_command_serve = {
 *         .name = "serve", .summary = "...", .usage = "[options]", .options = options,
 *         .settings_bytes = sizeof(struct settings), .run = run, .layered = true,
 *     };
 *
 * --help and -h are part of every table without a row. */

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "server/options/option.h"

struct adl_options;

/* One subcommand. */
struct adl_command {
    const char *name;
    const char *summary;              /* one line, no full stop */
    const char *usage;                /* what follows the name: "[options] IN OUT" */
    const char *description;          /* a paragraph for --help; may be NULL */
    const char *examples;             /* complete lines, each "adl-server ..."; may be NULL */
    const struct adl_option *options; /* ends with a row without a name ... */
    const struct adl_option *(*make_options)(void); /* ... or a function that returns the table,
                                                       the same at each call */
    int min_operands;
    int max_operands;      /* -1: any number */
    bool layered;          /* also reads --config FILE (a row of that name) and ADL_SERVER_NAME */
    size_t settings_bytes; /* the struct that the rows point into */
    /* Does the work; returns 0 or -1. The line on stderr and the exit status are made from
     * `err` (ADL_ERR_ARG: wrong usage, 2; all others 1). */
    int (*run)(const void *settings, const struct adl_options *options, struct adl_error *err);
};

/* Returns the command's table. */
const struct adl_option *adl_command_options(const struct adl_command *command);

/* The result of a parse. The texts in the settings are in `arena` or in argv. Immutable
 * after the parse. */
struct adl_options {
    const struct adl_command *command;
    const void *settings;
    char *const *operands; /* in the order given */
    int operand_count;
    const enum adl_option_source *sources;     /* one per row */
    const char *command_line;                  /* the whole command, quoted for a shell */
    const char *config_path;                   /* the file that was read; NULL: none */
    const struct adl_command *const *commands; /* all subcommands, if the caller sets it */
    bool help; /* --help was given: nothing but the defaults was parsed */
    struct adl_arena arena;
};

/* Fills `settings` (zeroed first) from the defaults, the configuration file, the environment
 * and argv[1..], in that order; later sources replace values of earlier ones. argv is
 * permuted so that the operands come last. Fails with ADL_ERR_ARG and one sentence that names
 * the option, or with ADL_ERR_NOMEM. `options` has to be released in any case. */
int adl_options_parse(struct adl_options *options, const struct adl_command *command, int argc,
                      char **argv, void *settings, struct adl_error *err) ADL_MUST_CHECK;
void adl_options_release(struct adl_options *options);

/* Returns the source of an option's value; `name` has to be in the table. */
enum adl_option_source adl_options_source(const struct adl_options *options, const char *name);
/* Returns whether the option was set by any source other than its default. */
bool adl_options_given(const struct adl_options *options, const char *name);

/* Sets an option in `settings`, a copy of options->settings, from a text as the command line takes
 * it. `text` has to stay valid as long as the settings; options that may be repeated are not
 * supported. Fails as adl_options_parse() does. */
int adl_options_supply(const struct adl_options *options, const char *name, const char *text,
                       void *settings, struct adl_error *err) ADL_MUST_CHECK;

/* The table as text for people (options_text.c). Both append to `out`.
 *
 * Appends the text of --help: usage, summary, description, one entry for each option and the
 * examples, wrapped at 96 columns. */
void adl_options_help(const struct adl_command *command, struct adl_str *out);
/* Appends one line for each option, with its value and the source of the value, as printed by
 * `serve --print-config`. */
void adl_options_print(const struct adl_options *options, struct adl_str *out);

#endif
