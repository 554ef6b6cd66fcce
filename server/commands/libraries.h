#ifndef ADL_SERVER_COMMANDS_LIBRARIES_H
#define ADL_SERVER_COMMANDS_LIBRARIES_H

/* The libraries that the program is linked with, for --version and `doctor`. OpenBLAS, which is
 * opened late, is in kernels/blas.h. */

#include <stddef.h>

#define ADL_LIBRARIES 7

struct adl_library {
    const char *name;
    char version[64];
};

/* Writes them and returns their number. */
size_t adl_libraries(struct adl_library list[ADL_LIBRARIES]);

#endif
