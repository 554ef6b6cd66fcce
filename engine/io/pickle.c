/* The stack machine of the pickle format. Values are built in an arena; text
 * stays where it is in the pickle. Nothing here recurses. */

#include "io/pickle.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

enum opcode {
    OP_MARK = '(',
    OP_EMPTY_TUPLE = ')',
    OP_STOP = '.',
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_NEWOBJ = 0x81,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_LONG4 = 0x8b,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_BINBYTES8 = 0x8e,
    OP_EMPTY_SET = 0x8f,
    OP_ADDITEMS = 0x90,
    OP_FROZENSET = 0x91,
    OP_NEWOBJ_EX = 0x92,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
};

struct machine {
    struct adl_pickle *pickle;
    const unsigned char *bytes;
    size_t length, at; /* the length is at most ADL_LIMIT_PICKLE_BYTES */
    bool cut;          /* there are more bytes than that */
    size_t opcode_at;  /* of the opcode being executed, for messages */
    struct adl_pickle_value **stack;
    size_t depth, stack_capacity;
    struct adl_pickle_value **memo; /* NULL where nothing was put */
    size_t memo_count, memo_capacity;
    size_t value_count;
    size_t persid_capacity;
    struct adl_error *err;
};

/* On the stack only: where the items of a container begin. */
static struct adl_pickle_value mark_value = {.kind = ADL_PICKLE_OPAQUE};

/* Values without content are shared; nothing ever writes to them. */
static struct adl_pickle_value none_value = {.kind = ADL_PICKLE_NONE};
static struct adl_pickle_value true_value = {.kind = ADL_PICKLE_BOOL, .boolean = true};
static struct adl_pickle_value false_value = {.kind = ADL_PICKLE_BOOL, .boolean = false};
static struct adl_pickle_value empty_tuple_value = {.kind = ADL_PICKLE_TUPLE};
static struct adl_pickle_value opaque_value = {.kind = ADL_PICKLE_OPAQUE};

static int fail_at(struct machine *m, const char *what)
{
    adl_fail(m->err, ADL_ERR_FORMAT, "corrupt pickle: %s at byte %zu", what, m->opcode_at);
    return -1;
}

static int fail_values(struct machine *m)
{
    adl_fail(m->err, ADL_ERR_LIMIT, "the pickle has more than %d values", ADL_LIMIT_PICKLE_VALUES);
    return -1;
}

/* --- input ----------------------------------------------------------------- */

static int take_bytes(struct machine *m, size_t count, const unsigned char **bytes)
{
    if (count > m->length - m->at) {
        if (m->cut)
            adl_fail(m->err, ADL_ERR_LIMIT, "the pickle is larger than %zu bytes",
                     ADL_LIMIT_PICKLE_BYTES);
        return fail_at(m, "it ends within an opcode");
    }
    *bytes = m->bytes + m->at;
    m->at += count;
    return 0;
}

/* A little-endian unsigned number of `width` bytes. */
static int take_number(struct machine *m, size_t width, uint64_t *number)
{
    const unsigned char *bytes;
    if (take_bytes(m, width, &bytes) < 0)
        return -1;
    *number = 0;
    for (size_t i = 0; i < width; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return 0;
}

/* --- values, stack and memo ------------------------------------------------ */

static struct adl_pickle_value *new_value(struct machine *m, enum adl_pickle_kind kind)
{
    if (m->value_count >= ADL_LIMIT_PICKLE_VALUES) {
        fail_values(m);
        return NULL;
    }
    struct adl_pickle_value *value = adl_arena_alloc(&m->pickle->values, 1, sizeof *value);
    if (!value) {
        adl_fail_nomem(m->err, "the pickle's values");
        return NULL;
    }
    m->value_count++;
    value->kind = kind;
    return value;
}

static int push(struct machine *m, struct adl_pickle_value *value)
{
    if (!value)
        return -1;
    if (m->depth == m->stack_capacity) {
        if (m->depth >= ADL_LIMIT_PICKLE_STACK)
            return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle needs a stack of more than %d",
                            ADL_LIMIT_PICKLE_STACK);
        size_t capacity = ADL_MAX(m->stack_capacity * 2, (size_t)256);
        struct adl_pickle_value **stack = adl_realloc(m->stack, capacity, sizeof *stack);
        if (!stack)
            return adl_fail_nomem(m->err, "the pickle's stack");
        m->stack = stack;
        m->stack_capacity = capacity;
    }
    m->stack[m->depth++] = value;
    return 0;
}

static struct adl_pickle_value *top(struct machine *m)
{
    if (!m->depth || m->stack[m->depth - 1] == &mark_value) {
        fail_at(m, "the stack is empty");
        return NULL;
    }
    return m->stack[m->depth - 1];
}

static struct adl_pickle_value *pop(struct machine *m)
{
    struct adl_pickle_value *value = top(m);
    if (value)
        m->depth--;
    return value;
}

/* The number of values above the last mark; they stay until drop_to_mark(). */
static int count_to_mark(struct machine *m, size_t *count)
{
    for (size_t at = m->depth; at > 0; at--) {
        if (m->stack[at - 1] == &mark_value) {
            *count = m->depth - at;
            return 0;
        }
    }
    return fail_at(m, "there is no mark");
}

static void drop_to_mark(struct machine *m, size_t count)
{
    m->depth -= count + 1;
}

static int put_memo(struct machine *m, uint64_t index)
{
    struct adl_pickle_value *value = top(m);
    if (!value)
        return -1;
    if (index >= ADL_LIMIT_PICKLE_MEMO)
        return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle remembers more than %d values",
                        ADL_LIMIT_PICKLE_MEMO);
    if (index >= m->memo_capacity) {
        size_t capacity = ADL_MAX(m->memo_capacity * 2, (size_t)index + 256);
        struct adl_pickle_value **memo = adl_realloc(m->memo, capacity, sizeof *memo);
        if (!memo)
            return adl_fail_nomem(m->err, "the pickle's memo");
        memset(memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof *memo);
        m->memo = memo;
        m->memo_capacity = capacity;
    }
    m->memo_count += !m->memo[index];
    m->memo[index] = value;
    return 0;
}

static int get_memo(struct machine *m, uint64_t index)
{
    if (index >= m->memo_capacity || !m->memo[index])
        return fail_at(m, "it recalls a value it never remembered");
    return push(m, m->memo[index]);
}

/* --- containers ------------------------------------------------------------ */

static int grow_items(struct machine *m, struct adl_pickle_value *into, size_t more)
{
    size_t needed = into->count + more;
    if (needed <= into->capacity)
        return 0;
    size_t capacity = ADL_MAX(needed, (size_t)into->capacity * 2);
    if (capacity > UINT32_MAX)
        return adl_fail(m->err, ADL_ERR_LIMIT, "a container of the pickle is too large");
    struct adl_pickle_value **items = adl_arena_alloc(&m->pickle->values, capacity, sizeof *items);
    if (!items)
        return adl_fail_nomem(m->err, "the pickle's values");
    if (into->count)
        memcpy(items, into->items, into->count * sizeof *items);
    into->items = items;
    into->capacity = (uint32_t)capacity;
    return 0;
}

static int append_items(struct machine *m, struct adl_pickle_value *into,
                        struct adl_pickle_value **items, size_t count)
{
    /* Repeated appending of few remembered values must stay bounded as well. */
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

static struct adl_pickle_value *new_container(struct machine *m, enum adl_pickle_kind kind,
                                              struct adl_pickle_value **items, size_t count)
{
    struct adl_pickle_value *value = new_value(m, kind);
    return value && append_items(m, value, items, count) == 0 ? value : NULL;
}

static int make_tuple(struct machine *m, size_t count)
{
    for (size_t i = 1; i <= count; i++)
        if (i > m->depth || m->stack[m->depth - i] == &mark_value)
            return fail_at(m, "the stack is empty");
    struct adl_pickle_value *tuple =
        count ? new_container(m, ADL_PICKLE_TUPLE, m->stack + m->depth - count, count)
              : &empty_tuple_value;
    m->depth -= count;
    return push(m, tuple);
}

static int make_marked_tuple(struct machine *m)
{
    size_t count;
    if (count_to_mark(m, &count) < 0 || make_tuple(m, count) < 0)
        return -1;
    /* The mark lies below the new tuple. */
    m->stack[m->depth - 2] = m->stack[m->depth - 1];
    m->depth--;
    return 0;
}

/* Calls and opaque values swallow what is added to them: what an unknown object
 * holds is of no interest. */
static int extend(struct machine *m, struct adl_pickle_value *into, enum adl_pickle_kind kind,
                  struct adl_pickle_value **items, size_t count)
{
    if (into->kind == ADL_PICKLE_CALL || into->kind == ADL_PICKLE_OPAQUE)
        return 0;
    if (into->kind != kind)
        return fail_at(m, "items are added to something that holds none");
    return append_items(m, into, items, count);
}

/* Puts the values above the last mark into the container below it. */
static int extend_marked(struct machine *m, enum adl_pickle_kind kind)
{
    size_t count;
    if (count_to_mark(m, &count) < 0)
        return -1;
    if (m->depth < count + 2 || m->stack[m->depth - count - 2] == &mark_value)
        return fail_at(m, "there is nothing to add to");
    struct adl_pickle_value *into = m->stack[m->depth - count - 2];
    if (kind == ADL_PICKLE_DICT && count % 2)
        return fail_at(m, "a key has no value");
    if (extend(m, into, kind, m->stack + m->depth - count, count) < 0)
        return -1;
    drop_to_mark(m, count);
    return 0;
}

/* The same for the value, or key and value, on top. */
static int extend_top(struct machine *m, enum adl_pickle_kind kind)
{
    size_t count = kind == ADL_PICKLE_DICT ? 2 : 1;
    struct adl_pickle_value *items[2];
    for (size_t i = count; i-- > 0;)
        if (!(items[i] = pop(m)))
            return -1;
    struct adl_pickle_value *into = top(m);
    return into ? extend(m, into, kind, items, count) : -1;
}

/* --- opcodes --------------------------------------------------------------- */

static int push_integer(struct machine *m, int64_t integer)
{
    struct adl_pickle_value *value = new_value(m, ADL_PICKLE_INT);
    if (value)
        value->integer = integer;
    return push(m, value);
}

/* LONG1 and LONG4: two's complement of any width. */
static int push_long(struct machine *m, size_t width)
{
    uint64_t length;
    const unsigned char *bytes;
    if (take_number(m, width, &length) < 0 || take_bytes(m, (size_t)length, &bytes) < 0)
        return -1;
    if (length > 8) {
        struct adl_pickle_value *value = new_value(m, ADL_PICKLE_LONG);
        if (value) {
            value->text = (const char *)bytes;
            value->count = (uint32_t)length;
        }
        return push(m, value);
    }
    uint64_t number = length && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)length; i-- > 0;)
        number = number << 8 | bytes[i];
    return push_integer(m, (int64_t)number);
}

static int push_float(struct machine *m)
{
    const unsigned char *bytes;
    uint64_t bits = 0;
    if (take_bytes(m, 8, &bytes) < 0)
        return -1;
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    struct adl_pickle_value *value = new_value(m, ADL_PICKLE_FLOAT);
    if (value)
        memcpy(&value->real, &bits, sizeof bits);
    return push(m, value);
}

static int push_text(struct machine *m, enum adl_pickle_kind kind, size_t width)
{
    uint64_t length;
    const unsigned char *bytes;
    if (take_number(m, width, &length) < 0)
        return -1;
    if (kind == ADL_PICKLE_TEXT && length > ADL_LIMIT_PICKLE_STRING_BYTES)
        return adl_fail(m->err, ADL_ERR_LIMIT,
                        "the pickle has a string of %llu bytes, the limit is %zu",
                        (unsigned long long)length, ADL_LIMIT_PICKLE_STRING_BYTES);
    if (take_bytes(m, (size_t)length, &bytes) < 0)
        return -1;
    struct adl_pickle_value *value = new_value(m, kind);
    if (value) {
        value->text = (const char *)bytes;
        value->count = (uint32_t)length;
    }
    return push(m, value);
}

/* GLOBAL: two lines, module and name; kept as they are, without the last end. */
static int push_global(struct machine *m)
{
    const unsigned char *from = m->bytes + m->at, *first, *second;
    first = memchr(from, '\n', m->length - m->at);
    second = first ? memchr(first + 1, '\n', m->length - m->at - (size_t)(first + 1 - from)) : NULL;
    if (!second)
        return fail_at(m, "it ends within a name");
    size_t length = (size_t)(second - from);
    if (length > ADL_LIMIT_PICKLE_STRING_BYTES)
        return adl_fail(m->err, ADL_ERR_LIMIT, "the pickle names a global of %zu bytes", length);
    struct adl_pickle_value *value = new_value(m, ADL_PICKLE_GLOBAL);
    if (!value)
        return -1;
    value->text = (const char *)from;
    value->count = (uint32_t)length;
    m->at += length + 1;
    return push(m, value);
}

static int push_stack_global(struct machine *m)
{
    struct adl_pickle_value *name = pop(m), *module = name ? pop(m) : NULL;
    if (!module)
        return -1;
    if (name->kind != ADL_PICKLE_TEXT || module->kind != ADL_PICKLE_TEXT)
        return fail_at(m, "the name of a global is no text");
    char *text = adl_arena_alloc(&m->pickle->values, (size_t)module->count + name->count + 1, 1);
    if (!text)
        return adl_fail_nomem(m->err, "the pickle's values");
    memcpy(text, module->text, module->count);
    text[module->count] = '\n';
    memcpy(text + module->count + 1, name->text, name->count);
    struct adl_pickle_value *value = new_value(m, ADL_PICKLE_GLOBAL);
    if (value) {
        value->text = text;
        value->count = module->count + name->count + 1;
    }
    return push(m, value);
}

static int push_persid(struct machine *m)
{
    struct adl_pickle_value *id = pop(m);
    struct adl_pickle_value *value = id ? new_container(m, ADL_PICKLE_PERSID, &id, 1) : NULL;
    if (!value)
        return -1;
    struct adl_pickle *pickle = m->pickle;
    if (pickle->persid_count == m->persid_capacity) {
        size_t capacity = ADL_MAX(m->persid_capacity * 2, (size_t)64);
        struct adl_pickle_value **grown = adl_arena_alloc(&pickle->values, capacity, sizeof *grown);
        if (!grown)
            return adl_fail_nomem(m->err, "the pickle's values");
        if (pickle->persid_count)
            memcpy(grown, pickle->persids, pickle->persid_count * sizeof *grown);
        pickle->persids = grown;
        m->persid_capacity = capacity;
    }
    pickle->persids[pickle->persid_count++] = value;
    return push(m, value);
}

/* OrderedDict(), and OrderedDict([[key, value], ...]) as Python 2 wrote it. */
static int push_ordered_dict(struct machine *m, const struct adl_pickle_value *args)
{
    struct adl_pickle_value *dict = new_value(m, ADL_PICKLE_DICT);
    const struct adl_pickle_value *pairs = args->count ? args->items[0] : NULL;
    if (!dict)
        return -1;
    if (pairs && pairs->kind != ADL_PICKLE_LIST)
        return fail_at(m, "an OrderedDict is not made from a list");
    for (size_t i = 0; pairs && i < pairs->count; i++) {
        const struct adl_pickle_value *pair = pairs->items[i];
        if ((pair->kind != ADL_PICKLE_LIST && pair->kind != ADL_PICKLE_TUPLE) || pair->count != 2)
            return fail_at(m, "an OrderedDict is not made from pairs");
        if (append_items(m, dict, pair->items, 2) < 0)
            return -1;
    }
    return push(m, dict);
}

static int push_call(struct machine *m, size_t arguments)
{
    struct adl_pickle_value *made[2];
    struct adl_pickle_value *keywords = arguments == 2 ? pop(m) : &none_value;
    made[1] = keywords ? pop(m) : NULL;
    made[0] = made[1] ? pop(m) : NULL;
    if (!made[0])
        return -1;
    if (made[1]->kind == ADL_PICKLE_TUPLE &&
        adl_pickle_is_global(made[0], "collections", "OrderedDict"))
        return push_ordered_dict(m, made[1]);
    return push(m, new_container(m, ADL_PICKLE_CALL, made, 2));
}

/* Executes one opcode; *done at the last one. */
static int step(struct machine *m, bool *done)
{
    const unsigned char *opcode, *skipped;
    uint64_t number;
    size_t count;

    m->opcode_at = m->at;
    if (take_bytes(m, 1, &opcode) < 0)
        return -1;
    switch (*opcode) {
    case OP_PROTO:
        if (take_number(m, 1, &number) < 0)
            return -1;
        if (number < 2 || number > 5)
            return adl_fail(m->err, ADL_ERR_UNSUPPORTED, "pickle protocol %u is not 2 to 5",
                            (unsigned)number);
        return 0;
    case OP_FRAME: return take_bytes(m, 8, &skipped);
    case OP_STOP: *done = true; return 0;

    case OP_NONE: return push(m, &none_value);
    case OP_NEWTRUE: return push(m, &true_value);
    case OP_NEWFALSE: return push(m, &false_value);
    case OP_BININT1: return take_number(m, 1, &number) < 0 ? -1 : push_integer(m, (int64_t)number);
    case OP_BININT2: return take_number(m, 2, &number) < 0 ? -1 : push_integer(m, (int64_t)number);
    case OP_BININT:
        return take_number(m, 4, &number) < 0 ? -1 : push_integer(m, (int32_t)(uint32_t)number);
    case OP_LONG1: return push_long(m, 1);
    case OP_LONG4: return push_long(m, 4);
    case OP_BINFLOAT: return push_float(m);
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINUNICODE: return push_text(m, ADL_PICKLE_TEXT, 1);
    case OP_BINSTRING:
    case OP_BINUNICODE: return push_text(m, ADL_PICKLE_TEXT, 4);
    case OP_BINUNICODE8: return push_text(m, ADL_PICKLE_TEXT, 8);
    case OP_SHORT_BINBYTES: return push_text(m, ADL_PICKLE_BYTES, 1);
    case OP_BINBYTES: return push_text(m, ADL_PICKLE_BYTES, 4);
    case OP_BINBYTES8: return push_text(m, ADL_PICKLE_BYTES, 8);

    case OP_MARK: return push(m, &mark_value);
    case OP_EMPTY_TUPLE: return push(m, &empty_tuple_value);
    case OP_TUPLE1: return make_tuple(m, 1);
    case OP_TUPLE2: return make_tuple(m, 2);
    case OP_TUPLE3: return make_tuple(m, 3);
    case OP_TUPLE: return make_marked_tuple(m);
    case OP_EMPTY_LIST: return push(m, new_value(m, ADL_PICKLE_LIST));
    case OP_APPEND: return extend_top(m, ADL_PICKLE_LIST);
    case OP_APPENDS: return extend_marked(m, ADL_PICKLE_LIST);
    case OP_EMPTY_DICT: return push(m, new_value(m, ADL_PICKLE_DICT));
    case OP_SETITEM: return extend_top(m, ADL_PICKLE_DICT);
    case OP_SETITEMS: return extend_marked(m, ADL_PICKLE_DICT);
    case OP_EMPTY_SET: return push(m, &opaque_value);
    case OP_ADDITEMS: return extend_marked(m, ADL_PICKLE_OPAQUE);
    case OP_FROZENSET:
        if (count_to_mark(m, &count) < 0)
            return -1;
        drop_to_mark(m, count);
        return push(m, &opaque_value);

    case OP_BINPUT: return take_number(m, 1, &number) < 0 ? -1 : put_memo(m, number);
    case OP_LONG_BINPUT: return take_number(m, 4, &number) < 0 ? -1 : put_memo(m, number);
    case OP_MEMOIZE: return put_memo(m, m->memo_count);
    case OP_BINGET: return take_number(m, 1, &number) < 0 ? -1 : get_memo(m, number);
    case OP_LONG_BINGET: return take_number(m, 4, &number) < 0 ? -1 : get_memo(m, number);

    case OP_GLOBAL: return push_global(m);
    case OP_STACK_GLOBAL: return push_stack_global(m);
    case OP_BINPERSID: return push_persid(m);
    case OP_REDUCE:
    case OP_NEWOBJ: return push_call(m, 1);
    case OP_NEWOBJ_EX: return push_call(m, 2);
    case OP_BUILD: /* the state of an object, or an OrderedDict's _metadata */
        return pop(m) && top(m) ? 0 : -1;
    default:
        return adl_fail(m->err, ADL_ERR_UNSUPPORTED,
                        "pickle opcode 0x%02x at byte %zu belongs to no state_dict", *opcode,
                        m->opcode_at);
    }
}

int adl_pickle_load(struct adl_pickle *pickle, const void *bytes, size_t length,
                    struct adl_error *err)
{
    struct machine m = {.pickle = pickle,
                        .bytes = bytes,
                        .length = ADL_MIN(length, ADL_LIMIT_PICKLE_BYTES),
                        .cut = length > ADL_LIMIT_PICKLE_BYTES,
                        .err = err};
    bool done = false;
    int result = -1;

    *pickle = (struct adl_pickle){0};
    if (!length || m.bytes[0] != OP_PROTO) {
        adl_fail(err, ADL_ERR_FORMAT, "not a pickle of protocol 2 or later");
        goto out;
    }
    while (!done)
        ADL_TRY(step(&m, &done));
    if (m.depth != 1 || !top(&m)) {
        adl_fail(err, ADL_ERR_FORMAT, "corrupt pickle: it ends with %zu values", m.depth);
        goto out;
    }
    pickle->root = m.stack[0];
    pickle->length = m.at;
    result = 0;
out:
    adl_free(m.stack);
    adl_free(m.memo);
    return result;
}

void adl_pickle_release(struct adl_pickle *pickle)
{
    adl_arena_release(&pickle->values);
    *pickle = (struct adl_pickle){0};
}

/* --- looking at values ----------------------------------------------------- */

bool adl_pickle_is_text(const struct adl_pickle_value *value, const char *text)
{
    size_t length = strlen(text);
    return value->kind == ADL_PICKLE_TEXT && value->count == length &&
           !memcmp(value->text, text, length);
}

bool adl_pickle_is_global(const struct adl_pickle_value *value, const char *module,
                          const char *name)
{
    size_t module_length = strlen(module), name_length = strlen(name);
    return value->kind == ADL_PICKLE_GLOBAL && value->count == module_length + 1 + name_length &&
           !memcmp(value->text, module, module_length) && value->text[module_length] == '\n' &&
           !memcmp(value->text + module_length + 1, name, name_length);
}

const struct adl_pickle_value *adl_pickle_get(const struct adl_pickle_value *dict, const char *key)
{
    if (dict->kind != ADL_PICKLE_DICT)
        return NULL;
    for (size_t i = dict->count; i >= 2; i -= 2)
        if (adl_pickle_is_text(dict->items[i - 2], key))
            return dict->items[i - 1];
    return NULL;
}
