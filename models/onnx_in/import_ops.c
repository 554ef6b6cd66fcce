/* The table of ONNX's operators: one row each. */

#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "models/onnx_in/import.h"

static const struct {
    const char *op;
    adl_import_reader *read; /* NULL: of constants alone (import_const.c) */
} ops[] = {
    {"Add", adl_import_add_op},
    {"AveragePool", adl_import_pool},
    {"BatchNormalization", adl_import_batchnorm},
    {"Cast", adl_import_cast},
    {"Clip", adl_import_clip},
    {"Concat", adl_import_concat},
    {"Constant", NULL},
    {"ConstantOfShape", NULL},
    {"Conv", adl_import_conv},
    {"DequantizeLinear", adl_import_dequantize},
    {"Div", adl_import_div},
    {"Dropout", adl_import_dropout},
    {"Erf", adl_import_unary},
    {"Expand", adl_import_expand},
    {"Flatten", adl_import_flatten},
    {"Floor", NULL},
    {"Gather", adl_import_gather},
    {"Gelu", adl_import_unary},
    {"Gemm", adl_import_gemm},
    {"GlobalAveragePool", adl_import_global_pool},
    {"GlobalMaxPool", adl_import_global_pool},
    {"HardSigmoid", adl_import_unary},
    {"HardSwish", adl_import_unary},
    {"Identity", adl_import_same},
    {"LayerNormalization", adl_import_layernorm},
    {"LeakyRelu", adl_import_unary},
    {"LogSoftmax", adl_import_softmax},
    {"MatMul", adl_import_matmul},
    {"Max", adl_import_bound},
    {"MaxPool", adl_import_pool},
    {"Min", adl_import_bound},
    {"Mul", adl_import_mul},
    {"Neg", adl_import_unary},
    {"PRelu", adl_import_prelu},
    {"Pad", adl_import_pad},
    {"Pow", adl_import_pow},
    {"QuantizeLinear", adl_import_quantize},
    {"ReduceMax", adl_import_reduce},
    {"ReduceMean", adl_import_reduce},
    {"ReduceSum", adl_import_reduce},
    {"Relu", adl_import_relu},
    {"Reshape", adl_import_reshape},
    {"Resize", adl_import_resize},
    {"Shape", NULL},
    {"Sigmoid", adl_import_unary},
    {"Slice", adl_import_slice},
    {"Softmax", adl_import_softmax},
    {"Split", adl_import_split},
    {"Sqrt", NULL},
    {"Squeeze", adl_import_squeeze},
    {"Sub", adl_import_sub},
    {"Sum", adl_import_sum},
    {"Tanh", adl_import_unary},
    {"Transpose", adl_import_transpose},
    {"Unsqueeze", adl_import_unsqueeze},
    {"Upsample", adl_import_resize},
};

/* Names that a message about unknown operators lists. */
#define MOST_LISTED 8

static int find(const struct adl_onnx_node_proto *node)
{
    for (size_t i = 0; !*node->domain && i < ADL_COUNT(ops); i++)
        if (strcmp(ops[i].op, node->op) == 0)
            return (int)i;
    return -1;
}

/* Adds an unknown operator to the list, unless it is there already. */
static void list_op(const struct adl_onnx_node_proto *node, const char *listed[MOST_LISTED],
                    size_t *kinds, struct adl_str *list)
{
    const char *name = *node->name ? node->name : node->output_count ? node->outputs[0] : "";

    if (*kinds > MOST_LISTED)
        return;
    for (size_t i = 0; i < *kinds; i++)
        if (strcmp(listed[i], node->op) == 0)
            return;
    if (++*kinds > MOST_LISTED)
        return;
    listed[*kinds - 1] = node->op;
    adl_str_printf(list, "%s%s%s (node %s)", *kinds > 1 ? ", " : "",
                   *node->domain ? "of another domain, " : "",
                   adl_name_quote(node->op, ADL_MIN(strlen(node->op), (size_t)30)).text,
                   adl_name_quote(name, ADL_MIN(strlen(name), (size_t)40)).text);
}

int adl_import_check_ops(const struct adl_import *im, struct adl_error *err)
{
    const char *listed[MOST_LISTED];
    struct adl_str list = {0};
    size_t kinds = 0, nodes = 0;

    for (size_t n = 0; n < im->proto->node_count; n++)
        if (im->needed[n] && !im->done[n] && find(&im->proto->nodes[n]) < 0) {
            nodes++;
            list_op(&im->proto->nodes[n], listed, &kinds, &list);
        }
    if (list.failed)
        adl_fail_nomem(err, "the list of operators");
    else if (nodes > 0)
        adl_fail(err, ADL_ERR_UNSUPPORTED, "%zu node%s an operator that is not read: %s%s", nodes,
                 nodes == 1 ? " has" : "s have", list.data, kinds > MOST_LISTED ? " and more" : "");
    adl_str_release(&list);
    return err->kind ? -1 : 0;
}

int adl_import_node(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    int op = find(node), folded = adl_import_fold(im, node, err);

    if (folded != 0)
        return folded < 0 ? -1 : 0;
    if (op < 0 || !ops[op].read)
        return adl_import_refuse(node, err,
                                 "it is read only where its inputs are constants, as in arithmetic "
                                 "on shapes");
    return ops[op].read(im, node, err) < 0 ? -1 : 0;
}
