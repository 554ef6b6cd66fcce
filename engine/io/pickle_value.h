#ifndef ADL_IO_PICKLE_VALUE_H
#define ADL_IO_PICKLE_VALUE_H

/* The values that a pickle is made of, as plain data: a global is only a name, a call
 * only its callable and its arguments. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    ADL_PICKLE_GLOBAL, /* text is "module\nname" */
    ADL_PICKLE_PERSID, /* persistent id: items[0] identifies something outside the pickle */
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
        const char *text; /* within the pickle or the arena; not terminated */
        struct adl_pickle_value **items;
    };
};

/* Return whether the value is exactly that text, or the global of that module and name. */
bool adl_pickle_is_text(const struct adl_pickle_value *value, const char *text);
bool adl_pickle_is_global(const struct adl_pickle_value *value, const char *module,
                          const char *name);
/* Returns the value of a key, the last one if the key was set twice, as in Python; NULL if
 * the key is absent or `dict` is not a dict. */
const struct adl_pickle_value *adl_pickle_get(const struct adl_pickle_value *dict, const char *key);

#endif
