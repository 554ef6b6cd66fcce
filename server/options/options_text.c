/* The option table as text for people: --help and --print-config. */

#include "server/options/options.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

#define HELP_COLUMN 29 /* column at which the explanation of an option begins */
#define HELP_WIDTH 96

/* Appends the words of `text`, starting at `column`, and breaks lines before HELP_WIDTH;
 * further lines are indented by `indent`. */
static void wrap(struct adl_str *out, size_t column, size_t indent, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column > indent && column + 1 + length > HELP_WIDTH) {
            adl_str_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            adl_str_puts(out, " ");
            column++;
        }
        adl_str_append(out, text, length);
        column += length;
        text += length + strspn(text + length, " ");
    }
    adl_str_puts(out, "\n");
}

static void size_text(char *text, size_t length, size_t bytes)
{
    static const struct {
        size_t unit;
        const char *suffix;
    } units[] = {{1024 * ADL_MIB, "G"}, {ADL_MIB, "M"}, {ADL_KIB, "K"}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (bytes && bytes % units[i].unit == 0) {
            snprintf(text, length, "%zu%s", bytes / units[i].unit, units[i].suffix);
            return;
        }
    snprintf(text, length, "%zu", bytes);
}

static void bound_text(const struct adl_option *option, char *text, size_t size, double bound)
{
    if (option->type == ADL_OPTION_SIZE)
        size_text(text, size, (size_t)bound);
    else
        snprintf(text, size, "%.10g", bound);
}

/* Appends the notes in parentheses, such as "(1 to 64; default: 4)". */
static void append_notes(struct adl_str *line, const struct adl_option *option)
{
    const char *fallback = option->default_note ? option->default_note : option->value;
    const char *separator = " (";

    if (adl_option_has_choices(option)) {
        const char *name;
        for (int i = 0; (name = adl_option_choice(option, i)); i++)
            adl_str_printf(line, "%s%s", i ? ", " : separator, name);
        separator = "; ";
    }
    if (option->min < option->max) {
        char low[40], high[40];
        bound_text(option, low, sizeof low, option->min);
        bound_text(option, high, sizeof high, option->max);
        adl_str_printf(line, "%s%s to %s", separator, low, high);
        separator = "; ";
    }
    if (option->type == ADL_OPTION_LIST) {
        adl_str_printf(line, "%smay be repeated", separator);
        separator = "; ";
    }
    if (option->required) {
        adl_str_printf(line, "%srequired", separator);
        separator = "; ";
    }
    if (fallback) {
        adl_str_printf(line, "%sdefault: %s", separator, fallback);
        separator = "; ";
    }
    if (*separator == ';')
        adl_str_puts(line, ")");
}

static void append_row(struct adl_str *out, const struct adl_option *option)
{
    char head[120];
    struct adl_str line = {0};
    bool flag = option->type == ADL_OPTION_FLAG;
    char letter[5] = "    ";

    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int length = snprintf(head, sizeof head, "  %s--%s%s%s", letter, option->name, flag ? "" : " ",
                          flag ? "" : option->metavar);
    adl_str_puts(out, head);
    if (length + 2 > HELP_COLUMN)
        adl_str_printf(out, "\n%*s", HELP_COLUMN, "");
    else
        adl_str_printf(out, "%*s", HELP_COLUMN - length, "");
    adl_str_puts(&line, option->help);
    append_notes(&line, option);
    wrap(out, HELP_COLUMN, HELP_COLUMN, line.data ? line.data : "");
    out->failed |= line.failed;
    adl_str_release(&line);
}

void adl_options_help(const struct adl_command *command, struct adl_str *out)
{
    static const struct adl_option help = {
        .name = "help", .letter = 'h', .type = ADL_OPTION_FLAG, .help = "show this text"};

    adl_str_printf(out, "Usage: adl-server %s %s\n\n%s.\n", command->name, command->usage,
                   command->summary);
    if (command->description) {
        adl_str_puts(out, "\n");
        wrap(out, 0, 0, command->description);
    }
    adl_str_puts(out, "\nOptions:\n");
    for (const struct adl_option *option = adl_command_options(command); option->name; option++)
        append_row(out, option);
    append_row(out, &help);
    if (command->layered) {
        adl_str_puts(out, "\n");
        wrap(out, 0, 0,
             "Each option may also be given in the JSON object of --config FILE under its name, or "
             "in "
             "the environment as ADL_SERVER_NAME (--max-body: ADL_SERVER_MAX_BODY). The command "
             "line takes precedence over the environment, the environment over the file.");
    }
    if (command->examples)
        adl_str_printf(out, "\nExamples:\n%s", command->examples);
    adl_str_puts(out, "\nExit status: 0 success, 1 failure, 2 wrong usage.\n");
}

static void append_value(struct adl_str *out, const struct adl_option *option, const void *field)
{
    char text[40];

    switch (option->type) {
    case ADL_OPTION_FLAG: adl_str_puts(out, *(const bool *)field ? "true" : "false"); return;
    case ADL_OPTION_INT: adl_str_printf(out, "%d", *(const int *)field); return;
    case ADL_OPTION_DOUBLE: adl_str_printf(out, "%.10g", *(const double *)field); return;
    case ADL_OPTION_SIZE:
        size_text(text, sizeof text, *(const size_t *)field);
        adl_str_puts(out, text);
        return;
    case ADL_OPTION_STRING: {
        const char *value = *(const char *const *)field;
        adl_str_puts(out, value ? value : "");
        return;
    }
    case ADL_OPTION_CHOICE: {
        int index = *(const int *)field;
        adl_str_puts(out, index < 0 ? "" : adl_option_choice(option, index));
        return;
    }
    case ADL_OPTION_CHOICES: {
        int bits = *(const int *)field;
        const char *separator = "";
        for (int i = 0; bits > 0 && adl_option_choice(option, i); i++)
            if (bits >> i & 1) {
                adl_str_printf(out, "%s%s", separator, adl_option_choice(option, i));
                separator = ",";
            }
        return;
    }
    case ADL_OPTION_LIST: {
        const struct adl_option_list *list = field;
        for (size_t i = 0; i < list->count; i++)
            adl_str_printf(out, "%s%s", i ? "," : "", list->items[i]);
        return;
    }
    }
}

void adl_options_print(const struct adl_options *options, struct adl_str *out)
{
    const struct adl_option *table = adl_command_options(options->command);

    for (size_t i = 0; table[i].name; i++) {
        const struct adl_option *option = &table[i];
        const char *field = (const char *)options->settings + option->offset;
        struct adl_str value = {0};
        char name[80];

        if (options->sources[i] == ADL_SOURCE_DEFAULT && option->default_note)
            adl_str_puts(&value, option->default_note);
        else
            append_value(&value, option, field);
        adl_str_printf(out, "%-20s %-30s # ", option->name, value.data ? value.data : "");
        switch (options->sources[i]) {
        case ADL_SOURCE_DEFAULT: adl_str_puts(out, "default"); break;
        case ADL_SOURCE_CONFIG: adl_str_printf(out, "file %s", options->config_path); break;
        case ADL_SOURCE_ENVIRONMENT:
            adl_str_printf(out, "environment %s",
                           adl_option_environment(option, name, sizeof name));
            break;
        case ADL_SOURCE_COMMAND_LINE: adl_str_puts(out, "command line"); break;
        }
        adl_str_puts(out, "\n");
        out->failed |= value.failed;
        adl_str_release(&value);
    }
}
