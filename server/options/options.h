#ifndef ADL_SERVER_OPTIONS_OPTIONS_H
#define ADL_SERVER_OPTIONS_OPTIONS_H

/* Options of the command line. One table row defines an option; the parser,
 * --help, the configuration file, the environment, shell completion,
 * --print-config and the test of the man page all read that row.
 *
 *     struct settings {
 *         int threads;
 *         const char *model;
 *     };
 *     static const struct adl_option options[] = {
 *         {"threads", ADL_INT(struct settings, threads), .min = 1, .max = 64,
 *          .default_note = "all processors", .metavar = "N", .help = "threads that compute"},
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
 * --help and -h belong to every table without a row. */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum adl_option_type {
    ADL_OPTION_FLAG,   /* bool: --name, or --name=true|false */
    ADL_OPTION_INT,    /* int */
    ADL_OPTION_DOUBLE, /* double; "none" is the default, where there is one */
    ADL_OPTION_SIZE,   /* size_t: bytes, with an optional K, M or G (1024) */
    ADL_OPTION_STRING, /* const char *: file names, addresses */
    ADL_OPTION_CHOICE, /* int: index into the choices; -1 where there is no default */
    ADL_OPTION_LIST    /* struct adl_option_list: may be given several times */
};

/* Texts in the order given. A stronger source replaces a weaker one's list as
 * a whole. In the environment, commas separate the items. */
struct adl_option_list {
    const char *const *items;
    size_t count;
};

struct adl_option {
    const char *name; /* "max-body": --max-body, "max-body" of a config file,
                         ADL_SERVER_MAX_BODY; NULL ends a table */
    /* Type and place of the value; written by the macros below, which refuse a
     * field of another type. */
    enum adl_option_type type;
    size_t offset;

    char letter;                /* -t; 0: none */
    const char *value;          /* the default, as it would be typed; NULL: zero, false, NULL, an
                                   empty list */
    const char *default_note;   /* shown as the default in --help instead of `value` */
    double min, max;            /* of numbers, inclusive; both 0: any */
    const char *const *choices; /* of a CHOICE, NULL-terminated, ... */
    const char *(*choice_at)(int index); /* ... or from here; NULL past the last */
    const char *metavar;                 /* "N", "FILE"; a FILE or DIR is completed as such */
    const char *help;                    /* no capital, no full stop */
    bool required;
    bool command_line_only; /* neither in the config file nor in the environment */
};

#define ADL_OPTION_FIELD(option_type, c_type, s, field)                                            \
    .type = option_type, .offset = _Generic(((s *)0)->field, c_type : offsetof(s, field))

#define ADL_FLAG(s, field) ADL_OPTION_FIELD(ADL_OPTION_FLAG, bool, s, field)
#define ADL_INT(s, field) ADL_OPTION_FIELD(ADL_OPTION_INT, int, s, field)
#define ADL_DOUBLE(s, field) ADL_OPTION_FIELD(ADL_OPTION_DOUBLE, double, s, field)
#define ADL_SIZE(s, field) ADL_OPTION_FIELD(ADL_OPTION_SIZE, size_t, s, field)
#define ADL_STRING(s, field) ADL_OPTION_FIELD(ADL_OPTION_STRING, const char *, s, field)
#define ADL_CHOICE(s, field) ADL_OPTION_FIELD(ADL_OPTION_CHOICE, int, s, field)
#define ADL_LIST(s, field) ADL_OPTION_FIELD(ADL_OPTION_LIST, struct adl_option_list, s, field)

struct adl_options;

/* One subcommand. */
struct adl_command {
    const char *name;
    const char *summary;              /* one line, no full stop */
    const char *usage;                /* what follows the name: "[options] IN OUT" */
    const char *description;          /* a paragraph for --help; may be NULL */
    const char *examples;             /* whole lines, each "adl-server ..."; may be NULL */
    const struct adl_option *options; /* ends with a row without a name */
    int min_operands;
    int max_operands;      /* -1: any number */
    bool layered;          /* also reads --config FILE (a row of that name) and ADL_SERVER_NAME */
    size_t settings_bytes; /* the struct that the rows point into */
    /* Does the work. The first message line on stderr and the exit status are
     * made from `err` (ARG: wrong usage, 2; all others 1). */
    int (*run)(const void *settings, const struct adl_options *options, struct adl_error *err);
};

/* From the weakest to the strongest. */
enum adl_option_source {
    ADL_SOURCE_DEFAULT,
    ADL_SOURCE_CONFIG,
    ADL_SOURCE_ENVIRONMENT,
    ADL_SOURCE_COMMAND_LINE
};

/* What one command line gave. The texts in the settings live in `arena` or in
 * argv. Immutable after the parse. */
struct adl_options {
    const struct adl_command *command;
    const void *settings;
    char *const *operands; /* in the order given */
    int operand_count;
    const enum adl_option_source *sources;     /* one per row */
    const char *command_line;                  /* as it was typed, quoted for a shell */
    const char *config_path;                   /* NULL: none was read */
    const struct adl_command *const *commands; /* all subcommands, where the caller sets it */
    bool help; /* --help was among the options: nothing else counts */
    struct adl_arena arena;
};

/* Fills `settings` (zeroed first) from the defaults, the configuration file,
 * the environment and argv[1..], in that order. argv is permuted: operands come
 * last. Fails with ARG and one sentence that names the option. `options` is to
 * be released in any case. */
int adl_options_parse(struct adl_options *options, const struct adl_command *command, int argc,
                      char **argv, void *settings, struct adl_error *err) ADL_MUST_CHECK;
void adl_options_release(struct adl_options *options);

/* Where the option's value comes from; `name` has to be in the table. */
enum adl_option_source adl_options_source(const struct adl_options *options, const char *name);
/* Whether it was given at all. */
bool adl_options_given(const struct adl_options *options, const char *name);

/* "name = value" with its source, a line per option: `serve --print-config`. */
void adl_options_print(const struct adl_options *options, struct adl_str *out);

/* The text of --help. */
void adl_options_help(const struct adl_command *command, struct adl_str *out);

/* Rows of a table, and one choice's name (NULL past the last). */
size_t adl_option_count(const struct adl_option *table);
const char *adl_option_choice(const struct adl_option *option, int index);
/* "ADL_SERVER_MAX_BODY" into `text`; returns `text`. */
char *adl_option_environment(const struct adl_option *option, char *text, size_t size);

#endif
