/* io/safetensors: for each rule of the format a file, made here, that breaks it. */

#include "support/test.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "support/hostile.h"

static int read_tensors(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_tensors *tensors = adl_safetensors_parse(bytes, length, err);
    adl_tensors_free(tensors);
    return tensors ? 0 : -1;
}

/* Length, header and `data` bytes 0, 1, 2, ... */
static unsigned char *make_file(const char *header, size_t data, size_t *length)
{
    size_t header_length = strlen(header);
    unsigned char *bytes = malloc(8 + header_length + data);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(header_length >> (8 * i) & 0xff);
    memcpy(bytes + 8, header, header_length);
    for (size_t i = 0; i < data; i++)
        bytes[8 + header_length + i] = (unsigned char)i;
    *length = 8 + header_length + data;
    return bytes;
}

static void refused(const char *header, size_t data, enum adl_error_kind kind, const char *part)
{
    size_t length;
    unsigned char *bytes = make_file(header, data, &length);
    hostile_refused(read_tensors, bytes, length, kind, part);
    free(bytes);
}

static void accepted(const char *header, size_t data)
{
    struct adl_error err = {0};
    size_t length;
    unsigned char *bytes = make_file(header, data, &length);
    TEST_OK(read_tensors(bytes, length, &err), &err);
    free(bytes);
}

static void reads_what_is_there(void)
{
    struct adl_error err = {0};
    size_t length;
    /* The header is not in the order of the data, and the F32 begins at an odd offset. */
    unsigned char *bytes =
        make_file("{\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[3,11]},"
                  "\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                  "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                  "\"s\":{\"dtype\":\"I16\",\"shape\":[],\"data_offsets\":[11,13]},"
                  "\"none\":{\"dtype\":\"F64\",\"shape\":[0,4],\"data_offsets\":[11,11]}}  ",
                  13, &length);
    struct adl_tensors *set = adl_safetensors_parse(bytes, length, &err);
    free(bytes);
    if (!set) {
        TEST_FAIL("%s", err.message);
        return;
    }
    CU_ASSERT_EQUAL(adl_tensors_count(set), 4);
    const struct adl_tensor *b = adl_tensors_at(set, 0), *a = adl_tensors_at(set, 1),
                            *s = adl_tensors_find(set, "s"), *none = adl_tensors_find(set, "none");
    CU_ASSERT(!strcmp(b->name, "b") && b->dtype == ADL_F32 && b->rank == 2 && b->shape[0] == 2 &&
              b->shape[1] == 1 && b->count == 2);
    CU_ASSERT(!memcmp(b->data, "\3\4\5\6\7\x8\x9\xa", 8));
    CU_ASSERT(!strcmp(a->name, "a") && !memcmp(a->data, "\0\1\2", 3));
    CU_ASSERT(s && s->rank == 0 && s->count == 1 && !memcmp(s->data, "\xb\xc", 2));
    CU_ASSERT(none && none->count == 0 && none->rank == 2);
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "format"), "pt");
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "k"), "v");
    adl_tensors_free(set);
    accepted("{}", 0);
    accepted("{\"__metadata__\":{}}   ", 0);
}

static void header_rules(void)
{
    unsigned char huge[16] = {1, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{'};  /* 100,000,001 */
    unsigned char large[16] = {0, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{'}; /* 100,000,000 */
    unsigned char negative[16] = {2, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'};
    hostile_refused(read_tensors, "1234567", 7, ADL_ERR_FORMAT, "too few");
    hostile_refused(read_tensors, "", 0, ADL_ERR_FORMAT, "too few");
    hostile_refused(read_tensors, huge, sizeof huge, ADL_ERR_FORMAT, "over the format's");
    hostile_refused(read_tensors, large, sizeof large, ADL_ERR_FORMAT, "truncated");
    hostile_refused(read_tensors, negative, sizeof negative, ADL_ERR_FORMAT, "over the format's");
    refused("", 0, ADL_ERR_FORMAT, "begin with '{'");
    refused(" {}", 0, ADL_ERR_FORMAT, "begin with '{'");
    refused("[]", 0, ADL_ERR_FORMAT, "begin with '{'");
    refused("{} x", 0, ADL_ERR_FORMAT, "not JSON");
    refused("{\"a\":\"\xff\"}", 0, ADL_ERR_FORMAT, "not JSON");
    refused("{\"a\\u0000\":1}", 0, ADL_ERR_FORMAT, "not JSON");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2, ADL_ERR_FORMAT, "duplicate");
    refused("{\"__metadata__\":[]}", 0, ADL_ERR_FORMAT, "__metadata__");
    refused("{\"__metadata__\":{\"k\":1}}", 0, ADL_ERR_FORMAT, "\"k\"");
}

static void practical_header_limit(void)
{
    size_t length, header_length = ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES + 1;
    char *header = malloc(header_length + 1);
    memset(header, ' ', header_length);
    memcpy(header, "{}", 2);
    header[header_length] = '\0';
    unsigned char *bytes = make_file(header, 0, &length);
    hostile_refused(read_tensors, bytes, length, ADL_ERR_LIMIT, "this program reads up to");
    free(bytes);
    free(header);
}

static void tensor_rules(void)
{
    static const struct {
        const char *info;
        enum adl_error_kind kind;
        const char *part;
    } cases[] = {
        {"3", ADL_ERR_FORMAT, "lacks"},
        {"{\"dtype\":\"F32\",\"shape\":[2]}", ADL_ERR_FORMAT, "lacks"},
        {"{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT, "lacks"},
        {"{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}", ADL_ERR_FORMAT, "lacks"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"scale\":1}",
         ADL_ERR_UNSUPPORTED, "more fields"},
        {"{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}", ADL_ERR_UNSUPPORTED,
         "\"F8_E4M3\""},
        {"{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}", ADL_ERR_UNSUPPORTED, "dtype"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}", ADL_ERR_FORMAT, "range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}", ADL_ERR_FORMAT, "range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}", ADL_ERR_FORMAT, "range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}", ADL_ERR_FORMAT, "range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0.0,8.0]}", ADL_ERR_FORMAT, "range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[\"0\",\"8\"]}", ADL_ERR_FORMAT,
         "range"},
        {"{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT,
         "whole number"},
        {"{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT,
         "whole number"},
        {"{\"dtype\":\"F32\",\"shape\":[null],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT,
         "whole number"},
        {"{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}", ADL_ERR_LIMIT,
         "9 dimensions"},
        {"{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT, "12 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}",
         ADL_ERR_FORMAT, "overflows"},
        {"{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}",
         ADL_ERR_FORMAT, "overflows"},
        {"{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]}", ADL_ERR_FORMAT, "4 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}", ADL_ERR_FORMAT, "truncated"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", ADL_ERR_FORMAT,
         "belong to none"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}", ADL_ERR_FORMAT,
         "belong to no tensor"},
    };
    char header[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(header, sizeof header, "{\"conv1.weight\":%s}", cases[i].info);
        refused(header, 8, cases[i].kind, cases[i].part);
        if (!strstr(cases[i].part, "none"))
            refused(header, 8, cases[i].kind, "\"conv1.weight\"");
    }
    accepted("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
}

static void coverage_rules(void)
{
#define U8(name, begin, end, n)                                                                    \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" n "],\"data_offsets\":[" begin "," end "]}"
    accepted("{" U8("b", "4", "8", "4") "," U8("a", "0", "4", "4") "}", 8);
    accepted("{" U8("a", "0", "8", "8") "," U8("z", "8", "8", "0") "," U8("y", "0", "0", "0") "}",
             8);
    refused("{" U8("a", "0", "5", "5") "," U8("b", "4", "8", "4") "}", 8, ADL_ERR_FORMAT,
            "\"b\" overlaps");
    refused("{" U8("a", "0", "8", "8") "," U8("b", "0", "8", "8") "}", 8, ADL_ERR_FORMAT,
            "overlaps");
    refused("{" U8("a", "0", "3", "3") "," U8("b", "4", "8", "4") "}", 8, ADL_ERR_FORMAT,
            "\"b\" follows bytes");
    refused("{" U8("a", "0", "8", "8") "," U8("z", "5", "5", "0") "}", 8, ADL_ERR_FORMAT,
            "overlaps");
    refused("{" U8("a", "0", "4", "4") "," U8("b", "4", "9", "5") "}", 8, ADL_ERR_FORMAT,
            "truncated: tensor \"b\"");
    refused("{}", 1, ADL_ERR_FORMAT, "1 byte after the last tensor belongs to none");
#undef U8
}

/* --- writing --------------------------------------------------------------- */

static struct adl_tensors *make_set(struct adl_error *err)
{
    struct adl_tensors *set = adl_tensors_create(err);
    const struct {
        const char *name;
        enum adl_dtype dtype;
        int rank;
        size_t shape[3];
    } rows[] = {{"odd", ADL_U8, 1, {3}},           {"half", ADL_F16, 2, {1, 3}},
                {"weight", ADL_F32, 3, {2, 3, 1}}, {"steps", ADL_I64, 0, {0}},
                {"none", ADL_F32, 2, {0, 7}},      {"\"q\"\\\xc3\xa9", ADL_BOOL, 1, {1}}};
    for (size_t i = 0; set && i < sizeof rows / sizeof *rows; i++) {
        struct adl_tensor *t =
            adl_tensors_add(set, rows[i].name, rows[i].dtype, rows[i].rank, rows[i].shape, err);
        if (!t) {
            adl_tensors_free(set);
            return NULL;
        }
        for (size_t j = 0; j < adl_tensor_bytes(t); j++)
            ((unsigned char *)t->data)[j] = (unsigned char)(i * 50 + j);
    }
    if (set && (adl_tensors_set_meta(set, "format", "pt", err) < 0 ||
                adl_tensors_set_meta(set, "adl", "{\"version\":1}\n", err) < 0)) {
        adl_tensors_free(set);
        return NULL;
    }
    return set;
}

static bool same(const struct adl_tensors *a, const struct adl_tensors *b)
{
    if (adl_tensors_count(a) != adl_tensors_count(b) ||
        adl_tensors_meta_count(a) != adl_tensors_meta_count(b))
        return false;
    for (size_t i = 0; i < adl_tensors_count(a); i++) {
        const struct adl_tensor *x = adl_tensors_at(a, i), *y = adl_tensors_at(b, i);
        if (strcmp(x->name, y->name) || x->dtype != y->dtype || x->rank != y->rank ||
            memcmp(x->shape, y->shape, sizeof x->shape) ||
            memcmp(x->data, y->data, adl_tensor_bytes(x)))
            return false;
    }
    for (size_t i = 0; i < adl_tensors_meta_count(a); i++) {
        const char *key, *value;
        adl_tensors_meta_at(a, i, &key, &value);
        if (!adl_tensors_meta(b, key) || strcmp(adl_tensors_meta(b, key), value))
            return false;
    }
    return true;
}

static const char *tmp_path(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/x.safetensors", test_tmp_dir());
    return path;
}

static void round_trip_is_equal(void)
{
    struct adl_error err = {0};
    struct adl_tensors *set = make_set(&err), *back;
    TEST_OK(adl_safetensors_write(tmp_path(), set, &err), &err);
    back = adl_safetensors_read(tmp_path(), &err);
    CU_ASSERT(back && same(set, back));
    adl_tensors_free(back);

    /* The data begin at a multiple of 8, each tensor at a multiple of its element size. */
    size_t length;
    unsigned char *bytes = adl_file_read(tmp_path(), 100000, &length, &err);
    CU_ASSERT(bytes && bytes[0] % 8 == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)bytes + 8, "\"steps\":{\"dtype\":\"I64\",\"shape\":[],"
                                                     "\"data_offsets\":[0,8]}"));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)bytes + 8, "\"data_offsets\":[8,32]"));
    adl_free(bytes);

    struct adl_tensors *empty = adl_tensors_create(&err);
    TEST_OK(adl_safetensors_write(tmp_path(), empty, &err), &err);
    back = adl_safetensors_read(tmp_path(), &err);
    CU_ASSERT(back && adl_tensors_count(back) == 0);
    adl_tensors_free(back);
    adl_tensors_free(empty);
    adl_tensors_free(set);
}

static void unwritable_is_refused(void)
{
    static const char *const names[] = {"__metadata__", "\xff"};
    for (size_t i = 0; i < 2; i++) {
        struct adl_error err = {0};
        struct adl_tensors *set = adl_tensors_create(&err);
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, names[i], ADL_U8, 0, NULL, &err));
        CU_ASSERT_EQUAL(adl_safetensors_write(tmp_path(), set, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
        adl_tensors_free(set);
    }
}

static void path_is_in_the_message(void)
{
    struct adl_error err = {0};
    struct adl_file_piece junk = {"junk", 4};
    CU_ASSERT_PTR_NULL(adl_safetensors_read("/no/such/file", &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
    adl_error_clear(&err);
    TEST_OK(adl_file_write(tmp_path(), &junk, 1, &err), &err);
    CU_ASSERT_PTR_NULL(adl_safetensors_read(tmp_path(), &err));
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && strstr(err.message, "x.safetensors: not safetensors"));
}

static void stands_hostile_bytes(void)
{
    struct adl_error err = {0};
    struct adl_tensors *set = make_set(&err);
    size_t length;
    TEST_OK(adl_safetensors_write(tmp_path(), set, &err), &err);
    adl_tensors_free(set);
    unsigned char *bytes = adl_file_read(tmp_path(), 100000, &length, &err);
    hostile_truncate(read_tensors, bytes, length);
    hostile_mutate(read_tensors, bytes, length);
    hostile_starve(read_tensors, bytes, length);
    adl_free(bytes);
}

static int write_set(const void *bytes, size_t length, struct adl_error *err)
{
    (void)bytes;
    (void)length;
    struct adl_tensors *set = make_set(err);
    int result = set ? adl_safetensors_write(tmp_path(), set, err) : -1;
    adl_mem_fail_nth(0); /* whatever was written has to be complete */
    struct adl_tensors *back = result == 0 ? adl_safetensors_read(tmp_path(), err) : NULL;
    if (back && !same(set, back))
        TEST_FAIL("what was written differs from the set");
    adl_tensors_free(set);
    adl_tensors_free(back);
    return back ? 0 : -1;
}

static void *json_allocate(size_t bytes)
{
    return adl_malloc(bytes, 1);
}

/* The header is built by jansson, so its allocations fail in turn as well: none may
 * leave a header that lacks something. */
static void writing_survives_no_memory(void)
{
    json_malloc_t old_malloc;
    json_free_t old_free;
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(json_allocate, adl_free);
    hostile_starve(write_set, "", 0);
    json_set_alloc_funcs(old_malloc, old_free);
}

static void reads_the_shared_weights(void)
{
    struct adl_error err = {0};
    char path[4096];
    if (!test_shared_dir()) {
        test_skip("no shared weights");
        return;
    }
    snprintf(path, sizeof path, "%s/weights/mobilenet_v1_0.75_224_imagenet.safetensors",
             test_shared_dir());
    size_t before = adl_mem_stats().live_bytes;
    struct adl_tensors *set = adl_safetensors_read(path, &err);
    if (!set) {
        TEST_FAIL("%s", err.message);
        return;
    }
    const struct adl_tensor *fc = adl_tensors_find(set, "fc.weight");
    CU_ASSERT(fc && fc->rank == 2 && fc->shape[0] == 1000 && fc->shape[1] == 768);
    /* There is one copy of the weights; the header is small beside it. */
    size_t bytes = 0;
    for (size_t i = 0; i < adl_tensors_count(set); i++)
        bytes += adl_tensor_bytes(adl_tensors_at(set, i));
    CU_ASSERT(adl_mem_stats().live_bytes - before < bytes + bytes / 20);
    adl_tensors_free(set);
}

TEST_SUITE(safetensors, {"reads what is there", reads_what_is_there},
           {"header rules", header_rules}, {"practical header limit", practical_header_limit},
           {"tensor rules", tensor_rules}, {"coverage rules", coverage_rules},
           {"a round trip is equal", round_trip_is_equal},
           {"unwritable names are refused", unwritable_is_refused},
           {"the path is in the message", path_is_in_the_message},
           {"stands hostile bytes", stands_hostile_bytes},
           {"writing survives no memory", writing_survives_no_memory},
           {"reads the shared weights", reads_the_shared_weights});
