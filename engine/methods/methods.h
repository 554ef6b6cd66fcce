#ifndef ADL_METHODS_METHODS_H
#define ADL_METHODS_METHODS_H

/* The list of training methods. */

#include "methods/method.h"

/* In the order of ADL_METHODS, NULL-terminated. */
extern const struct adl_method *const adl_methods[];

/* Returns the method called `name`; NULL when there is none. */
const struct adl_method *adl_method_find(const char *name);

#endif
