#ifndef ADL_BASE_MEM_H
#define ADL_BASE_MEM_H

/* Memory from the heap. mem.c is the only caller of malloc: every block is aligned to 64
 * bytes (a cache line, and an AVX-512 register), is counted, and any allocation can be made
 * to fail, so that tests can let each one fail in turn. All functions are thread-safe. */

#include <stdint.h>

#include "base/error.h"

#include <stddef.h>

#define ADL_ALIGNMENT 64

/* Floats in a cache line: rows padded to a multiple of it begin on a line of their own. */
#define ADL_LINE_FLOATS (ADL_ALIGNMENT / sizeof(float))

/* Allocates `count` uninitialised objects of `size` bytes; zero bytes give a valid block.
 * Returns NULL when out of memory or when the product overflows. */
void *adl_malloc(size_t count, size_t size) ADL_MUST_CHECK;

/* As adl_malloc, but the memory is zeroed. */
void *adl_calloc(size_t count, size_t size) ADL_MUST_CHECK;

/* Grows or shrinks `block` (may be NULL) to `count` objects of `size` bytes. On failure
 * returns NULL, and `block` stays valid. */
void *adl_realloc(void *block, size_t count, size_t size) ADL_MUST_CHECK;

/* Makes room for `needed` elements of `size` bytes in the growing array `items`, which holds
 * *capacity of them (NULL and 0 at first). The capacity at least doubles, so that appending n
 * elements one by one copies O(n) of them; new elements are uninitialised. Returns the array,
 * moved or not, to be stored in place of `items`; NULL when out of memory, and then `items`
 * stays valid and *capacity unchanged. */
void *adl_array_grow(void *items, size_t *capacity, size_t needed, size_t size) ADL_MUST_CHECK;

/* Return a copy of `text` up to its NUL, or of its first `length` bytes with a NUL after
 * them; NULL when out of memory. To be freed by adl_free. */
char *adl_strdup(const char *text) ADL_MUST_CHECK;
char *adl_strndup(const char *text, size_t length) ADL_MUST_CHECK;

/* Requests huge pages for a block, before it is first written: for large blocks that are read
 * throughout, such as packed weights, where huge pages save TLB misses. Only a hint. */
void adl_mem_large_pages(void *block, size_t bytes);

/* Frees a block; NULL is fine. */
void adl_free(void *block);

/* For a process that runs for long and decodes images, whose blocks are large and short-lived: they
 * go back to the system as soon as they are freed. A hint, for glibc's heap. */
void adl_mem_return_early(void);
/* Keeps the heap from being divided among more than `count` groups of threads. To be called before
 * they start. A hint, for glibc's heap. */
void adl_mem_limit_arenas(int count);
/* Returns the pages of freed blocks to the system, as far as the C library can. */
void adl_mem_trim(void);

struct adl_mem_stats {
    size_t live_bytes;  /* allocated and not yet freed */
    size_t peak_bytes;  /* the largest live_bytes so far */
    size_t live_blocks; /* blocks not yet freed */
    uint64_t calls;     /* allocations since the start, failed ones too */
};

struct adl_mem_stats adl_mem_stats(void);

/* For tests: makes the n-th allocation from now fail (1: the next one; 0: none). */
void adl_mem_fail_nth(uint64_t n);

/* Sets ADL_ERR_NOMEM with the message "out of memory for WHAT"; evaluates to -1. */
#define adl_fail_nomem(err, what) adl_fail((err), ADL_ERR_NOMEM, "out of memory for %s", (what))

#endif
