/* The list of training methods, made from the rows of ADL_METHODS, and the loss of a step. */

#include "methods/methods.h"

#include <string.h>

#include "train/loss.h"

#define ADDRESS(name) &adl_method_##name,
const struct adl_method *const adl_methods[] = {ADL_METHODS(ADDRESS) NULL};

const struct adl_method *adl_method_find(const char *name)
{
    for (const struct adl_method *const *method = adl_methods; *method; method++)
        if (strcmp((*method)->name, name) == 0)
            return *method;
    return NULL;
}

static void divide(float *gradient, size_t count, float divisor)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] /= divisor;
}

double adl_method_loss(const struct adl_method *method, struct adl_tape *tape,
                       const struct adl_targets *targets, const struct adl_train_mode *mode,
                       float divisor, size_t *right)
{
    const struct adl_graph *graph = adl_tape_graph(tape);
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
    size_t images = (size_t)adl_tape_batch(tape), unused;
    size_t classes = adl_shape_count(adl_tape_shape(tape, logits));
    bool own = method->loss && mode->method_layers;
    double loss = own ? method->loss(tape, targets, mode, right ? right : &unused)
                      : adl_cross_entropy(adl_tape_logits(tape), targets, images, classes,
                                          adl_tape_logits_grad(tape), right);

    if (divisor == 1)
        return loss;
    divide(adl_tape_logits_grad(tape), images * classes, divisor);
    for (int i = 0; own && i < adl_graph_tap_count(graph); i++)
        divide(adl_tape_tap_grad(tape, i),
               images * adl_shape_count(adl_tape_shape(tape, adl_graph_tap(graph, i))), divisor);
    return loss;
}
