/* Executes the opcodes of Python's pickle format that PyTorch writes.
 *
 * A pickle is a program for a small stack machine, and running it builds the object. An
 * opcode is one byte, followed by its arguments. For example {"epoch": 3} in protocol 2 is
 *
 *   80 02               PROTO 2
 *   7d                  EMPTY_DICT       stack: {}
 *   58 05 00 00 00 ...  BINUNICODE       stack: {} "epoch"
 *   4b 03               BININT1          stack: {} "epoch" 3
 *   73                  SETITEM          stack: {"epoch": 3}
 *   2e                  STOP             the value on the stack is the result
 *
 * Lists and tuples of many items begin with a MARK; a later opcode pops everything above it.
 * The memo is a numbered store for values that occur several times (BINPUT, BINGET). GLOBAL
 * and STACK_GLOBAL push a function or class by name, REDUCE and NEWOBJ call it; since any
 * function may be named, even os.system, unpickling a file from a stranger in Python runs
 * whatever the stranger wants. Here a global is only a name and a call only a pair of values,
 * and nothing is ever executed; torch_tensor.c recognizes the calls that stand for tensors.
 * BINPERSID marks what is stored outside the pickle: a tensor's storage.
 *
 * A file of a few bytes could ask for unbounded memory (a memo index of 4 billion, a global
 * name that is repeated a million times), so everything is counted against limits.h.
 *
 * The opcodes are those of https://docs.python.org/3/library/pickletools.html. */

#include "io/pickle.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "io/pickle_machine.h"

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

/* --- opcodes --------------------------------------------------------------- */

static int push_integer(struct adl_machine *m, int64_t integer)
{
    struct adl_pickle_value *value = adl_machine_new_value(m, ADL_PICKLE_INT);
    if (value)
        value->integer = integer;
    return adl_machine_push(m, value);
}

/* LONG1 and LONG4: pushes a two's complement number of any width. */
static int push_long(struct adl_machine *m, size_t width)
{
    uint64_t length;
    const unsigned char *bytes;
    if (adl_machine_take_number(m, width, &length) < 0 ||
        adl_machine_take_bytes(m, (size_t)length, &bytes) < 0)
        return -1;
    if (length > 8) {
        struct adl_pickle_value *value = adl_machine_new_value(m, ADL_PICKLE_LONG);
        if (value) {
            value->text = (const char *)bytes;
            value->count = (uint32_t)length;
        }
        return adl_machine_push(m, value);
    }
    uint64_t number = length && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)length; i-- > 0;)
        number = number << 8 | bytes[i];
    return push_integer(m, (int64_t)number);
}

static int push_float(struct adl_machine *m)
{
    const unsigned char *bytes;
    uint64_t bits = 0;
    if (adl_machine_take_bytes(m, 8, &bytes) < 0)
        return -1;
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    struct adl_pickle_value *value = adl_machine_new_value(m, ADL_PICKLE_FLOAT);
    if (value)
        memcpy(&value->real, &bits, sizeof bits);
    return adl_machine_push(m, value);
}

/* Pushes a text that is too long for a name, such as the elements of a NumPy array that the
 * file holds besides the state_dict. Its content is skipped. */
static int push_blob(struct adl_machine *m, size_t length)
{
    return adl_machine_skip_bytes(m, length) < 0 ? -1 : adl_machine_push(m, &adl_machine_blob);
}

static int push_text(struct adl_machine *m, enum adl_pickle_kind kind, size_t width)
{
    uint64_t length;
    const unsigned char *bytes;
    if (adl_machine_take_number(m, width, &length) < 0)
        return -1;
    if (length > ADL_LIMIT_PICKLE_STRING_BYTES)
        return push_blob(m, (size_t)length);
    if (adl_machine_take_bytes(m, (size_t)length, &bytes) < 0)
        return -1;
    struct adl_pickle_value *value = adl_machine_new_value(m, kind);
    if (value) {
        value->text = (const char *)bytes;
        value->count = (uint32_t)length;
    }
    return adl_machine_push(m, value);
}

static int check_global(struct adl_machine *m, size_t length)
{
    return length <= ADL_LIMIT_PICKLE_STRING_BYTES
               ? 0
               : adl_fail(m->err, ADL_ERR_LIMIT,
                          "the pickle names a global of %zu bytes; the limit is %zu", length,
                          ADL_LIMIT_PICKLE_STRING_BYTES);
}

/* GLOBAL: pushes a global, which is two lines, module and name. The value keeps both as they
 * are in the pickle, without the last newline. */
static int push_global(struct adl_machine *m)
{
    const unsigned char *from = m->bytes + m->offset, *first, *second;
    first = memchr(from, '\n', m->length - m->offset);
    second =
        first ? memchr(first + 1, '\n', m->length - m->offset - (size_t)(first + 1 - from)) : NULL;
    if (!second)
        return adl_machine_fail_at(m, "it ends within a name");
    size_t length = (size_t)(second - from);
    if (check_global(m, length) < 0 || adl_machine_take_bytes(m, length + 1, &from) < 0)
        return -1;
    struct adl_pickle_value *value = adl_machine_new_value(m, ADL_PICKLE_GLOBAL);
    if (value) {
        value->text = (const char *)from;
        value->count = (uint32_t)length;
    }
    return adl_machine_push(m, value);
}

static int push_stack_global(struct adl_machine *m)
{
    struct adl_pickle_value *name = adl_machine_pop(m), *module = name ? adl_machine_pop(m) : NULL;
    if (!module)
        return -1;
    if (name->kind != ADL_PICKLE_TEXT || module->kind != ADL_PICKLE_TEXT)
        return adl_machine_fail_at(m, "the name of a global is not text");
    size_t length = (size_t)module->count + 1 + name->count;
    char *text = check_global(m, length) < 0 ? NULL : adl_machine_new_text(m, length);
    if (!text)
        return -1;
    memcpy(text, module->text, module->count);
    text[module->count] = '\n';
    memcpy(text + module->count + 1, name->text, name->count);
    struct adl_pickle_value *value = adl_machine_new_value(m, ADL_PICKLE_GLOBAL);
    if (value) {
        value->text = text;
        value->count = (uint32_t)length;
    }
    return adl_machine_push(m, value);
}

static int push_persid(struct adl_machine *m)
{
    struct adl_pickle_value *id = adl_machine_pop(m);
    struct adl_pickle_value *value =
        id ? adl_machine_new_container(m, ADL_PICKLE_PERSID, &id, 1) : NULL;
    if (!value)
        return -1;
    return adl_machine_note_persid(m, value) < 0 ? -1 : adl_machine_push(m, value);
}

/* Pushes the result of a call of OrderedDict: without arguments, or with a list of pairs, as
 * Python 2 pickled it. */
static int push_ordered_dict(struct adl_machine *m, const struct adl_pickle_value *args)
{
    struct adl_pickle_value *dict = adl_machine_new_value(m, ADL_PICKLE_DICT);
    const struct adl_pickle_value *pairs = args->count ? args->items[0] : NULL;
    if (!dict)
        return -1;
    if (pairs && pairs->kind != ADL_PICKLE_LIST)
        return adl_machine_fail_at(m, "an OrderedDict is not made from a list");
    for (size_t i = 0; pairs && i < pairs->count; i++) {
        const struct adl_pickle_value *pair = pairs->items[i];
        if ((pair->kind != ADL_PICKLE_LIST && pair->kind != ADL_PICKLE_TUPLE) || pair->count != 2)
            return adl_machine_fail_at(m, "an OrderedDict is not made from pairs");
        if (adl_machine_append_items(m, dict, pair->items, 2) < 0)
            return -1;
    }
    return adl_machine_push(m, dict);
}

static int push_call(struct adl_machine *m, size_t arguments)
{
    struct adl_pickle_value *made[2];
    struct adl_pickle_value *keywords = arguments == 2 ? adl_machine_pop(m) : &adl_machine_none;
    made[1] = keywords ? adl_machine_pop(m) : NULL;
    made[0] = made[1] ? adl_machine_pop(m) : NULL;
    if (!made[0])
        return -1;
    if (made[1]->kind == ADL_PICKLE_TUPLE &&
        adl_pickle_is_global(made[0], "collections", "OrderedDict"))
        return push_ordered_dict(m, made[1]);
    return adl_machine_push(m, adl_machine_new_container(m, ADL_PICKLE_CALL, made, 2));
}

/* Executes one opcode; sets *done at STOP. */
static int step(struct adl_machine *m, bool *done)
{
    const unsigned char *opcode, *skipped;
    uint64_t number;
    size_t count;

    m->opcode_offset = m->offset;
    if (adl_machine_take_bytes(m, 1, &opcode) < 0)
        return -1;
    switch (*opcode) {
    case OP_PROTO:
        if (adl_machine_take_number(m, 1, &number) < 0)
            return -1;
        if (number < 2 || number > 5)
            return adl_fail(m->err, ADL_ERR_UNSUPPORTED, "pickle protocol %u is not 2 to 5",
                            (unsigned)number);
        return 0;
    case OP_FRAME: return adl_machine_take_bytes(m, 8, &skipped);
    case OP_STOP: *done = true; return 0;

    case OP_NONE: return adl_machine_push(m, &adl_machine_none);
    case OP_NEWTRUE: return adl_machine_push(m, &adl_machine_true);
    case OP_NEWFALSE: return adl_machine_push(m, &adl_machine_false);
    case OP_BININT1:
        return adl_machine_take_number(m, 1, &number) < 0 ? -1 : push_integer(m, (int64_t)number);
    case OP_BININT2:
        return adl_machine_take_number(m, 2, &number) < 0 ? -1 : push_integer(m, (int64_t)number);
    case OP_BININT:
        return adl_machine_take_number(m, 4, &number) < 0
                   ? -1
                   : push_integer(m, (int32_t)(uint32_t)number);
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

    case OP_MARK: return adl_machine_push(m, &adl_machine_mark);
    case OP_EMPTY_TUPLE: return adl_machine_push(m, &adl_machine_empty_tuple);
    case OP_TUPLE1: return adl_machine_make_tuple(m, 1);
    case OP_TUPLE2: return adl_machine_make_tuple(m, 2);
    case OP_TUPLE3: return adl_machine_make_tuple(m, 3);
    case OP_TUPLE: return adl_machine_make_marked_tuple(m);
    case OP_EMPTY_LIST: return adl_machine_push(m, adl_machine_new_value(m, ADL_PICKLE_LIST));
    case OP_APPEND: return adl_machine_extend_top(m, ADL_PICKLE_LIST);
    case OP_APPENDS: return adl_machine_extend_marked(m, ADL_PICKLE_LIST);
    case OP_EMPTY_DICT: return adl_machine_push(m, adl_machine_new_value(m, ADL_PICKLE_DICT));
    case OP_SETITEM: return adl_machine_extend_top(m, ADL_PICKLE_DICT);
    case OP_SETITEMS: return adl_machine_extend_marked(m, ADL_PICKLE_DICT);
    case OP_EMPTY_SET: return adl_machine_push(m, &adl_machine_opaque);
    case OP_ADDITEMS: return adl_machine_extend_marked(m, ADL_PICKLE_OPAQUE);
    case OP_FROZENSET:
        if (adl_machine_count_to_mark(m, &count) < 0)
            return -1;
        adl_machine_drop_to_mark(m, count);
        return adl_machine_push(m, &adl_machine_opaque);

    case OP_BINPUT:
        return adl_machine_take_number(m, 1, &number) < 0 ? -1 : adl_machine_put_memo(m, number);
    case OP_LONG_BINPUT:
        return adl_machine_take_number(m, 4, &number) < 0 ? -1 : adl_machine_put_memo(m, number);
    case OP_MEMOIZE: return adl_machine_put_memo(m, m->memo_count);
    case OP_BINGET:
        return adl_machine_take_number(m, 1, &number) < 0 ? -1 : adl_machine_get_memo(m, number);
    case OP_LONG_BINGET:
        return adl_machine_take_number(m, 4, &number) < 0 ? -1 : adl_machine_get_memo(m, number);

    case OP_GLOBAL: return push_global(m);
    case OP_STACK_GLOBAL: return push_stack_global(m);
    case OP_BINPERSID: return push_persid(m);
    case OP_REDUCE:
    case OP_NEWOBJ: return push_call(m, 1);
    case OP_NEWOBJ_EX: return push_call(m, 2);
    case OP_BUILD: /* sets the state of an object, or the _metadata of an OrderedDict */
        return adl_machine_pop(m) && adl_machine_top(m) ? 0 : -1;
    default:
        return adl_fail(m->err, ADL_ERR_UNSUPPORTED,
                        "pickle opcode 0x%02x at byte %zu belongs to no state_dict", *opcode,
                        m->opcode_offset);
    }
}

int adl_pickle_load(struct adl_pickle *pickle, const void *bytes, size_t length,
                    struct adl_error *err)
{
    struct adl_machine m = {
        .values = &pickle->values, .bytes = bytes, .length = length, .err = err};
    bool done = false;
    int result = -1;

    *pickle = (struct adl_pickle){0};
    if (!length || m.bytes[0] != OP_PROTO) {
        adl_fail(err, ADL_ERR_FORMAT, "not a pickle of protocol 2 or later");
        goto out;
    }
    while (!done)
        ADL_TRY(step(&m, &done));
    if (m.depth != 1 || !adl_machine_top(&m)) {
        adl_fail(err, ADL_ERR_FORMAT, "corrupt pickle: it ends with %zu value%s", m.depth,
                 ADL_S(m.depth));
        goto out;
    }
    pickle->root = m.stack[0];
    pickle->persids = m.persids;
    pickle->persid_count = m.persid_count;
    pickle->length = m.offset;
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
