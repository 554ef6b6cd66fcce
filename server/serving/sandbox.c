/* Enters a sandbox: limits of resources, and a filter of system calls (seccomp, see
 * Documentation/userspace-api/seccomp_filter.rst of Linux).
 *
 * The filter is a list of what is allowed. It is written here as instructions of the kernel's small
 * machine, since it is so short; libseccomp would be a dependency for forty lines. What a number
 * means depends on the architecture, so that is checked first, and on x86-64 so is the bit of the
 * x32 calls, which have numbers of their own. Of arguments only the low 32 bits matter here: a
 * descriptor is an int, and the protection of memory has three bits.
 *
 * What is not in the list and why: nothing that opens, since the only descriptor has to stay the
 * socket; no sendmsg() and no recvmsg(), which can pass descriptors; no mmap() or mprotect() that
 * makes memory executable; no kill(), ptrace(); no prctl() but for the name of a thread, since it
 * could undo what is set here; no clone() but of a thread, to which all of this applies as well:
 * libde265, by which libheif decodes HEIC, does nothing without one. clone3() has its flags where a
 * filter cannot look, so it is said not to exist, and the C library takes clone(). That the
 * processors cannot be counted makes dav1d, which decodes AVIF, work without threads. Clocks are
 * read without a call, except where the kernel has no fast way. */

#include "server/serving/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/size.h"

#if defined __x86_64__
#define THIS_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000u /* of calls of the x32 ABI */
#elif defined __aarch64__
#define THIS_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x40000000u /* there is no such call */
#endif

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED true
#else
#define SANITIZED false
#endif

#ifdef THIS_ARCH

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The low half, on machines whose low byte comes first, as both architectures here. */
#define LOAD_ARGUMENT(i) LOAD(args[i])
#define END(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define KILL END(SECCOMP_RET_KILL_PROCESS)
#define ALLOW END(SECCOMP_RET_ALLOW)
/* Skips the next instruction unless the loaded value is this one; skips it if a bit is set. */
#define IF_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define UNLESS_BIT(bit) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bit), 1, 0)
#define WITHOUT_BIT(bit) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(unsigned)(bit))
/* Skips so many instructions unless the number of the call is this one. */
#define IF_CALL(name, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)__NR_##name, 0, (skip))
#define LET(name) IF_CALL(name, 1), ALLOW
/* Allows a call whose argument is this value, or does not have this bit. */
#define LET_EQUAL(name, argument, value)                                                           \
    IF_CALL(name, 4), LOAD_ARGUMENT(argument), IF_EQUAL(value), ALLOW, KILL
#define LET_WITHOUT(name, argument, bit)                                                           \
    IF_CALL(name, 4), LOAD_ARGUMENT(argument), UNLESS_BIT(bit), ALLOW, KILL

/* What pthread_create() asks of clone(). */
#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |            \
     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static int filter_calls(int fd)
{
    const struct sock_filter program[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
        KILL,
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FOREIGN_BIT, 0, 1),
        KILL,
        /* the conversation */
        LET_EQUAL(recvfrom, 0, (unsigned)fd),
        LET_EQUAL(sendto, 0, (unsigned)fd),
        /* memory */
        LET(brk),
        LET_WITHOUT(mmap, 2, PROT_EXEC),
        LET_WITHOUT(mprotect, 2, PROT_EXEC),
        LET(munmap),
        LET(mremap),
        LET(madvise),
        LET(sysinfo), /* glibc's qsort() asks for the memory of the machine */
        /* waiting for a lock that nobody holds, and the end */
        LET(futex),
        /* a thread */
        IF_CALL(clone, 5),
        LOAD_ARGUMENT(0),
        WITHOUT_BIT(CLONE_DETACHED), /* musl sets it, and Linux ignores it */
        IF_EQUAL(THREAD_FLAGS),
        ALLOW,
        KILL,
        IF_CALL(clone3, 1),
        END(SECCOMP_RET_ERRNO | ENOSYS),
        LET(set_robust_list),
        LET(rseq),
        LET(rt_sigprocmask),
        LET_EQUAL(prctl, 0, PR_SET_NAME),
        IF_CALL(sched_getaffinity, 1),
        END(SECCOMP_RET_ERRNO | ENOSYS),
        LET(sched_yield),
        LET(clock_gettime),
        LET(restart_syscall),
        LET(rt_sigreturn),
        LET(exit),
        LET(exit_group),
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
        /* what a sanitizer needs to say what it has found */
        LET_EQUAL(write, 0, STDERR_FILENO),
        LET(getpid),
        LET(gettid),
        LET(sigaltstack),
#else
        /* dav1d complains on a standard error that is closed */
        IF_CALL(write, 4),
        LOAD_ARGUMENT(0),
        IF_EQUAL(STDERR_FILENO),
        END(SECCOMP_RET_ERRNO | EBADF),
        KILL,
#endif
        KILL,
    };
    const struct sock_fprog filter = {
        .len = (unsigned short)ADL_COUNT(program),
        .filter = (struct sock_filter *)(uintptr_t)program,
    };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

#else

static int filter_calls(int fd)
{
    (void)fd;
    errno = ENOSYS;
    return -1;
}

#endif

/* Returns the bytes of addresses that the process has; 0 if that is not known. */
static size_t address_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (file && fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int limit_resources(size_t memory)
{
    const struct rlimit zero = {0, 0}, bytes = {memory + address_bytes(), memory + address_bytes()};

    if (setrlimit(RLIMIT_CORE, &zero) < 0 || setrlimit(RLIMIT_FSIZE, &zero) < 0 ||
        setrlimit(RLIMIT_MEMLOCK, &zero) < 0 || setrlimit(RLIMIT_MSGQUEUE, &zero) < 0)
        return -1;
    /* A sanitizer reserves terabytes of addresses. */
    if (!SANITIZED && setrlimit(RLIMIT_AS, &bytes) < 0)
        return -1;
    /* At last, for reading the size takes a descriptor. Those that are open stay. */
    return setrlimit(RLIMIT_NOFILE, &zero);
}

/* How long a thread that was joined may still be listed. */
#define LISTED_MS 1000

/* The filter is for the thread that installs it and those that it starts. A library that started
 * one when it was loaded would have it outside. In /proc, each thread is a directory, which stays
 * for a moment after pthread_join() has returned, on a busy machine for longer. */
static bool is_alone(void)
{
    struct stat info;

    for (int ms = 0; !SANITIZED && ms <= LISTED_MS; ms++) {
        if (stat("/proc/self/task", &info) == 0 && info.st_nlink == 3)
            return true;
        poll(NULL, 0, 1);
    }
    return SANITIZED;
}

int adl_sandbox_enter(int fd, size_t memory, struct adl_error *err)
{
    if (!is_alone())
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "the process has other threads");
    if (limit_resources(memory) < 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "resources cannot be limited: %s",
                        strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "privileges cannot be given up: %s",
                        strerror(errno));
    if (filter_calls(fd) < 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "system calls cannot be filtered: %s",
                        strerror(errno));
    return 0;
}
