/* CPU quotas and memory limits of control groups.
 *
 * A container that is limited to, say, 2 of 64 processors usually keeps all 64 in its
 * affinity mask. The limit is a quota: the threads of the group may run for `quota`
 * microseconds in each `period` and are then all stopped until the next. 64 threads that wait
 * for each other at every layer spend that quota in a few milliseconds, mostly on waiting. So
 * the number of threads has to follow the quota.
 *
 * Where the quota is found (Linux, Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/ and
 * scheduler/sched-bwc.rst):
 *
 *            line in /proc/self/cgroup   directory below /sys/fs/cgroup   quota and period
 *   v2       0::PATH                     PATH                             cpu.max: "200000 100000"
 *   v1       4:cpu,cpuacct:PATH          cpu/PATH or cpu,cpuacct/PATH     cpu.cfs_quota_us,
 *                                                                         cpu.cfs_period_us
 *
 * The limit of memory is memory.max in the same directory of v2 and memory.limit_in_bytes in that
 * of the controller "memory" of v1, where none is a number near 2^63.
 *
 * No quota is "max" in v2 and -1 in v1. A quota limits everything below its directory, so
 * every directory from PATH up to the mount point counts. Inside a container PATH may be the
 * name that the group has on the host, where only the mount point itself, the last directory
 * on the way up, is visible: that one then holds the container's own quota. */

#include "base/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

#define MOUNT "/sys/fs/cgroup"
#define LINE_BYTES 4096
/* The number that stands for no limit is 2^63 less a page, which may be large. */
#define NO_MEMORY_LIMIT (1LL << 62)

/* Reads the first line of ROOT/DIRECTORY/NAME, without its newline; returns false when there
 * is none. */
static bool read_line(const char *root, const char *directory, const char *name,
                      char line[LINE_BYTES])
{
    char path[2 * LINE_BYTES];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, directory, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(line, LINE_BYTES, file) != NULL;
    fclose(file);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read;
}

/* Reads a number and moves *text past it; returns 0 for anything but a positive number. */
static long long take_positive(const char **text)
{
    char *end;
    long long value = strtoll(*text, &end, 10);
    bool found = end != *text && value > 0;
    *text = end;
    return found ? value : 0;
}

/* Returns ceil(quota / period), a number of processors; 0 when there is no quota. */
static long long to_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return ADL_MIN(quota / period + (quota % period != 0), INT_MAX);
}

static long long quota_v2(const char *root, const char *directory)
{
    char line[LINE_BYTES];
    const char *text = line;
    if (!read_line(root, directory, "cpu.max", line))
        return 0;
    long long quota = take_positive(&text), period = take_positive(&text);
    return to_cpus(quota, period);
}

static long long quota_v1(const char *root, const char *directory)
{
    char quota[LINE_BYTES], period[LINE_BYTES];
    const char *quota_text = quota, *period_text = period;
    if (!read_line(root, directory, "cpu.cfs_quota_us", quota) ||
        !read_line(root, directory, "cpu.cfs_period_us", period))
        return 0;
    return to_cpus(take_positive(&quota_text), take_positive(&period_text));
}

static long long memory_v2(const char *root, const char *directory)
{
    char line[LINE_BYTES];
    const char *text = line;
    return read_line(root, directory, "memory.max", line) ? take_positive(&text) : 0;
}

static long long memory_v1(const char *root, const char *directory)
{
    char line[LINE_BYTES];
    const char *text = line;
    long long bytes =
        read_line(root, directory, "memory.limit_in_bytes", line) ? take_positive(&text) : 0;
    return bytes < NO_MEMORY_LIMIT ? bytes : 0;
}

/* Returns the smaller of two limits, where 0 stands for no limit and is the largest. */
static long long smaller_limit(long long a, long long b)
{
    return a == 0 ? b : b == 0 ? a : ADL_MIN(a, b);
}

/* Returns the smallest limit of `path` below `mount` and of the directories above it, up to
 * and including the mount point. */
static long long smallest_limit(const char *root, const char *mount, const char *path,
                                long long (*limit_of)(const char *root, const char *directory))
{
    char directory[2 * LINE_BYTES];
    size_t mount_bytes = strlen(mount);
    long long least = 0;

    /* A path that leads out of the namespace, such as "/../other", is not mounted here. */
    if (strstr(path, "/.."))
        path = "";
    int length = snprintf(directory, sizeof directory, "%s%s", mount, path);
    if (length < 0 || (size_t)length >= sizeof directory)
        return 0;
    for (;;) {
        least = smaller_limit(least, limit_of(root, directory));
        char *slash = strrchr(directory, '/');
        if ((size_t)(slash - directory) < mount_bytes)
            return least;
        *slash = '\0';
    }
}

/* Returns whether the comma-separated list has the controller. */
static bool has_controller(const char *controllers, const char *wanted)
{
    for (const char *name = controllers; *name;) {
        size_t length = strcspn(name, ",");
        if (length == strlen(wanted) && !memcmp(name, wanted, length))
            return true;
        name += length + (name[length] == ',');
    }
    return false;
}

/* What is limited. */
struct resource {
    const char *controller; /* its name in version 1 */
    long long (*v1)(const char *root, const char *directory);
    long long (*v2)(const char *root, const char *directory);
};

static long long find_limit(const char *root, const struct resource *resource)
{
    char line[LINE_BYTES], path[LINE_BYTES + 32], mount[LINE_BYTES + 32];
    long long least = 0;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    /* ID:CONTROLLERS:PATH; the path may hold colons, the controllers may not. */
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        controllers++;
        *group++ = '\0';
        if (!*controllers) {
            least = smaller_limit(least, smallest_limit(root, MOUNT, group, resource->v2));
        } else if (has_controller(controllers, resource->controller)) {
            snprintf(mount, sizeof mount, MOUNT "/%s", resource->controller);
            least = smaller_limit(least, smallest_limit(root, mount, group, resource->v1));
            snprintf(mount, sizeof mount, MOUNT "/%s", controllers);
            least = smaller_limit(least, smallest_limit(root, mount, group, resource->v1));
        }
    }
    fclose(file);
    return least;
}

int adl_cgroup_cpus(const char *root)
{
    return (int)find_limit(root, &(struct resource){"cpu", quota_v1, quota_v2});
}

long long adl_cgroup_memory(const char *root)
{
    return find_limit(root, &(struct resource){"memory", memory_v1, memory_v2});
}
