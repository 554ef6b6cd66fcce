/* Functions that several backbones use: for the layers of methods, and for the upper end. */

#include "models/backbones/backbone.h"

#include <string.h>

#include "base/size.h"
#include "models/backbones/stored.h"

const char *adl_arch_place_name(const struct adl_arch *arch, int i)
{
    const struct adl_stored *stored = arch->stored;

    if (stored)
        return i < stored->place_count ? stored->nodes[stored->places[i] - 1].name : NULL;
    return arch->backbone->adl_places ? arch->backbone->adl_places[i] : NULL;
}

uint32_t adl_arch_place(const struct adl_arch *arch, const char *name, size_t length)
{
    const char *place;
    for (int i = 0; (place = adl_arch_place_name(arch, i)); i++)
        if (strncmp(place, name, length) == 0 && !place[length])
            return UINT32_C(1) << i;
    return 0;
}

bool adl_arch_has_layers(const struct adl_arch *arch)
{
    return adl_method_set_has_layers(arch->methods);
}

bool adl_arch_in_sequence(const struct adl_arch *arch)
{
    return adl_method_set_in_sequence(arch->methods);
}

bool adl_arch_has_method(const struct adl_arch *arch)
{
    return adl_method_set_network(arch->methods).bits != 0;
}

const struct adl_method *adl_arch_branches(const struct adl_arch *arch)
{
    return adl_method_set_branches(arch->methods);
}

bool adl_arch_has_fine_base(const struct adl_arch *arch)
{
    const struct adl_method *method = adl_arch_branches(arch);
    return method && method->base == ADL_BASE_FINE;
}

bool adl_arch_has_named_stages(const struct adl_arch *arch)
{
    const struct adl_method *method = adl_arch_branches(arch);
    return method && method->named_stages;
}

void adl_arch_add_branches(struct adl_graph *graph, const struct adl_arch *arch,
                           struct adl_method_base base)
{
    base.num_classes = arch->num_classes;
    adl_method_add_branches(graph, adl_arch_branches(arch), base, arch->method_values);
}

const struct adl_method *adl_arch_rounds(const struct adl_arch *arch)
{
    return adl_method_set_rounds(arch->methods);
}

bool adl_arch_is_head(const struct adl_arch *arch, const struct adl_param *param)
{
    if (arch->stored)
        return adl_stored_is_classifier(arch->stored, param->name + param->prefix);
    return arch->backbone->is_head(param->name + param->prefix);
}

bool adl_arch_is_branch(const char *name)
{
    static const char *const prefixes[] = {"classifier_", "SPG_A4.", "SPG_A_3.",
                                           "SPG_A_4.",    "SPG_B_",  "SPG_C."};
    for (size_t i = 0; i < ADL_COUNT(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

bool adl_arch_has_place(const struct adl_arch *arch, const char *name)
{
    return adl_arch_has_layers(arch) &&
           (arch->adl_places & adl_arch_place(arch, name, strlen(name)));
}

int adl_arch_add_layers(struct adl_graph *graph, const struct adl_arch *arch, int x,
                        const char *place, const char *sequence_name)
{
    for (const struct adl_method *m = adl_method_next(arch->methods, NULL); m;
         m = adl_method_next(arch->methods, m)) {
        if (!m->layer)
            continue;
        const char *name = m->in_sequence && sequence_name
                               ? sequence_name
                               : adl_graph_name(graph, "%s.%s", m->name, place);
        x = adl_method_add_layer(graph, m, x, name);
    }
    return x;
}

void adl_arch_add_classifier(struct adl_graph *graph, const struct adl_arch *arch, int features,
                             int x)
{
    adl_graph_set_output(graph, ADL_OUTPUT_FEATURES, features);
    x = adl_global_avgpool(graph, x, "avgpool");
    x = adl_linear(graph, x, "fc", arch->num_classes, true);
    adl_graph_set_output(graph, ADL_OUTPUT_LOGITS, x);
    adl_graph_set_classifier(graph, adl_graph_find_param(graph, "fc.weight"));
}

void adl_arch_add_head(struct adl_graph *graph, const struct adl_arch *arch,
                       struct adl_method_base base, int x)
{
    if (adl_arch_branches(arch))
        adl_arch_add_branches(graph, arch, base);
    else
        adl_arch_add_classifier(graph, arch, base.features, x);
}
