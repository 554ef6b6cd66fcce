#ifndef ADL_BASE_ARENA_H
#define ADL_BASE_ARENA_H

/* Memory that grows and is freed as a whole, for data that is built once and kept together,
 * such as a graph and its names. Not for inference, whose memory is laid out beforehand by
 * plan/place.c. One thread at a time. */

#include <stddef.h>

#include "base/error.h"

struct adl_arena_chunk;

struct adl_arena {
    struct adl_arena_chunk *chunks; /* newest first */
};

/* Frees everything in the arena and leaves it empty. A zeroed struct is an empty arena. */
void adl_arena_release(struct adl_arena *arena);

/* Returns `count` zeroed objects of `size` bytes, aligned to 16 bytes, which live until the
 * arena is released; NULL when out of memory or when the product overflows. */
void *adl_arena_alloc(struct adl_arena *arena, size_t count, size_t size) ADL_MUST_CHECK;

/* Formats a text in the arena's memory; returns NULL when out of memory. */
char *adl_arena_printf(struct adl_arena *arena, const char *fmt, ...)
    ADL_PRINTF(2, 3) ADL_MUST_CHECK;

#endif
