/* Searches for the model files that ship relative to the running program, so that a checkout and an
 * installation under any prefix work without configuration, from any directory. */

#include "server/tasks/default_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

/* Writes the directory of the running program with a final slash, or "" if /proc is not
 * mounted. */
static void program_directory(char directory[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);

    directory[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(directory, '/');
    slash = slash ? slash + 1 : directory;
    *slash = '\0';
}

/* Returns whether the file exists, and resolves its path. It need not be readable: opening it
 * later gives the reason. */
static bool find(char path[ADL_DEFAULT_MODEL_PATH])
{
    char plain[PATH_MAX];

    if (access(path, F_OK) < 0)
        return false;
    if (realpath(path, plain))
        snprintf(path, ADL_DEFAULT_MODEL_PATH, "%s", plain);
    return true;
}

int adl_shipped_model(const char *name, char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err)
{
    /* Relative to build/, to build/FLAVOUR/, and to the bin/ of an installation. */
    static const char *const places[] = {"../models", "../../models", "../share/adl-server"};
    char program[PATH_MAX];

    program_directory(program);
    for (size_t i = 0; *program && i < ADL_COUNT(places); i++) {
        snprintf(path, ADL_DEFAULT_MODEL_PATH, "%s%s/%s", program, places[i], name);
        if (find(path))
            return 0;
    }
    snprintf(path, ADL_DEFAULT_MODEL_PATH, "%s/%s", ADL_DATADIR, name);
    if (find(path))
        return 0;
    return adl_fail(err, ADL_ERR_NOT_FOUND,
                    "%s, which ships with the program, is not in %s, %s or %s relative to %s, nor "
                    "in %s; name a model file instead",
                    name, places[0], places[1], places[2], *program ? program : "the program",
                    ADL_DATADIR);
}

int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err)
{
    return adl_shipped_model("default.safetensors", path, err);
}

const char *adl_model_or_default(const char *given, char path[ADL_DEFAULT_MODEL_PATH],
                                 struct adl_error *err)
{
    if (given)
        return given;
    return adl_default_model(path, err) < 0 ? NULL : path;
}
