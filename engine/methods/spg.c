/* Self-Produced Guidance (Zhang et al., ECCV 2018). Beside the classifier, three small branches
 * learn maps of the object. Each is trained with masks that another part of the network produces:
 * the label's class map for the second branch, which guides the first, and both together the third.
 * Reference: spg.py of wsolevaluation.
 *
 * With F the network's last map and E1, E2 two maps below it ("early" and "late"),
 *
 *     A = conv1x1(F)                     class maps; logits = their means over the positions
 *     B1 = T(relu(conv3x3(E1)))          T = conv1x1(relu(conv3x3)), the same for both
 *     B2 = T(relu(conv3x3(E2)))
 *     C = conv1x1(relu(conv3x3(F)))
 *     loss = CE(logits, y) + L(B2, A[y]) + L(B1, S(B2)) + L(C, (S(B1) + S(B2)) / 2)
 *
 * where L(map, attention) is the mean binary cross-entropy of the map and a mask cut from the
 * attention, over the pixels of the batch that the mask does not ignore (ops/guidance.c). If it
 * ignores all, the term is 0 and has no gradient; the reference implementation divides by 0.
 *
 * Only A is run at inference, and its channels are the class maps. */

#include "methods/branches.h"
#include "methods/method.h"
#include "ops/ops.h"
#include "train/loss.h"

/* The taps of the graph. */
enum { TAP_GUIDANCE };

/* The terms of the guidance, each a sum and a count. */
enum { TERMS = 3 };

/* Appends NAME.0, a 3x3 convolution, and its ReLU. */
static int spg_layer(struct adl_graph *graph, const struct adl_method_base *base, int x,
                     const char *name, int k)
{
    x = adl_branch_conv(graph, x, adl_graph_name(graph, "%s.0", name), k, 3, base->xavier);
    return adl_relu(graph, x, adl_graph_name(graph, "%s.1", name));
}

/* Appends such a layer and NAME.2, a 1x1 convolution to one channel. */
static int spg_map(struct adl_graph *graph, const struct adl_method_base *base, int x,
                   const char *name, int k)
{
    x = spg_layer(graph, base, x, name, k);
    return adl_branch_conv(graph, x, adl_graph_name(graph, "%s.2", name), 1, 1, base->xavier);
}

static void spg_branches(struct adl_graph *graph, const struct adl_method_base *base)
{
    int maps = adl_branch_conv(graph, base->features, base->classifier, base->num_classes, 1,
                               base->xavier);
    int logits = adl_global_avgpool(graph, maps, "avgpool");
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, base->features);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP, maps);
    adl_graph_set_classifier(
        graph, adl_graph_find_param(graph, adl_graph_name(graph, "%s.weight", base->classifier)));

    /* The parameters in the order of the reference implementation. */
    int first = spg_layer(graph, base, base->early, "SPG_B_1a", base->side_channels);
    int second = spg_layer(graph, base, base->late, "SPG_B_2a", base->side_channels);
    first = spg_map(graph, base, first, "SPG_B_shared", base->side_channels);
    adl_graph_begin_shared(graph, "SPG_B_2a");
    second = spg_map(graph, base, second, "SPG_B_shared", base->side_channels);
    adl_graph_end_shared(graph);
    int third = spg_map(graph, base, base->features, "SPG_C", base->head_channels / 2);
    adl_graph_add_tap(graph, adl_guidance(graph, (const int[]){maps, first, second, third},
                                          "guidance", base->first_value));
}

static double spg_loss(struct adl_tape *tape, const struct adl_targets *targets,
                       const union adl_method_value *values, size_t *right)
{
    const struct adl_graph *graph = adl_tape_graph(tape);
    size_t images = (size_t)adl_tape_batch(tape);
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
    size_t classes = (size_t)adl_tape_shape(tape, logits).c;
    const float *sums = adl_tape_tap(tape, TAP_GUIDANCE);
    float *grad = adl_tape_tap_grad(tape, TAP_GUIDANCE);

    (void)values;
    double loss = adl_cross_entropy(adl_tape_logits(tape), targets, images, classes,
                                    adl_tape_logits_grad(tape), right);
    for (size_t t = 0; t < TERMS; t++) {
        double sum = 0, count = 0;
        for (size_t n = 0; n < images; n++) {
            sum += (double)sums[n * 2 * TERMS + 2 * t];
            count += (double)sums[n * 2 * TERMS + 2 * t + 1];
        }
        for (size_t n = 0; n < images; n++) {
            grad[n * 2 * TERMS + 2 * t] = count > 0 ? (float)(1 / count) : 0;
            grad[n * 2 * TERMS + 2 * t + 1] = 0;
        }
        loss += count > 0 ? sum / count : 0;
    }
    return loss;
}

/* In the order in which ops/guidance.c reads them. */
static const struct adl_method_option options[] = {
    {"spg-threshold-1h", ADL_METHOD_NUMBER, 0.7, 0, 1, .metavar = "T",
     .help = "the class map shows the object above this"},
    {"spg-threshold-1l", ADL_METHOD_NUMBER, 0.01, 0, 1, .metavar = "T",
     .help = "the class map shows the background below this"},
    {"spg-threshold-2h", ADL_METHOD_NUMBER, 0.5, 0, 1, .metavar = "T",
     .help = "the second branch shows the object above this"},
    {"spg-threshold-2l", ADL_METHOD_NUMBER, 0.05, 0, 1, .metavar = "T",
     .help = "the second branch shows the background below this"},
    {"spg-threshold-3h", ADL_METHOD_NUMBER, 0.7, 0, 1, .metavar = "T",
     .help = "both branches together show the object above this"},
    {"spg-threshold-3l", ADL_METHOD_NUMBER, 0.1, 0, 1, .metavar = "T",
     .help = "both branches together show the background below this"},
    {0},
};

const struct adl_method adl_method_spg = {.name = "spg",
                                          .branches = spg_branches,
                                          .base = ADL_BASE_LAST,
                                          .named_stages = true,
                                          .loss = spg_loss,
                                          .options = options};
