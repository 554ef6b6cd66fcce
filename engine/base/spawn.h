#ifndef ADL_BASE_SPAWN_H
#define ADL_BASE_SPAWN_H

/* Starts a program as a child process, without a shell. */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#define ADL_SPAWN_FILES 3

/* A descriptor that the child gets. */
struct adl_spawn_file {
    int fd;   /* its number in the child */
    int from; /* of this process, which is copied; not of the same number. Not with `path` */
    const char *path; /* of a file that is opened instead, created as umask(2) allows; or NULL */
    int flags;        /* as of open(2), for `path` */
};

struct adl_spawn {
    const char *program;                          /* a path, or a name to look for in PATH */
    char *const *words;                           /* argv, ends with NULL */
    char *const *variables;                       /* the environment, ends with NULL */
    struct adl_spawn_file files[ADL_SPAWN_FILES]; /* in the order in which they are made */
    int file_count;
    sigset_t blocked; /* signals */
    sigset_t reset;   /* signals that get their default action again; sigemptyset(): none */
    bool own_group;   /* the child leads a process group, which a terminal's signals do not reach */
};

/* Starts the program. All other descriptors that are not closed on exec are inherited. Returns 0,
 * or an errno. */
int adl_spawn(const struct adl_spawn *spawn, pid_t *child);

#endif
