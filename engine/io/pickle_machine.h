#ifndef ADL_IO_PICKLE_MACHINE_H
#define ADL_IO_PICKLE_MACHINE_H

/* The stack machine that the opcodes of pickle.c drive: its input, its stack, its memo and
 * the containers that are being filled. Private to io/pickle*.c. A function that returns -1
 * or NULL has set the error. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "io/pickle_value.h"

struct adl_machine {
    struct adl_arena *values; /* owns every value, and the lists of items */
    const unsigned char *bytes;
    size_t length, offset; /* of the pickle; of the next byte to be read */
    size_t skipped;        /* bytes before `offset` that adl_machine_skip_bytes passed over; the
                              others are at most ADL_LIMIT_PICKLE_BYTES */
    size_t opcode_offset;  /* of the opcode being executed, for messages */
    struct adl_pickle_value **stack;
    size_t depth, stack_capacity;
    struct adl_pickle_value **memo; /* memo[index], NULL where nothing was stored */
    size_t memo_count, memo_capacity;
    size_t value_count;  /* values and items made so far, at most ADL_LIMIT_PICKLE_VALUES */
    size_t copied_bytes; /* of text, at most ADL_LIMIT_PICKLE_COPIED_BYTES */
    struct adl_pickle_value **persids; /* in the arena */
    size_t persid_count, persid_capacity;
    struct adl_error *err;
};

/* The mark: on the stack only, below the first item of a container. */
extern struct adl_pickle_value adl_machine_mark;
/* Values without content exist once and are shared; nothing writes to them. */
extern struct adl_pickle_value adl_machine_none, adl_machine_true, adl_machine_false,
    adl_machine_empty_tuple, adl_machine_opaque, adl_machine_blob;

/* Sets ADL_ERR_FORMAT with a message that gives the offset of the opcode; returns -1. */
int adl_machine_fail_at(struct adl_machine *m, const char *what);

/* The only functions that advance the input. adl_machine_take_bytes sets *bytes to the next
 * `count` bytes and counts them against ADL_LIMIT_PICKLE_BYTES; it fails with ADL_ERR_FORMAT
 * beyond the end and with ADL_ERR_LIMIT. adl_machine_skip_bytes passes over bytes without
 * counting them. adl_machine_take_number reads a little-endian unsigned number of `width`
 * bytes, at most 8. */
int adl_machine_take_bytes(struct adl_machine *m, size_t count, const unsigned char **bytes);
int adl_machine_skip_bytes(struct adl_machine *m, size_t count);
int adl_machine_take_number(struct adl_machine *m, size_t width, uint64_t *number);

/* Make a zeroed value of that kind, and one with a copy of these items; neither is pushed. */
struct adl_pickle_value *adl_machine_new_value(struct adl_machine *m, enum adl_pickle_kind kind);
struct adl_pickle_value *adl_machine_new_container(struct adl_machine *m, enum adl_pickle_kind kind,
                                                   struct adl_pickle_value **items, size_t count);
int adl_machine_append_items(struct adl_machine *m, struct adl_pickle_value *into,
                             struct adl_pickle_value **items, size_t count);

/* Allocates `size` bytes for a text that has to be put together; all other texts are used
 * where they are in the pickle. Fails with ADL_ERR_LIMIT beyond ADL_LIMIT_PICKLE_COPIED_BYTES
 * in total. */
char *adl_machine_new_text(struct adl_machine *m, size_t size);

/* Appends to m->persids. */
int adl_machine_note_persid(struct adl_machine *m, struct adl_pickle_value *persid);

/* Pushes a value. NULL counts as a failure that was already reported, so that the result of
 * adl_machine_new_value can be pushed without a check. */
int adl_machine_push(struct adl_machine *m, struct adl_pickle_value *value);
/* Return the value on top of the stack; adl_machine_pop removes it. Fail with ADL_ERR_FORMAT
 * if there is none above the last mark. */
struct adl_pickle_value *adl_machine_top(struct adl_machine *m);
struct adl_pickle_value *adl_machine_pop(struct adl_machine *m);

/* Set *count to the number of values above the last mark, and remove that many together with
 * the mark. */
int adl_machine_count_to_mark(struct adl_machine *m, size_t *count);
void adl_machine_drop_to_mark(struct adl_machine *m, size_t count);

/* Store the value on top of the stack in the memo, without removing it, and push a stored
 * value. */
int adl_machine_put_memo(struct adl_machine *m, uint64_t index);
int adl_machine_get_memo(struct adl_machine *m, uint64_t index);

/* Replace the `count` values on top of the stack, or the last mark and the values above it,
 * by their tuple. */
int adl_machine_make_tuple(struct adl_machine *m, size_t count);
int adl_machine_make_marked_tuple(struct adl_machine *m);

/* Move the values above the last mark, or the value on top (for a dict the two on top, key
 * and value), into the container below them, which has to be of that kind. What is added to a
 * call or an opaque value is dropped, since the contents of unknown objects do not matter. */
int adl_machine_extend_marked(struct adl_machine *m, enum adl_pickle_kind kind);
int adl_machine_extend_top(struct adl_machine *m, enum adl_pickle_kind kind);

#endif
