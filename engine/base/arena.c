/* A growing region: a list of chunks, bump allocation within the newest. */

#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

struct adl_arena_chunk {
    struct adl_arena_chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(16) unsigned char data[];
};

void adl_arena_release(struct adl_arena *arena)
{
    struct adl_arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct adl_arena_chunk *next = chunk->next;
        adl_free(chunk);
        chunk = next;
    }
    arena->chunks = NULL;
}

void *adl_arena_alloc(struct adl_arena *arena, size_t count, size_t size)
{
    size_t bytes, rounded, total;
    if (adl_size_mul(count, size, &bytes) < 0 || adl_size_round_up(bytes, 16, &rounded) < 0)
        return NULL;

    struct adl_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->capacity - chunk->used < rounded) {
        size_t capacity = ADL_MAX(rounded, CHUNK_BYTES);
        if (adl_size_add(sizeof *chunk, capacity, &total) < 0)
            return NULL;
        chunk = adl_malloc(total, 1);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        chunk->used = 0;
        chunk->capacity = capacity;
        arena->chunks = chunk;
    }
    void *block = chunk->data + chunk->used;
    chunk->used += rounded;
    memset(block, 0, bytes);
    return block;
}

char *adl_arena_printf(struct adl_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : adl_arena_alloc(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}
