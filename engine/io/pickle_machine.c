/* The pickle machine's input, stack, memo and containers.
 *
 * Values live in the arena of the result, since the stack, the memo and several containers
 * may all point to the same value: values are freed only all together. Texts are not copied
 * but point into the pickle. The stack and the memo are plain arrays that end with the
 * machine. Nothing here recurses, so nesting cannot exhaust the C stack. */

#include "io/pickle_machine.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

struct adl_pickle_value adl_machine_mark = {.kind = ADL_PICKLE_OPAQUE};
struct adl_pickle_value adl_machine_none = {.kind = ADL_PICKLE_NONE};
struct adl_pickle_value adl_machine_true = {.kind = ADL_PICKLE_BOOL, .boolean = true};
struct adl_pickle_value adl_machine_false = {.kind = ADL_PICKLE_BOOL, .boolean = false};
struct adl_pickle_value adl_machine_empty_tuple = {.kind = ADL_PICKLE_TUPLE};
struct adl_pickle_value adl_machine_opaque = {.kind = ADL_PICKLE_OPAQUE};
struct adl_pickle_value adl_machine_blob = {.kind = ADL_PICKLE_BLOB};

int adl_machine_fail_at(struct adl_machine *m, const char *what)
{
    adl_fail(m->err, ADL_ERR_FORMAT, "corrupt pickle: %s at byte %zu", what, m->opcode_offset);
    return -1;
}

static int fail_values(struct adl_machine *m)
{
    adl_fail(m->err, ADL_ERR_LIMIT, "the pickle has more than %d values", ADL_LIMIT_PICKLE_VALUES);
    return -1;
}

/* --- input ----------------------------------------------------------------- */

int adl_machine_take_bytes(struct adl_machine *m, size_t count, const unsigned char **bytes)
{
    if (count > m->length - m->offset)
        return adl_machine_fail_at(m, "it ends within an opcode");
    if (count > ADL_LIMIT_PICKLE_BYTES - (m->offset - m->skipped))
        return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle is larger than %zu bytes",
                        ADL_LIMIT_PICKLE_BYTES);
    *bytes = m->bytes + m->offset;
    m->offset += count;
    return 0;
}

int adl_machine_skip_bytes(struct adl_machine *m, size_t count)
{
    if (count > m->length - m->offset)
        return adl_machine_fail_at(m, "it ends within an opcode");
    m->offset += count;
    m->skipped += count;
    return 0;
}

int adl_machine_take_number(struct adl_machine *m, size_t width, uint64_t *number)
{
    const unsigned char *bytes;
    if (adl_machine_take_bytes(m, width, &bytes) < 0)
        return -1;
    *number = 0;
    for (size_t i = 0; i < width; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return 0;
}

/* --- values, stack and memo ------------------------------------------------ */

struct adl_pickle_value *adl_machine_new_value(struct adl_machine *m, enum adl_pickle_kind kind)
{
    if (m->value_count >= ADL_LIMIT_PICKLE_VALUES) {
        fail_values(m);
        return NULL;
    }
    struct adl_pickle_value *value = adl_arena_alloc(m->values, 1, sizeof *value);
    if (!value) {
        adl_fail_nomem(m->err, "the pickle's values");
        return NULL;
    }
    m->value_count++;
    value->kind = kind;
    return value;
}

char *adl_machine_new_text(struct adl_machine *m, size_t size)
{
    /* Five bytes of opcodes are enough to build a long text from the memo once more. */
    if (size > ADL_LIMIT_PICKLE_COPIED_BYTES - m->copied_bytes) {
        adl_fail(m->err, ADL_ERR_LIMIT, "the pickle's globals have names of more than %zu bytes",
                 ADL_LIMIT_PICKLE_COPIED_BYTES);
        return NULL;
    }
    char *text = adl_arena_alloc(m->values, size, 1);
    if (!text)
        adl_fail_nomem(m->err, "the pickle's values");
    else
        m->copied_bytes += size;
    return text;
}

int adl_machine_note_persid(struct adl_machine *m, struct adl_pickle_value *persid)
{
    if (m->persid_count == m->persid_capacity) {
        size_t capacity = ADL_MAX(m->persid_capacity * 2, (size_t)64);
        struct adl_pickle_value **grown = adl_arena_alloc(m->values, capacity, sizeof *grown);
        if (!grown)
            return adl_fail_nomem(m->err, "the pickle's values");
        if (m->persid_count)
            memcpy(grown, m->persids, m->persid_count * sizeof *grown);
        m->persids = grown;
        m->persid_capacity = capacity;
    }
    m->persids[m->persid_count++] = persid;
    return 0;
}

int adl_machine_push(struct adl_machine *m, struct adl_pickle_value *value)
{
    if (!value)
        return -1;
    if (m->depth >= ADL_LIMIT_PICKLE_STACK)
        return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle needs a stack of more than %d values",
                        ADL_LIMIT_PICKLE_STACK);
    struct adl_pickle_value **stack =
        adl_array_grow(m->stack, &m->stack_capacity, m->depth + 1, sizeof *stack);
    if (!stack)
        return adl_fail_nomem(m->err, "the pickle's stack");
    m->stack = stack;
    m->stack[m->depth++] = value;
    return 0;
}

struct adl_pickle_value *adl_machine_top(struct adl_machine *m)
{
    if (!m->depth || m->stack[m->depth - 1] == &adl_machine_mark) {
        adl_machine_fail_at(m, "the stack is empty");
        return NULL;
    }
    return m->stack[m->depth - 1];
}

struct adl_pickle_value *adl_machine_pop(struct adl_machine *m)
{
    struct adl_pickle_value *value = adl_machine_top(m);
    if (value)
        m->depth--;
    return value;
}

int adl_machine_count_to_mark(struct adl_machine *m, size_t *count)
{
    for (size_t depth = m->depth; depth > 0; depth--) {
        if (m->stack[depth - 1] == &adl_machine_mark) {
            *count = m->depth - depth;
            return 0;
        }
    }
    return adl_machine_fail_at(m, "there is no mark");
}

void adl_machine_drop_to_mark(struct adl_machine *m, size_t count)
{
    m->depth -= count + 1;
}

int adl_machine_put_memo(struct adl_machine *m, uint64_t index)
{
    struct adl_pickle_value *value = adl_machine_top(m);
    if (!value)
        return -1;
    if (index >= ADL_LIMIT_PICKLE_MEMO)
        return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle's memo has more than %d entries",
                        ADL_LIMIT_PICKLE_MEMO);
    if (index >= m->memo_capacity) {
        size_t old = m->memo_capacity;
        struct adl_pickle_value **memo =
            adl_array_grow(m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *memo);
        if (!memo)
            return adl_fail_nomem(m->err, "the pickle's memo");
        memset(memo + old, 0, (m->memo_capacity - old) * sizeof *memo);
        m->memo = memo;
    }
    m->memo_count += !m->memo[index];
    m->memo[index] = value;
    return 0;
}

int adl_machine_get_memo(struct adl_machine *m, uint64_t index)
{
    if (index >= m->memo_capacity || !m->memo[index])
        return adl_machine_fail_at(m, "it reads a memo entry that was never written");
    return adl_machine_push(m, m->memo[index]);
}

/* --- containers ------------------------------------------------------------ */

/* Makes room for `more` items. The old list stays in the arena; since the capacity at least
 * doubles, all old lists together are no larger than the new one. */
static int grow_items(struct adl_machine *m, struct adl_pickle_value *into, size_t more)
{
    size_t needed = into->count + more;
    if (needed <= into->capacity)
        return 0;
    size_t capacity = ADL_MAX(needed, (size_t)into->capacity * 2);
    if (capacity > UINT32_MAX)
        return adl_fail(m->err, ADL_ERR_LIMIT, "a container of the pickle is too large");
    struct adl_pickle_value **items = adl_arena_alloc(m->values, capacity, sizeof *items);
    if (!items)
        return adl_fail_nomem(m->err, "the pickle's values");
    if (into->count)
        memcpy(items, into->items, into->count * sizeof *items);
    into->items = items;
    into->capacity = (uint32_t)capacity;
    return 0;
}

int adl_machine_append_items(struct adl_machine *m, struct adl_pickle_value *into,
                             struct adl_pickle_value **items, size_t count)
{
    /* Items count as values: otherwise a few opcodes could append a value of the memo without
     * bound. */
    m->value_count += count;
    if (m->value_count > ADL_LIMIT_PICKLE_VALUES)
        return fail_values(m);
    if (grow_items(m, into, count) < 0)
        return -1;
    if (count)
        memcpy(into->items + into->count, items, count * sizeof *items);
    into->count += (uint32_t)count;
    return 0;
}

struct adl_pickle_value *adl_machine_new_container(struct adl_machine *m, enum adl_pickle_kind kind,
                                                   struct adl_pickle_value **items, size_t count)
{
    struct adl_pickle_value *value = adl_machine_new_value(m, kind);
    return value && adl_machine_append_items(m, value, items, count) == 0 ? value : NULL;
}

int adl_machine_make_tuple(struct adl_machine *m, size_t count)
{
    for (size_t i = 1; i <= count; i++)
        if (i > m->depth || m->stack[m->depth - i] == &adl_machine_mark)
            return adl_machine_fail_at(m, "the stack is empty");
    struct adl_pickle_value *tuple =
        count ? adl_machine_new_container(m, ADL_PICKLE_TUPLE, m->stack + m->depth - count, count)
              : &adl_machine_empty_tuple;
    m->depth -= count;
    return adl_machine_push(m, tuple);
}

int adl_machine_make_marked_tuple(struct adl_machine *m)
{
    size_t count;
    if (adl_machine_count_to_mark(m, &count) < 0 || adl_machine_make_tuple(m, count) < 0)
        return -1;
    /* The mark still lies below the new tuple, which replaces it. */
    m->stack[m->depth - 2] = m->stack[m->depth - 1];
    m->depth--;
    return 0;
}

static int extend(struct adl_machine *m, struct adl_pickle_value *into, enum adl_pickle_kind kind,
                  struct adl_pickle_value **items, size_t count)
{
    if (into->kind == ADL_PICKLE_CALL || into->kind == ADL_PICKLE_OPAQUE)
        return 0;
    if (into->kind != kind)
        return adl_machine_fail_at(m, "items are added to something that holds none");
    return adl_machine_append_items(m, into, items, count);
}

int adl_machine_extend_marked(struct adl_machine *m, enum adl_pickle_kind kind)
{
    size_t count;
    if (adl_machine_count_to_mark(m, &count) < 0)
        return -1;
    if (m->depth < count + 2 || m->stack[m->depth - count - 2] == &adl_machine_mark)
        return adl_machine_fail_at(m, "there is nothing to add to");
    struct adl_pickle_value *into = m->stack[m->depth - count - 2];
    if (kind == ADL_PICKLE_DICT && count % 2)
        return adl_machine_fail_at(m, "a key has no value");
    if (extend(m, into, kind, m->stack + m->depth - count, count) < 0)
        return -1;
    adl_machine_drop_to_mark(m, count);
    return 0;
}

int adl_machine_extend_top(struct adl_machine *m, enum adl_pickle_kind kind)
{
    size_t count = kind == ADL_PICKLE_DICT ? 2 : 1;
    struct adl_pickle_value *items[2];
    for (size_t i = count; i-- > 0;)
        if (!(items[i] = adl_machine_pop(m)))
            return -1;
    struct adl_pickle_value *into = adl_machine_top(m);
    return into ? extend(m, into, kind, items, count) : -1;
}
