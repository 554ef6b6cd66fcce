/* Variables that look like options of the server and are none.
 *
 * They are warned of, not refused: orchestrators set variables that begin with the name of
 * a service, and whoever calls a service "adl-server" gets ADL_SERVER_PORT=tcp://... from
 * Kubernetes and from Docker's links. Those are known and passed over. */

#include "server/options/option_strangers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/name.h"

#define PREFIX "ADL_SERVER_"
#define PREFIX_LENGTH (sizeof PREFIX - 1)
#define NAME_BYTES 80

/* SERVICE_HOST, SERVICE_PORT, SERVICE_PORT_HTTP, PORT=tcp://..., PORT_80_TCP_ADDR, and what
 * Docker's links add. */
static bool is_of_an_orchestrator(const char *name, const char *value)
{
    return !strncmp(name, "SERVICE_HOST=", 13) || !strncmp(name, "SERVICE_PORT", 12) ||
           (!strncmp(name, "PORT=", 5) && strstr(value, "://")) ||
           (!strncmp(name, "PORT_", 5) && isdigit((unsigned char)name[5])) ||
           !strncmp(name, "ENV_", 4) || !strncmp(name, "NAME=/", 6);
}

/* The name that an option of this name would have on the command line. */
static void to_option(char *word, const char *name, size_t length)
{
    snprintf(word, NAME_BYTES, "%.*s", (int)length, name);
    for (char *c = word; *c; c++)
        *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
}

/* One sentence about NAME=VALUE, or "" if there is nothing to say. */
static void describe(const struct adl_option *table, const char *variable, char *text, size_t size)
{
    const char *name = variable + PREFIX_LENGTH, *equals = strchr(name, '=');
    char word[NAME_BYTES], near[NAME_BYTES];
    struct adl_nearest nearest = {.word = word};
    size_t row, count = adl_option_count(table);

    *text = '\0';
    if (!equals || !equals[1] || is_of_an_orchestrator(name, equals + 1))
        return;
    to_option(word, name, (size_t)(equals - name));
    row = adl_option_find(table, word);
    if (row < count && table[row].command_line_only) {
        snprintf(text, size, "%.*s has no effect: --%s is accepted on the command line only",
                 (int)(equals - variable), variable, table[row].name);
        return;
    }
    if (row < count && !strncmp(adl_option_environment(&table[row], near, sizeof near), variable,
                                (size_t)(equals - variable)))
        return;
    for (size_t i = 0; i < count; i++)
        if (!table[i].command_line_only)
            adl_nearest_offer(&nearest, table[i].name);
    row = nearest.best ? adl_option_find(table, nearest.best) : count;
    snprintf(text, size,
             "the environment variable %s has no effect, because it names no option%s%s%s",
             adl_name_quote(variable, (size_t)(equals - variable)).text,
             nearest.best ? "; did you mean " : "",
             nearest.best ? adl_option_environment(&table[row], near, sizeof near) : "",
             nearest.best ? "?" : "");
}

void adl_option_strangers(const struct adl_option *table,
                          void (*report)(void *context, const char *sentence), void *context)
{
    char text[300];

    for (char **variable = environ; variable && *variable; variable++) {
        if (strncmp(*variable, PREFIX, PREFIX_LENGTH) != 0)
            continue;
        describe(table, *variable, text, sizeof text);
        if (*text)
            report(context, text);
    }
}
