#include "support/step_graphs.h"

#include "support/methods.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT

struct adl_conv_attr step_conv3(int k)
{
    return (struct adl_conv_attr){k, 3, 3, 1, 1, 1, 1, 1, 1, false, false, 1};
}

struct adl_conv_attr step_conv1(int k)
{
    return (struct adl_conv_attr){.k = k, .r = 1, .s = 1, .stride = 1};
}

int step_added_to_itself(struct adl_graph *g)
{
    return adl_add(g, X, X, "twice");
}

int step_joined_with_itself(struct adl_graph *g)
{
    int x = adl_relu(g, adl_conv(g, X, "conv", step_conv1(3)), "relu");
    return adl_concat(g, (int[]){x, X, x}, 3, "joined");
}

int step_read_by_all(struct adl_graph *g)
{
    int x = adl_batchnorm(g, X, "x", 1e-3), c = adl_graph_value(g, x)->shape.c;
    struct adl_conv_attr strided = step_conv3(c), depthwise = step_conv3(c),
                         depthwise_strided = step_conv3(c);
    depthwise.groups = depthwise_strided.groups = c;
    depthwise_strided.stride = strided.stride = 2;
    int full[] = {
        adl_conv(g, x, "plain", step_conv3(c)),
        adl_conv(g, x, "1x1", step_conv1(c)),
        adl_conv(g, x, "depthwise", depthwise),
        adl_relu(g, x, "relu"),
        adl_relu6(g, x, "relu6"),
        adl_sigmoid(g, x, "sigmoid"),
        test_adl_layer(g, x, "adl"),
        adl_dropout(g, x, "dropout", 0.5),
    };
    int other[] = {
        adl_batchnorm(g, x, "bn", 1e-3),
        adl_avgpool(g, x, "avg", (struct adl_pool_attr){3, 1, 1, false}),
        adl_maxpool(g, x, "max", (struct adl_pool_attr){3, 1, 1, false}),
        adl_scale(g, x, adl_global_avgpool(g, x, "gap"), "scale"),
        x,
    };
    int half[] = {
        adl_conv(g, x, "strided", strided),
        adl_conv(g, x, "depthwise strided", depthwise_strided),
        adl_maxpool(g, x, "max strided", (struct adl_pool_attr){3, 2, 1, false}),
    };
    int sum = adl_concat(g, full, 8, "full");
    sum = adl_concat(g, (int[]){sum, adl_concat(g, other, 5, "other")}, 2, "all");
    int a = adl_global_avgpool(g, sum, "a");
    int b = adl_global_avgpool(g, adl_concat(g, half, 3, "half"), "b");
    return adl_concat(g, (int[]){a, b}, 2, "output");
}

int step_in_place_chain(struct adl_graph *g)
{
    int x = adl_batchnorm(g, adl_conv(g, X, "conv1", step_conv3(5)), "bn1", 1e-3);
    x = adl_relu(g, adl_dropout(g, adl_dropout(g, x, "d1", 0.5), "d2", 0.5), "relu1");
    x = adl_relu6(g, adl_dropout(g, x, "d3", 0.5), "relu6");
    x = adl_sigmoid(g, adl_conv(g, x, "conv2", step_conv1(4)), "sigmoid");
    x = adl_relu(g, adl_relu(g, x, "relu2"), "relu3");
    x = adl_relu(g, adl_maxpool(g, x, "pool", (struct adl_pool_attr){2, 2, 0, true}), "relu4");
    return adl_dropout(g, adl_relu6(g, x, "last"), "d4", 0.5);
}

int step_residual(struct adl_graph *g)
{
    int x =
        adl_relu(g, adl_batchnorm(g, adl_conv(g, X, "conv0", step_conv3(4)), "bn0", 1e-3), "relu0");
    int y =
        adl_relu(g, adl_batchnorm(g, adl_conv(g, x, "conv1", step_conv3(4)), "bn1", 1e-3), "relu1");
    y = adl_batchnorm(g, adl_conv(g, y, "conv2", step_conv3(4)), "bn2", 1e-3);
    x = test_adl_layer(g, adl_relu(g, adl_add(g, y, x, "sum"), "relu2"), "adl");
    int gate = adl_relu(g, adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc1", 3, true), "fc1r");
    gate = adl_sigmoid(g, adl_linear(g, gate, "fc2", 4, true), "gate");
    return adl_relu(g, adl_add(g, adl_scale(g, x, gate, "se"), x, "sum2"), "relu3");
}

int step_cbam(struct adl_graph *g)
{
    int s = adl_linear(g, adl_global_avgmaxpool(g, X, "pools"), "fc1", 3, true);
    s = adl_linear(g, adl_relu(g, s, "relu"), "fc2", adl_graph_value(g, X)->shape.c, true);
    int x = adl_scale(g, X, adl_sigmoid(g, adl_global_sumpool(g, s, "sum"), "s"), "channels");
    s = adl_conv(g, adl_channelpool(g, x, "compress"), "conv", step_conv3(1));
    s = adl_sigmoid(g, adl_batchnorm(g, s, "bn", 1e-3), "sigmoid");
    return adl_relu(g, adl_add(g, adl_gate(g, x, s, "pixels", false), X, "add"), "relu2");
}

int step_bam(struct adl_graph *g)
{
    int c = adl_linear(g, adl_global_avgpool(g, X, "gap"), "fc1", 3, true);
    c = adl_relu(g, adl_batchnorm(g, c, "bn1", 0.1), "relu1");
    c = adl_linear(g, c, "fc2", adl_graph_value(g, X)->shape.c, true);
    struct adl_conv_attr dilated = step_conv3(2);
    dilated.dilation = 2;
    dilated.pad_top = dilated.pad_left = dilated.pad_bottom = dilated.pad_right = 2;
    int p = adl_batchnorm(g, adl_conv(g, X, "di", dilated), "bn2", 1e-3);
    p = adl_conv(g, adl_relu(g, p, "relu2"), "final", step_conv1(1));
    int s = adl_sigmoid(g, adl_gate(g, c, p, "product", false), "sigmoid");
    return adl_gate(g, X, s, "bam", true);
}

int step_enlarged(struct adl_graph *g)
{
    int half = adl_maxpool(g, X, "half", (struct adl_pool_attr){3, 2, 1, false});
    int quarter = adl_maxpool(g, half, "quarter", (struct adl_pool_attr){3, 2, 1, false});
    int point = adl_global_avgpool(g, X, "point");
    int x = adl_add(g, adl_upsample(g, quarter, half, "up1"), half, "sum1");
    x = adl_add(g, adl_upsample(g, x, X, "up2"), adl_upsample(g, point, X, "up3"), "sum2");
    x = adl_gate(g, X, adl_sigmoid(g, x, "sigmoid"), "gate", true);
    return adl_upsample(g, x, quarter, "down");
}

int step_attention_of_all(struct adl_graph *g)
{
    int channels = adl_graph_value(g, X)->shape.c;
    int pools = adl_global_sumpool(g, adl_global_avgmaxpool(g, X, "pools"), "sum");
    int vector = adl_linear(g, pools, "fc", channels, true);
    int pixels = adl_conv(g, adl_channelpool(g, X, "channels"), "conv", step_conv1(1));
    int all[] = {adl_gate(g, X, pixels, "a", false),
                 adl_gate(g, X, X, "b", true),
                 adl_gate(g, vector, pixels, "c", true),
                 adl_gate(g, vector, X, "d", false),
                 adl_upsample(g, X, X, "e"),
                 adl_linear(g, X, "f", 2, true),
                 adl_scale(g, X, adl_global_sumpool(g, X, "g"), "h")};
    return adl_concat(g, all, 7, "joined");
}

int step_dead_branch(struct adl_graph *g)
{
    int x = adl_relu(g, adl_conv(g, X, "alive", step_conv3(4)), "relu");
    adl_relu(g, adl_conv(g, x, "dead", step_conv3(2)), "dead relu");
    return adl_conv(g, x, "last", step_conv1(3));
}
