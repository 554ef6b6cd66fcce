/* io/torch: files that PyTorch would not write. The pickles of legacy streams are assembled
 * here opcode by opcode; the zip archives are PyTorch's, with some fields changed. */

#include "support/test.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "io/file.h"
#include "io/torch.h"
#include "support/byte_stream.h"
#include "support/hostile.h"

static int read_torch(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_tensors *set = adl_torch_parse(bytes, length, NULL, err);
    adl_tensors_free(set);
    return set ? 0 : -1;
}

/* --- a legacy stream ------------------------------------------------------- */

static void put_text(struct stream *s, const char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    PUT(s, "X");
    put(s, &length, sizeof length);
    put(s, text, length);
}

static void put_integer(struct stream *s, int64_t value)
{
    PUT(s, "\x8a\x8");
    put(s, &value, sizeof value);
}

static void put_integers(struct stream *s, int count, const int64_t *values)
{
    PUT(s, "(");
    for (int i = 0; i < count; i++)
        put_integer(s, values[i]);
    PUT(s, "t");
}

/* Puts the persistent id of a storage. `class` names its class ("torch\nFloatStorage\n");
 * `view` holds the opcodes of the id's last item, which is None, a part of the storage,
 * or left out. */
static void put_keyed_storage(struct stream *s, const char *key, const char *class, int64_t count,
                              const char *view)
{
    PUT(s, "(");
    put_text(s, "storage");
    PUT(s, "c");
    put(s, class, strlen(class));
    put_text(s, key);
    put_text(s, "cpu");
    put_integer(s, count);
    put(s, view, strlen(view));
    PUT(s, "tQ");
}

static void put_storage(struct stream *s, const char *class, int64_t count, const char *view)
{
    put_keyed_storage(s, "k", class, count, view);
}

struct view {
    int64_t offset;
    int rank;
    int64_t shape[10], stride[10];
};

#define FLOATS "torch\nFloatStorage\n"

static void put_tensor(struct stream *s, const char *name, const char *class, int64_t count,
                       const struct view *view)
{
    put_text(s, name);
    PUT(s, "ctorch._utils\n_rebuild_tensor_v2\n(");
    put_storage(s, class, count, "N");
    put_integer(s, view->offset);
    put_integers(s, view->rank, view->shape);
    put_integers(s, view->rank, view->stride);
    PUT(s, "\x89NtR");
}

static void begin(struct stream *s)
{
    s->length = 0;
    PUT(s, "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.");
    PUT(s, "\x80\2}X\15\0\0\0little_endian\x88s.");
    PUT(s, "\x80\2}(");
}

/* Ends the object and adds the storage "k" of `count` floats 0, 1, 2, ..., of which at
 * most 64 are written. */
static void end(struct stream *s, int64_t count)
{
    PUT(s, "u.\x80\2]X\1\0\0\0ka.");
    put(s, &count, sizeof count);
    for (int64_t i = 0; i < count && i < 64; i++) {
        float value = (float)i;
        put(s, &value, sizeof value);
    }
}

static void expect(const struct stream *s, enum adl_error_kind kind, const char *part)
{
    hostile_refused(read_torch, s->bytes, s->length, kind, part);
}

static void view_refused(struct view view, enum adl_error_kind kind, const char *part)
{
    struct stream s;
    begin(&s);
    put_tensor(&s, "conv.weight", FLOATS, 12, &view);
    end(&s, 12);
    expect(&s, kind, part);
    expect(&s, kind, "\"conv.weight\"");
}

static void views_stay_within_their_storage(void)
{
    static const struct view fine[] = {{0, 1, {12}, {1}},
                                       {11, 0, {0}, {0}},
                                       {2, 2, {3, 4}, {3, 1}},
                                       {0, 2, {3, 0}, {INT64_MAX, INT64_MAX}},
                                       {11, 3, {1, 1, 1}, {INT64_MAX, 0, INT64_MAX}},
                                       {INT64_MAX, 1, {0}, {1}}};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct adl_error err = {0};
        struct stream s;
        begin(&s);
        put_tensor(&s, "w", FLOATS, 12, &fine[i]);
        end(&s, 12);
        TEST_OK(read_torch(s.bytes, s.length, &err), &err);
    }
    view_refused((struct view){0, 1, {13}, {1}}, ADL_ERR_FORMAT, "beyond its storage");
    view_refused((struct view){1, 1, {12}, {1}}, ADL_ERR_FORMAT, "beyond its storage");
    view_refused((struct view){12, 0, {0}, {0}}, ADL_ERR_FORMAT, "beyond its storage");
    view_refused((struct view){0, 2, {2, 2}, {11, 1}}, ADL_ERR_FORMAT, "beyond its storage");
    view_refused((struct view){-1, 1, {2}, {1}}, ADL_ERR_FORMAT, "at least 0");
    view_refused((struct view){0, 1, {-1}, {1}}, ADL_ERR_FORMAT, "at least 0");
    view_refused((struct view){11, 1, {12}, {-1}}, ADL_ERR_FORMAT, "at least 0");
    view_refused((struct view){0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {0}}, ADL_ERR_FORMAT, "up to 8");
    view_refused((struct view){0, 2, {INT64_MAX, 3}, {0, 0}}, ADL_ERR_FORMAT, "shape overflows");
    view_refused((struct view){0, 1, {INT64_MAX}, {0}}, ADL_ERR_FORMAT, "shape overflows");
    view_refused((struct view){0, 1, {5}, {INT64_MAX}}, ADL_ERR_FORMAT, "strides overflow");
    view_refused((struct view){0, 2, {3, 3}, {INT64_MAX, INT64_MAX}}, ADL_ERR_FORMAT,
                 "strides overflow");
    view_refused((struct view){INT64_MAX, 2, {2, 2}, {INT64_MAX, 2}}, ADL_ERR_FORMAT,
                 "beyond its storage");
}

static void repetition_is_limited(void)
{
    int64_t most = (int64_t)(ADL_LIMIT_TORCH_EXPANSION_BYTES / sizeof(float));
    view_refused((struct view){0, 1, {most + 1}, {0}}, ADL_ERR_LIMIT, "repeat what is stored");
}

static void legacy_parts_and_old_calls(void)
{
    struct adl_error err = {0};
    struct stream s;
    begin(&s);
    /* A storage that is elements 4 to 9 of "k", read by the oldest rebuild function. */
    put_text(&s, "module.features._orig_mod.0.weight");
    PUT(&s, "ctorch._utils\n_rebuild_tensor\n(");
    put_storage(&s, FLOATS, 12, "(U\1vK\4K\6t");
    PUT(&s, "K\1K\2\x85K\3\x85tR");
    end(&s, 12);
    struct adl_tensors *set = adl_torch_parse(s.bytes, s.length, NULL, &err);
    const struct adl_tensor *t = set ? adl_tensors_find(set, "features.0.weight") : NULL;
    CU_ASSERT(t && t->count == 2);
    if (t)
        CU_ASSERT(((float *)t->data)[0] == 5 && ((float *)t->data)[1] == 8);
    adl_tensors_free(set);

    static const char *const parts[] = {"(U\1vK\7K\6t", "(U\1vK\15K\1t", "(U\1vK\4K\3t",
                                        "(U\1vK\4t", "K\1"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        begin(&s);
        put_text(&s, "w");
        PUT(&s, "ctorch._utils\n_rebuild_tensor\n(");
        put_storage(&s, FLOATS, 12, parts[i]);
        PUT(&s, "K\1K\2\x85K\3\x85tR");
        end(&s, 12);
        expect(&s, ADL_ERR_FORMAT, "beyond its storage");
    }
}

/* Makes a file with a tensor in an untyped storage of 8 bytes. `dtype` holds the opcodes
 * of its element type, which is an argument of the rebuild call. */
static void put_untyped(struct stream *s, const char *dtype)
{
    begin(s);
    put_text(s, "w");
    PUT(s, "ctorch._utils\n_rebuild_tensor_v3\n(");
    put_storage(s, "torch.storage\nUntypedStorage\n", 8, "");
    PUT(s, "K\0K\2\x85K\1\x85\x89N");
    put(s, dtype, strlen(dtype));
    PUT(s, "tRu.\x80\2]X\1\0\0\0ka.\x8\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0");
}

static void untyped_storages(void)
{
    struct adl_error err = {0};
    struct stream s;
    put_untyped(&s, "ctorch\nuint32\n");
    struct adl_tensors *set = adl_torch_parse(s.bytes, s.length, NULL, &err);
    const struct adl_tensor *t = set ? adl_tensors_find(set, "w") : NULL;
    CU_ASSERT(t && t->dtype == ADL_U32 && ((uint32_t *)t->data)[1] == 2);
    adl_tensors_free(set);
    put_untyped(&s, "ctorch\nfloat64\n");
    expect(&s, ADL_ERR_FORMAT, "beyond its storage");
    put_untyped(&s, "ctorch\nfloat8_e4m3fn\n");
    expect(&s, ADL_ERR_UNSUPPORTED, "type not read");
    put_untyped(&s, "K\1");
    expect(&s, ADL_ERR_UNSUPPORTED, "type not read");
}

static void long_keys_are_ignored(void)
{
    char key[257] = "";
    for (size_t length = 255; length <= 256; length++) {
        struct stream s;
        memset(key, 'k', length);
        begin(&s);
        put_text(&s, "w");
        PUT(&s, "ctorch._utils\n_rebuild_tensor\n(");
        put_keyed_storage(&s, key, FLOATS, 12, "N");
        PUT(&s, "K\1K\2\x85K\3\x85tRu.\x80\2].");
        expect(&s, ADL_ERR_FORMAT, length == 255 ? "not in the file" : "has no storage");
    }
}

static void state_dict_rules(void)
{
    static const struct view two = {0, 1, {2}, {1}};
    struct stream s;
    begin(&s); /* two names that are the same without "module." */
    put_tensor(&s, "w", FLOATS, 12, &two);
    put_tensor(&s, "module.w", FLOATS, 12, &two);
    end(&s, 12);
    expect(&s, ADL_ERR_FORMAT, "two tensors named \"w\"");
    begin(&s); /* a storage that is mentioned with two classes */
    put_tensor(&s, "a", FLOATS, 12, &two);
    put_tensor(&s, "b", "torch\nLongStorage\n", 12, &two);
    end(&s, 12);
    expect(&s, ADL_ERR_FORMAT, "two ways");
    begin(&s);
    put_tensor(&s, "a", "torch\nNewStorage\n", 12, &two);
    end(&s, 12);
    expect(&s, ADL_ERR_UNSUPPORTED, "unknown class");
    begin(&s); /* values that are neither tensors nor scalars */
    put_tensor(&s, "a", FLOATS, 12, &two);
    put_text(&s, "bad.list");
    PUT(&s, "]");
    end(&s, 12);
    expect(&s, ADL_ERR_UNSUPPORTED, "\"bad.list\"");
    begin(&s);
    put_tensor(&s, "a", FLOATS, 12, &two);
    PUT(&s, "K\1K\2");
    end(&s, 12);
    expect(&s, ADL_ERR_FORMAT, "not a name");
    begin(&s); /* a rebuild call without a storage */
    put_text(&s, "w");
    PUT(&s, "ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR");
    end(&s, 0);
    expect(&s, ADL_ERR_FORMAT, "belongs to no tensor");
    begin(&s);
    PUT(&s, "u.\x80\2].");
    expect(&s, ADL_ERR_UNSUPPORTED, "--key");
    begin(&s); /* storages that the file does not contain */
    put_tensor(&s, "w", FLOATS, 12, &two);
    PUT(&s, "u.\x80\2].");
    expect(&s, ADL_ERR_FORMAT, "not in the file");
    begin(&s);
    put_tensor(&s, "w", FLOATS, 12, &two);
    end(&s, 11);
    expect(&s, ADL_ERR_FORMAT, "the object says 12");
    begin(&s);
    put_tensor(&s, "w", FLOATS, INT64_MAX, &two);
    end(&s, INT64_MAX);
    expect(&s, ADL_ERR_FORMAT, "truncated: storage \"k\"");
}

#define LONG_BYTES (ADL_LIMIT_PICKLE_STRING_BYTES + 1)

/* Returns a checkpoint {"state_dict": {"w": ..., NAME: 1}, "matrix": a NumPy array of
 * TEXT}, where NAME or TEXT may be too long for the pickle reader to keep. Free it with
 * free(). */
static struct stream *put_checkpoint(const char *name, const char *text)
{
    static const struct view two = {0, 1, {2}, {1}};
    struct stream *s = malloc(sizeof *s);
    begin(s);
    put_text(s, "state_dict");
    PUT(s, "}(");
    put_tensor(s, "w", FLOATS, 12, &two);
    put_text(s, name);
    PUT(s, "K\1u");
    put_text(s, "matrix");
    PUT(s, "cnumpy.core.multiarray\n_reconstruct\n)R(K\1");
    put_text(s, text);
    PUT(s, "tb");
    end(s, 12);
    return s;
}

static void long_texts_beside_the_tensors(void)
{
    struct adl_error err = {0};
    char *text = calloc(LONG_BYTES + 1, 1);
    memset(text, 'x', LONG_BYTES);

    struct stream *s = put_checkpoint("note", text);
    struct adl_tensors *set = adl_torch_parse(s->bytes, s->length, NULL, &err);
    if (!set)
        TEST_FAIL("%s", err.message);
    CU_ASSERT(set && adl_tensors_count(set) == 1 && adl_tensors_find(set, "w"));
    adl_tensors_free(set);
    free(s);
    s = put_checkpoint(text, "short");
    expect(s, ADL_ERR_LIMIT, "name longer than 1024 bytes");
    free(s);
    free(text);
}

static void prologue_rules(void)
{
    hostile_refused(read_torch, "\x80\2}.", 4, ADL_ERR_UNSUPPORTED, "not of PyTorch");
    struct stream s = {.length = 0};
    PUT(&s, "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xea\3.");
    expect(&s, ADL_ERR_UNSUPPORTED, "protocol 1001");
    s.length = 0;
    PUT(&s, "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.");
    PUT(&s, "\x80\2}X\15\0\0\0little_endian\x89s.");
    expect(&s, ADL_ERR_UNSUPPORTED, "big-endian");
    hostile_refused(read_torch, "junk", 4, ADL_ERR_FORMAT, "not a PyTorch file");
}

/* --- zip archives ---------------------------------------------------------- */

/* Returns a copy of golden/torch/zip.pth, to be changed and freed with free(). */
static unsigned char *golden_zip(size_t *length)
{
    struct adl_error err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/torch/zip.pth", test_golden_dir());
    unsigned char *bytes = adl_file_read(path, 100000, length, &err), *copy = NULL;
    if (bytes) {
        copy = malloc(*length);
        memcpy(copy, bytes, *length);
    } else {
        TEST_FAIL("%s", err.message);
    }
    adl_free(bytes);
    return copy;
}

/* Returns the n-th occurrence, counted from 0, of the four bytes, or NULL. */
static unsigned char *find(unsigned char *bytes, size_t length, const char *magic, int n)
{
    for (size_t i = 0; i + 4 <= length; i++)
        if (!memcmp(bytes + i, magic, 4) && n-- == 0)
            return bytes + i;
    return NULL;
}

/* Checks that the archive is refused if `value` replaces the `size` bytes at `offset` of
 * the n-th record with that magic number. Records are counted from 0. */
static void changed(const char *magic, int n, size_t offset, const char *value, size_t size,
                    enum adl_error_kind kind, const char *part)
{
    size_t length;
    unsigned char *bytes = golden_zip(&length);
    unsigned char *record = bytes ? find(bytes, length, magic, n) : NULL;
    if (!record) {
        TEST_FAIL("the golden archive has no such record");
    } else {
        memcpy(record + offset, value, size);
        hostile_refused(read_torch, bytes, length, kind, part);
    }
    free(bytes);
}

#define CHANGED(magic, n, offset, value, kind, part)                                               \
    changed(magic, n, offset, value, sizeof(value) - 1, kind, part)
#define CENTRAL "PK\1\2"
#define LOCAL "PK\3\4"
#define END "PK\5\6"

static void zip_rules(void)
{
    /* Entry 0 is data.pkl; 1 is a storage. */
    CHANGED(CENTRAL, 0, 10, "\x8", ADL_ERR_UNSUPPORTED, "compressed");
    CHANGED(CENTRAL, 0, 8, "\1", ADL_ERR_UNSUPPORTED, "encrypted");
    CHANGED(CENTRAL, 0, 20, "\1\0\0\0", ADL_ERR_UNSUPPORTED, "compressed");
    CHANGED(CENTRAL, 0, 16, "\0\0\0\0", ADL_ERR_FORMAT, "\"data.pkl\" is damaged");
    CHANGED(CENTRAL, 1, 16, "\0\0\0\0", ADL_ERR_FORMAT, "damaged");
    CHANGED(CENTRAL, 0, 20, "\xf0\xff\xff\x7f\xf0\xff\xff\x7f", ADL_ERR_FORMAT, "beyond");
    CHANGED(CENTRAL, 0, 42, "\xf0\xff\xff\x7f", ADL_ERR_FORMAT, "not where");
    CHANGED(CENTRAL, 0, 42, "\5\0\0\0", ADL_ERR_FORMAT, "not where");
    CHANGED(CENTRAL, 0, 28, "\xff\xff", ADL_ERR_FORMAT, "directory");
    CHANGED(CENTRAL, 1, 0, "XX", ADL_ERR_FORMAT, "directory");
    CHANGED(CENTRAL, 0, 46, "q/", ADL_ERR_UNSUPPORTED, "no data.pkl");
    CHANGED(LOCAL, 0, 28, "\xff\xff", ADL_ERR_FORMAT, "beyond");
    CHANGED(LOCAL, 1, 0, "XX", ADL_ERR_FORMAT, "not where");
    CHANGED(END, 0, 10, "\xff\x7f", ADL_ERR_FORMAT, "directory");
    CHANGED(END, 0, 12, "\xf0\xff\xff\x7f", ADL_ERR_FORMAT, "directory");
    CHANGED(END, 0, 16, "\xf0\xff\xff\x7f", ADL_ERR_FORMAT, "directory");
    CHANGED(END, 0, 20, "\1", ADL_ERR_FORMAT, "directory");
}

/* Gives entry 2 in the directory the name of entry 1, which has the same length. */
static void an_entry_twice_is_refused(void)
{
    size_t length;
    unsigned char *bytes = golden_zip(&length);
    unsigned char *first = bytes ? find(bytes, length, CENTRAL, 1) : NULL;
    unsigned char *second = bytes ? find(bytes, length, CENTRAL, 2) : NULL;
    if (first && second && first[28] == second[28]) {
        memcpy(second + 46, first + 46, first[28]);
        hostile_refused(read_torch, bytes, length, ADL_ERR_FORMAT, "twice");
    } else {
        TEST_FAIL("the golden archive is not as expected");
    }
    free(bytes);
}

/* Gives every entry after the first storage the checksum, size and offset of that
 * storage, so that together the entries are larger than the archive. */
static void entries_that_share_bytes_are_refused(void)
{
    size_t length;
    unsigned char *bytes = golden_zip(&length);
    if (!bytes)
        return;
    const unsigned char *shared = find(bytes, length, CENTRAL, 1);
    unsigned char *record;
    for (int n = 2; (record = find(bytes, length, CENTRAL, n)); n++) {
        memcpy(record + 16, shared + 16, 12);
        memcpy(record + 42, shared + 42, 4);
    }
    hostile_refused(read_torch, bytes, length, ADL_ERR_FORMAT, "overlap");
    free(bytes);
}

/* Moves the directory's count, length and offset into zip64 records, which archives
 * beyond 4 GiB have. */
static void zip64_is_followed(void)
{
    size_t length;
    struct adl_error err = {0};
    unsigned char *bytes = golden_zip(&length), *end64, *end_record, large[100000];
    unsigned char *old = bytes ? find(bytes, length, END, 0) : NULL;
    if (!old || length + 100 > sizeof large) {
        TEST_FAIL("the golden archive is not as expected");
        free(bytes);
        return;
    }
    size_t at = (size_t)(old - bytes);
    memset(large, 0, sizeof large);
    memcpy(large, bytes, at);
    end64 = large + at;
    memcpy(end64, "PK\6\6", 4);
    memcpy(end64 + 32, old + 10, 2);
    memcpy(end64 + 40, old + 12, 4);
    memcpy(end64 + 48, old + 16, 4);
    memcpy(end64 + 56, "PK\6\7", 4);
    memcpy(end64 + 56 + 8, &at, 8);
    end_record = end64 + 76;
    memcpy(end_record, old, 22);
    memset(end_record + 8, 0xff, 12);
    length = at + 76 + 22;
    TEST_OK(read_torch(large, length, &err), &err);
    end64[33] = 0x7f;
    hostile_refused(read_torch, large, length, ADL_ERR_FORMAT, "directory");
    end64[33] = 0;
    end64[55] = 0xff;
    hostile_refused(read_torch, large, length, ADL_ERR_FORMAT, "directory");
    end64[55] = 0;
    end64[56 + 15] = 0xff;
    hostile_refused(read_torch, large, length, ADL_ERR_FORMAT, "directory");
    free(bytes);
}

TEST_SUITE(torch_hostile, {"views stay within their storage", views_stay_within_their_storage},
           {"repetition is limited", repetition_is_limited},
           {"parts of storages and old calls", legacy_parts_and_old_calls},
           {"untyped storages", untyped_storages},
           {"storages with long keys are ignored", long_keys_are_ignored},
           {"state_dict rules", state_dict_rules},
           {"long texts beside the tensors", long_texts_beside_the_tensors},
           {"prologue rules", prologue_rules}, {"zip rules", zip_rules},
           {"an entry that occurs twice is refused", an_entry_twice_is_refused},
           {"entries that share bytes are refused", entries_that_share_bytes_are_refused},
           {"zip64 is followed", zip64_is_followed});
