/* The man page has to describe exactly the subcommands and options of the tables. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "support/test.h"

static char *read_page(void)
{
    struct adl_error err = {0};
    size_t length;
    char *page = adl_file_read("docs/adl-server.1", 1 << 20, &length, &err);
    if (!page)
        TEST_FAIL("%s", err.message);
    return page;
}

/* The text of the section ".Ss NAME"; "" if it is missing. Owned by the caller. */
static char *section(const char *page, const char *name)
{
    char heading[100];
    snprintf(heading, sizeof heading, "\n.Ss %s\n", name);
    const char *start = strstr(page, heading);
    if (!start)
        return adl_strdup("");
    start += strlen(heading);
    const char *subsection = strstr(start, "\n.Ss "), *end = strstr(start, "\n.Sh ");
    if (!end || (subsection && subsection < end))
        end = subsection;
    return adl_strndup(start, end ? (size_t)(end - start) : strlen(start));
}

/* Whether the text has --name, which mdoc writes as "Fl -name". */
static bool names_option(const char *text, const char *name)
{
    char flag[100];
    int length = snprintf(flag, sizeof flag, "Fl -%s", name);
    for (; (text = strstr(text, flag)); text += length)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", text[length]))
            return true;
    return false;
}

static void names_every_option(void)
{
    char *page = read_page();
    if (!page)
        return;
    char *networks = section(page, "Networks"), *methods = section(page, "Methods");
    const char *synopsis = strstr(page, "\n.Sh SYNOPSIS\n");
    const char *synopsis_end = strstr(page, "\n.Sh DESCRIPTION\n");
    for (size_t i = 0; adl_commands[i]; i++) {
        char *text = section(page, adl_commands[i]->name);
        if (!*text)
            TEST_FAIL("the man page has no section on %s", adl_commands[i]->name);
        char call[60];
        snprintf(call, sizeof call, "\n.Nm\n.Cm %s\n", adl_commands[i]->name);
        const char *place = synopsis ? strstr(synopsis, call) : NULL;
        if (!place || place > synopsis_end)
            TEST_FAIL("the synopsis of the man page lacks %s", adl_commands[i]->name);
        for (const struct adl_option *o = adl_command_options(adl_commands[i]); o->name; o++)
            if (!names_option(text, o->name) && !names_option(networks, o->name) &&
                !names_option(methods, o->name))
                TEST_FAIL("the section on %s does not name --%s", adl_commands[i]->name, o->name);
        adl_free(text);
    }
    adl_free(methods);
    adl_free(networks);
    adl_free(page);
    CU_PASS("");
}

static bool is_option(const char *name, size_t length)
{
    static const char *const everywhere[] = {"help", "version"};
    for (size_t i = 0; i < 2; i++)
        if (strlen(everywhere[i]) == length && !strncmp(everywhere[i], name, length))
            return true;
    for (size_t i = 0; adl_commands[i]; i++)
        for (const struct adl_option *o = adl_command_options(adl_commands[i]); o->name; o++)
            if (strlen(o->name) == length && !strncmp(o->name, name, length))
                return true;
    return false;
}

static void promises_nothing_else(void)
{
    char *page = read_page();
    for (const char *at = page; at && (at = strstr(at, "Fl -"));) {
        at += 4;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-");
        if (!is_option(at, length))
            TEST_FAIL("the man page has --%.*s, which no subcommand has", (int)length, at);
    }
    adl_free(page);
    CU_PASS("");
}

TEST_SUITE(man_page, {"names every option of every subcommand", names_every_option},
           {"names no option that does not exist", promises_nothing_else});
