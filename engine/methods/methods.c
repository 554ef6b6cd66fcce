/* The list of training methods, made from the rows of ADL_METHODS. */

#include "methods/methods.h"

#include <string.h>

#define ADDRESS(name) &adl_method_##name,
const struct adl_method *const adl_methods[] = {ADL_METHODS(ADDRESS) NULL};

const struct adl_method *adl_method_find(const char *name)
{
    for (const struct adl_method *const *at = adl_methods; *at; at++)
        if (strcmp((*at)->name, name) == 0)
            return *at;
    return NULL;
}
