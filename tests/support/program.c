/* The path of the program; see program.h. */

#include "support/program.h"

#include <stdlib.h>
#include <unistd.h>

#include "support/test.h"

const char *program_path(void)
{
    const char *path = getenv("ADL_SERVER");
    return path ? path : "build/adl-server";
}

bool program_exists(void)
{
    if (access(program_path(), X_OK) == 0)
        return true;
    test_skip("%s is not built", program_path());
    return false;
}
