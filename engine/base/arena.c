/* An arena: memory that is allocated piece by piece and freed all at once.
 *
 * It is a list of chunks of at least 64 KiB from the heap. An allocation takes the next bytes
 * of the newest chunk (a pointer is moved, nothing is searched); what no longer fits begins a
 * new chunk, of exactly its size if it is larger than 64 KiB, and the rest of the old chunk
 * is given up. So an allocation costs a few instructions, blocks that are made together lie
 * together, and code that builds a graph or a pickle's values needs no cleanup path for each
 * of them. The price is that nothing can be freed singly. */

#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define CHUNK_BYTES ((size_t)64 * 1024) /* without its head */

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
    va_list args, copy;
    va_start(args, fmt);
    va_copy(copy, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : adl_arena_alloc(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, fmt, copy);
    va_end(copy);
    return text;
}
