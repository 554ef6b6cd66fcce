/* A tape that keeps values in bfloat16 for the backward pass: the forward pass has the bits of
 * float32, gradients are within stated bounds of those of float32, results are the same for any
 * number of threads, and a step takes little more than half of the memory. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "models/arch.h"
#include "ops/ops.h"
#include "support/methods.h"
#include "support/nets.h"
#include "train/init.h"
#include "train/tape.h"

/* Three images: their sums do not end where a vector does. */
enum { BATCH = 3, SIDE = 64, CLASSES = 5 };

/* A network with random weights, and the gradients of one step in two tapes. */
struct net {
    struct adl_graph *graph;
    struct adl_pool *pool;
    int count;
    float **params[2], **grads[2];
    struct adl_tape *tape[2];
};

static void open_net(struct net *net, const char *name, int threads)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    *net = (struct net){0};
    CU_ASSERT_FATAL(test_net_arch(&arch, name, CLASSES) == 0);
    net->graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    net->pool = adl_pool_create(threads, &err);
    CU_ASSERT_FATAL(net->graph && net->pool);
    net->count = adl_graph_param_count(net->graph);
    for (int i = 0; i < 2; i++) {
        net->params[i] = adl_calloc((size_t)net->count, sizeof **net->params);
        net->grads[i] = adl_calloc((size_t)net->count, sizeof **net->grads);
        for (int j = 0; j < net->count; j++) {
            const struct adl_param *param = adl_graph_param(net->graph, j);
            net->params[i][j] = adl_malloc(param->count, sizeof ***net->params);
            net->grads[i][j] = adl_calloc(param->count, sizeof ***net->grads);
            adl_init_param(param, 1, net->params[i][j]);
        }
    }
}

static void close_net(struct net *net)
{
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < net->count; j++) {
            adl_free(net->params[i][j]);
            adl_free(net->grads[i][j]);
        }
        adl_free(net->params[i]);
        adl_free(net->grads[i]);
        adl_tape_free(net->tape[i]);
    }
    adl_pool_free(net->pool);
    adl_graph_free(net->graph);
}

/* Takes two forward and backward passes with tape i; the second leaves its gradients. */
static void take_step(struct net *net, int i, enum adl_tape_memory memory, struct adl_pool *pool)
{
    struct adl_error err = {0};
    struct adl_train_mode mode = {.bn_momentum = 0.1,
                                  .dropout = true,
                                  .method_layers = true,
                                  .method_values = test_method_values("adl-drop-rate", 0.5, NULL)};
    struct adl_tape *tape = adl_tape_create(net->graph, SIDE, SIDE, BATCH, memory, pool, &err);
    CU_ASSERT_FATAL(tape != NULL);
    net->tape[i] = tape;
    for (uint64_t pass = 0; pass < 2; pass++) {
        struct adl_rng rng;
        adl_rng_seed(&rng, pass, 0, 0);
        for (size_t j = 0; j < (size_t)BATCH * SIDE * SIDE * 3; j++)
            adl_tape_input(tape)[j] = (float)adl_rng_normal(&rng);
        adl_tape_forward(tape, BATCH, net->params[i], &mode);
        for (int j = 0; j < BATCH * CLASSES; j++)
            adl_tape_logits_grad(tape)[j] = (float)adl_rng_normal(&rng);
        for (int j = 0; j < net->count; j++)
            memset(net->grads[i][j], 0, adl_graph_param(net->graph, j)->count * sizeof(float));
        adl_tape_backward(tape, net->params[i], &mode, net->grads[i]);
    }
}

/* Checks the distance and the angle between the gradients of all parameters. */
static void compare_gradients(const char *name, const struct net *net, double most)
{
    double difference = 0, exact = 0, rounded = 0, product = 0;
    for (int i = 0; i < net->count; i++)
        for (size_t j = 0; j < adl_graph_param(net->graph, i)->count; j++) {
            double a = (double)net->grads[0][i][j], b = (double)net->grads[1][i][j];
            difference += (a - b) * (a - b);
            exact += a * a;
            rounded += b * b;
            product += a * b;
        }
    double distance = sqrt(difference / exact), cosine = product / sqrt(exact * rounded);
    if (!(distance > 0 && distance < most))
        TEST_FAIL("%s: the gradient is %g of its norm away, not below %g", name, distance, most);
    if (!(cosine > 1 - most * most))
        TEST_FAIL("%s: the cosine of both gradients is %g", name, cosine);
}

static void check_gradients(const char *name, double most)
{
    struct net net;
    open_net(&net, name, 2);
    take_step(&net, 0, ADL_TAPE_SHARED, net.pool);
    take_step(&net, 1, ADL_TAPE_BF16, net.pool);
    CU_ASSERT(memcmp(adl_tape_logits(net.tape[0]), adl_tape_logits(net.tape[1]),
                     sizeof(float) * BATCH * CLASSES) == 0);
    for (int i = 0; i < net.count; i++) /* the running statistics */
        CU_ASSERT(memcmp(net.params[0][i], net.params[1][i],
                         adl_graph_param(net.graph, i)->count * sizeof(float)) == 0);
    compare_gradients(name, &net, most);
    close_net(&net);
}

/* A bfloat16 is at most 2^-9 = 0.2 % off. What counts more is that a value near the bound of a ReLU
 * can be rounded to its other side, which stops a gradient or lets it pass: about as many values as
 * the rounding error is large, so that the distance is its root, some 4 % for each layer. */
static void gradients_are_close(void)
{
    check_gradients("mobilenet_v1_025_relu6_adl", 0.12);
    if (TEST_WATCHED)
        return;
    check_gradients("vgg16_adl", 0.12);
    check_gradients("resnet50_cam", 0.2);
    check_gradients("resnet50_se_adl", 0.2);
    check_gradients("inception_v3_adl", 0.25);
}

static void threads_change_no_bit(void)
{
    static const char *const names[] = {"mobilenet_v1_025_relu6_adl", "resnet50_cam"};
    for (size_t i = 0; i < (TEST_WATCHED ? 1 : ADL_COUNT(names)); i++) {
        struct net net;
        open_net(&net, names[i], 3);
        take_step(&net, 0, ADL_TAPE_BF16, NULL);
        take_step(&net, 1, ADL_TAPE_BF16, net.pool);
        for (int j = 0; j < net.count; j++)
            CU_ASSERT(memcmp(net.grads[0][j], net.grads[1][j],
                             adl_graph_param(net.graph, j)->count * sizeof(float)) == 0);
        close_net(&net);
    }
}

/* A network whose maxima have to be found again: of a map that the batch norm before it could
 * compute again only from rounded values, and, with `outputs`, of an output in float32 and as one.
 */
static struct adl_graph *graph_of_maxima(struct adl_shape in, bool outputs)
{
    struct adl_error err = {0};
    struct adl_graph *graph = adl_graph_create(in, &err);
    CU_ASSERT_FATAL(graph != NULL);
    int value =
        adl_conv(graph, 0, "conv",
                 (struct adl_conv_attr){.k = in.c, .r = 1, .s = 1, .stride = 1, .groups = 1});
    value = adl_relu(graph, adl_batchnorm(graph, value, "bn", 1e-5), "relu");
    value = adl_maxpool(graph, value, "pool", (struct adl_pool_attr){.size = 2, .stride = 2});
    if (outputs) {
        adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, value);
        value = adl_maxpool(graph, value, "pool2", (struct adl_pool_attr){.size = 2, .stride = 2});
        value = adl_maxpool(graph, value, "pool3", (struct adl_pool_attr){.size = 3, .stride = 3});
    } else {
        value = adl_global_avgpool(graph, value, "mean");
        adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, value);
    }
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, value);
    TEST_OK(adl_graph_finish(graph, &err), &err);
    return graph;
}

/* Each window passes on the whole gradient, so that the bias gets 1 from each image. */
static void check_maxima(bool outputs)
{
    enum { SIZE = 12, CHANNELS = 3, IMAGES = 2 };
    struct adl_error err = {0};
    struct adl_graph *graph = graph_of_maxima((struct adl_shape){SIZE, SIZE, CHANNELS}, outputs);
    struct adl_tape *tape = adl_tape_create(graph, SIZE, SIZE, IMAGES, ADL_TAPE_BF16, NULL, &err);
    CU_ASSERT_FATAL(tape != NULL);
    float weights[CHANNELS * CHANNELS] = {0.9F, 0.1F, -0.2F, 0.3F, 1.1F, 0.2F, -0.1F, 0.2F, 0.7F};
    /* A bias so large that the ReLU stops nothing. */
    float scale[CHANNELS] = {1, 1, 1}, bias[CHANNELS] = {9, 9, 9}, mean[CHANNELS] = {0},
          var[CHANNELS] = {1, 1, 1};
    float grads[3][CHANNELS * CHANNELS] = {{0}};
    float *params[5] = {weights, scale, bias, mean, var};
    float *to[5] = {grads[0], grads[1], grads[2], NULL, NULL};
    struct adl_train_mode mode = {.bn_momentum = 0.1, .frozen_batchnorm = true};
    struct adl_rng rng;
    adl_rng_seed(&rng, 1, 0, 0);
    for (size_t i = 0; i < (size_t)IMAGES * SIZE * SIZE * CHANNELS; i++)
        adl_tape_input(tape)[i] = (float)adl_rng_normal(&rng);
    adl_tape_forward(tape, IMAGES, params, &mode);
    for (int i = 0; i < IMAGES * CHANNELS; i++)
        adl_tape_logits_grad(tape)[i] = 1;
    adl_tape_backward(tape, params, &mode, to);
    for (int c = 0; c < CHANNELS; c++)
        CU_ASSERT_DOUBLE_EQUAL((double)grads[2][c], IMAGES, 1e-5);
    adl_tape_free(tape);
    adl_graph_free(graph);
}

static void no_maximum_is_lost(void)
{
    check_maxima(false);
    check_maxima(true);
}

/* Of a step of 16 images of 224x224, as in docs/performance/training.md. */
static void memory_is_little_more_than_half(void)
{
    static const char *const names[] = {"vgg16", "resnet50", "inception_v3",
                                        "mobilenet_v1_100_relu6"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        size_t bytes[2] = {0};
        CU_ASSERT_FATAL(test_net_arch(&arch, names[i], 1000) == 0);
        struct adl_graph *graph = adl_arch_build(&arch, 224, 224, &err);
        for (int j = 0; j < 2; j++) {
            size_t before = adl_mem_stats().live_bytes;
            struct adl_tape *tape = adl_tape_create(
                graph, 224, 224, 16, j ? ADL_TAPE_BF16 : ADL_TAPE_SHARED, NULL, &err);
            CU_ASSERT_FATAL(tape != NULL);
            bytes[j] = adl_mem_stats().live_bytes - before;
            CU_ASSERT(bytes[j] >= adl_tape_bytes(tape));
            adl_tape_free(tape);
        }
        if ((double)bytes[1] > 0.66 * (double)bytes[0])
            TEST_FAIL("%s: %zu bytes in bfloat16, %zu in float32", names[i], bytes[1], bytes[0]);
        adl_graph_free(graph);
    }
}

TEST_SUITE(tape_bf16, {"gradients are close to those of float32", gradients_are_close},
           {"threads change no bit", threads_change_no_bit},
           {"no maximum is lost", no_maximum_is_lost},
           {"memory is little more than half", memory_is_little_more_than_half});
TEST_SLOW(gradients_are_close);
TEST_SLOW(threads_change_no_bit);
