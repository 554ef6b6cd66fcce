#ifndef ADL_FUZZ_SCRATCH_H
#define ADL_FUZZ_SCRATCH_H

/* A directory of the fuzz target's own, which is removed when the process ends. A target is one
 * source file, so that all of it is in this header. */

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_root[] = "/tmp/adl-fuzz-XXXXXX";

static inline int scratch_remove_entry(const char *path, const struct stat *info, int kind,
                                       struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void scratch_remove(void)
{
    nftw(scratch_root, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the directory. Returns whether this is the first call; later ones do nothing. */
static inline bool scratch_make(void)
{
    static bool made;

    if (made)
        return false;
    if (!mkdtemp(scratch_root))
        exit(1);
    atexit(scratch_remove);
    made = true;
    return true;
}

static inline void scratch_path(char path[200], const char *name)
{
    snprintf(path, 200, "%s/%s", scratch_root, name);
}

static inline void scratch_make_folder(const char *name)
{
    char path[200];
    scratch_path(path, name);
    if (mkdir(path, 0700) < 0)
        exit(1);
}

static inline void scratch_put(const char *name, const void *data, size_t size)
{
    char path[200];
    scratch_path(path, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
}

#endif
