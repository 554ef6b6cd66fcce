/* Detects the processor's instruction sets: on x86 with the compiler's CPUID helpers, which, unlike
 * the bare instruction, also check that the operating system saves the wide registers when it
 * switches threads, without which AVX must not be used; on ARM from what the kernel tells every
 * process (getauxval). */

#include "base/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* The sets that this program has kernels for, the best first. */
#if defined(__x86_64__)
static const enum adl_isa best_first[] = {ADL_ISA_AVX512, ADL_ISA_AVX2, ADL_ISA_GENERIC};
#define NAMES "generic, avx2 or avx512"
#elif defined(__aarch64__)
static const enum adl_isa best_first[] = {ADL_ISA_NEON, ADL_ISA_GENERIC};
#define NAMES "generic or neon"
#else
static const enum adl_isa best_first[] = {ADL_ISA_GENERIC};
#define NAMES "generic"
#endif
#define SETS (sizeof best_first / sizeof *best_first)

const char *adl_isa_name(enum adl_isa isa)
{
    switch (isa) {
    case ADL_ISA_AUTO: return "auto";
    case ADL_ISA_GENERIC: return "generic";
    case ADL_ISA_NEON: return "neon";
    case ADL_ISA_AVX2: return "avx2";
    case ADL_ISA_AVX512: return "avx512";
    }
    return "unknown";
}

bool adl_isa_built(enum adl_isa isa)
{
    for (size_t i = 0; i < SETS; i++)
        if (isa == best_first[i])
            return true;
    return isa == ADL_ISA_AUTO;
}

bool adl_isa_available(enum adl_isa isa)
{
    switch (isa) {
    case ADL_ISA_AUTO:
    case ADL_ISA_GENERIC: return true;
    /* Every processor of 64 bits has it. */
    case ADL_ISA_NEON: return adl_isa_built(isa);
#if defined(__x86_64__)
    case ADL_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case ADL_ISA_AVX512:
        return adl_isa_available(ADL_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    case ADL_ISA_AVX2:
    case ADL_ISA_AVX512: return false;
#endif
    }
    return false;
}

bool adl_cpu_has_vnni(void)
{
#if defined(__x86_64__)
    return adl_isa_available(ADL_ISA_AVX512) && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

bool adl_cpu_has_avx512_bf16(void)
{
#if defined(__x86_64__)
    return adl_isa_available(ADL_ISA_AVX512) && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

bool adl_cpu_has_avx_vnni(void)
{
#if defined(__x86_64__)
    /* Leaf 7, subleaf 1 of CPUID: bit 4 of EAX. It needs no other support of the operating system
     * than AVX2 does. */
    unsigned eax = 0, ebx, ecx, edx;
    return adl_isa_available(ADL_ISA_AVX2) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
#else
    return false;
#endif
}

bool adl_cpu_has_dotprod(void)
{
#if defined(__aarch64__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
    return false;
#endif
}

int adl_isa_choose(enum adl_isa wanted, enum adl_isa *isa, struct adl_error *err)
{
    const char *forced = getenv("ADL_CPU");

    if (wanted == ADL_ISA_AUTO && forced && *forced) {
        for (size_t i = 0; i < SETS; i++)
            if (strcmp(forced, adl_isa_name(best_first[i])) == 0)
                wanted = best_first[i];
        if (wanted == ADL_ISA_AUTO)
            return adl_fail(err, ADL_ERR_ARG, "ADL_CPU is '%s'; use " NAMES, ADL_SHORT(forced));
    }
    if (wanted == ADL_ISA_AUTO)
        for (size_t i = 0; wanted == ADL_ISA_AUTO; i++)
            if (adl_isa_available(best_first[i]))
                wanted = best_first[i];
    if (!adl_isa_available(wanted))
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "this processor has no %s (%s)",
                        adl_isa_name(wanted), adl_cpu_name());
    *isa = wanted;
    return 0;
}

static char name[64];

#if defined(__x86_64__)
/* Leaves 0x80000002 to 0x80000004 of CPUID hold the name, 16 bytes each. */
static void read_name(void)
{
    unsigned words[12];
    char text[49] = {0};

    strcpy(name, "x86-64");
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    memcpy(text, words, 48);
    /* Some processors pad the name with blanks on either side. */
    const char *from = text + strspn(text, " ");
    size_t length = strlen(from);
    while (length > 0 && from[length - 1] == ' ')
        length--;
    memcpy(name, from, length);
    name[length] = '\0';
}
#elif defined(__aarch64__)
/* Who designed the processor, and its number among that maker's, are in the register MIDR_EL1,
 * which the kernel lets programs read. Where cores differ it is that of the core that this runs
 * on. */
static void read_name(void)
{
    static const struct {
        unsigned part;
        const char *name;
    } arm[] = {
        {0xd03, "Cortex-A53"},  {0xd05, "Cortex-A55"},   {0xd07, "Cortex-A57"},
        {0xd08, "Cortex-A72"},  {0xd0b, "Cortex-A76"},   {0xd0c, "Neoverse-N1"},
        {0xd40, "Neoverse-V1"}, {0xd42, "Cortex-A78AE"}, {0xd49, "Neoverse-N2"},
        {0xd4f, "Neoverse-V2"},
    };
    unsigned long midr;

    strcpy(name, "AArch64");
    if (!(getauxval(AT_HWCAP) & HWCAP_CPUID))
        return;
    __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
    unsigned maker = midr >> 24 & 0xff, part = midr >> 4 & 0xfff;
    snprintf(name, sizeof name, "AArch64 (implementer 0x%02x, part 0x%03x)", maker, part);
    for (size_t i = 0; maker == 'A' && i < sizeof arm / sizeof *arm; i++)
        if (part == arm[i].part)
            snprintf(name, sizeof name, "ARM %s", arm[i].name);
}
#else
static void read_name(void)
{
    strcpy(name, "unknown processor");
}
#endif

const char *adl_cpu_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_name);
    return name;
}
