#ifndef ADL_BASE_HASH_H
#define ADL_BASE_HASH_H

/* FNV-1a, 64 bits: a fast hash of short texts, for tables and for seeds of random numbers.
 * Whoever chooses the texts can make them collide, so a table of untrusted names starts from
 * a random number in place of ADL_FNV_BASIS.
 * Source: Fowler, Noll, Vo, draft-eastlake-fnv, section 2. */

#include <stdint.h>

#define ADL_FNV_BASIS UINT64_C(0xcbf29ce484222325)

/* Returns the hash of `text` up to its NUL, continuing from `hash`. */
static inline uint64_t adl_hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
