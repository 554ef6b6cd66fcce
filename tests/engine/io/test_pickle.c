/* io/pickle: the opcodes as Python's pickletools documents them, limits, and hostile bytes. */

#include "support/test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/pickle.h"
#include "support/hostile.h"

static int read_pickle(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_pickle pickle = {0};
    int result = adl_pickle_load(&pickle, bytes, length, err);
    adl_pickle_release(&pickle);
    return result;
}

/* Loads a literal, without its NUL. */
#define LOAD(pickle, literal) load(pickle, literal, sizeof(literal) - 1)
#define REFUSED(literal, kind, part)                                                               \
    hostile_refused(read_pickle, literal, sizeof(literal) - 1, kind, part)

static const struct adl_pickle_value *load(struct adl_pickle *pickle, const char *bytes,
                                           size_t length)
{
    struct adl_error err = {0};
    adl_pickle_release(pickle);
    if (adl_pickle_load(pickle, bytes, length, &err) < 0) {
        static const struct adl_pickle_value nothing = {.kind = ADL_PICKLE_OPAQUE};
        TEST_FAIL("%s", err.message);
        return &nothing;
    }
    CU_ASSERT_EQUAL(pickle->length, length);
    return pickle->root;
}

static void expect_integer(const char *bytes, size_t length, int64_t want)
{
    struct adl_pickle p = {0};
    const struct adl_pickle_value *v = load(&p, bytes, length);
    if (v->kind != ADL_PICKLE_INT || v->integer != want)
        TEST_FAIL("kind %d, %lld instead of %lld", v->kind, (long long)v->integer, (long long)want);
    adl_pickle_release(&p);
}

#define INTEGER(literal, want) expect_integer(literal, sizeof(literal) - 1, want)

static void scalars(void)
{
    struct adl_pickle p = {0};
    const struct adl_pickle_value *v;
    INTEGER("\x80\2K\xff.", 255);
    INTEGER("\x80\2M\1\2.", 513);
    INTEGER("\x80\2J\xff\xff\xff\xff.", -1);
    INTEGER("\x80\2J\0\0\0\x80.", INT32_MIN);
    INTEGER("\x80\2\x8a\0.", 0);
    INTEGER("\x80\2\x8a\1\xfe.", -2);
    INTEGER("\x80\2\x8a\2\xff\0.", 255);
    INTEGER("\x80\2\x8a\x8\0\0\0\0\0\0\0\x80.", INT64_MIN);
    INTEGER("\x80\4\x8b\1\0\0\0\5.", 5);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\2N.")->kind, ADL_PICKLE_NONE);
    v = LOAD(&p, "\x80\2\x88.");
    CU_ASSERT(v->kind == ADL_PICKLE_BOOL && v->boolean);
    v = LOAD(&p, "\x80\2\x89.");
    CU_ASSERT(v->kind == ADL_PICKLE_BOOL && !v->boolean);
    v = LOAD(&p, "\x80\2G\x3f\xf8\0\0\0\0\0\0.");
    CU_ASSERT(v->kind == ADL_PICKLE_FLOAT && v->real == 1.5);
    v = LOAD(&p, "\x80\2\x8a\x9\0\0\0\0\0\0\0\0\1.");
    CU_ASSERT(v->kind == ADL_PICKLE_LONG && v->count == 9 && v->text[8] == 1);
    CU_ASSERT(adl_pickle_is_text(LOAD(&p, "\x80\2X\2\0\0\0hi."), "hi"));
    CU_ASSERT(adl_pickle_is_text(LOAD(&p, "\x80\2U\2hi."), "hi"));
    CU_ASSERT(adl_pickle_is_text(LOAD(&p, "\x80\2T\2\0\0\0hi."), "hi"));
    CU_ASSERT(adl_pickle_is_text(LOAD(&p, "\x80\4\x8c\2hi."), "hi"));
    CU_ASSERT(adl_pickle_is_text(LOAD(&p, "\x80\4\x8d\2\0\0\0\0\0\0\0hi."), "hi"));
    CU_ASSERT(!adl_pickle_is_text(p.root, "h") && !adl_pickle_is_text(p.root, "hi!"));
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\4C\2hi.")->kind, ADL_PICKLE_BYTES);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\4B\2\0\0\0hi.")->count, 2);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\4\x8e\2\0\0\0\0\0\0\0hi.")->kind, ADL_PICKLE_BYTES);
    adl_pickle_release(&p);
}

static void containers(void)
{
    struct adl_pickle p = {0};
    const struct adl_pickle_value *v = LOAD(&p, "\x80\2(K\1K\2K\3t.");
    CU_ASSERT(v->kind == ADL_PICKLE_TUPLE && v->count == 3 && v->items[2]->integer == 3);
    v = LOAD(&p, "\x80\2K\1K\2\x86.");
    CU_ASSERT(v->kind == ADL_PICKLE_TUPLE && v->count == 2 && v->items[0]->integer == 1);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\2).")->count, 0);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\2(t.")->kind, ADL_PICKLE_TUPLE);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\2K\1\x85.")->count, 1);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\2NNN\x87.")->count, 3);
    v = LOAD(&p, "\x80\2](K\1K\2eK\3a.");
    CU_ASSERT(v->kind == ADL_PICKLE_LIST && v->count == 3 && v->items[2]->integer == 3);
    v = LOAD(&p, "\x80\2}(U\1aK\1U\1bK\2uU\1aK\3s.");
    CU_ASSERT(v->kind == ADL_PICKLE_DICT && v->count == 6);
    CU_ASSERT(adl_pickle_get(v, "a") && adl_pickle_get(v, "a")->integer == 3);
    CU_ASSERT(adl_pickle_get(v, "b") && adl_pickle_get(v, "b")->integer == 2);
    CU_ASSERT_PTR_NULL(adl_pickle_get(v, "c"));
    CU_ASSERT_PTR_NULL(adl_pickle_get(v->items[1], "a"));
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\4\x8f(K\1K\2\x90.")->kind, ADL_PICKLE_OPAQUE);
    CU_ASSERT_EQUAL(LOAD(&p, "\x80\4(K\1\x91.")->kind, ADL_PICKLE_OPAQUE);
    adl_pickle_release(&p);
}

static void memo(void)
{
    struct adl_pickle p = {0};
    const struct adl_pickle_value *v = LOAD(&p, "\x80\2]q\0h\0a.");
    CU_ASSERT(v->kind == ADL_PICKLE_LIST && v->count == 1 && v->items[0] == v); /* a cycle */
    v = LOAD(&p, "\x80\2K\7r\0\1\0\0j\0\1\0\0\x86.");
    CU_ASSERT(v->count == 2 && v->items[0] == v->items[1]);
    v = LOAD(&p, "\x80\4K\1\x94K\2\x94h\0\x87.");
    CU_ASSERT(v->count == 3 && v->items[2]->integer == 1 && v->items[1]->integer == 2);
    adl_pickle_release(&p);
}

static void globals_and_calls_are_only_named(void)
{
    struct adl_pickle p = {0};
    const struct adl_pickle_value *v = LOAD(&p, "\x80\2cposix\nsystem\nU\4exit\x85R.");
    CU_ASSERT_EQUAL(v->kind, ADL_PICKLE_CALL);
    CU_ASSERT(adl_pickle_is_global(v->items[0], "posix", "system"));
    CU_ASSERT(!adl_pickle_is_global(v->items[0], "posix", "syste"));
    CU_ASSERT(!adl_pickle_is_global(v->items[0], "posix.system", ""));
    CU_ASSERT(adl_pickle_is_text(v->items[1]->items[0], "exit"));
    v = LOAD(&p, "\x80\4\x95\x14\0\0\0\0\0\0\0\x8c\5posix\x8c\6system\x93)\x81.");
    CU_ASSERT(v->kind == ADL_PICKLE_CALL && adl_pickle_is_global(v->items[0], "posix", "system"));
    v = LOAD(&p, "\x80\4ca\nb\n)}\x92}U\1xNsb(U\1kK\1u(NeNNsNa.");
    CU_ASSERT(v->kind == ADL_PICKLE_CALL && v->count == 2);
    v = LOAD(&p, "\x80\2ccollections\nOrderedDict\n)Rq\0(U\1aK\1u}b.");
    CU_ASSERT(v->kind == ADL_PICKLE_DICT && adl_pickle_get(v, "a"));
    v = LOAD(&p, "\x80\2ccollections\nOrderedDict\n](](U\1aK\1e](U\1bK\2ee\x85R.");
    CU_ASSERT(v->kind == ADL_PICKLE_DICT && adl_pickle_get(v, "b")->integer == 2);
    v = LOAD(&p, "\x80\2]U\1xQaU\1yQa.");
    CU_ASSERT(p.persid_count == 2 && p.persids[0] == v->items[0]);
    CU_ASSERT(adl_pickle_is_text(p.persids[1]->items[0], "y"));
    adl_pickle_release(&p);
}

static void corrupt_is_refused(void)
{
    REFUSED("", ADL_ERR_FORMAT, "not a pickle");
    REFUSED("N.", ADL_ERR_FORMAT, "not a pickle");
    REFUSED("\x80\1N.", ADL_ERR_UNSUPPORTED, "protocol 1");
    REFUSED("\x80\6N.", ADL_ERR_UNSUPPORTED, "protocol 6");
    REFUSED("\x80\2.", ADL_ERR_FORMAT, "0 values");
    REFUSED("\x80\2NN.", ADL_ERR_FORMAT, "2 values");
    REFUSED("\x80\2(.", ADL_ERR_FORMAT, "stack is empty");
    REFUSED("\x80\2NI1\n.", ADL_ERR_UNSUPPORTED, "0x49 at byte 3");
    REFUSED("\x80\2t.", ADL_ERR_FORMAT, "no mark");
    REFUSED("\x80\2(\x85.", ADL_ERR_FORMAT, "stack is empty");
    REFUSED("\x80\2N\x86.", ADL_ERR_FORMAT, "stack is empty");
    REFUSED("\x80\2h\0.", ADL_ERR_FORMAT, "never written");
    REFUSED("\x80\2Nq\1h\0.", ADL_ERR_FORMAT, "never written");
    REFUSED("\x80\2(q\0.", ADL_ERR_FORMAT, "stack is empty");
    REFUSED("\x80\2K\1(K\2e.", ADL_ERR_FORMAT, "holds none");
    REFUSED("\x80\2)K\1a.", ADL_ERR_FORMAT, "holds none");
    REFUSED("\x80\2]K\1K\2s.", ADL_ERR_FORMAT, "holds none");
    REFUSED("\x80\2}(K\1u.", ADL_ERR_FORMAT, "no value");
    REFUSED("\x80\2(K\1e.", ADL_ERR_FORMAT, "nothing to add to");
    REFUSED("\x80\2((K\1e.", ADL_ERR_FORMAT, "nothing to add to");
    REFUSED("\x80\4K\1K\2\x93.", ADL_ERR_FORMAT, "not text");
    REFUSED("\x80\2cposix\nsystem.", ADL_ERR_FORMAT, "within a name");
    REFUSED("\x80\2X\xff\xff\0\0hi.", ADL_ERR_FORMAT, "ends within");
    REFUSED("\x80\2X\xff\xff\xff\xffhi.", ADL_ERR_FORMAT, "ends within");
    REFUSED("\x80\4\x8e\xff\xff\xff\xff\xff\xff\xff\xffhi.", ADL_ERR_FORMAT, "ends within");
    REFUSED("\x80\2r\xff\xff\xff\xff.", ADL_ERR_FORMAT, "stack is empty");
    REFUSED("\x80\2Nr\xff\xff\xff\xff.", ADL_ERR_LIMIT, "memo has more than");
    REFUSED("\x80\2ccollections\nOrderedDict\nN\x85R.", ADL_ERR_FORMAT, "from a list");
    REFUSED("\x80\2ccollections\nOrderedDict\n]Na\x85R.", ADL_ERR_FORMAT, "from pairs");
}

/* `count` times `piece` between a prefix and a suffix. */
static void repeated(const char *prefix, const char *piece, size_t count, const char *suffix,
                     const char *part)
{
    size_t before = strlen(prefix), each = strlen(piece), after = strlen(suffix);
    char *bytes = malloc(2 + before + each * count + after), *at = bytes + 2 + before;
    memcpy(bytes, "\x80\2", 2);
    memcpy(bytes + 2, prefix, before);
    for (size_t i = 0; i < count; i++, at += each)
        memcpy(at, piece, each);
    memcpy(at, suffix, after);
    hostile_refused(read_pickle, bytes, 2 + before + each * count + after, ADL_ERR_LIMIT, part);
    free(bytes);
}

static void limits_are_kept(void)
{
    repeated("", "(", ADL_LIMIT_PICKLE_STACK + 1, ".", "stack");
    repeated("]", "K\1a", ADL_LIMIT_PICKLE_VALUES / 2 + 1, ".", "values");
    repeated("]", "Na", ADL_LIMIT_PICKLE_VALUES + 1, ".", "values");
    repeated("N", "Nb", ADL_LIMIT_PICKLE_BYTES / 2 + 1, ".", "larger than");
}

/* A pickle that stores a module of `module` bytes as entry 0 of the memo and a name of
 * `name` bytes as entry 1, and then names the global of the two `count` times. */
static void globals_refused(size_t module, size_t name, size_t count, const char *part)
{
    static const char opcodes[] = {'h', 0, 'h', 1, (char)0x93};
    const size_t parts[] = {module, name};
    char *bytes = malloc(2 + 7 + module + 7 + name + sizeof opcodes * count + 1), *at = bytes;
    at = (char *)memcpy(at, "\x80\4", 2) + 2;
    for (size_t i = 0; i < 2; i++) {
        uint32_t length = (uint32_t)parts[i];
        *at++ = 'X';
        memcpy(at, &length, sizeof length);
        memset(at + sizeof length, 'a', length);
        at += sizeof length + length;
        *at++ = 'q';
        *at++ = (char)i;
    }
    for (size_t i = 0; i < count; i++, at += sizeof opcodes)
        memcpy(at, opcodes, sizeof opcodes);
    *at++ = '.';
    hostile_refused(read_pickle, bytes, (size_t)(at - bytes), ADL_ERR_LIMIT, part);
    free(bytes);
}

static void names_in_two_parts_are_bounded(void)
{
    size_t most = ADL_LIMIT_PICKLE_STRING_BYTES;
    globals_refused(most, 1, 1, "global of 65538 bytes");
    globals_refused(most / 2, most / 2 - 1, 1000, "names of more than");
    globals_refused(most / 2, 0, ADL_LIMIT_PICKLE_COPIED_BYTES / (most / 2) + 1,
                    "names of more than");
}

/* Reads a list of two items: a text or bytes object of `length`, by an opcode with `width`
 * bytes for the length, and the integer 7. */
static void long_text(char opcode, size_t width, size_t length, enum adl_pickle_kind kind)
{
    struct adl_pickle p = {0};
    size_t total = 2 + 2 + 1 + width + length + 4;
    char *bytes = calloc(total, 1), *at = bytes;
    memcpy(at, "\x80\2](", 4);
    at[4] = opcode;
    memcpy(at + 5, &length, width);
    memcpy(at + 5 + width + length, "K\7e.", 4);
    const struct adl_pickle_value *v = load(&p, bytes, total);
    if (v->kind == ADL_PICKLE_LIST && v->count == 2) {
        CU_ASSERT_EQUAL(v->items[0]->kind, kind);
        CU_ASSERT_EQUAL(v->items[1]->integer, 7);
    }
    adl_pickle_release(&p);
    hostile_refused(read_pickle, bytes, total - 5, ADL_ERR_FORMAT, "ends within");
    free(bytes);
}

/* The elements of a NumPy array are one text in protocol 2, a bytes object in later ones. */
static void long_texts_are_skipped(void)
{
    size_t most = ADL_LIMIT_PICKLE_STRING_BYTES;
    long_text('X', 4, most, ADL_PICKLE_TEXT);
    long_text('X', 4, most + 1, ADL_PICKLE_BLOB);
    long_text('T', 4, most + 1, ADL_PICKLE_BLOB);
    long_text((char)0x8d, 8, most + 1, ADL_PICKLE_BLOB);
    long_text('B', 4, most + 1, ADL_PICKLE_BLOB);
    long_text((char)0x8e, 8, ADL_LIMIT_PICKLE_BYTES + 1, ADL_PICKLE_BLOB);
}

/* A pickle that begins a list and fills its first `before` bytes with texts, each short
 * enough to be kept; then the bytes of `opcode`, and `after` times NEWTRUE. */
static char *long_pickle(size_t before, const char *opcode, size_t opcode_bytes, size_t after)
{
    char *bytes = malloc(before + opcode_bytes + after), *at = bytes;
    at = (char *)memcpy(at, "\x80\4](", 4) + 4;
    while (at < bytes + before) {
        size_t left = (size_t)(bytes + before - at);
        uint32_t length = ADL_LIMIT_PICKLE_STRING_BYTES;
        if (left < 2 * ADL_LIMIT_PICKLE_STRING_BYTES)
            length = (uint32_t)ADL_MIN(left - 5, (size_t)ADL_LIMIT_PICKLE_STRING_BYTES);
        if (left < 10) {
            memset(at, '\x88', left);
            break;
        }
        *at++ = 'X';
        memcpy(at, &length, sizeof length);
        memset(at + sizeof length, 'a', length);
        at += sizeof length + length;
    }
    memcpy(bytes + before, opcode, opcode_bytes);
    memset(bytes + before + opcode_bytes, '\x88', after);
    return bytes;
}

/* An opcode that crosses ADL_LIMIT_PICKLE_BYTES is refused, whichever it is. */
static void no_opcode_crosses_the_limit(void)
{
    static const struct {
        const char *bytes;
        size_t length;
    } opcodes[] = {
        {"ccollections\nOrderedDict\n", 25}, /* GLOBAL */
        {"X\x10\0\0\0aaaaaaaaaaaaaaaa", 21}, /* BINUNICODE */
        {"\x8c\x10"
         "aaaaaaaaaaaaaaaa",
         18}, /* SHORT_BINUNICODE */
        {"\x8a\x10"
         "aaaaaaaaaaaaaaaa",
         18},                        /* LONG1 */
        {"G\0\0\0\0\0\0\0\0", 9},    /* BINFLOAT */
        {"\x95\0\0\0\0\0\0\0\0", 9}, /* FRAME */
        {"J\0\0\0\0", 5},            /* BININT */
        {"q\0", 2},                  /* BINPUT */
    };
    for (size_t i = 0; i < ADL_COUNT(opcodes); i++) {
        size_t before = ADL_LIMIT_PICKLE_BYTES - 1, length = opcodes[i].length;
        char *bytes = long_pickle(before, opcodes[i].bytes, length, 100);
        memcpy(bytes + before + length + 98, "e.", 2);
        hostile_refused(read_pickle, bytes, before + length + 100, ADL_ERR_LIMIT, "larger than");
        free(bytes);
    }
}

/* An example of each opcode that torch.save writes. */
static const char everything[] =
    "\x80\2}q\0(U\5epochK\3X\2\0\0\0lrG\x3f\xb9\x99\x99\x99\x99\x99\x9aU\1sccollections\n"
    "OrderedDict\nq\1)Rq\2(U\1wctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\n"
    "FloatStorage\nU\1kU\3cpuM\0\1tQK\0K\2K\3\x86K\3K\1\x86\x89h\1)RtRU\1nNu}bU\1l](NeU\1b\x88"
    "U\1i\x8a\2\xff\0U\1j\x8a\x9\0\0\0\0\0\0\0\0\1U\1t(J\1\0\0\0NNNtu.";

static void stands_hostile_bytes(void)
{
    struct adl_error err = {0};
    size_t length = sizeof everything - 1;
    TEST_OK(read_pickle(everything, length, &err), &err);
    hostile_truncate(read_pickle, everything, length);
    hostile_mutate(read_pickle, everything, length);
    hostile_starve(read_pickle, everything, length);
}

TEST_SUITE(pickle, {"scalars", scalars}, {"containers", containers}, {"memo", memo},
           {"globals and calls are only named", globals_and_calls_are_only_named},
           {"corrupt pickles are refused", corrupt_is_refused},
           {"limits are kept", limits_are_kept}, {"long texts are skipped", long_texts_are_skipped},
           {"no opcode crosses the limit", no_opcode_crosses_the_limit},
           {"names in two parts are bounded", names_in_two_parts_are_bounded},
           {"stands hostile bytes", stands_hostile_bytes});
