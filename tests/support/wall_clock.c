/* The time of day as tests want it; see wall_clock.h.
 *
 * The functions of the C library are defined once more here, so that the program and the libraries
 * that it has loaded call these: the dynamic linker takes the first definition. The shift is in a
 * file that all processes map, whose name servers get in their environment. What the kernel does by
 * the time of day, such as pthread_timedjoin_np(), still goes by the machine's: a caller that
 * computes with this one and waits by that one shows what a jump in between would do. */

#include "support/wall_clock.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VARIABLE "ADL_TEST_WALL_CLOCK"

static _Atomic int64_t *shift_s; /* NULL: the time is that of the machine */

static void map_shift(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map = fd >= 0 && ftruncate(fd, sizeof *shift_s) == 0
                    ? mmap(NULL, sizeof *shift_s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                    : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (map != MAP_FAILED)
        shift_s = map;
}

/* Before the constructor that makes a server of this process, which does not return. */
__attribute__((constructor(101))) static void follow(void)
{
    const char *path = getenv(VARIABLE);

    if (path)
        map_shift(path);
}

/* The names that the linker sees are those of the C library. */
int wall_clock_gettime(clockid_t clock, struct timespec *now) __asm__("clock_gettime");
time_t wall_time(time_t *seconds) __asm__("time");

int wall_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && shift_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += (time_t)atomic_load(shift_s);
    return result;
}

time_t wall_time(time_t *seconds)
{
    struct timespec now;

    wall_clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

void test_wall_clock_open(void)
{
    char path[300];

    snprintf(path, sizeof path, "%s/wall-clock", test_tmp_dir());
    map_shift(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(shift_s);
    setenv(VARIABLE, path, 1);
    test_wall_clock_shift(0);
}

void test_wall_clock_shift(int64_t seconds)
{
    atomic_store(shift_s, seconds);
}

void test_wall_clock_close(void)
{
    test_wall_clock_shift(0);
    unsetenv(VARIABLE);
    munmap((void *)(uintptr_t)shift_s, sizeof *shift_s);
    shift_s = NULL;
}
