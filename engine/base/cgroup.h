#ifndef ADL_BASE_CGROUP_H
#define ADL_BASE_CGROUP_H

/* The CPU time and the memory that Linux's control groups leave to this process. */

/* Returns the number of processors that the CPU quota of this process's control group amounts
 * to: ceil(quota / period), the smallest over the group and all its ancestors, at least 1; 0
 * when there is no quota or it cannot be read. Cgroups of version 1 and of version 2 are
 * supported.
 *
 * `root` stands in for the root directory: "" on a real system, a directory with
 * proc/self/cgroup and sys/fs/cgroup/ in a test. */
int adl_cgroup_cpus(const char *root);

/* Returns the bytes of memory that the control groups leave, found in the same way; 0 when there is
 * no limit. */
long long adl_cgroup_memory(const char *root);

#endif
