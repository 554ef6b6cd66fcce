/* models/onnx_in: files that would take much work or memory for their size are read fast or
 * refused, and data of tensors are read from files beside the ONNX file, from nowhere else. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/protobuf.h"
#include "models/file/load.h"
#include "models/onnx_in/onnx_in.h"
#include "support/small_model.h"

/* --- ONNX files that are written field by field ----------------------------------------------- */

static void add_node(struct adl_protobuf *graph, const char *name, const char *op, const char *a,
                     const char *b, const char *output)
{
    struct adl_protobuf node = {0};
    adl_protobuf_text(&node, 1, a);
    if (b)
        adl_protobuf_text(&node, 1, b);
    adl_protobuf_text(&node, 2, output);
    adl_protobuf_text(&node, 3, name);
    adl_protobuf_text(&node, 4, op);
    adl_protobuf_message(graph, 1, &node);
}

/* Begins a tensor of float32. */
static struct adl_protobuf tensor(const char *name, const int64_t *dims, size_t rank)
{
    struct adl_protobuf made = {0};
    for (size_t i = 0; i < rank; i++)
        adl_protobuf_int(&made, 1, dims[i]);
    adl_protobuf_int(&made, 2, 1);
    adl_protobuf_text(&made, 8, name);
    return made;
}

static void add_tensor(struct adl_protobuf *graph, const char *name, const int64_t *dims,
                       size_t rank, const float *values)
{
    struct adl_protobuf made = tensor(name, dims, rank);
    size_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    adl_protobuf_bytes(&made, 9, values, count * sizeof *values);
    adl_protobuf_message(graph, 5, &made);
}

/* Adds an input (11) or output (12) of this shape. */
static void add_port(struct adl_protobuf *graph, unsigned field, const char *name,
                     const int64_t *dims, size_t rank)
{
    struct adl_protobuf port = {0}, type = {0}, of = {0}, shape = {0};
    for (size_t i = 0; i < rank; i++) {
        struct adl_protobuf dim = {0};
        adl_protobuf_int(&dim, 1, dims[i]);
        adl_protobuf_message(&shape, 1, &dim);
    }
    adl_protobuf_int(&of, 1, 1);
    adl_protobuf_message(&of, 2, &shape);
    adl_protobuf_message(&type, 1, &of);
    adl_protobuf_text(&port, 1, name);
    adl_protobuf_message(&port, 2, &type);
    adl_protobuf_message(graph, field, &port);
}

/* Writes the file, with the image as input and the scores `output`; returns its path. */
static const char *write_file(struct adl_protobuf *graph, const char *output)
{
    struct adl_protobuf file = {0}, opset = {0};
    struct adl_error err = {0};
    const char *path = model_tmp_path("limits.onnx");
    add_port(graph, 11, "image", (int64_t[]){1, 3, 8, 8}, 4);
    add_port(graph, 12, output, (int64_t[]){1, 5}, 2);
    adl_protobuf_int(&opset, 2, 13);
    adl_protobuf_int(&file, 1, 8);
    adl_protobuf_message(&file, 7, graph);
    adl_protobuf_message(&file, 8, &opset);
    TEST_OK(adl_protobuf_write(path, &file, &err), &err);
    adl_protobuf_release(&file);
    return path;
}

/* Checks that a file is refused in these words. */
static void refused(const char *path, enum adl_error_kind kind, const char *part)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_onnx_in_load(path, NULL, &err);
    if (model || err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("%s: %s, expected a refusal (%s) that says \"%s\"", model ? "read" : err.message,
                  test_error_kind(err.kind), test_error_kind(kind), part);
    adl_model_free(model);
}

/* --- work and memory -------------------------------------------------------------------------- */

#define SIDE 512
static float weight[SIDE * SIDE];

/* A weight of 1 MiB that each of `count` nodes copies. */
static const char *write_copies(const char *op, int count)
{
    struct adl_protobuf graph = {0};
    bool conv = strcmp(op, "Conv") == 0;
    char last[16] = "weight", next[16];

    add_tensor(&graph, "weight", (int64_t[]){SIDE, SIDE, 1, 1}, conv ? 4 : 2, weight);
    if (conv) {
        add_tensor(&graph, "first", (int64_t[]){SIDE, 3, 1, 1}, 4, weight);
        add_node(&graph, "", "Conv", "image", "first", "map");
        snprintf(last, sizeof last, "map");
    }
    for (int i = 0; i < count; i++) {
        snprintf(next, sizeof next, "t%d", i);
        add_node(&graph, "", op, last, conv ? "weight" : NULL, next);
        memcpy(last, next, sizeof last);
    }
    return write_file(&graph, last);
}

static void bounds_copies(void)
{
    refused(write_copies("Transpose", 40), ADL_ERR_UNSUPPORTED, "is a constant");
    refused(write_copies("Transpose", 80), ADL_ERR_LIMIT,
            "more than 16 times the bytes of the file");
    refused(write_copies("Conv", 40), ADL_ERR_UNSUPPORTED, "class maps need an end");
    refused(write_copies("Conv", 80), ADL_ERR_LIMIT, "more than 16 times the bytes of the file");
}

/* Older files list their initializers among the inputs: work in proportion to their number. */
static void finds_the_input_among_weights(void)
{
    enum { COUNT = 60000 };
    struct adl_protobuf graph = {0};
    const float zero = 0;
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "a.weight.with.a.name.%d", i);
        add_tensor(&graph, name, NULL, 0, &zero);
        add_port(&graph, 11, name, NULL, 0);
    }
    const char *path = write_file(&graph, "image");
    clock_t start = clock();
    refused(path, ADL_ERR_UNSUPPORTED, "the scores are the input");
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 3)
        TEST_FAIL("%d inputs take %g s", COUNT, seconds);
}

/* Thousands of parameters that would all get the same name. */
static void numbers_names(void)
{
    enum { COUNT = 4000 };
    struct adl_protobuf graph = {0};
    char last[16] = "image", next[16];
    add_tensor(&graph, "bias", (int64_t[]){3, 1, 1}, 3, (float[]){1, 2, 3});
    for (int i = 0; i < COUNT; i++) {
        snprintf(next, sizeof next, "t%d", i);
        add_node(&graph, "node", "Add", last, "bias", next);
        memcpy(last, next, sizeof last);
    }
    const char *path = write_file(&graph, last);
    size_t before = adl_mem_stats().peak_bytes;
    refused(path, ADL_ERR_UNSUPPORTED, "class maps need an end");
    size_t grown = adl_mem_stats().peak_bytes - before;
    if (grown > 32 * ADL_MIB)
        TEST_FAIL("the names of %d parameters take %zu bytes", COUNT, grown);
}

/* A zero point of a map that is no byte, though its type is. */
static void checks_zero_points(void)
{
    static const int64_t zeros[] = {128, -129, INT32_MAX, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ADL_COUNT(zeros); i++) {
        struct adl_protobuf graph = {0}, zero = {0}, node = {0};
        add_tensor(&graph, "scale", NULL, 0, (float[]){1});
        adl_protobuf_int(&zero, 2, 3);
        adl_protobuf_int(&zero, 5, zeros[i]);
        adl_protobuf_text(&zero, 8, "zero");
        adl_protobuf_message(&graph, 5, &zero);
        for (int k = 0; k < 3; k++)
            adl_protobuf_text(&node, 1, (const char *[]){"image", "scale", "zero"}[k]);
        adl_protobuf_text(&node, 2, "bytes");
        adl_protobuf_text(&node, 4, "QuantizeLinear");
        adl_protobuf_message(&graph, 1, &node);
        refused(write_file(&graph, "bytes"), ADL_ERR_UNSUPPORTED, "its zero point is not a byte");
    }
}

/* --- data in other files -----------------------------------------------------------------------
 */

static void add_entry(struct adl_protobuf *tensor, const char *key, const char *value)
{
    struct adl_protobuf entry = {0};
    if (!value)
        return;
    adl_protobuf_text(&entry, 1, key);
    adl_protobuf_text(&entry, 2, value);
    adl_protobuf_message(tensor, 13, &entry);
}

/* A convolution, a pool and a linear layer, whose weight of 5 x 4 is in another file. */
static const char *write_external(const char *location, const char *offset, const char *length)
{
    struct adl_protobuf graph = {0}, fc = tensor("fc.weight", (int64_t[]){5, 4, 1, 1}, 4);
    float values[12];
    for (int i = 0; i < 12; i++)
        values[i] = (float)i / 8;
    add_tensor(&graph, "conv.weight", (int64_t[]){4, 3, 1, 1}, 4, values);
    add_entry(&fc, "location", location);
    add_entry(&fc, "offset", offset);
    add_entry(&fc, "length", length);
    add_entry(&fc, "checksum", "of SHA-1");
    adl_protobuf_int(&fc, 14, 1);
    adl_protobuf_message(&graph, 5, &fc);
    add_node(&graph, "", "Conv", "image", "conv.weight", "map");
    add_node(&graph, "", "GlobalAveragePool", "map", NULL, "pooled");
    add_node(&graph, "", "Conv", "pooled", "fc.weight", "scores");
    return write_file(&graph, "scores");
}

static void write_data(const char *name, const float *values, size_t count)
{
    struct adl_error err = {0};
    const struct adl_file_piece pieces[] = {{"junk", 4}, {values, count * sizeof *values}};
    TEST_OK(adl_file_write(model_tmp_path(name), pieces, 2, &err), &err);
}

static void reads_data_beside_the_file(void)
{
    struct adl_error err = {0};
    float values[20];
    for (int i = 0; i < 20; i++)
        values[i] = (float)i - 7.5F;
    write_data("limits.onnx.data", values, 20);
    static const char *const lengths[] = {"80", NULL};
    for (size_t i = 0; i < ADL_COUNT(lengths); i++) {
        struct adl_model *model =
            adl_onnx_in_load(write_external("limits.onnx.data", "4", lengths[i]), NULL, &err);
        model_must(model != NULL, &err);
        const struct adl_tensor *read = adl_tensors_find(model->weights, "fc.weight");
        CU_ASSERT_FATAL(read != NULL && read->count == 20);
        CU_ASSERT(model_same_floats(read->data, values, 20));
        adl_model_free(model);
    }
    /* Data that the file does not have. */
    refused(write_external("limits.onnx.data", "8", "80"), ADL_ERR_FORMAT,
            "has 84 bytes, and its data end beyond that");
    refused(write_external("limits.onnx.data", "18446744073709551612", "80"), ADL_ERR_FORMAT,
            "end beyond that");
    refused(write_external("limits.onnx.data", "184467440737095516160", "80"), ADL_ERR_FORMAT,
            "end beyond that");
    refused(write_external("limits.onnx.data", "-4", "80"), ADL_ERR_FORMAT, "end beyond that");
    refused(write_external("limits.onnx.data", "4", "84"), ADL_ERR_FORMAT,
            "its shape has 20 elements of 4");
    refused(write_external("missing.data", "4", "80"), ADL_ERR_NOT_FOUND,
            "/missing.data, which has the data of tensors");
}

/* An ONNX file names no file elsewhere, and none that is no regular file. */
static void reads_no_other_files(void)
{
    static const char *const names[] = {
        "", ".", "..", "../limits.onnx.data", "/etc/passwd", "below/x.data", "./limits.onnx.data"};
    write_data("limits.onnx.data", (float[20]){0}, 20);
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        refused(write_external(names[i], NULL, "80"), ADL_ERR_UNSUPPORTED,
                "only files beside the ONNX file are read");
    refused(write_external(NULL, NULL, "80"), ADL_ERR_FORMAT, "which is not named");
    refused(write_external("-", NULL, "80"), ADL_ERR_NOT_FOUND, "/-, which has the data");
    CU_ASSERT_EQUAL(mkfifo(model_tmp_path("pipe"), 0600), 0);
    refused(write_external("pipe", NULL, "80"), ADL_ERR_UNSUPPORTED,
            "\"pipe\", which is not a regular file");
    CU_ASSERT_EQUAL(mkdir(model_tmp_path("folder"), 0700), 0);
    refused(write_external("folder", NULL, "80"), ADL_ERR_UNSUPPORTED,
            "\"folder\", which is not a regular file");

    /* Bytes alone have no file beside them. */
    struct adl_error err = {0};
    size_t length;
    void *bytes =
        adl_file_read(write_external("limits.onnx.data", "4", "80"), ADL_MIB, &length, &err);
    model_must(bytes != NULL, &err);
    CU_ASSERT_PTR_NULL(adl_onnx_in_parse(bytes, length, NULL, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "torch.onnx.export with external_data=False"));
    adl_free(bytes);
}

TEST_SUITE(onnx_in_limits, {"numbers names", numbers_names},
           {"bounds the copies of constants", bounds_copies},
           {"finds the input among weights", finds_the_input_among_weights},
           {"checks zero points", checks_zero_points},
           {"reads data beside the file", reads_data_beside_the_file},
           {"reads no other files", reads_no_other_files});
