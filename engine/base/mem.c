/* Counted allocations on top of the C library's.
 *
 * Sizes are those of malloc_usable_size, so that a block's size need not be stored in front
 * of it, which would cost 64 bytes to keep the alignment. The counters are relaxed atomics:
 * their values are for statistics and tests and order no other memory accesses. */

#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/size.h"

static _Atomic size_t live_bytes;
static _Atomic size_t peak_bytes;
static _Atomic size_t live_blocks;
static _Atomic uint64_t calls;
static _Atomic uint64_t failing_call; /* value of `calls` that fails; 0 = never */

static void count_in(void *block)
{
    size_t now =
        atomic_fetch_add_explicit(&live_bytes, malloc_usable_size(block), memory_order_relaxed) +
        malloc_usable_size(block);
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(
                             &peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed))
        ;
}

void *adl_malloc(size_t count, size_t size)
{
    size_t bytes, rounded;
    uint64_t call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;

    if (call == atomic_load_explicit(&failing_call, memory_order_relaxed))
        return NULL;
    if (adl_size_mul(count, size, &bytes) < 0 ||
        adl_size_round_up(bytes ? bytes : 1, ADL_ALIGNMENT, &rounded) < 0)
        return NULL;
    void *block = aligned_alloc(ADL_ALIGNMENT, rounded);
    if (block)
        count_in(block);
    return block;
}

void adl_mem_large_pages(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    /* madvise takes whole pages, which have 16 or 64 KiB on some ARM systems. */
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)block + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)block + bytes) / page * page;
    if (begin < end)
        (void)!madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}

void *adl_calloc(size_t count, size_t size)
{
    void *block = adl_malloc(count, size);
    if (block)
        memset(block, 0, count * size);
    return block;
}

void *adl_realloc(void *block, size_t count, size_t size)
{
    void *fresh = adl_malloc(count, size);
    if (!fresh || !block)
        return fresh;
    size_t old = malloc_usable_size(block);
    memcpy(fresh, block, old < count * size ? old : count * size);
    adl_free(block);
    return fresh;
}

char *adl_strndup(const char *text, size_t length)
{
    size_t bytes;
    if (adl_size_add(length, 1, &bytes) < 0)
        return NULL;
    char *copy = adl_malloc(bytes, 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

void *adl_array_grow(void *items, size_t *capacity, size_t needed, size_t size)
{
    enum { FIRST = 16 }; /* a small array would else be moved at 1, 2, 4 and 8 elements */
    if (needed <= *capacity)
        return items;
    size_t doubled = *capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * *capacity;
    size_t larger = ADL_MAX(needed, ADL_MAX(doubled, (size_t)FIRST));
    void *block = adl_realloc(items, larger, size);
    if (block)
        *capacity = larger;
    return block;
}

char *adl_strdup(const char *text)
{
    return adl_strndup(text, strlen(text));
}

void adl_free(void *block)
{
    if (!block)
        return;
    atomic_fetch_sub_explicit(&live_bytes, malloc_usable_size(block), memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    free(block);
}

/* musl's heap has nothing to set, and no block of more than 128 KiB stays in it. */

void adl_mem_return_early(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
#endif
}

void adl_mem_limit_arenas(int count)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, count);
#else
    (void)count;
#endif
}

void adl_mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

struct adl_mem_stats adl_mem_stats(void)
{
    return (struct adl_mem_stats){
        .live_bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed),
        .peak_bytes = atomic_load_explicit(&peak_bytes, memory_order_relaxed),
        .live_blocks = atomic_load_explicit(&live_blocks, memory_order_relaxed),
        .calls = atomic_load_explicit(&calls, memory_order_relaxed),
    };
}

void adl_mem_fail_nth(uint64_t n)
{
    uint64_t now = atomic_load_explicit(&calls, memory_order_relaxed);
    atomic_store_explicit(&failing_call, n ? now + n : 0, memory_order_relaxed);
}
