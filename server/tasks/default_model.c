/* Looks for default.safetensors relative to the running program, so that a checkout and an
 * installation under any prefix work without configuration. */

#include "server/tasks/default_model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err)
{
    static const char *const places[] = {"../models", "../../models", "../share/adl-server"};
    const size_t size = ADL_DEFAULT_MODEL_PATH;
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    program[length > 0 ? length : 0] = '\0';
    if (strrchr(program, '/'))
        strrchr(program, '/')[1] = '\0';
    for (size_t i = 0; *program && i < ADL_COUNT(places); i++) {
        snprintf(path, size, "%s%s/default.safetensors", program, places[i]);
        if (access(path, R_OK) == 0)
            return 0;
    }
    snprintf(path, size, "%s/default.safetensors", ADL_DATADIR);
    if (access(path, R_OK) == 0)
        return 0;
    return adl_fail(err, ADL_ERR_NOT_FOUND, "there is no model at %s; name a model file instead",
                    path);
}
