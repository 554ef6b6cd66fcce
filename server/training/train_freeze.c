/* Layers that are not trained (--freeze).
 *
 * A name freezes the parameter that is called so, and all whose names go on with a dot after it:
 * "layer1" is all of ResNet's first stage, and "blocks.1" not blocks.10. They keep their values to
 * the bit: there is no gradient, weight decay or momentum. In PyTorch a batch norm with
 * requires_grad False still moves its running statistics, which is hardly ever wanted, so people
 * also call eval() on it; here both are one, and it normalises by the statistics that it began
 * with. */

#include "server/training/train_freeze.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

/* A name that --freeze lists; it is not terminated. */
struct layer_name {
    const char *text;
    size_t length;
};

static bool is_within(const char *param, struct layer_name layer)
{
    return !strncmp(param, layer.text, layer.length) &&
           (param[layer.length] == '\0' || param[layer.length] == '.');
}

static int fail_unknown(const struct adl_graph *graph, struct layer_name layer,
                        struct adl_error *err)
{
    char word[64], candidate[ADL_LIMIT_TENSOR_NAME_BYTES], best[ADL_LIMIT_TENSOR_NAME_BYTES] = "";
    struct adl_nearest nearest = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)ADL_MIN(layer.length, sizeof word - 1), layer.text);
    /* Each part of a name up to a dot is a candidate. */
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const char *name = adl_graph_param(graph, i)->name;
        for (size_t end = 1; name[end - 1]; end++) {
            if (name[end] != '.' && name[end] != '\0')
                continue;
            snprintf(candidate, sizeof candidate, "%.*s", (int)end, name);
            adl_nearest_offer(&nearest, candidate);
            if (nearest.best == candidate) {
                snprintf(best, sizeof best, "%s", candidate);
                nearest.best = best;
            }
            if (!name[end])
                break;
        }
    }
    return adl_fail(err, ADL_ERR_ARG,
                    "--freeze: the network has no layer \"%s\"%s%s%s; its first is %s",
                    ADL_SHORT(word), *best ? "; did you mean " : "", best, *best ? "?" : "",
                    adl_graph_param(graph, 0)->name);
}

/* Marks the parameters of one layer. */
static int mark(struct adl_train_run *run, struct layer_name layer, struct adl_error *err)
{
    const struct adl_graph *graph = run->model->graph;
    bool found = false;

    for (int i = 0; i < adl_graph_param_count(graph); i++)
        if (layer.length > 0 && is_within(adl_graph_param(graph, i)->name, layer))
            found = run->frozen[i] = true;
    return found ? 0 : fail_unknown(graph, layer, err);
}

static bool leaves_something(const struct adl_train_run *run)
{
    for (int i = 0; i < adl_graph_param_count(run->model->graph); i++) {
        if (!run->frozen[i] && adl_param_is_trained(adl_graph_param(run->model->graph, i)))
            return true;
    }
    return false;
}

int adl_train_find_frozen(struct adl_train_run *run, struct adl_error *err)
{
    const char *names = run->settings->freeze;

    if (!names)
        return 0;
    run->frozen = adl_calloc((size_t)adl_graph_param_count(run->model->graph), sizeof *run->frozen);
    if (!run->frozen)
        return adl_fail_nomem(err, "the layers that are not trained");
    for (;;) {
        size_t length = strcspn(names, ",");
        if (mark(run, (struct layer_name){names, length}, err) < 0)
            return -1;
        if (!names[length])
            break;
        names += length + 1;
    }
    if (!leaves_something(run))
        return adl_fail(err, ADL_ERR_ARG, "--freeze: leaves no layer to train");
    return 0;
}

void adl_train_freeze(struct adl_train_run *run)
{
    for (int i = 0; run->frozen && i < adl_graph_param_count(run->model->graph); i++)
        if (run->frozen[i])
            adl_optimizer_freeze(run->optimizer, i);
}
