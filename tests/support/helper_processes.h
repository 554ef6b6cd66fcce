#ifndef ADL_TESTS_SUPPORT_HELPER_PROCESSES_H
#define ADL_TESTS_SUPPORT_HELPER_PROCESSES_H

/* The processes that decode images for this process or for a server. */

#include <stdbool.h>
#include <sys/types.h>

enum { MAX_HELPER_PROCESSES = 32 };

/* Writes the ids of the children of process `pid` that decode images (all of its threads'
 * children); returns their number. */
int helper_processes(pid_t pid, pid_t found[MAX_HELPER_PROCESSES]);

/* Waits until a process is no more, or a zombie, for some seconds; returns whether it is so. */
bool helper_process_ended(pid_t pid);

#endif
