/* Adversarial Complementary Learning (Zhang et al., CVPR 2018). Two classifiers look at the same
 * map: where the first finds the label, the map is erased for the second, which has to find the
 * label in other parts of the object. Reference: acol.py of wsolevaluation.
 *
 * With F the network's last map, y the label, and A and B two classifiers of two 3x3 convolutions
 * with ReLUs and a 1x1 convolution, which give a map for each class,
 *
 *     a = A(F),   b = B(erase(F, a[y])),   logits = mean of a over the positions
 *     loss = CE(mean of a, y) + CE(mean of b, y)
 *
 * ops/erase.c says what is erased; --acol-threshold is its threshold. The mask is detached, so that
 * A learns from its own cross-entropy alone.
 *
 * At inference the class map is the larger of a and b, each normalised (ops/map_union.c). What is
 * erased then depends on one class: the one that is asked for, or that of the highest logit. The
 * maps of all other classes come from the same pass, so of these b is not what it would be if they
 * were asked for. */

#include "methods/branches.h"
#include "methods/method.h"
#include "ops/ops.h"
#include "train/loss.h"

/* The options, in the order of the list below. */
enum { THRESHOLD };

/* The taps of the graph. */
enum { TAP_SECOND };

/* Appends one of the two classifiers. Names are those of the reference implementation. */
static int acol_classifier(struct adl_graph *graph, const struct adl_method_base *base, int x,
                           const char *name)
{
    return adl_branch_classifier(graph, x, name, base->head_channels, base->num_classes,
                                 base->xavier);
}

static void acol_branches(struct adl_graph *graph, const struct adl_method_base *base)
{
    const struct adl_erase_attr erasing = {base->values[THRESHOLD].number,
                                           base->first_value + THRESHOLD};
    int first = acol_classifier(graph, base, base->features, "classifier_A");
    int logits = adl_global_avgpool(graph, first, "avgpool");
    int erased = adl_erase(graph, base->features, first, logits, "erase", erasing);
    int second = acol_classifier(graph, base, erased, "classifier_B");
    int logits_of_second = adl_global_avgpool(graph, second, "avgpool_B");

    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, base->features);
    adl_graph_set_output(graph, ADL_OUTPUT_CLASS_MAP,
                         adl_map_union(graph, (const int[]){first, second}, 2, "map_union"));
    adl_graph_add_tap(graph, logits_of_second);
}

static double acol_loss(struct adl_tape *tape, const struct adl_targets *targets,
                        const union adl_method_value *values, size_t *right)
{
    size_t images = (size_t)adl_tape_batch(tape);
    size_t classes =
        (size_t)adl_tape_shape(tape, adl_graph_tap(adl_tape_graph(tape), TAP_SECOND)).c;

    (void)values;
    return adl_cross_entropy(adl_tape_logits(tape), targets, images, classes,
                             adl_tape_logits_grad(tape), right) +
           adl_cross_entropy(adl_tape_tap(tape, TAP_SECOND), targets, images, classes,
                             adl_tape_tap_grad(tape, TAP_SECOND), NULL);
}

static const struct adl_method_option options[] = {
    {"acol-threshold", ADL_METHOD_NUMBER, 0.7, 0, 1, .metavar = "T", .in_network = true,
     .help = "the second classifier sees what is below this fraction of the first one's map"},
    {0},
};

const struct adl_method adl_method_acol = {.name = "acol",
                                           .branches = acol_branches,
                                           .base = ADL_BASE_LAST,
                                           .wide_pools = true,
                                           .bare_map = true,
                                           .loss = acol_loss,
                                           .options = options};
