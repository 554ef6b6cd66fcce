/* Examines the values of a pickle. */

#include "io/pickle_value.h"

#include <string.h>

bool adl_pickle_is_text(const struct adl_pickle_value *value, const char *text)
{
    size_t length = strlen(text);
    return value->kind == ADL_PICKLE_TEXT && value->count == length &&
           !memcmp(value->text, text, length);
}

bool adl_pickle_is_global(const struct adl_pickle_value *value, const char *module,
                          const char *name)
{
    size_t module_length = strlen(module), name_length = strlen(name);
    return value->kind == ADL_PICKLE_GLOBAL && value->count == module_length + 1 + name_length &&
           !memcmp(value->text, module, module_length) && value->text[module_length] == '\n' &&
           !memcmp(value->text + module_length + 1, name, name_length);
}

const struct adl_pickle_value *adl_pickle_get(const struct adl_pickle_value *dict, const char *key)
{
    if (dict->kind != ADL_PICKLE_DICT)
        return NULL;
    for (size_t i = dict->count; i >= 2; i -= 2)
        if (adl_pickle_is_text(dict->items[i - 2], key))
            return dict->items[i - 1];
    return NULL;
}
