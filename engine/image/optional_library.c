/* Opens libraries late. */

#include "image/optional_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A library without one of the functions is too old, and as good as none. */
static bool find_functions(const struct adl_optional_library *library, void *handle)
{
    for (size_t i = 0; i < library->count; i++) {
        void *function = dlsym(handle, library->functions[i].name);
        if (!function)
            return false;
        memcpy(library->functions[i].pointer, &function, sizeof function);
    }
    return true;
}

/* musl's dlopen() in a static program opens nothing. */
static bool try_to_open(const struct adl_optional_library *library)
{
    void *handle = dlopen(library->file, RTLD_LAZY | RTLD_LOCAL);

    if (!handle)
        return false;
    if (!find_functions(library, handle)) {
        dlclose(handle);
        return false;
    }
    if (library->opened)
        library->opened();
    return true;
}

int adl_optional_open(struct adl_optional_library *library, struct adl_error *err)
{
    pthread_mutex_lock(&lock);
    if (library->state == ADL_OPTIONAL_UNTRIED)
        library->state = try_to_open(library) ? ADL_OPTIONAL_THERE : ADL_OPTIONAL_MISSING;
    const bool there = library->state == ADL_OPTIONAL_THERE;
    pthread_mutex_unlock(&lock);
    if (there)
        return 0;
#ifdef ADL_STATIC
    return adl_fail(err, ADL_ERR_UNSUPPORTED,
                    "%s is read with %s, which this program cannot open, since it is static",
                    library->formats, library->file);
#else
    return adl_fail(err, ADL_ERR_UNSUPPORTED,
                    "%s is read with %s, which is not installed here (on Debian it is the package "
                    "%s)",
                    library->formats, library->file, library->package);
#endif
}
