#ifndef ADL_BASE_CGROUP_H
#define ADL_BASE_CGROUP_H

/* The CPU time that Linux's control groups leave this process. */

/* The number of processors that the CPU quota of this process's control group amounts to:
 * ceil(quota / period), the smallest over the group and all its ancestors, at least 1; 0
 * when there is no quota or it cannot be read. Versions 1 and 2 of cgroups.
 *
 * `root` stands in for the root directory: "" on a real system, a directory with
 * proc/self/cgroup and sys/fs/cgroup/ in a test. */
int adl_cgroup_cpus(const char *root);

#endif
