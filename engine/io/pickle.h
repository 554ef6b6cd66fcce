#ifndef ADL_IO_PICKLE_H
#define ADL_IO_PICKLE_H

/* Python pickles as plain values, without executing anything: a global only
 * yields its name, a call only its callable and arguments. Reads protocols 2 to
 * 5 as far as torch.save() uses them.
 * https://docs.python.org/3/library/pickletools.html */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum adl_pickle_kind {
    ADL_PICKLE_NONE,
    ADL_PICKLE_BOOL,
    ADL_PICKLE_INT,
    ADL_PICKLE_LONG, /* an integer beyond 64 bits, little-endian two's complement */
    ADL_PICKLE_FLOAT,
    ADL_PICKLE_TEXT,
    ADL_PICKLE_BYTES,
    ADL_PICKLE_BLOB, /* text or bytes beyond ADL_LIMIT_PICKLE_STRING_BYTES; content dropped */
    ADL_PICKLE_TUPLE,
    ADL_PICKLE_LIST,
    ADL_PICKLE_DICT,   /* items are key, value, key, value, ...; OrderedDict too */
    ADL_PICKLE_GLOBAL, /* "module\nname" */
    ADL_PICKLE_PERSID, /* items[0] identifies something outside the pickle */
    ADL_PICKLE_CALL,   /* items[0] would have been called with items[1] */
    ADL_PICKLE_OPAQUE  /* anything else; its content is dropped */
};

struct adl_pickle_value {
    enum adl_pickle_kind kind;
    uint32_t count;    /* bytes of text, items of a container */
    uint32_t capacity; /* of items */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *text; /* within the pickle or the arena; no NUL at its end */
        struct adl_pickle_value **items;
    };
};

struct adl_pickle {
    const struct adl_pickle_value *root;
    struct adl_pickle_value **persids; /* every PERSID, in order of appearance */
    size_t persid_count;
    size_t length;           /* bytes read, including the last opcode */
    struct adl_arena values; /* owns all of it */
};

/* Reads one pickle from the start of `bytes`, which must outlive the result.
 * Fails with FORMAT when it is corrupt, UNSUPPORTED at an opcode that no
 * state_dict needs, LIMIT over the limits. Release in either case; containers
 * may hold themselves, so follow values only as deep as is meant. */
int adl_pickle_load(struct adl_pickle *pickle, const void *bytes, size_t length,
                    struct adl_error *err) ADL_MUST_CHECK;
void adl_pickle_release(struct adl_pickle *pickle);

bool adl_pickle_is_text(const struct adl_pickle_value *value, const char *text);
bool adl_pickle_is_global(const struct adl_pickle_value *value, const char *module,
                          const char *name);
/* The last value of that key, as Python would have it; NULL without one or when
 * `dict` is no dict. */
const struct adl_pickle_value *adl_pickle_get(const struct adl_pickle_value *dict, const char *key);

#endif
