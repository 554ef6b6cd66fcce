/* io/npy: files that NumPy wrote, and corrupt ones. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/npy.h"
#include "support/hostile.h"

static void *golden(const char *name, size_t *length)
{
    char path[512];
    struct adl_error err = {0};
    snprintf(path, sizeof path, "%s/npy/%s", test_golden_dir(), name);
    void *bytes = adl_file_read(path, 100000, length, &err);
    if (!bytes)
        TEST_FAIL("%s", err.message);
    return bytes;
}

static int parse(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_npy npy;
    int result = adl_npy_parse(bytes, length, &npy, err);
    CU_ASSERT((npy.data != NULL) == (result == 0));
    adl_npy_release(&npy);
    return result;
}

/* The arrays are (0 .. 11 - 5) / 3, three rows of four. */
static void files_of_numpy_are_read(void)
{
    static const struct {
        const char *name;
        enum adl_npy_type type;
    } cases[] = {
        {"f64.npy", ADL_NPY_F64},        {"version2.npy", ADL_NPY_F64},
        {"f32.npy", ADL_NPY_F32},        {"fortran.npy", ADL_NPY_F64},
        {"big_endian.npy", ADL_NPY_F64}, {"big_endian_f32_fortran.npy", ADL_NPY_F32},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_npy npy;
        char path[512];
        snprintf(path, sizeof path, "%s/npy/%s", test_golden_dir(), cases[i].name);
        TEST_OK(adl_npy_read(path, &npy, &err), &err);
        CU_ASSERT_FATAL(npy.data && npy.rows == 3 && npy.columns == 4);
        CU_ASSERT_EQUAL(npy.type, cases[i].type);
        for (int k = 0; k < 12; k++) {
            double exact = (k - 5) / 3.0;
            CU_ASSERT_EQUAL(npy.data[k], npy.type == ADL_NPY_F32 ? (double)(float)exact : exact);
        }
        adl_npy_release(&npy);
    }
}

static void what_is_written_equals_numpys(void)
{
    double values[12];
    char path[512];
    for (int k = 0; k < 12; k++)
        values[k] = (k - 5) / 3.0;
    for (int type = 0; type < 2; type++) {
        struct adl_error err = {0};
        size_t want_length = 0, length = 0;
        void *want = golden(type == ADL_NPY_F32 ? "f32.npy" : "f64.npy", &want_length);
        snprintf(path, sizeof path, "%s/written.npy", test_tmp_dir());
        TEST_OK(adl_npy_write(path, (enum adl_npy_type)type, values, 3, 4, &err), &err);
        void *got = adl_file_read(path, 100000, &length, &err);
        CU_ASSERT(got && length == want_length && !memcmp(got, want, length));
        adl_free(got);
        adl_free(want);
    }
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_npy_write("/nonexistent/x.npy", ADL_NPY_F64, values, 3, 4, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/nonexistent/x.npy"));
}

static void other_arrays_are_refused(void)
{
    static const struct {
        const char *name;
        enum adl_error_kind kind;
        const char *part;
    } cases[] = {
        {"int64.npy", ADL_ERR_UNSUPPORTED, "not float32 or float64"},
        {"record.npy", ADL_ERR_UNSUPPORTED, "structure"},
        {"vector.npy", ADL_ERR_UNSUPPORTED, "1 dimensions"},
        {"scalar.npy", ADL_ERR_UNSUPPORTED, "0 dimensions"},
        {"cube.npy", ADL_ERR_UNSUPPORTED, "more than two"},
        {"empty.npy", ADL_ERR_FORMAT, "empty"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        size_t length = 0;
        void *bytes = golden(cases[i].name, &length);
        hostile_refused(parse, bytes, length, cases[i].kind, cases[i].part);
        adl_free(bytes);
    }
}

/* A file of version 1.0 with this header and one number. */
static size_t with_header(char *file, const char *header)
{
    size_t length = strlen(header);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (char)(length & 0xff);
    file[9] = (char)(length >> 8);
    memcpy(file + 10, header, length);
    memset(file + 10 + length, 0, 8);
    return 10 + length + 8;
}

static void headers_are_read_strictly(void)
{
    static const char *const good[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }   \n",
        "{'shape':(1,1),\"descr\":\"<f8\",'fortran_order':False}",
        " { 'fortran_order' : False , 'shape' : ( 1 , 1 , ) , 'descr' : '<f8' , } ",
    };
    static const char *const bad[] = {
        "",
        "{}",
        "{'descr': '<f8', 'fortran_order': False}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), 'descr': '<f8'}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), 'x': 1}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)} x",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (1, 1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1 1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': [1, 1]}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,, 1)}",
        "{'descr': '<f8' 'fortran_order': False, 'shape': (1, 1)}",
        "{'descr': <f8', 'fortran_order': False, 'shape': (1, 1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1)}",
        "{, 'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}",
        "{'descr': '\\x3cf8', 'fortran_order': False, 'shape': (1, 1)}",
    };
    /* One byte of the prologue is another one. */
    static const struct {
        size_t at;
        char value;
        enum adl_error_kind kind;
        const char *part;
    } bytes[] = {
        {6, 3, ADL_ERR_UNSUPPORTED, "version 3.0"},
        {9, 0x7f, ADL_ERR_LIMIT, "header of 32"},
        {9, 0x10, ADL_ERR_FORMAT, "truncated"},
    };
    char file[512];
    for (size_t i = 0; i < ADL_COUNT(good); i++) {
        struct adl_error err = {0};
        TEST_OK(parse(file, with_header(file, good[i]), &err), &err);
    }
    for (size_t i = 0; i < ADL_COUNT(bad); i++)
        hostile_refused(parse, file, with_header(file, bad[i]), ADL_ERR_FORMAT, "header");
    size_t length = with_header(file, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2)}");
    hostile_refused(parse, file, length, ADL_ERR_FORMAT, "has 8 bytes of 1 x 2 numbers, not 16");
    length = with_header(
        file, "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}");
    hostile_refused(parse, file, length, ADL_ERR_LIMIT, "side");
    for (size_t i = 0; i < ADL_COUNT(bytes); i++) {
        length = with_header(file, good[0]);
        file[bytes[i].at] = bytes[i].value;
        hostile_refused(parse, file, length, bytes[i].kind, bytes[i].part);
    }
    hostile_refused(parse, "PK\3\4........", 12, ADL_ERR_FORMAT, "not a .npy file");
}

static void damaged_files_end_in_an_answer(void)
{
    static const char *const names[] = {"f32.npy", "version2.npy", "big_endian_f32_fortran.npy"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        size_t length = 0;
        void *bytes = golden(names[i], &length);
        hostile_truncate(parse, bytes, length);
        hostile_mutate(parse, bytes, length);
        adl_free(bytes);
    }
}

static int read_and_write(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_npy npy;
    char path[512];
    snprintf(path, sizeof path, "%s/starved.npy", test_tmp_dir());
    if (adl_npy_parse(bytes, length, &npy, err) < 0)
        return -1;
    int result = adl_npy_write(path, ADL_NPY_F32, npy.data, npy.rows, npy.columns, err);
    adl_npy_release(&npy);
    if (result < 0 || adl_npy_read(path, &npy, err) < 0)
        return -1;
    adl_npy_release(&npy);
    return 0;
}

static void survives_no_memory(void)
{
    size_t length = 0;
    void *bytes = golden("f64.npy", &length);
    hostile_starve(read_and_write, bytes, length);
    adl_free(bytes);
}

TEST_SUITE(npy, {"files of numpy are read", files_of_numpy_are_read},
           {"what is written equals numpy's", what_is_written_equals_numpys},
           {"other arrays are refused", other_arrays_are_refused},
           {"headers are read strictly", headers_are_read_strictly},
           {"damaged files end in an answer", damaged_files_end_in_an_answer},
           {"arrays survive running out of memory", survives_no_memory});
