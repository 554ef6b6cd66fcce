/* Reads the peak resident set size from VmHWM of /proc/self/status. getrusage() is only
 * the fallback: its ru_maxrss survives exec, so it includes the process that
 * started this one, and a test harness may be larger than a benchmark. */

#include "server/commands/peak_rss.h"

#include <stdio.h>
#include <sys/resource.h>

double adl_peak_rss_mib(void)
{
    struct rusage usage;
    char line[200];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");

    while (status && kib == 0 && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lu kB", &kib) != 1)
            kib = 0;
    if (status)
        fclose(status);
    if (kib)
        return (double)kib / 1024;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}
