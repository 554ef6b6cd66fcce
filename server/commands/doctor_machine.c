/* The checks of `doctor` that look at the machine: processor, threads, libraries, limits, memory
 * and time. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/cpu.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/pool.h"
#include "base/size.h"
#include "kernels/blas.h"
#include "server/commands/doctor.h"
#include "server/commands/libraries.h"

/* Descriptors of a server beside its connections: files, sockets, pipes of the libraries. */
#define OWN_FILES 64
/* Its default of --max-connections. */
#define CONNECTIONS 1024
/* Below this memory a server refuses large pictures; below the other one it may not start: the
 * largest network here takes some 600 MiB. */
#define ENOUGH_MEMORY (1536LL << 20)
#define LEAST_MEMORY (256LL << 20)
/* This program is younger; a clock that is set to an earlier time was never set. */
#define EARLIEST_YEAR 2025

void adl_doctor_processor(struct adl_doctor *d)
{
    const char *wanted = getenv("ADL_CPU");
    struct adl_error err = {0};
    enum adl_isa isa, best = ADL_ISA_GENERIC;

    for (enum adl_isa i = ADL_ISA_NEON; i <= ADL_ISA_AVX512; i++)
        if (adl_isa_available(i))
            best = i;
    if (adl_isa_choose(ADL_ISA_AUTO, &isa, &err) < 0) {
        adl_doctor_say(d, ADL_FINDING_FAIL, "unset the environment variable ADL_CPU", "%s",
                       err.message);
        return;
    }
    if (isa != best && wanted && *wanted) {
        adl_doctor_say(d, ADL_FINDING_WARN, "unset ADL_CPU to use the best instruction set",
                       "%s: ADL_CPU makes it use %s in place of %s", adl_cpu_name(),
                       adl_isa_name(isa), adl_isa_name(best));
        return;
    }
    if (isa == ADL_ISA_GENERIC) {
        adl_doctor_say(d, ADL_FINDING_WARN,
                       "use a processor with AVX2, or let the virtual machine pass it on (QEMU: "
                       "-cpu host)",
                       "%s has neither AVX2 nor AVX-512: networks run several times slower",
                       adl_cpu_name());
        return;
    }
    adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s, with %s%s%s%s%s", adl_cpu_name(),
                   adl_isa_name(isa), adl_cpu_has_dotprod() ? ", dot products of bytes" : "",
                   adl_cpu_has_vnni() ? ", VNNI" : "", adl_cpu_has_avx512_bf16() ? ", BF16" : "",
                   adl_cpu_has_avx_vnni() ? ", AVX-VNNI" : "");
}

void adl_doctor_threads(struct adl_doctor *d)
{
    const int quota = adl_cgroup_cpus(""), threads = adl_pool_default_threads();

    if (quota > 0)
        adl_doctor_say(d, ADL_FINDING_OK, NULL,
                       "%d thread%s; the control group leaves the time of %d processor%s", threads,
                       ADL_S(threads), quota, ADL_S(quota));
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%d thread%s", threads, ADL_S(threads));
}

void adl_doctor_blas(struct adl_doctor *d)
{
    struct adl_error err = {0};

    if (adl_blas_reserve(1, &err) < 0)
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       err.kind == ADL_ERR_NOMEM
                           ? "leave the process more memory: ulimit -v unlimited"
                           : "install OpenBLAS: apt-get install libopenblas0",
                       "%s", err.message);
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s, %s", adl_blas_version(), adl_blas_threading());
}

void adl_doctor_libraries(struct adl_doctor *d)
{
    struct adl_library list[ADL_LIBRARIES];
    const size_t count = adl_libraries(list);
    char text[600];
    int length = 0;

    for (size_t i = 0; i < count; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%s %s", i ? ", " : "",
                           list[i].name, list[i].version);
    adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s", text);
}

/* A server raises the soft limit to the hard one, so this is what counts. */
void adl_doctor_files(struct adl_doctor *d)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    const unsigned long long most = files.rlim_max;
    if (most < OWN_FILES)
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "raise it: ulimit -Hn 4096, or LimitNOFILE=4096 in the unit of systemd",
                       "a process may open %llu files, too few for a server", most);
    else if (most < OWN_FILES + CONNECTIONS)
        adl_doctor_say(d, ADL_FINDING_WARN,
                       "raise it (ulimit -Hn 4096, or LimitNOFILE=4096 in the unit of systemd), or "
                       "lower --max-connections",
                       "a process may open %llu files; %d connections, the default, need %d", most,
                       CONNECTIONS, OWN_FILES + CONNECTIONS);
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "a process may open %llu", most);
}

/* Returns the bytes that the kernel can still give; -1: unknown. */
static long long available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[200];
    long long kib = -1;

    while (file && kib < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld", &kib) != 1)
            kib = -1;
    if (file)
        fclose(file);
    return kib < 0 ? -1 : kib * 1024;
}

static void say_memory(struct adl_doctor *d, long long bytes, const char *what, const char *hint)
{
    const long long mib = bytes >> 20;

    if (bytes < LEAST_MEMORY)
        adl_doctor_say(d, ADL_FINDING_FAIL, hint, "%s %lld MiB, too little for most networks", what,
                       mib);
    else if (bytes < ENOUGH_MEMORY)
        adl_doctor_say(d, ADL_FINDING_WARN, hint,
                       "%s %lld MiB; with its default of --memory a server may use 1 GiB beside "
                       "its networks",
                       what, mib);
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s %lld MiB", what, mib);
}

void adl_doctor_memory(struct adl_doctor *d)
{
    const long long available = available_memory(), group = adl_cgroup_memory("");
    struct rlimit space, locked;

    if (available >= 0)
        say_memory(d, available, "the machine has",
                   "end other programs, or give serve less: --memory 256M");
    if (group > 0)
        say_memory(d, group, "the control group allows",
                   "raise the limit of the container (MemoryMax= in a unit of systemd), or give "
                   "serve less: --memory 256M");
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        say_memory(d, (long long)space.rlim_cur, "the address space may have",
                   "lift it: ulimit -v unlimited, or no LimitAS= in the unit of systemd");
    if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur == RLIM_INFINITY)
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "no limit of locked memory, of which none is used");
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%lld KiB of locked memory, of which none is used",
                       (long long)locked.rlim_cur / 1024);
}

void adl_doctor_time(struct adl_doctor *d)
{
    const time_t now = time(NULL);
    struct timex state = {0};
    struct tm parts;
    char text[40];

    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (parts.tm_year + 1900 < EARLIEST_YEAR)
        adl_doctor_say(d, ADL_FINDING_FAIL,
                       "set the clock (timedatectl set-ntp true): certificates and tokens expire "
                       "by it",
                       "the clock says %s", text);
    else if (adjtimex(&state) < 0 || state.status & STA_UNSYNC)
        adl_doctor_say(d, ADL_FINDING_WARN,
                       "timedatectl set-ntp true; certificates and tokens expire by this clock",
                       "%s, by a clock that the kernel does not know to be synchronised", text);
    else
        adl_doctor_say(d, ADL_FINDING_OK, NULL, "%s, synchronised", text);
}
