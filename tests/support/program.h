#ifndef ADL_TESTS_SUPPORT_PROGRAM_H
#define ADL_TESTS_SUPPORT_PROGRAM_H

/* The program as it was built, for tests that start it. */

#include <stdbool.h>

/* Returns its path: the environment variable ADL_SERVER, or build/adl-server. */
const char *program_path(void);

/* Returns whether it is there; otherwise the running test is skipped. */
bool program_exists(void);

#endif
