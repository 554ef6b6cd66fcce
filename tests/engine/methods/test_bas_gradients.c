/* methods/bas: loss and gradients against finite differences of the loss in double. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/bas_net.h"

/* --- the loss in double ------------------------------------------------------------------ */

#define MOST (BAS_N * BAS_SIDE * BAS_SIDE * BAS_HEAD) /* values of the largest map */

/* A batch of maps, BAS_N x side x side x c. */
struct maps {
    int side, c;
    double at[MOST];
};

static double *value_at(struct maps *maps, int n, int y, int x)
{
    return maps->at + ((n * maps->side + y) * maps->side + x) * maps->c;
}

/* A parameter by name, in an array by id. */
static const double *named(const struct adl_graph *graph, double *const *params, const char *layer,
                           const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    return params[adl_graph_find_param(graph, name)];
}

/* A convolution of size r (1 or 3), padded by r / 2. */
static struct maps convolve(const struct adl_graph *graph, double *const *params, const char *layer,
                            struct maps in, int k, int r, int stride, bool bias)
{
    struct maps out = {.side = (in.side - 1) / stride + 1, .c = k};
    const double *weight = named(graph, params, layer, "weight");
    for (int n = 0; n < BAS_N; n++)
        for (int y = 0; y < out.side; y++)
            for (int x = 0; x < out.side; x++)
                for (int o = 0; o < k; o++) {
                    double sum = bias ? named(graph, params, layer, "bias")[o] : 0;
                    for (int c = 0; c < in.c; c++)
                        for (int i = 0; i < r; i++)
                            for (int j = 0; j < r; j++) {
                                int row = y * stride + i - r / 2, column = x * stride + j - r / 2;
                                if (row >= 0 && row < in.side && column >= 0 && column < in.side)
                                    sum += weight[((o * in.c + c) * r + i) * r + j] *
                                           value_at(&in, n, row, column)[c];
                            }
                    value_at(&out, n, y, x)[o] = sum;
                }
    return out;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Batch norm by the batch's own statistics, then a sigmoid. */
static void normalise(const struct adl_graph *graph, double *const *params, const char *layer,
                      struct maps *maps)
{
    const double *weight = named(graph, params, layer, "weight");
    const double *bias = named(graph, params, layer, "bias");
    int count = BAS_N * maps->side * maps->side;
    for (int c = 0; c < maps->c; c++) {
        double mean = 0, var = 0;
        for (int i = 0; i < count; i++)
            mean += maps->at[i * maps->c + c] / count;
        for (int i = 0; i < count; i++)
            var += pow(maps->at[i * maps->c + c] - mean, 2) / count;
        for (int i = 0; i < count; i++) {
            double *x = &maps->at[i * maps->c + c];
            *x = sigmoid((*x - mean) / sqrt(var + BAS_EPS) * weight[c] + bias[c]);
        }
    }
}

static void rectify(struct maps *maps)
{
    for (size_t i = 0; i < ADL_COUNT(maps->at); i++)
        maps->at[i] = maps->at[i] > 0 ? maps->at[i] : 0;
}

/* The class map of a map of features. */
static struct maps class_map_of(const struct adl_graph *graph, double *const *params,
                                struct maps features)
{
    struct maps x = convolve(graph, params, "up", features, 4, 3, 2, false);
    normalise(graph, params, "up_bn", &x);
    x = convolve(graph, params, "classifier_cls.0", x, BAS_HEAD, 3, 1, true);
    rectify(&x);
    x = convolve(graph, params, "classifier_cls.2", x, BAS_HEAD, 3, 1, true);
    rectify(&x);
    return convolve(graph, params, "classifier_cls.4", x, BAS_CLASSES, 1, 1, true);
}

/* Writes the mean of each channel, each position weighted by `weight` (NULL: 1). */
static void pool(struct maps *maps, struct maps *weight, double out[BAS_N][BAS_CLASSES])
{
    for (int n = 0; n < BAS_N; n++)
        for (int c = 0; c < BAS_CLASSES; c++) {
            out[n][c] = 0;
            for (int y = 0; y < maps->side; y++)
                for (int x = 0; x < maps->side; x++)
                    out[n][c] += value_at(maps, n, y, x)[c] *
                                 (weight ? *value_at(weight, n, y, x) : 1) /
                                 (maps->side * maps->side);
        }
}

/* PyTorch's adaptive average pooling of maps of one channel. */
static struct maps shrink(struct maps *in, int side)
{
    struct maps out = {.side = side, .c = 1};
    for (int n = 0; n < BAS_N; n++)
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++) {
                int top = (int)floor((double)y * in->side / side), count = 0;
                int left = (int)floor((double)x * in->side / side);
                double sum = 0;
                for (int i = top; i < ceil((double)(y + 1) * in->side / side); i++)
                    for (int j = left; j < ceil((double)(x + 1) * in->side / side); j++, count++)
                        sum += *value_at(in, n, i, j);
                *value_at(&out, n, y, x) = sum / count;
            }
    return out;
}

static double cross_entropy(double z[BAS_N][BAS_CLASSES])
{
    double loss = 0;
    for (int n = 0; n < BAS_N; n++) {
        double sum = 0;
        for (int c = 0; c < BAS_CLASSES; c++)
            sum += exp(z[n][c]);
        loss += (log(sum) - z[n][bas_labels[n]]) / BAS_N;
    }
    return loss;
}

/* What the loss takes as constant when it is differentiated. */
struct held {
    double **params; /* of the background's copy */
    struct maps features;
    double score[BAS_N]; /* z1[y] */
};

struct reference {
    const struct adl_graph *graph;
    struct maps input;
    double **params; /* by id */
    struct held held;
    bool hold;           /* false: `held` is filled in */
    double ratio[BAS_N]; /* b of the last run */
};

static double reference_loss(struct reference *ref)
{
    const struct adl_graph *graph = ref->graph;
    double z1[BAS_N][BAS_CLASSES], z2[BAS_N][BAS_CLASSES], background[BAS_N][BAS_CLASSES], b = 0,
                                                                                           area = 0;
    struct maps label_map = {.side = BAS_SIDE, .c = 1};

    struct maps features = convolve(graph, ref->params, "stem", ref->input, 3, 3, 1, false);
    normalise(graph, ref->params, "stem_bn", &features);
    struct maps class_map = class_map_of(graph, ref->params, features);
    struct maps maps =
        convolve(graph, ref->params, "classifier_loc.0", features, BAS_CLASSES, 3, 1, true);
    for (int n = 0; n < BAS_N; n++)
        for (int y = 0; y < BAS_SIDE; y++)
            for (int x = 0; x < BAS_SIDE; x++)
                *value_at(&label_map, n, y, x) = sigmoid(value_at(&maps, n, y, x)[bas_labels[n]]);
    struct maps shrunk = shrink(&label_map, class_map.side);
    pool(&class_map, NULL, z1);
    pool(&class_map, &shrunk, z2);
    if (!ref->hold) {
        ref->held.features = features;
        for (int n = 0; n < BAS_N; n++)
            ref->held.score[n] = z1[n][bas_labels[n]];
    }
    struct maps erased = ref->held.features;
    for (int i = 0; i < BAS_N * BAS_SIDE * BAS_SIDE * erased.c; i++)
        erased.at[i] *= 1 - label_map.at[i / erased.c];
    struct maps rest = class_map_of(graph, ref->held.params, erased);
    pool(&rest, NULL, background);
    for (int n = 0; n < BAS_N; n++) {
        double whole = fmax(ref->held.score[n], 0), part = fmax(background[n][bas_labels[n]], 0);
        ref->ratio[n] = part > whole ? 1 : part / (whole + 1e-8);
        b += ref->ratio[n] / BAS_N;
    }
    for (int i = 0; i < BAS_N * BAS_SIDE * BAS_SIDE; i++)
        area += label_map.at[i] / (BAS_N * BAS_SIDE * BAS_SIDE);
    return cross_entropy(z1) + BAS_ALPHA * cross_entropy(z2) + b + BAS_BETA * area;
}

static double **copy_params(const struct adl_graph *graph, float *const *params)
{
    int count = adl_graph_param_count(graph);
    double **copies = adl_calloc((size_t)count, sizeof *copies);
    for (int i = 0; i < count; i++) {
        size_t values = adl_graph_param(graph, i)->count;
        copies[i] = adl_malloc(values, sizeof **copies);
        for (size_t j = 0; j < values; j++)
            copies[i][j] = (double)params[i][j];
    }
    return copies;
}

static void free_params(const struct adl_graph *graph, double **params)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        adl_free(params[i]);
    adl_free(params);
}

static void reference_open(struct reference *ref, const struct bas_net *net)
{
    *ref = (struct reference){.graph = net->step.graph,
                              .input = {.side = BAS_SIDE, .c = 2},
                              .params = copy_params(net->step.graph, net->step.params),
                              .held = {.params = copy_params(net->step.graph, net->step.params)}};
    for (size_t i = 0; i < ADL_COUNT(net->input); i++)
        ref->input.at[i] = (double)net->input[i];
}

static void reference_close(struct reference *ref)
{
    free_params(ref->graph, ref->params);
    free_params(ref->graph, ref->held.params);
}

static bool is_statistic(const struct adl_param *param)
{
    return param->role == ADL_PARAM_BN_MEAN || param->role == ADL_PARAM_BN_VAR;
}

/* Compares the gradients of all parameters with central differences. What is detached is held
 * constant, which is what detaching means. */
static void gradients_are_finite_differences(void)
{
    static const double step = 1e-5;
    struct bas_net net;
    struct reference ref;
    int below = 0;
    bas_net_open(&net, ADL_TAPE_KEPT);
    reference_open(&ref, &net);
    bas_net_forward(&net);
    bas_net_backward(&net);

    double loss = reference_loss(&ref);
    ref.hold = true;
    if (fabs(loss - net.loss) > 1e-5)
        TEST_FAIL("the loss is %.9g, not %.9g", net.loss, loss);
    for (int n = 0; n < BAS_N; n++)
        below += ref.ratio[n] > 0 && ref.ratio[n] < 1;
    CU_ASSERT(below >= 1 && below < BAS_N); /* both branches of b */
    for (int i = 0; i < adl_graph_param_count(net.step.graph); i++) {
        const struct adl_param *param = adl_graph_param(net.step.graph, i);
        for (size_t j = 0; j < param->count && !is_statistic(param); j++) {
            double *value = &ref.params[i][j], before = *value;
            *value = before + step;
            double up = reference_loss(&ref);
            *value = before - step;
            double want = (up - reference_loss(&ref)) / (2 * step);
            *value = before;
            if (fabs((double)net.step.grads[i][j] - want) > 2e-6)
                TEST_FAIL("%s[%zu]: gradient %.9g, by differences %.9g", param->name, j,
                          (double)net.step.grads[i][j], want);
        }
    }
    reference_close(&ref);
    bas_net_close(&net);
}

TEST_SUITE(bas_gradients, {"gradients are finite differences", gradients_are_finite_differences});
