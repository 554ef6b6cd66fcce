#ifndef ADL_IO_PICKLE_MACHINE_H
#define ADL_IO_PICKLE_MACHINE_H

/* The machine that pickle opcodes drive: input, stack, memo, and the containers
 * being filled. Private to io/pickle*.c. A function that returns -1 or NULL has
 * set the error. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "io/pickle_value.h"

struct adl_machine {
    struct adl_arena *values; /* owns every value, and the lists of items */
    const unsigned char *bytes;
    size_t length, at;
    size_t skipped;   /* of the bytes up to `at`; the others are at most ADL_LIMIT_PICKLE_BYTES */
    size_t opcode_at; /* of the opcode being executed, for messages */
    struct adl_pickle_value **stack;
    size_t depth, stack_capacity;
    struct adl_pickle_value **memo; /* NULL where nothing was put */
    size_t memo_count, memo_capacity;
    size_t value_count;
    size_t copied_bytes;               /* of text, at most ADL_LIMIT_PICKLE_COPIED_BYTES */
    struct adl_pickle_value **persids; /* in the arena */
    size_t persid_count, persid_capacity;
    struct adl_error *err;
};

/* On the stack only: where the items of a container begin. */
extern struct adl_pickle_value adl_machine_mark;
/* Values without content are shared; nothing ever writes to them. */
extern struct adl_pickle_value adl_machine_none, adl_machine_true, adl_machine_false,
    adl_machine_empty_tuple, adl_machine_opaque, adl_machine_blob;

/* FORMAT, with the place of the opcode; returns -1. */
int adl_machine_fail_at(struct adl_machine *m, const char *what);

/* The next bytes of the pickle; the same, unseen; a little-endian unsigned number
 * of `width`. */
int adl_machine_take_bytes(struct adl_machine *m, size_t count, const unsigned char **bytes);
int adl_machine_skip_bytes(struct adl_machine *m, size_t count);
int adl_machine_take_number(struct adl_machine *m, size_t width, uint64_t *number);

/* A zeroed value of that kind, not yet on the stack; NULL on failure. */
struct adl_pickle_value *adl_machine_new_value(struct adl_machine *m, enum adl_pickle_kind kind);
struct adl_pickle_value *adl_machine_new_container(struct adl_machine *m, enum adl_pickle_kind kind,
                                                   struct adl_pickle_value **items, size_t count);
int adl_machine_append_items(struct adl_machine *m, struct adl_pickle_value *into,
                             struct adl_pickle_value **items, size_t count);

/* `size` bytes for text that has to be put together; NULL on failure. Everything
 * else stays where it is in the pickle. */
char *adl_machine_new_text(struct adl_machine *m, size_t size);

/* Appends to m->persids. */
int adl_machine_note_persid(struct adl_machine *m, struct adl_pickle_value *persid);

/* NULL is passed on as a failure, so that a value may be pushed as it is made. */
int adl_machine_push(struct adl_machine *m, struct adl_pickle_value *value);
/* The value on top; NULL when there is none above the last mark. */
struct adl_pickle_value *adl_machine_top(struct adl_machine *m);
struct adl_pickle_value *adl_machine_pop(struct adl_machine *m);

/* The number of values above the last mark; they stay until they are dropped,
 * and the mark with them. */
int adl_machine_count_to_mark(struct adl_machine *m, size_t *count);
void adl_machine_drop_to_mark(struct adl_machine *m, size_t count);

int adl_machine_put_memo(struct adl_machine *m, uint64_t index);
int adl_machine_get_memo(struct adl_machine *m, uint64_t index);

/* A tuple of the `count` values on top, or of those above the last mark. */
int adl_machine_make_tuple(struct adl_machine *m, size_t count);
int adl_machine_make_marked_tuple(struct adl_machine *m);

/* Puts the values above the last mark, or the one on top (key and value for a
 * dict), into the container below them, which must be of that kind. Calls and
 * opaque values swallow what is added to them: what an unknown object holds is
 * of no interest. */
int adl_machine_extend_marked(struct adl_machine *m, enum adl_pickle_kind kind);
int adl_machine_extend_top(struct adl_machine *m, enum adl_pickle_kind kind);

#endif
