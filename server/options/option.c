/* Queries about a single row of an option table. */

#include "server/options/option.h"

#include <stdio.h>
#include <string.h>

size_t adl_option_count(const struct adl_option *table)
{
    size_t count = 0;
    while (table[count].name)
        count++;
    return count;
}

size_t adl_option_find(const struct adl_option *table, const char *name)
{
    size_t row = 0;
    while (table[row].name && strcmp(table[row].name, name) != 0)
        row++;
    return row;
}

bool adl_option_has_choices(const struct adl_option *option)
{
    return option->type == ADL_OPTION_CHOICE || option->type == ADL_OPTION_CHOICES;
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
