#ifndef ADL_BASE_ARENA_H
#define ADL_BASE_ARENA_H

/* A region of memory that grows and is freed as a whole: for things built
 * once and kept together (a graph and its names). Not for the hot path: a
 * session's block is laid out by plan/place.c. One thread at a time. */

#include <stddef.h>

#include "base/error.h"

struct adl_arena_chunk;

struct adl_arena {
    struct adl_arena_chunk *chunks; /* newest first */
};

/* A zeroed struct is an empty arena. */
void adl_arena_release(struct adl_arena *arena);

/* `count` zeroed objects of `size` bytes, aligned to 16; NULL when out of
 * memory. They live until the arena is released. */
void *adl_arena_alloc(struct adl_arena *arena, size_t count, size_t size) ADL_MUST_CHECK;

/* Text in the arena; NULL when out of memory. */
char *adl_arena_printf(struct adl_arena *arena, const char *fmt, ...)
    ADL_PRINTF(2, 3) ADL_MUST_CHECK;

#endif
