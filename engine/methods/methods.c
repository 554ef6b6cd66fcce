/* The list of training methods, made from the rows of ADL_METHODS. */

#include "methods/methods.h"

#include <string.h>

#define ADDRESS(name) &adl_method_##name,
const struct adl_method *const adl_methods[] = {ADL_METHODS(ADDRESS) NULL};

const struct adl_method *adl_method_find(const char *name)
{
    for (const struct adl_method *const *method = adl_methods; *method; method++)
        if (strcmp((*method)->name, name) == 0)
            return *method;
    return NULL;
}
