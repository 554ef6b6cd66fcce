/* A small network with the branches of methods/bas.c; see bas_net.h. */

#include "support/bas_net.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/methods.h"
#include "support/step_graphs.h"
#include "support/test.h"

const int bas_labels[BAS_N] = {1, 0, 2};

static int append_layer(struct adl_graph *graph, const char *name, int input, int k, int stride)
{
    struct adl_conv_attr conv = step_conv3(k);
    conv.stride = stride;
    int x = adl_conv(graph, input, name, conv);
    x = adl_batchnorm(graph, x, adl_graph_name(graph, "%s_bn", name), BAS_EPS);
    return adl_sigmoid(graph, x, adl_graph_name(graph, "%s_sigmoid", name));
}

static int append_upper(struct adl_graph *graph, const void *context, int input)
{
    (void)context;
    return append_layer(graph, "up", input, 4, 2);
}

static struct adl_graph *small_graph(void)
{
    struct adl_error err = {0};
    struct adl_graph *graph = adl_graph_create((struct adl_shape){BAS_SIDE, BAS_SIDE, 2}, &err);
    struct adl_method_base base = {
        .head_channels = BAS_HEAD, .num_classes = BAS_CLASSES, .upper = append_upper};
    CU_ASSERT_FATAL(graph != NULL);
    base.features = append_layer(graph, "stem", 0, 3, 1);
    adl_method_add_branches(graph, &adl_method_bas, base, test_method_values(NULL));
    TEST_OK(adl_graph_finish(graph, &err), &err);
    return graph;
}

void bas_net_open(struct bas_net *net, enum adl_tape_memory memory)
{
    struct adl_error err = {0};
    struct adl_graph *graph = small_graph();
    int count = adl_graph_param_count(graph);
    *net = (struct bas_net){.step = {.graph = graph, .batch = BAS_N},
                            .mode = {.bn_momentum = 0.25,
                                     .method_layers = true,
                                     .method_values = test_method_values(
                                         "bas-alpha", BAS_ALPHA, "bas-beta", BAS_BETA, NULL),
                                     .labels = bas_labels}};
    net->step.params = adl_calloc((size_t)count, sizeof *net->step.params);
    net->step.grads = adl_calloc((size_t)count, sizeof *net->step.grads);
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        bool positive = param->role == ADL_PARAM_BN_VAR || param->role == ADL_PARAM_BN_WEIGHT;
        bool logits = strcmp(param->name, "classifier_cls.4.bias") == 0;
        net->step.params[i] = adl_malloc(param->count, sizeof(float));
        net->step.grads[i] = adl_calloc(param->count, sizeof(float));
        formula_param(param->name, positive || logits ? 1 : 0, positive ? 0.5 : 0.75, param->count,
                      net->step.params[i]);
    }
    formula_param("bas input", 0, 1, ADL_COUNT(net->input), net->input);
    net->step.tape = adl_tape_create(graph, BAS_SIDE, BAS_SIDE, BAS_N, memory, NULL, &err);
    CU_ASSERT_FATAL(net->step.tape != NULL);
}

void bas_net_close(struct bas_net *net)
{
    train_step_close(&net->step);
}

void bas_net_forward(struct bas_net *net)
{
    const struct adl_targets targets = {.labels = bas_labels};
    memcpy(adl_tape_input(net->step.tape), net->input, sizeof net->input);
    adl_tape_forward(net->step.tape, BAS_N, net->step.params, &net->mode);
    net->loss = adl_method_loss(adl_method_alone(&adl_method_bas), net->step.tape, &targets,
                                &net->mode, 1, NULL);
}

void bas_net_backward(struct bas_net *net)
{
    adl_tape_backward(net->step.tape, net->step.params, &net->mode, net->step.grads);
}
