/* `completion`: what a shell needs to complete this program's command lines,
 * written from the option tables. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/commands/command.h"

/* --- text that shells take literally ------------------------------------------- */

/* Inside single quotes; `escaped` are characters that want a backslash there. */
static void quoted(struct adl_str *out, const char *text, const char *escaped)
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

static bool takes_value(const struct adl_option *option)
{
    return option->type != ADL_OPTION_FLAG;
}

static bool takes_file(const struct adl_option *option)
{
    return option->metavar && strstr(option->metavar, "FILE");
}

static bool takes_folder(const struct adl_option *option)
{
    return option->metavar && strstr(option->metavar, "DIR");
}

static void choices(struct adl_str *out, const struct adl_option *option)
{
    const char *name;
    for (int i = 0; (name = adl_option_choice(option, i)); i++)
        adl_str_printf(out, "%s%s", i ? " " : "", name);
}

/* --- bash -------------------------------------------------------------------------- */

static void bash_values(struct adl_str *out, const struct adl_command *command)
{
    for (const struct adl_option *option = command->options; option->name; option++) {
        if (!takes_value(option))
            continue;
        adl_str_printf(out, "    %s:--%s", command->name, option->name);
        if (option->letter)
            adl_str_printf(out, "|%s:-%c", command->name, option->letter);
        if (option->type == ADL_OPTION_CHOICE) {
            adl_str_puts(out, ") mapfile -t COMPREPLY < <(compgen -W '");
            choices(out, option);
            adl_str_puts(out, "' -- \"$cur\") ; return ;;\n");
        } else if (takes_folder(option)) {
            adl_str_puts(out, ") mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ; return ;;\n");
        } else if (takes_file(option)) {
            adl_str_puts(out, ") mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ; return ;;\n");
        } else {
            adl_str_puts(out, ") COMPREPLY=() ; return ;;\n");
        }
    }
}

static void write_bash(struct adl_str *out, const struct adl_command *const *commands)
{
    adl_str_puts(out, "# bash completion for adl-server\n"
                      "_adl_server() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local words='--help --version'\n"
                      "    compopt -o filenames 2>/dev/null\n"
                      "    case ${COMP_WORDS[1]}:$prev in\n");
    for (size_t i = 0; commands[i]; i++)
        bash_values(out, commands[i]);
    adl_str_puts(out, "    esac\n"
                      "    if ((COMP_CWORD == 1)); then\n"
                      "        words+='");
    for (size_t i = 0; commands[i]; i++)
        adl_str_printf(out, " %s", commands[i]->name);
    adl_str_puts(out, "'\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                      "        return\n"
                      "    fi\n"
                      "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; commands[i]; i++) {
        adl_str_printf(out, "    %s) words='--help", commands[i]->name);
        for (const struct adl_option *option = commands[i]->options; option->name; option++)
            adl_str_printf(out, " --%s", option->name);
        adl_str_puts(out, "' ;;\n");
    }
    adl_str_puts(out, "    esac\n"
                      "    if [[ $cur == -* ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                      "    elif [[ ${COMP_WORDS[1]} == completion ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$cur\")\n"
                      "    else\n"
                      "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                      "    fi\n"
                      "}\n"
                      "complete -F _adl_server adl-server\n");
}

/* --- zsh ---------------------------------------------------------------------------- */

static void zsh_option(struct adl_str *out, const struct adl_option *option)
{
    struct adl_str spec = {0};

    adl_str_printf(&spec, "%s--%s", option->type == ADL_OPTION_LIST ? "*" : "", option->name);
    adl_str_puts(&spec, takes_value(option) ? "=[" : "[");
    for (const char *c = option->help; *c; c++)
        adl_str_printf(&spec, "%s%c", strchr("[]:\\", *c) ? "\\" : "", *c);
    adl_str_puts(&spec, "]");
    if (takes_value(option)) {
        adl_str_printf(&spec, ":%s:", option->metavar);
        if (option->type == ADL_OPTION_CHOICE) {
            adl_str_puts(&spec, "(");
            choices(&spec, option);
            adl_str_puts(&spec, ")");
        } else if (takes_folder(option)) {
            adl_str_puts(&spec, "_files -/");
        } else if (takes_file(option)) {
            adl_str_puts(&spec, "_files");
        }
    }
    adl_str_puts(out, "            ");
    quoted(out, spec.data ? spec.data : "", "");
    adl_str_puts(out, " \\\n");
    out->failed |= spec.failed;
    adl_str_release(&spec);
}

static void write_zsh(struct adl_str *out, const struct adl_command *const *commands)
{
    adl_str_puts(out, "#compdef adl-server\n"
                      "_adl_server() {\n"
                      "    local -a subcommands=(\n");
    for (size_t i = 0; commands[i]; i++) {
        adl_str_printf(out, "        %s:", commands[i]->name);
        quoted(out, commands[i]->summary, ":\\");
        adl_str_puts(out, "\n");
    }
    adl_str_puts(out, "    )\n"
                      "    if ((CURRENT == 2)); then\n"
                      "        _describe subcommand subcommands\n"
                      "        _arguments --help --version\n"
                      "        return\n"
                      "    fi\n"
                      "    local subcommand=$words[2]\n"
                      "    shift words\n"
                      "    ((CURRENT--))\n"
                      "    case $subcommand in\n");
    for (size_t i = 0; commands[i]; i++) {
        adl_str_printf(out, "    %s)\n        _arguments \\\n", commands[i]->name);
        for (const struct adl_option *option = commands[i]->options; option->name; option++)
            zsh_option(out, option);
        adl_str_printf(out, "            '--help[show the options]' '*:%s' ;;\n",
                       !strcmp(commands[i]->name, "completion") ? "shell:(bash zsh fish)"
                                                                : "file:_files");
    }
    adl_str_puts(out, "    esac\n"
                      "}\n"
                      "if [[ $funcstack[1] == _adl_server ]]; then\n"
                      "    _adl_server \"$@\"\n"
                      "else\n"
                      "    compdef _adl_server adl-server\n"
                      "fi\n");
}

/* --- fish --------------------------------------------------------------------------- */

static void fish_option(struct adl_str *out, const struct adl_command *command,
                        const struct adl_option *option)
{
    adl_str_printf(out, "complete -c adl-server -n '__fish_seen_subcommand_from %s' -l %s",
                   command->name, option->name);
    if (option->letter)
        adl_str_printf(out, " -s %c", option->letter);
    if (takes_value(option))
        adl_str_puts(out, takes_file(option) || takes_folder(option) ? " -r" : " -x");
    if (option->type == ADL_OPTION_CHOICE) {
        adl_str_puts(out, " -a '");
        choices(out, option);
        adl_str_puts(out, "'");
    }
    adl_str_puts(out, " -d ");
    quoted(out, option->help, "\\");
    adl_str_puts(out, "\n");
}

static void write_fish(struct adl_str *out, const struct adl_command *const *commands)
{
    adl_str_puts(out, "# fish completion for adl-server\n");
    for (size_t i = 0; commands[i]; i++) {
        adl_str_printf(out, "complete -c adl-server -f -n __fish_use_subcommand -a %s -d ",
                       commands[i]->name);
        quoted(out, commands[i]->summary, "\\");
        adl_str_puts(out, "\n");
    }
    adl_str_puts(out,
                 "complete -c adl-server -n __fish_use_subcommand -l version -d 'show the "
                 "version'\n"
                 "complete -c adl-server -l help -s h -d 'show the options'\n"
                 "complete -c adl-server -f -n '__fish_seen_subcommand_from completion' -a 'bash "
                 "zsh fish'\n");
    for (size_t i = 0; commands[i]; i++)
        for (const struct adl_option *option = commands[i]->options; option->name; option++)
            fish_option(out, commands[i], option);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    static const struct {
        const char *name;
        void (*write)(struct adl_str *out, const struct adl_command *const *commands);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    const char *wanted = options->operands[0];
    struct adl_str out = {0};

    (void)settings;
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].name, wanted) != 0)
            continue;
        shells[i].write(&out, options->commands);
        char *text = adl_str_take(&out, NULL, err);
        if (!text)
            return -1;
        fputs(text, stdout);
        adl_free(text);
        return 0;
    }
    return adl_fail(err, ADL_ERR_ARG, "unknown shell \"%.40s\"; it is one of bash, zsh, fish",
                    wanted);
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
