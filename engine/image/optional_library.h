#ifndef ADL_IMAGE_OPTIONAL_LIBRARY_H
#define ADL_IMAGE_OPTIONAL_LIBRARY_H

/* Libraries that are opened when the first file comes that needs them, so that the program runs
 * without them. See docs/decisions/044-more-picture-formats.md. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct adl_optional_function {
    const char *name;
    void *pointer; /* to a pointer to a function */
};

struct adl_optional_library {
    const char *formats; /* what it reads, for messages */
    const char *file;    /* its name for the loader */
    const char *package; /* of Debian */
    const struct adl_optional_function *functions;
    size_t count;
    void (*opened)(void); /* called once when it is there; NULL: nothing is called */
    enum { ADL_OPTIONAL_UNTRIED, ADL_OPTIONAL_THERE, ADL_OPTIONAL_MISSING } state;
};

/* Opens the library and finds its functions, if that was not tried before; what was missing stays
 * so until the program is started anew. Fails with ADL_ERR_UNSUPPORTED and a sentence that says
 * what to install. Threads may call it at the same time. */
int adl_optional_open(struct adl_optional_library *library, struct adl_error *err) ADL_MUST_CHECK;

#endif
