/* A network that came from an ONNX file. It has no layers of its own: the model file describes them
 * (stored.h). So it is not among the networks that a user can ask for by name. */

#include "models/backbones/backbone.h"
#include "models/backbones/stored.h"

static void build(struct adl_graph *graph, const struct adl_arch *arch)
{
    if (arch->stored)
        adl_stored_build(graph, arch);
    else
        adl_graph_fail(graph,
                       "a network that came from ONNX has to be described by its model file");
}

/* The classifier is known by its name in the description alone (adl_arch_is_head). */
static bool is_head(const char *name)
{
    (void)name;
    return false;
}

const struct adl_backbone adl_backbone_onnx = {.name = "onnx",
                                               .bn_eps = 1e-5,
                                               .has_base = true,
                                               .has_fine_base = true,
                                               .build = build,
                                               .is_head = is_head};
