/* ONNX files, read back by a reader of their own (support/onnx_file.h): each parameter
 * occurs once with its bytes, the nodes are as many as the papers count, and ONNX's rules
 * for shapes give the graph's shapes. tests/onnx/run.sh compares the outputs with those of
 * ONNX Runtime. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/file/description.h"
#include "models/onnx/onnx.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "support/nets.h"
#include "support/onnx_memory.h"
#include "support/onnx_shapes.h"
#include "support/test.h"

#define CLASSES 5
#define EPSILON 0.0625
#define TEST_H 65 /* odd and even, so that the paddings of the sides differ */
#define TEST_W 98

/* --- writing --------------------------------------------------------------------- */

static struct adl_model *make_model(const struct adl_arch *arch)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_create(arch, TEST_H, TEST_W, &err);
    if (!model) {
        TEST_FAIL("%s", err.message);
        return NULL;
    }
    for (size_t id = 0; id < adl_tensors_count(model->weights); id++) {
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, id);
        float *values = tensor->data;
        for (size_t i = 0; i < tensor->count; i++)
            values[i] = (float)id + (float)i / 65536;
    }
    return model;
}

/* The bytes of the model's ONNX file, written to memory; freed by munmap. */
static void *write_to_memory(const struct adl_model *model, size_t *length, struct adl_error *err)
{
    struct stat info;
    void *bytes = NULL;
    fflush(stdout);
    int fd = memfd_create("onnx", MFD_CLOEXEC), saved = dup(STDOUT_FILENO);
    if (fd < 0 || saved < 0 || dup2(fd, STDOUT_FILENO) < 0)
        abort();
    int result = adl_onnx_write(model, "-", err);
    if (dup2(saved, STDOUT_FILENO) < 0 || fstat(fd, &info) < 0)
        abort();
    if (result == 0 && info.st_size > 0) {
        *length = (size_t)info.st_size;
        bytes = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            abort();
    }
    close(saved);
    close(fd);
    return bytes;
}

/* --- checks of one file -------------------------------------------------------------- */

/* A value that is also one of the graph has the graph's shape. */
static void check_shape(const struct adl_graph *graph, const struct onnx_known *value)
{
    char name[200];
    snprintf(name, sizeof name, "%.*s", (int)value->name.length, (const char *)value->name.data);
    int id = adl_graph_find_value(graph, name);
    if (id < 0)
        return;
    struct adl_shape shape = adl_graph_value(graph, id)->shape;
    const int64_t want[4] = {-1, shape.c, shape.h, shape.w};
    if (!onnx_same_dims(value, want, value->rank))
        TEST_FAIL("%s is %lld x %lld x %lld", name, (long long)value->dims[1],
                  (long long)value->dims[2], (long long)value->dims[3]);
}

static void check_nodes(const struct onnx_file *file, struct onnx_table *table,
                        const struct adl_graph *graph)
{
    for (size_t n = 0; n < file->node_count; n++) {
        const struct onnx_node *node = &file->nodes[n];
        const struct onnx_known *in[ONNX_MAX_LIST];
        struct onnx_known out;
        bool fine = node->output_count == 1 && node->input_count > 0 && node->name.length > 0 &&
                    !onnx_find(table, node->outputs[0]);
        for (size_t i = 0; fine && i < node->input_count; i++) {
            in[i] = onnx_find(table, node->inputs[i]);
            fine = in[i] != NULL;
        }
        if (!fine || !onnx_infer(node, in, (float)EPSILON, &out)) {
            TEST_FAIL("%.*s, a %.*s, is wrong", (int)node->name.length,
                      (const char *)node->name.data, (int)node->op.length,
                      (const char *)node->op.data);
            return;
        }
        check_shape(graph, &out);
        table->entries[table->count++] = out;
    }
}

static const struct onnx_node *maker(const struct onnx_file *file, struct onnx_slice value)
{
    for (size_t i = 0; i < file->node_count; i++)
        if (onnx_slice_same(file->nodes[i].outputs[0], value))
            return &file->nodes[i];
    return NULL;
}

static struct onnx_slice slice(const char *text)
{
    return (struct onnx_slice){(const unsigned char *)text, strlen(text)};
}

/* Whether a node uses a value of the graph, if need be through a training-only layer or a
 * Pad in front of an average pool. */
static void check_use(const struct onnx_file *file, const struct adl_graph *graph,
                      struct onnx_slice name, size_t input, int value)
{
    const struct adl_value *wanted = adl_graph_value(graph, value);
    while (wanted->node >= 0 && adl_graph_node(graph, wanted->node)->def->training_only)
        wanted = adl_graph_value(graph, adl_graph_node(graph, wanted->node)->inputs[0]);
    const struct onnx_node *node = maker(file, name);
    if (!node || node->input_count <= input) {
        TEST_FAIL("%.*s is not made", (int)name.length, (const char *)name.data);
        return;
    }
    const struct onnx_node *form = maker(file, node->inputs[input]);
    bool padded = form && onnx_slice_is(form->op, "Pad");
    if (!onnx_slice_is(padded ? form->inputs[0] : node->inputs[input], wanted->name))
        TEST_FAIL("input %zu of %.*s is not %s", input, (int)name.length, (const char *)name.data,
                  wanted->name);
}

static void check_wiring(const struct onnx_file *file, const struct adl_graph *graph)
{
    static const char *const outputs[] = {"logits", "features", "maps"};
    for (int n = 0; n < adl_graph_node_count(graph); n++) {
        const struct adl_node *node = adl_graph_node(graph, n);
        for (int i = 0; !node->def->training_only && i < node->input_count; i++)
            check_use(file, graph, slice(adl_graph_value(graph, node->output)->name), (size_t)i,
                      node->inputs[i]);
    }
    for (int i = 0; i < (int)ADL_COUNT(outputs); i++) {
        int value = adl_graph_output(graph, (enum adl_output)i);
        /* Without class maps the maps are computed from the features. */
        check_use(file, graph, slice(outputs[i]), 0,
                  value < 0 ? adl_graph_output(graph, ADL_OUTPUT_FEATURES) : value);
    }
}

/* Every parameter occurs once, and nothing else. */
static void check_tensors(const struct onnx_file *file, struct onnx_table *table,
                          const struct adl_model *model)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const struct onnx_tensor *tensor = &file->tensors[i];
        struct onnx_known entry = {.name = tensor->name, .rank = tensor->rank, .tensor = tensor};
        if (onnx_find(table, tensor->name) || tensor->rank > 4) {
            TEST_FAIL("%.*s is there twice", (int)tensor->name.length,
                      (const char *)tensor->name.data);
            return;
        }
        memcpy(entry.dims, tensor->dims, tensor->rank * sizeof *tensor->dims);
        table->entries[table->count++] = entry;
    }
    for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        const struct onnx_known *entry = onnx_find(table, slice(param->name));
        bool fine = entry && entry->tensor && entry->tensor->data_type == 1 &&
                    entry->rank == (size_t)(param->rank == 2 ? 4 : param->rank) &&
                    onnx_is_constant(entry, model->params[id], param->count * sizeof(float));
        for (size_t i = 0; fine && i < entry->rank; i++)
            fine = entry->dims[i] == (i < (size_t)param->rank ? (int64_t)param->shape[i] : 1);
        if (!fine)
            TEST_FAIL("%s is missing or not the model's", param->name);
    }
    CU_ASSERT_EQUAL(file->tensor_count, (size_t)adl_graph_param_count(model->graph));
}

static void check_info(const struct onnx_info *info, const char *name, struct adl_shape shape,
                       size_t rank, const struct onnx_table *table)
{
    const int64_t want[4] = {-1, shape.c, shape.h, shape.w};
    struct onnx_known said = {.rank = info->rank};
    memcpy(said.dims, info->dims, sizeof said.dims);
    const struct onnx_known *made = onnx_find(table, info->name);
    if (!onnx_slice_is(info->name, name) || info->element != 1 ||
        !onnx_same_dims(&said, want, rank) || !onnx_slice_is(info->dim_name, "N") || !made ||
        !onnx_same_dims(made, want, rank))
        TEST_FAIL("%s is not said or not made as it should be", name);
}

static void check_ends(const struct onnx_file *file, const struct onnx_table *table,
                       const struct adl_graph *graph)
{
    struct adl_shape features =
        adl_graph_value(graph, adl_graph_output(graph, ADL_OUTPUT_FEATURES))->shape;
    CU_ASSERT_EQUAL(file->input_count, 1);
    CU_ASSERT_EQUAL(file->output_count, 3);
    check_info(&file->inputs[0], "input", (struct adl_shape){TEST_H, TEST_W, 3}, 4, table);
    check_info(&file->outputs[0], "logits", (struct adl_shape){1, 1, CLASSES}, 2, table);
    check_info(&file->outputs[1], "features", features, 4, table);
    check_info(&file->outputs[2], "maps", (struct adl_shape){features.h, features.w, CLASSES}, 4,
               table);
}

static void check_head(const struct onnx_file *file, const struct adl_model *model)
{
    CU_ASSERT_EQUAL(file->ir_version, 5);
    CU_ASSERT_EQUAL(file->opset, 10);
    CU_ASSERT_TRUE(onnx_slice_is(file->producer, "adl-server"));
    CU_ASSERT_TRUE(onnx_slice_is(file->producer_version, ADL_VERSION));
    CU_ASSERT_TRUE(onnx_slice_is(file->graph_name, model->arch.backbone->name));
    CU_ASSERT_TRUE(onnx_slice_is(file->key, "adl"));
    json_t *said = json_loadb((const char *)file->value.data, file->value.length, 0, NULL);
    json_t *want = adl_model_to_json(model);
    CU_ASSERT_TRUE(json_equal(said, want));
    json_decref(said);
    json_decref(want);
}

static void check_file(const struct onnx_file *file, const struct adl_model *model)
{
    struct onnx_table table = {0};
    table.entries = calloc(1 + file->node_count + file->tensor_count, sizeof *table.entries);
    if (!table.entries)
        abort();
    table.entries[table.count++] = (struct onnx_known){
        .name = file->inputs[0].name, .dims = {-1, 3, TEST_H, TEST_W}, .rank = 4};
    check_head(file, model);
    check_tensors(file, &table, model);
    check_nodes(file, &table, model->graph);
    check_wiring(file, model->graph);
    check_ends(file, &table, model->graph);
    free(table.entries);
}

/* --- the networks --------------------------------------------------------------------- */

struct count {
    const char *op;
    size_t count;
};

/* Counted in the papers and in torchvision's definitions. A linear layer is a Conv; the last Conv,
 * Identity and Flatten belong to the outputs. */
#define FC_ENDS                                                                                    \
    {"GlobalAveragePool", 1}, {"Flatten", 1},                                                      \
    {                                                                                              \
        "Identity", 1                                                                              \
    }
#define VGG_OPS(pools)                                                                             \
    {                                                                                              \
        {"Conv", 13 + 1 + 2}, {"Relu", 14}, {"MaxPool", pools}, FC_ENDS                            \
    }
#define RESNET_CONVS                                                                               \
    {"Conv", 1 + 16 * 3 + 4 + 2}, {"BatchNormalization", 53},                                      \
    {                                                                                              \
        "MaxPool", 1                                                                               \
    }
#define RESNET_OPS                                                                                 \
    {                                                                                              \
        RESNET_CONVS, {"Relu", 1 + 16 * 3}, {"Add", 16}, FC_ENDS                                   \
    }
#define SE_OPS                                                                                     \
    {                                                                                              \
        {"Conv", 1 + 16 * 3 + 4 + 16 * 2 + 2}, {"BatchNormalization", 53}, {"MaxPool", 1},         \
            {"Relu", 1 + 16 * 4}, {"Add", 16}, {"Sigmoid", 16}, {"Mul", 16},                       \
            {"GlobalAveragePool", 16 + 1}, {"Flatten", 1},                                         \
        {                                                                                          \
            "Identity", 1                                                                          \
        }                                                                                          \
    }
#define INCEPTION_UNITS (5 + 3 * 7 + 4 + 4 * 10)
#define INCEPTION_OPS(pools)                                                                       \
    {                                                                                              \
        {"Conv", INCEPTION_UNITS + 3}, {"BatchNormalization", INCEPTION_UNITS},                    \
            {"Relu", INCEPTION_UNITS + 2}, {"MaxPool", pools}, {"AveragePool", 3 + 4},             \
            {"Pad", 3 + 4}, {"Concat", 3 + 1 + 4}, {"GlobalAveragePool", 1}, {"Flatten", 1},       \
        {                                                                                          \
            "Identity", 2                                                                          \
        }                                                                                          \
    }
#define MOBILENET_OPS(activation)                                                                  \
    {                                                                                              \
        {"Conv", 1 + 13 * 2 + 2}, {"BatchNormalization", 27}, {activation, 27}, FC_ENDS            \
    }

static const struct {
    const char *name;
    struct count counts[13]; /* ends with an empty one */
} cases[] = {
    {"vgg16_cam_lfm", VGG_OPS(3)},
    {"vgg16_adl", VGG_OPS(4)},
    {"resnet50_adl", RESNET_OPS},
    {"resnet50_se_adl", SE_OPS},
    {"inception_v3_adl", INCEPTION_OPS(4)},
    {"inception_v3_cam_lfm", INCEPTION_OPS(3)},
    {"mobilenet_v1_025_relu_adl", MOBILENET_OPS("Relu")},
    {"mobilenet_v1_025_relu6_same", MOBILENET_OPS("Clip")},
};

static void check_counts(const struct onnx_file *file, const struct count *counts)
{
    size_t all = 0;
    for (; counts->op; counts++) {
        size_t found = 0;
        for (size_t i = 0; i < file->node_count; i++)
            found += onnx_slice_is(file->nodes[i].op, counts->op);
        if (found != counts->count)
            TEST_FAIL("%zu nodes are %s, not %zu", found, counts->op, counts->count);
        all += counts->count;
    }
    CU_ASSERT_EQUAL(file->node_count, all);
}

static void every_network(void)
{
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        struct onnx_file file = {0};
        size_t length = 0;
        if (test_net_arch(&arch, cases[i].name, CLASSES) < 0)
            continue;
        arch.bn_eps = EPSILON;
        if (strstr(cases[i].name, "_same")) {
            arch.padding = ADL_PAD_TF_SAME;
            arch.last_stride = 2;
        }
        struct adl_model *model = make_model(&arch);
        void *bytes = model ? write_to_memory(model, &length, &err) : NULL;
        if (!bytes)
            TEST_FAIL("%s: %s", cases[i].name, err.message);
        else if (onnx_file_read(&file, bytes, length)) {
            check_file(&file, model);
            check_counts(&file, cases[i].counts);
        }
        onnx_file_release(&file);
        if (bytes)
            munmap(bytes, length);
        adl_model_free(model);
    }
}

/* --- failures ------------------------------------------------------------------------- */

static struct adl_model *tiny_model(void)
{
    struct adl_arch arch;
    if (test_net_arch(&arch, "mobilenet_v1_025_relu6", CLASSES) < 0)
        return NULL;
    return make_model(&arch);
}

static const char *tmp_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/model.onnx", test_tmp_dir());
    return path;
}

static void unknown_op(void)
{
    static const struct adl_op_def mystery = {
        .name = "mystery", .infer = adl_infer_same, .forward = adl_forward_copy};
    struct adl_error err = {0};
    int input = 0;
    struct adl_model *model = tiny_model();
    struct adl_graph *graph = adl_graph_create((struct adl_shape){8, 8, 3}, &err);
    if (!model || !graph) {
        TEST_FAIL("%s", err.message);
        return;
    }
    adl_graph_add(graph, "layer", &mystery, NULL, 0, &input, 1, NULL, 0);
    adl_graph_free(model->graph);
    model->graph = graph;
    CU_ASSERT_EQUAL(adl_onnx_write(model, tmp_path(), &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "mystery"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "layer"));
    CU_ASSERT_NOT_EQUAL(access(tmp_path(), F_OK), 0);
    adl_model_free(model);
}

static void every_allocation_may_fail(void)
{
    struct adl_model *model = tiny_model();
    if (model)
        test_onnx_without_memory(model, tmp_path());
    adl_model_free(model);
}

TEST_SUITE(onnx, {"every network", every_network}, {"an unknown op", unknown_op},
           {"every allocation may fail", every_allocation_may_fail});
