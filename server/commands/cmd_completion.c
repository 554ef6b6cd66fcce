/* Implements `completion`, which writes a script that makes a shell complete this program's
 * command lines, from the option tables. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "server/commands/command.h"

/* Appends `text` in single quotes, with a backslash before each of the characters
 * in `escaped`. */
static void put_quoted(struct adl_str *out, const char *text, const char *escaped)
{
    adl_str_puts(out, "'");
    for (; *text; text++) {
        if (*text == '\'')
            adl_str_puts(out, "'\\''");
        else
            adl_str_printf(out, "%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
    adl_str_puts(out, "'");
}

typedef void put_command_fn(struct adl_str *out, const struct adl_command *command);

static void put_each(struct adl_str *out, const struct adl_command *const *commands,
                     put_command_fn *put)
{
    for (; *commands; commands++)
        put(out, *commands);
}

/* Kinds of values that may follow an option. */
enum value_kind { NO_VALUE, CHOICES, DIRECTORIES, FILES, ANYTHING };

static enum value_kind value_of(const struct adl_option *option)
{
    if (option->type == ADL_OPTION_FLAG)
        return NO_VALUE;
    if (adl_option_has_choices(option))
        return CHOICES;
    if (option->metavar && strstr(option->metavar, "FILE"))
        return FILES; /* "DIR|FILE": files are completed through their directories */
    return option->metavar && strstr(option->metavar, "DIR") ? DIRECTORIES : ANYTHING;
}

static void put_choices(struct adl_str *out, const struct adl_option *option)
{
    const char *name;
    for (int i = 0; (name = adl_option_choice(option, i)); i++)
        adl_str_printf(out, "%s%s", i ? " " : "", name);
}

/* --- bash -------------------------------------------------------------------------- */

/* Appends the cases "SUBCOMMAND:PREVIOUS WORD" for options that take a value. */
static void put_bash_values(struct adl_str *out, const struct adl_command *command)
{
    for (const struct adl_option *option = adl_command_options(command); option->name; option++) {
        enum value_kind kind = value_of(option);
        if (kind == NO_VALUE)
            continue;
        adl_str_printf(out, "    %s:--%s", command->name, option->name);
        if (option->letter)
            adl_str_printf(out, "|%s:-%c", command->name, option->letter);
        if (kind == CHOICES) {
            adl_str_puts(out, ") mapfile -t COMPREPLY < <(compgen -W '");
            put_choices(out, option);
            adl_str_puts(out, "' -- \"$cur\") ; return ;;\n");
        } else if (kind == ANYTHING) {
            adl_str_puts(out, ") COMPREPLY=() ; return ;;\n");
        } else {
            adl_str_printf(out, ") mapfile -t COMPREPLY < <(compgen -%c -- \"$cur\") ; return ;;\n",
                           kind == DIRECTORIES ? 'd' : 'f');
        }
    }
}

static void put_name(struct adl_str *out, const struct adl_command *command)
{
    adl_str_printf(out, " %s", command->name);
}

/* Appends the case of a subcommand, which lists its options. */
static void put_bash_options(struct adl_str *out, const struct adl_command *command)
{
    adl_str_printf(out, "    %s) words='--help", command->name);
    for (const struct adl_option *option = adl_command_options(command); option->name; option++)
        adl_str_printf(out, " --%s", option->name);
    adl_str_puts(out, "' ;;\n");
}

static void write_bash(struct adl_str *out, const struct adl_command *const *commands)
{
    adl_str_puts(out, "# bash completion for adl-server\n"
                      "_adl_server() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local words='--help --version' subcommands='help");
    put_each(out, commands, put_name);
    adl_str_puts(out, "'\n"
                      "    # The = of --option=value is a word of its own.\n"
                      "    if [[ $cur == = ]]; then\n"
                      "        cur=\n"
                      "    elif [[ $prev == = ]]; then\n"
                      "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                      "    fi\n"
                      "    compopt -o filenames 2>/dev/null\n"
                      "    case ${COMP_WORDS[1]}:$prev in\n");
    put_each(out, commands, put_bash_values);
    adl_str_puts(
        out, "    esac\n"
             "    if ((COMP_CWORD == 1)); then\n"
             "        mapfile -t COMPREPLY < <(compgen -W \"$words $subcommands\" -- \"$cur\")\n"
             "        return\n"
             "    fi\n"
             "    case ${COMP_WORDS[1]} in\n");
    put_each(out, commands, put_bash_options);
    adl_str_puts(out, "    esac\n"
                      "    if [[ $cur == -* ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                      "    elif [[ ${COMP_WORDS[1]} == help ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$subcommands\" -- \"$cur\")\n"
                      "    elif [[ ${COMP_WORDS[1]} == completion ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$cur\")\n"
                      "    else\n"
                      "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                      "    fi\n"
                      "}\n"
                      "complete -F _adl_server adl-server\n");
}

/* --- zsh ---------------------------------------------------------------------------- */

/* Appends text of _arguments, in which brackets, colons and backslashes are escaped. */
static void put_zsh_text(struct adl_str *out, const char *text)
{
    for (; *text; text++)
        adl_str_printf(out, "%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
}

/* Appends an option in the form of zsh's _arguments: '--name=[help]:METAVAR:action'. */
static void put_zsh_option(struct adl_str *out, const struct adl_option *option)
{
    static const char *const actions[] = {
        [CHOICES] = "(", [DIRECTORIES] = "_files -/", [FILES] = "_files", [ANYTHING] = ""};
    enum value_kind kind = value_of(option);
    struct adl_str spec = {0};

    adl_str_printf(&spec, "%s--%s", option->type == ADL_OPTION_LIST ? "*" : "", option->name);
    adl_str_puts(&spec, kind == NO_VALUE ? "[" : "=[");
    put_zsh_text(&spec, option->help);
    adl_str_puts(&spec, "]");
    if (kind != NO_VALUE) {
        adl_str_puts(&spec, ":");
        put_zsh_text(&spec, option->metavar);
        adl_str_printf(&spec, ":%s", actions[kind]);
    }
    if (kind == CHOICES) {
        put_choices(&spec, option);
        adl_str_puts(&spec, ")");
    }
    adl_str_puts(out, "            ");
    put_quoted(out, spec.data ? spec.data : "", "");
    adl_str_puts(out, " \\\n");
    out->failed |= spec.failed;
    adl_str_release(&spec);
}

static void put_zsh_summary(struct adl_str *out, const struct adl_command *command)
{
    adl_str_printf(out, "        %s:", command->name);
    put_quoted(out, command->summary, ":\\");
    adl_str_puts(out, "\n");
}

static void put_zsh_options(struct adl_str *out, const struct adl_command *command)
{
    bool completion = !strcmp(command->name, "completion");

    adl_str_printf(out, "    %s)\n        _arguments \\\n", command->name);
    for (const struct adl_option *option = adl_command_options(command); option->name; option++)
        put_zsh_option(out, option);
    adl_str_printf(out, "            '--help[show the options]' '*:%s' ;;\n",
                   completion ? "shell:(bash zsh fish)" : "file:_files");
}

static void write_zsh(struct adl_str *out, const struct adl_command *const *commands)
{
    adl_str_puts(out, "#compdef adl-server\n"
                      "_adl_server() {\n"
                      "    local -a subcommands=(\n");
    put_each(out, commands, put_zsh_summary);
    adl_str_puts(out, "        help:'Show the options of a subcommand'\n"
                      "    )\n"
                      "    if ((CURRENT == 2)); then\n"
                      "        _describe subcommand subcommands\n"
                      "        _arguments --help --version\n"
                      "        return\n"
                      "    fi\n"
                      "    local subcommand=$words[2]\n"
                      "    shift words\n"
                      "    ((CURRENT--))\n"
                      "    case $subcommand in\n"
                      "    help) _describe subcommand subcommands ;;\n");
    put_each(out, commands, put_zsh_options);
    adl_str_puts(out, "    esac\n"
                      "}\n"
                      "if [[ $funcstack[1] == _adl_server ]]; then\n"
                      "    _adl_server \"$@\"\n"
                      "else\n"
                      "    compdef _adl_server adl-server\n"
                      "fi\n");
}

/* --- fish --------------------------------------------------------------------------- */

static void put_fish_summary(struct adl_str *out, const struct adl_command *command)
{
    adl_str_printf(out, "complete -c adl-server -f -n __fish_use_subcommand -a %s -d ",
                   command->name);
    put_quoted(out, command->summary, "\\");
    adl_str_puts(out, "\n");
}

static void put_fish_options(struct adl_str *out, const struct adl_command *command)
{
    for (const struct adl_option *option = adl_command_options(command); option->name; option++) {
        enum value_kind kind = value_of(option);
        adl_str_printf(out, "complete -c adl-server -n '__adl_server_is %s' -l %s", command->name,
                       option->name);
        if (option->letter)
            adl_str_printf(out, " -s %c", option->letter);
        if (kind != NO_VALUE)
            adl_str_puts(out, kind == FILES || kind == DIRECTORIES ? " -r" : " -x");
        if (kind == CHOICES) {
            adl_str_puts(out, " -a '");
            put_choices(out, option);
            adl_str_puts(out, "'");
        }
        adl_str_puts(out, " -d ");
        put_quoted(out, option->help, "\\");
        adl_str_puts(out, "\n");
    }
}

static void write_fish(struct adl_str *out, const struct adl_command *const *commands)
{
    /* __fish_seen_subcommand_from takes any word for a subcommand, as the run of --out run. */
    adl_str_puts(out, "# fish completion for adl-server\n"
                      "function __adl_server_is\n"
                      "    set -l words (commandline -opc)\n"
                      "    test (count $words) -ge 2; and contains -- $words[2] $argv\n"
                      "end\n");
    put_each(out, commands, put_fish_summary);
    adl_str_puts(
        out, "complete -c adl-server -n __fish_use_subcommand -l version -d 'show the "
             "version'\n"
             "complete -c adl-server -l help -s h -d 'show the options'\n"
             "complete -c adl-server -f -n '__adl_server_is completion' -a 'bash zsh fish'\n"
             "complete -c adl-server -f -n __fish_use_subcommand -a help -d 'Show the options of a "
             "subcommand'\n"
             "complete -c adl-server -f -n '__adl_server_is help' -a 'help");
    put_each(out, commands, put_name);
    adl_str_puts(out, "'\n");
    put_each(out, commands, put_fish_options);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    static const struct {
        const char *name;
        void (*write)(struct adl_str *out, const struct adl_command *const *commands);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    const char *name = options->operands[0];
    struct adl_str out = {0};

    (void)settings;
    for (size_t i = 0; i < ADL_COUNT(shells); i++) {
        if (strcmp(shells[i].name, name) != 0)
            continue;
        shells[i].write(&out, options->commands);
        char *text = adl_str_take(&out, NULL, err);
        if (!text)
            return -1;
        fputs(text, stdout);
        adl_free(text);
        return 0;
    }
    return adl_fail(err, ADL_ERR_ARG, "unknown shell \"%s\"; choose bash, zsh or fish",
                    ADL_SHORT(name));
}

static const struct adl_option table[] = {{0}};

const struct adl_command adl_command_completion = {
    .name = "completion",
    .summary = "Write a shell's completion of this program's options",
    .usage = "bash|zsh|fish",
    .examples =
        "  adl-server completion bash > ~/.local/share/bash-completion/completions/adl-server\n"
        "  adl-server completion fish > ~/.config/fish/completions/adl-server.fish\n",
    .options = table,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
