/* Parses the command line, and applies the layers of values in order.
 *
 * argv is scanned first, but its values are applied last, because the configuration file that
 * it names is weaker than the other options. glibc's getopt_long does the scanning (short
 * letters in groups, "--", permutation of operands), with one difference: it would accept any
 * unambiguous prefix of a long name, which is refused here. */

#include "server/options/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "server/options/option_layers.h"

/* Values returned by getopt_long: those of the table's rows begin above every short letter. */
#define FIRST_ROW 256
#define HELP_ROW 255

#define UNKNOWN_BYTES 64 /* how much of an unknown option a message repeats */

struct parser {
    struct adl_options *options;
    struct option_values values;
};

/* One --name=value of the command line, kept until the weaker layers are applied. */
struct given {
    size_t row;
    const char *text; /* NULL: a flag without a value */
};

static int apply_given(struct parser *p, const struct given *given, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char where[80];
        snprintf(where, sizeof where, "--%s", p->values.table[given[i].row].name);
        if (option_set(&p->values, given[i].row, ADL_SOURCE_COMMAND_LINE, where,
                       given[i].text ? given[i].text : "true") < 0)
            return -1;
    }
    return 0;
}

/* --- the command line ------------------------------------------------------------ */

static int unknown_option(struct parser *p, const char *text)
{
    char word[UNKNOWN_BYTES + 1];
    struct adl_nearest nearest = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + 2, "="), text + 2);
    for (size_t i = 0; i < p->values.rows; i++)
        adl_nearest_offer(&nearest, p->values.table[i].name);
    adl_nearest_offer(&nearest, "help");
    if (nearest.best)
        return adl_fail(p->values.err, ADL_ERR_ARG, "unknown option --%s; did you mean --%s?", word,
                        nearest.best);
    const struct adl_command *command = p->options->command;
    if ((!strcmp(word, "out") || !strcmp(word, "output")) && strstr(command->usage, "OUT"))
        return adl_fail(p->values.err, ADL_ERR_ARG,
                        "unknown option --%s; the file to write is an argument: adl-server %s %s",
                        word, command->name, command->usage);
    return adl_fail(p->values.err, ADL_ERR_ARG, "unknown option --%s; see adl-server %s --help",
                    word, command->name);
}

/* Returns whether a long name was abbreviated. getopt_long accepts any unambiguous prefix,
 * but scripts that use one break when a later version adds a similar option, so only full
 * names are accepted. */
static bool is_abbreviated(const char *name, const char *text, const char *argument, char **argv,
                           int next)
{
    size_t length = strlen(name);
    if (argument && argument == text)
        text = argv[next - 2];
    if (strncmp(text, "--", 2) != 0)
        return false; /* a short letter */
    return strncmp(text + 2, name, length) != 0 || (text[2 + length] && text[2 + length] != '=');
}

/* Splits argv into options (given[0..*count-1]) and operands. */
static int scan(struct parser *p, int argc, char **argv, struct given *given, size_t *count)
{
    struct option *longs = adl_calloc(p->values.rows + 2, sizeof *longs);
    char *letters = adl_calloc(3 * p->values.rows + 3, 1);
    size_t used = 0;
    int result = -1;

    *count = 0;
    if (!longs || !letters) {
        adl_fail_nomem(p->values.err, "options");
        goto out;
    }
    letters[used++] = ':';
    letters[used++] = 'h';
    for (size_t i = 0; i < p->values.rows; i++) {
        const struct adl_option *option = &p->values.table[i];
        bool flag = option->type == ADL_OPTION_FLAG || option->bare;
        longs[i] = (struct option){option->name, flag ? optional_argument : required_argument, NULL,
                                   FIRST_ROW + (int)i};
        if (option->letter) {
            letters[used++] = option->letter;
            if (!flag)
                letters[used++] = ':';
        }
    }
    longs[p->values.rows] = (struct option){"help", no_argument, NULL, HELP_ROW};

    opterr = 0;
    optind = 0; /* glibc: restarts the scan, for a second parse in one process */
    for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        size_t row = c >= FIRST_ROW ? (size_t)(c - FIRST_ROW) : 0;
        if (c == 'h' || c == HELP_ROW || (c == '?' && optopt == HELP_ROW)) {
            p->options->help = true;
            break;
        }
        if (c == ':') {
            for (row = 0; row < p->values.rows; row++)
                if (optopt == FIRST_ROW + (int)row || optopt == p->values.table[row].letter)
                    break;
            assert(row < p->values.rows);
            adl_fail(p->values.err, ADL_ERR_ARG, "--%s needs a value: %s",
                     p->values.table[row].name, p->values.table[row].metavar);
            goto out;
        }
        if (c == '?') {
            if (optopt != 0 && optopt < FIRST_ROW) /* a byte of UTF-8 is negative */
                adl_fail(p->values.err, ADL_ERR_ARG, "unknown option -%c; see adl-server %s --help",
                         optopt >= 32 && optopt < 127 ? optopt : '?', p->options->command->name);
            else
                unknown_option(p, argv[optind - 1]);
            goto out;
        }
        if (c < FIRST_ROW)
            for (row = 0; p->values.table[row].letter != c;)
                row++;
        else if (is_abbreviated(p->values.table[row].name, argv[optind - 1], optarg, argv,
                                optind)) {
            const char *text = argv[optind - 1];
            unknown_option(p, text == optarg ? argv[optind - 2] : text);
            goto out;
        }
        const char *value = optarg;
        if (p->values.table[row].bare && !value)
            value = optind < argc && argv[optind][0] != '-' ? argv[optind++]
                                                            : p->values.table[row].bare;
        given[(*count)++] = (struct given){row, value};
    }
    p->options->operands = argv + optind;
    p->options->operand_count = argc - optind;
    result = 0;
out:
    adl_free(longs);
    adl_free(letters);
    return result;
}

static int check_operands(struct parser *p)
{
    const struct adl_command *command = p->options->command;
    int count = p->options->operand_count;

    if (count < command->min_operands)
        return adl_fail(p->values.err, ADL_ERR_ARG, "too few arguments; usage: adl-server %s %s",
                        command->name, command->usage);
    if (command->max_operands >= 0 && count > command->max_operands)
        return adl_fail(
            p->values.err, ADL_ERR_ARG, "unexpected argument \"%s\"; usage: adl-server %s %s",
            ADL_SHORT(p->options->operands[command->max_operands]), command->name, command->usage);
    for (size_t i = 0; i < p->values.rows; i++)
        if (p->values.table[i].required && p->values.sources[i] == ADL_SOURCE_DEFAULT)
            return adl_fail(p->values.err, ADL_ERR_ARG, "--%s %s is required",
                            p->values.table[i].name, p->values.table[i].metavar);
    return 0;
}

/* Stores the command line, quoted so that a shell reads it as the same words. */
static int record_command(struct parser *p, int argc, char **argv)
{
    struct adl_str text = {0};
    adl_str_puts(&text, "adl-server");
    for (int i = 0; i < argc; i++) {
        bool plain = *argv[i] && !argv[i][strspn(argv[i], "abcdefghijklmnopqrstuvwxyz"
                                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                          "0123456789_-+=./:,@%")];
        adl_str_puts(&text, plain ? " " : " '");
        for (const char *c = argv[i]; *c; c++)
            if (*c == '\'')
                adl_str_puts(&text, "'\\''");
            else
                adl_str_append(&text, c, 1);
        adl_str_puts(&text, plain ? "" : "'");
    }
    if (!text.failed)
        p->options->command_line = adl_arena_printf(&p->options->arena, "%s", text.data);
    adl_str_release(&text);
    return p->options->command_line ? 0 : adl_fail_nomem(p->values.err, "options");
}

const struct adl_option *adl_command_options(const struct adl_command *command)
{
    return command->make_options ? command->make_options() : command->options;
}

int adl_options_parse(struct adl_options *options, const struct adl_command *command, int argc,
                      char **argv, void *settings, struct adl_error *err)
{
    struct parser p = {.options = options,
                       .values = {.table = adl_command_options(command),
                                  .rows = adl_option_count(adl_command_options(command)),
                                  .settings = settings,
                                  .arena = &options->arena,
                                  .err = err}};
    struct option_values *v = &p.values;
    struct given *given = NULL;
    size_t count;
    int result = -1;

    memset(settings, 0, command->settings_bytes);
    *options = (struct adl_options){.command = command, .settings = settings};
    v->sources = adl_arena_alloc(&options->arena, v->rows + 1, sizeof *v->sources);
    given = adl_calloc((size_t)ADL_MAX(argc, 1), sizeof *given);
    if (!v->sources || !given) {
        adl_fail_nomem(err, "options");
        goto out;
    }
    options->sources = v->sources;

    ADL_TRY(scan(&p, argc, argv, given, &count));
    ADL_TRY(record_command(&p, argc, argv));
    ADL_TRY(option_apply_defaults(v));
    if (options->help) {
        result = 0;
        goto out;
    }
    if (command->layered) {
        const char *path = getenv("ADL_SERVER_CONFIG");
        size_t row = adl_option_find(v->table, "config");
        for (size_t i = 0; i < count; i++)
            if (given[i].row == row)
                path = given[i].text;
        if (path && *path) {
            ADL_TRY(option_apply_config(v, path));
            options->config_path = path;
        }
        ADL_TRY(option_apply_environment(v));
    }
    ADL_TRY(apply_given(&p, given, count));
    ADL_TRY(check_operands(&p));
    result = 0;
out:
    adl_free(given);
    return result;
}

void adl_options_release(struct adl_options *options)
{
    adl_arena_release(&options->arena);
}

enum adl_option_source adl_options_source(const struct adl_options *options, const char *name)
{
    const struct adl_option *table = adl_command_options(options->command);
    size_t row = adl_option_find(table, name);
    assert(table[row].name);
    return options->sources[row];
}

int adl_options_supply(const struct adl_options *options, const char *name, const char *text,
                       void *settings, struct adl_error *err)
{
    const struct adl_option *table = adl_command_options(options->command);
    size_t rows = adl_option_count(table), row = adl_option_find(table, name);
    char where[80];

    assert(row < rows && table[row].type != ADL_OPTION_LIST);
    enum adl_option_source *sources = adl_calloc(rows, sizeof *sources);
    if (!sources)
        return adl_fail_nomem(err, "options");
    struct option_values values = {
        .table = table, .rows = rows, .settings = settings, .sources = sources, .err = err};
    snprintf(where, sizeof where, "--%s", name);
    int result = option_set(&values, row, ADL_SOURCE_CONFIG, where, text);
    adl_free(sources);
    return result;
}

bool adl_options_given(const struct adl_options *options, const char *name)
{
    return adl_options_source(options, name) != ADL_SOURCE_DEFAULT;
}
