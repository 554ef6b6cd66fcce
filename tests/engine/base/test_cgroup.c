/* base/cgroup: CPU quotas in directories that stand in for /proc and /sys. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cgroup.h"
#include "base/size.h"

/* Writes ROOT/PATH, and the directories above it. */
static void put(const char *root, const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *at = full + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(full, 0777);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

struct file {
    const char *path, *text;
};

/* Whether these files, in a root of their own, amount to `cpus` processors. */
static void expect(const char *name, const struct file *files, size_t count, int cpus)
{
    char root[512];
    snprintf(root, sizeof root, "%s/cgroup_%s", test_tmp_dir(), name);
    for (size_t i = 0; i < count; i++)
        put(root, files[i].path, files[i].text);
    int got = adl_cgroup_cpus(root);
    if (got != cpus)
        TEST_FAIL("%s: %d processors, not %d", name, got, cpus);
    else
        CU_PASS("");
}
#define EXPECT(name, cpus, ...)                                                                    \
    expect(name, (const struct file[]){__VA_ARGS__},                                               \
           sizeof((const struct file[]){__VA_ARGS__}) / sizeof(struct file), cpus)

#define GROUP "proc/self/cgroup"
#define V2 "sys/fs/cgroup/"
#define V1 "sys/fs/cgroup/cpu/"

static void version_two(void)
{
    EXPECT("two", 2, {GROUP, "0::/a.slice/b.scope\n"},
           {V2 "a.slice/b.scope/cpu.max", "200000 100000\n"});
    EXPECT("rounds_up", 3, {GROUP, "0::/a\n"}, {V2 "a/cpu.max", "200001 100000\n"});
    EXPECT("at_least_one", 1, {GROUP, "0::/a\n"}, {V2 "a/cpu.max", "1000 100000\n"});
    EXPECT("none", 0, {GROUP, "0::/a\n"}, {V2 "a/cpu.max", "max 100000\n"});
    EXPECT("parent", 4, {GROUP, "0::/a/b\n"}, {V2 "a/b/cpu.max", "max 100000\n"},
           {V2 "a/cpu.max", "400000 100000\n"});
    EXPECT("smallest", 2, {GROUP, "0::/a/b/c\n"}, {V2 "a/b/c/cpu.max", "600000 100000\n"},
           {V2 "a/b/cpu.max", "100000 50000\n"}, {V2 "a/cpu.max", "500000 100000\n"});
    /* A container's own group is the mount point, with and without a namespace. */
    EXPECT("namespace", 2, {GROUP, "0::/\n"}, {V2 "cpu.max", "200000 100000\n"});
    EXPECT("host_path", 2, {GROUP, "0::/docker/0123\n"}, {V2 "cpu.max", "200000 100000\n"});
    EXPECT("outside", 2, {GROUP, "0::/../other\n"}, {V2 "cpu.max", "200000 100000\n"},
           {"sys/fs/other/cpu.max", "100000 100000\n"});
    EXPECT("colon", 5, {GROUP, "0::/a:b\n"}, {V2 "a:b/cpu.max", "500000 100000"});
}

static void version_one(void)
{
    EXPECT("v1", 2, {GROUP, "3:memory:/a\n2:cpu,cpuacct:/a\n"},
           {V1 "a/cpu.cfs_quota_us", "150000\n"}, {V1 "a/cpu.cfs_period_us", "100000\n"});
    EXPECT("v1_none", 0, {GROUP, "2:cpu:/a\n"}, {V1 "a/cpu.cfs_quota_us", "-1\n"},
           {V1 "a/cpu.cfs_period_us", "100000\n"});
    EXPECT("v1_parent", 3, {GROUP, "2:cpuacct,cpu:/a/b\n"}, {V1 "a/b/cpu.cfs_quota_us", "-1\n"},
           {V1 "a/b/cpu.cfs_period_us", "100000\n"}, {V1 "cpu.cfs_quota_us", "300000\n"},
           {V1 "cpu.cfs_period_us", "100000\n"});
    EXPECT("v1_joined", 2, {GROUP, "2:cpu,cpuacct:/a\n"},
           {V2 "cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n"},
           {V2 "cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"});
    /* Other controllers whose names only begin alike say nothing. */
    EXPECT("v1_other", 0, {GROUP, "2:cpuset:/a\n1:cpuacct:/a\n"},
           {V1 "a/cpu.cfs_quota_us", "200000\n"}, {V1 "a/cpu.cfs_period_us", "100000\n"});
    /* Both versions at once, as systemd's hybrid layout: the quota is v1's. */
    EXPECT("hybrid", 6, {GROUP, "2:cpu:/a\n0::/a\n"}, {V1 "a/cpu.cfs_quota_us", "600000\n"},
           {V1 "a/cpu.cfs_period_us", "100000\n"});
}

static void nonsense_is_no_quota(void)
{
    CU_ASSERT_EQUAL(adl_cgroup_cpus("/no/such/root"), 0);
    static const char *const texts[] = {"",    "\n",    "200000",        "0 100000",
                                        "5 0", "-5 -1", "max",           "many 100000",
                                        "1 x", " ",     "200000 -100000"};
    for (size_t i = 0; i < ADL_COUNT(texts); i++) {
        char name[32];
        snprintf(name, sizeof name, "nonsense%zu", i);
        EXPECT(name, 0, {GROUP, "0::/a\n"}, {V2 "a/cpu.max", texts[i]});
    }
    EXPECT("lines", 0, {GROUP, "\n:\nx\n0:\n0:cpu\n::\n"});
    EXPECT("huge", 2147483647, {GROUP, "0::/\n"}, {V2 "cpu.max", "9223372036854775807 1\n"});
    CU_ASSERT(adl_cgroup_cpus("") >= 0);
}

TEST_SUITE(cgroup, {"version 2", version_two}, {"version 1", version_one},
           {"nonsense is no quota", nonsense_is_no_quota});
