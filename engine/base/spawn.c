/* posix_spawn() with its files and attributes made and destroyed, see spawn.h. */

#include "base/spawn.h"

#include <spawn.h>
#include <stddef.h>

static int spawn_add_files(const struct adl_spawn *spawn, posix_spawn_file_actions_t *files)
{
    int failed = 0;

    for (int i = 0; !failed && i < spawn->file_count; i++) {
        const struct adl_spawn_file *file = &spawn->files[i];
        failed = file->path ? posix_spawn_file_actions_addopen(files, file->fd, file->path,
                                                               file->flags, 0666)
                            : posix_spawn_file_actions_adddup2(files, file->from, file->fd);
    }
    return failed;
}

static int spawn_set_attributes(const struct adl_spawn *spawn, posix_spawnattr_t *attributes)
{
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int failed = posix_spawnattr_setflags(
        attributes, (short)(spawn->own_group ? flags | POSIX_SPAWN_SETPGROUP : flags));

    if (!failed)
        failed = posix_spawnattr_setsigmask(attributes, &spawn->blocked);
    if (!failed)
        failed = posix_spawnattr_setsigdefault(attributes, &spawn->reset);
    if (!failed)
        failed = posix_spawnattr_setpgroup(attributes, 0);
    return failed;
}

int adl_spawn(const struct adl_spawn *spawn, pid_t *child)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&files);

    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed) {
        posix_spawn_file_actions_destroy(&files);
        return failed;
    }
    failed = spawn_add_files(spawn, &files);
    if (!failed)
        failed = spawn_set_attributes(spawn, &attributes);
    if (!failed)
        failed = posix_spawnp(child, spawn->program, &files, &attributes, spawn->words,
                              spawn->variables);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}
