/* The option parser: four layers of settings over one table. Text from any
 * layer goes through the same conversion and the same bounds. */

#include "server/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"

/* Values of getopt_long: rows of the table start above every short letter. */
#define FIRST_ROW 256
#define HELP_ROW 255

/* One --name=value of the command line, kept until the weaker layers are in. */
struct given {
    size_t row;
    const char *text; /* NULL: a flag without a value */
};

struct parser {
    struct adl_options *options;
    const struct adl_option *table;
    size_t rows;
    char *settings;
    enum adl_option_source *sources;
    struct adl_error *err;
};

size_t adl_option_count(const struct adl_option *table)
{
    size_t count = 0;
    while (table[count].name)
        count++;
    return count;
}

const char *adl_option_choice(const struct adl_option *option, int index)
{
    if (option->choice_at)
        return option->choice_at(index);
    for (int i = 0; i < index; i++)
        if (!option->choices[i])
            return NULL;
    return option->choices[index];
}

char *adl_option_environment(const struct adl_option *option, char *text, size_t size)
{
    snprintf(text, size, "ADL_SERVER_%s", option->name);
    for (char *c = text; *c; c++)
        *c = *c == '-' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    return text;
}

/* --- the nearest word -------------------------------------------------------- */

#define NEAREST_MAX 64

/* Levenshtein's distance with one row of the table. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NEAREST_MAX + 1];
    size_t n = strlen(b);
    if (n > NEAREST_MAX || strlen(a) > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            row[j] = ADL_MIN(change, ADL_MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

void adl_nearest_offer(struct adl_nearest *nearest, const char *candidate)
{
    size_t length = strlen(nearest->word);
    size_t distance = edit_distance(nearest->word, candidate);
    size_t allowed = length < 4 ? 1 : length < 9 ? 2 : 3;

    /* The beginning of a name counts as one mistake, however long the rest. */
    if (length >= 2 && !strncmp(nearest->word, candidate, length))
        distance = ADL_MIN(distance, (size_t)1);
    if (distance <= allowed && (!nearest->best || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

/* --- one value --------------------------------------------------------------- */

static int fail(struct parser *p, const char *where, const char *fmt, ...) ADL_PRINTF(3, 4);

static int fail(struct parser *p, const char *where, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return adl_fail(p->err, ADL_ERR_ARG, "%s: %s", where, text);
}

static bool bounded(const struct adl_option *option)
{
    return option->min < option->max;
}

static int check_range(struct parser *p, const struct adl_option *option, const char *where,
                       const char *text, double value)
{
    if (!bounded(option) || (value >= option->min && value <= option->max))
        return 0;
    return fail(p, where, "%.60s is outside %.15g to %.15g", text, option->min, option->max);
}

static int parse_size(const char *text, size_t *value)
{
    char *end;
    size_t unit = 1;

    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number > SIZE_MAX)
        return -1;
    switch (*end) {
    case 'K':
    case 'k': unit = ADL_KIB; break;
    case 'M':
    case 'm': unit = ADL_MIB; break;
    case 'G':
    case 'g': unit = 1024 * ADL_MIB; break;
    default: break;
    }
    if (unit > 1)
        end++;
    if (unit > 1 && !strcmp(end, "iB"))
        end += 2;
    return *end ? -1 : adl_size_mul((size_t)number, unit, value);
}

static int parse_flag(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ADL_COUNT(words); i++)
        if (!strcmp(text, words[i])) {
            *value = i & 1;
            return 0;
        }
    return -1;
}

static int parse_choice(struct parser *p, const struct adl_option *option, const char *where,
                        const char *text, int *value)
{
    struct adl_str names = {0};
    struct adl_nearest nearest = {.word = text};
    const char *name;

    for (int i = 0; (name = adl_option_choice(option, i)); i++) {
        if (!strcmp(name, text)) {
            *value = i;
            adl_str_release(&names);
            return 0;
        }
        adl_nearest_offer(&nearest, name);
        adl_str_printf(&names, "%s%s", i ? ", " : "", name);
    }
    if (nearest.best)
        fail(p, where, "unknown value \"%.60s\"; did you mean %s?", text, nearest.best);
    else
        fail(p, where, "unknown value \"%.60s\"; it is one of %s", text,
             names.data ? names.data : "");
    adl_str_release(&names);
    return -1;
}

/* The array doubles whenever the count is a power of two; the old one stays in
 * the arena. */
static int append_to_list(struct parser *p, struct adl_option_list *list, const char *text)
{
    const char **items = (const char **)(uintptr_t)list->items;
    size_t count = list->count;

    if ((count & (count - 1)) == 0) {
        items = adl_arena_alloc(&p->options->arena, count ? 2 * count : 1, sizeof *items);
        if (!items)
            return adl_fail_nomem(p->err, "options");
        for (size_t i = 0; i < count; i++)
            items[i] = list->items[i];
    }
    items[count] = text;
    *list = (struct adl_option_list){items, count + 1};
    return 0;
}

/* Converts and stores. `where` names the place for messages; `text` has to stay
 * valid as long as the options. */
static int set_value(struct parser *p, size_t row, enum adl_option_source source, const char *where,
                     const char *text)
{
    const struct adl_option *option = &p->table[row];
    void *at = p->settings + option->offset;
    char *end;

    errno = 0;
    switch (option->type) {
    case ADL_OPTION_FLAG:
        if (parse_flag(text, at) < 0)
            return fail(p, where, "\"%.60s\" is neither true nor false", text);
        break;
    case ADL_OPTION_INT: {
        long value = strtol(text, &end, 10);
        if (end == text || *end)
            return fail(p, where, "\"%.60s\" is not a whole number", text);
        if (errno || value < INT32_MIN || value > INT32_MAX)
            return fail(p, where, "%.60s is too large", text);
        ADL_TRY(check_range(p, option, where, text, (double)value));
        *(int *)at = (int)value;
        break;
    }
    case ADL_OPTION_DOUBLE: {
        /* Scripts that print an unset number write "none" (Python, "None"). */
        if (option->value && strcasecmp(text, "none") == 0)
            text = option->value;
        double value = strtod(text, &end);
        if (end == text || *end || !isfinite(value))
            return fail(p, where, "\"%.60s\" is not a number", text);
        ADL_TRY(check_range(p, option, where, text, value));
        *(double *)at = value;
        break;
    }
    case ADL_OPTION_SIZE: {
        size_t value;
        if (parse_size(text, &value) < 0)
            return fail(p, where, "\"%.60s\" is no size; write bytes, or a number with K, M or G",
                        text);
        ADL_TRY(check_range(p, option, where, text, (double)value));
        *(size_t *)at = value;
        break;
    }
    case ADL_OPTION_STRING:
        if (!*text)
            return fail(p, where, "is empty; it takes a %s", option->metavar);
        *(const char **)at = text;
        break;
    case ADL_OPTION_CHOICE: ADL_TRY(parse_choice(p, option, where, text, at)); break;
    case ADL_OPTION_LIST: {
        struct adl_option_list *list = at;
        if (p->sources[row] != source)
            list->count = 0;
        ADL_TRY(append_to_list(p, list, text));
        break;
    }
    }
    p->sources[row] = source;
    return 0;
out:
    return -1;
}

/* --- the layers ---------------------------------------------------------------- */

static int find_row(const struct parser *p, const char *name, size_t *row)
{
    for (*row = 0; *row < p->rows; ++*row)
        if (!strcmp(p->table[*row].name, name))
            return 0;
    return -1;
}

static int apply_defaults(struct parser *p)
{
    for (size_t i = 0; i < p->rows; i++) {
        const struct adl_option *option = &p->table[i];
        if (option->type == ADL_OPTION_CHOICE)
            *(int *)(void *)(p->settings + option->offset) = -1;
        if (option->value && set_value(p, i, ADL_SOURCE_DEFAULT, option->name, option->value) < 0)
            return -1;
    }
    return 0;
}

/* A value of the configuration file as the text one would type. */
static int set_from_json(struct parser *p, size_t row, const char *where, const json_t *value)
{
    struct adl_arena *arena = &p->options->arena;
    const char *text = NULL;

    if (json_is_array(value) && p->table[row].type == ADL_OPTION_LIST) {
        struct adl_option_list *list = (void *)(p->settings + p->table[row].offset);
        list->count = 0;
        p->sources[row] = ADL_SOURCE_CONFIG;
        for (size_t i = 0; i < json_array_size(value); i++)
            if (json_is_array(json_array_get(value, i)) ||
                set_from_json(p, row, where, json_array_get(value, i)) < 0)
                return fail(p, where, "takes texts only");
        return 0;
    }
    if (json_is_string(value))
        text = adl_arena_printf(arena, "%s", json_string_value(value));
    else if (json_is_integer(value))
        text = adl_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        text = adl_arena_printf(arena, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        text = adl_arena_printf(arena, "%s", json_is_true(value) ? "true" : "false");
    else
        return fail(p, where, "has to be a text, a number, true or false");
    if (!text)
        return adl_fail_nomem(p->err, "options");
    return set_value(p, row, ADL_SOURCE_CONFIG, where, text);
}

static int apply_config(struct parser *p, const char *path)
{
    json_t *root = NULL;
    json_error_t bad;
    const char *key;
    json_t *value;
    size_t length;
    int result = -1;

    char *bytes = adl_file_read(path, ADL_LIMIT_CONFIG_BYTES, &length, p->err);
    if (!bytes)
        return -1;
    root = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &bad);
    if (!root) {
        adl_fail(p->err, ADL_ERR_ARG, "%s: line %d: %s", path, bad.line, bad.text);
        goto out;
    }
    if (!json_is_object(root)) {
        adl_fail(p->err, ADL_ERR_ARG, "%s: a configuration is one JSON object", path);
        goto out;
    }
    json_object_foreach(root, key, value)
    {
        char where[300];
        size_t row;
        snprintf(where, sizeof where, "%.200s: %.60s", path, key);
        if (find_row(p, key, &row) < 0) {
            struct adl_nearest nearest = {.word = key};
            for (size_t i = 0; i < p->rows; i++)
                if (!p->table[i].command_line_only)
                    adl_nearest_offer(&nearest, p->table[i].name);
            fail(p, where, "unknown option%s%s%s", nearest.best ? "; did you mean " : "",
                 nearest.best ? nearest.best : "", nearest.best ? "?" : "");
            goto out;
        }
        if (p->table[row].command_line_only || !strcmp(key, "config")) {
            fail(p, where, "belongs on the command line");
            goto out;
        }
        ADL_TRY(set_from_json(p, row, where, value));
    }
    p->options->config_path = path;
    result = 0;
out:
    json_decref(root);
    adl_free(bytes);
    return result;
}

/* Variables of the same prefix that are no options are left alone: Kubernetes
 * sets ADL_SERVER_PORT and more for a service called adl-server. */
static int apply_environment(struct parser *p)
{
    for (size_t i = 0; i < p->rows; i++) {
        char name[80];
        const char *text;
        if (p->table[i].command_line_only)
            continue;
        text = getenv(adl_option_environment(&p->table[i], name, sizeof name));
        if (!text)
            continue;
        if (p->table[i].type != ADL_OPTION_LIST) {
            if (set_value(p, i, ADL_SOURCE_ENVIRONMENT, name, text) < 0)
                return -1;
            continue;
        }
        while (*text) {
            size_t length = strcspn(text, ",");
            const char *item =
                adl_arena_printf(&p->options->arena, "%.*s", (int)ADL_MIN(length, 65536), text);
            if (!item)
                return adl_fail_nomem(p->err, "options");
            if (set_value(p, i, ADL_SOURCE_ENVIRONMENT, name, item) < 0)
                return -1;
            text += length + (text[length] == ',');
        }
    }
    return 0;
}

static int apply_given(struct parser *p, const struct given *given, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char where[80];
        snprintf(where, sizeof where, "--%s", p->table[given[i].row].name);
        if (set_value(p, given[i].row, ADL_SOURCE_COMMAND_LINE, where,
                      given[i].text ? given[i].text : "true") < 0)
            return -1;
    }
    return 0;
}

/* --- the command line ------------------------------------------------------------ */

static int unknown_option(struct parser *p, const char *text)
{
    char word[NEAREST_MAX + 1];
    struct adl_nearest nearest = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + 2, "="), text + 2);
    for (size_t i = 0; i < p->rows; i++)
        adl_nearest_offer(&nearest, p->table[i].name);
    adl_nearest_offer(&nearest, "help");
    if (nearest.best)
        return adl_fail(p->err, ADL_ERR_ARG, "unknown option --%s; did you mean --%s?", word,
                        nearest.best);
    return adl_fail(p->err, ADL_ERR_ARG, "unknown option --%s; see adl-server %s --help", word,
                    p->options->command->name);
}

/* getopt_long takes any unambiguous beginning of a name. Scripts that use one
 * break when a later version adds an option, so only whole names count. */
static bool abbreviated(const char *name, const char *text, const char *argument, char **argv,
                        int next)
{
    size_t length = strlen(name);
    if (argument && argument == text)
        text = argv[next - 2];
    if (strncmp(text, "--", 2) != 0)
        return false; /* a short letter */
    return strncmp(text + 2, name, length) != 0 || (text[2 + length] && text[2 + length] != '=');
}

/* Splits argv into given options and operands. */
static int scan(struct parser *p, int argc, char **argv, struct given *given, size_t *count)
{
    struct option *longs = adl_calloc(p->rows + 2, sizeof *longs);
    char *letters = adl_calloc(3 * p->rows + 3, 1);
    size_t used = 0;
    int result = -1;

    *count = 0;
    if (!longs || !letters) {
        adl_fail_nomem(p->err, "options");
        goto out;
    }
    letters[used++] = ':';
    letters[used++] = 'h';
    for (size_t i = 0; i < p->rows; i++) {
        const struct adl_option *option = &p->table[i];
        bool flag = option->type == ADL_OPTION_FLAG;
        longs[i] = (struct option){option->name, flag ? optional_argument : required_argument, NULL,
                                   FIRST_ROW + (int)i};
        if (option->letter) {
            letters[used++] = option->letter;
            if (!flag)
                letters[used++] = ':';
        }
    }
    longs[p->rows] = (struct option){"help", no_argument, NULL, HELP_ROW};

    opterr = 0;
    optind = 0; /* glibc: start afresh */
    for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        size_t row = c >= FIRST_ROW ? (size_t)(c - FIRST_ROW) : 0;
        if (c == 'h' || c == HELP_ROW || (c == '?' && optopt == HELP_ROW)) {
            p->options->help = true;
            break;
        }
        if (c == ':') {
            for (row = 0; row < p->rows; row++)
                if (optopt == FIRST_ROW + (int)row || optopt == p->table[row].letter)
                    break;
            assert(row < p->rows);
            adl_fail(p->err, ADL_ERR_ARG, "--%s needs a value: %s", p->table[row].name,
                     p->table[row].metavar);
            goto out;
        }
        if (c == '?') {
            if (optopt > 0 && optopt < FIRST_ROW)
                adl_fail(p->err, ADL_ERR_ARG, "unknown option -%c; see adl-server %s --help",
                         optopt >= 32 && optopt < 127 ? optopt : '?', p->options->command->name);
            else
                unknown_option(p, argv[optind - 1]);
            goto out;
        }
        if (c < FIRST_ROW)
            for (row = 0; p->table[row].letter != c;)
                row++;
        else if (abbreviated(p->table[row].name, argv[optind - 1], optarg, argv, optind)) {
            const char *text = argv[optind - 1];
            unknown_option(p, text == optarg ? argv[optind - 2] : text);
            goto out;
        }
        given[(*count)++] = (struct given){row, optarg};
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
        return adl_fail(p->err, ADL_ERR_ARG, "too few arguments; usage: adl-server %s %s",
                        command->name, command->usage);
    if (command->max_operands >= 0 && count > command->max_operands)
        return adl_fail(p->err, ADL_ERR_ARG,
                        "unexpected argument \"%.60s\"; usage: adl-server %s %s",
                        p->options->operands[command->max_operands], command->name, command->usage);
    for (size_t i = 0; i < p->rows; i++)
        if (p->table[i].required && p->sources[i] == ADL_SOURCE_DEFAULT)
            return adl_fail(p->err, ADL_ERR_ARG, "--%s %s is needed", p->table[i].name,
                            p->table[i].metavar);
    return 0;
}

/* The command as a shell would take it again. */
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
    return p->options->command_line ? 0 : adl_fail_nomem(p->err, "options");
}

int adl_options_parse(struct adl_options *options, const struct adl_command *command, int argc,
                      char **argv, void *settings, struct adl_error *err)
{
    struct parser p = {.options = options,
                       .table = command->options,
                       .rows = adl_option_count(command->options),
                       .settings = settings,
                       .err = err};
    struct given *given = NULL;
    size_t count;
    int result = -1;

    memset(settings, 0, command->settings_bytes);
    *options = (struct adl_options){.command = command, .settings = settings};
    p.sources = adl_arena_alloc(&options->arena, p.rows + 1, sizeof *p.sources);
    given = adl_calloc((size_t)ADL_MAX(argc, 1), sizeof *given);
    if (!p.sources || !given) {
        adl_fail_nomem(err, "options");
        goto out;
    }
    options->sources = p.sources;

    ADL_TRY(scan(&p, argc, argv, given, &count));
    ADL_TRY(record_command(&p, argc, argv));
    ADL_TRY(apply_defaults(&p));
    if (options->help) {
        result = 0;
        goto out;
    }
    if (command->layered) {
        const char *path = getenv("ADL_SERVER_CONFIG");
        size_t row;
        for (size_t i = 0; i < count; i++)
            if (find_row(&p, "config", &row) == 0 && given[i].row == row)
                path = given[i].text;
        if (path && *path)
            ADL_TRY(apply_config(&p, path));
        ADL_TRY(apply_environment(&p));
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
    const struct adl_option *table = options->command->options;
    size_t row = 0;
    while (table[row].name && strcmp(table[row].name, name) != 0)
        row++;
    assert(table[row].name);
    return options->sources[row];
}

bool adl_options_given(const struct adl_options *options, const char *name)
{
    return adl_options_source(options, name) != ADL_SOURCE_DEFAULT;
}
