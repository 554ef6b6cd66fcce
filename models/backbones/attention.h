#ifndef ADL_MODELS_BACKBONES_ATTENTION_H
#define ADL_MODELS_BACKBONES_ATTENTION_H

/* The attention modules of the ResNet-50 family: SE, CBAM and BAM. Each weights a map x (H x W x C)
 * and keeps its shape; the reduction is 16. Structure, names and layouts of CBAM and BAM are those
 * of the authors' PyTorch code (Jongchan/attention-module), so that its weights load. */

#include <stdbool.h>

#include "graph/graph.h"

/* Appends the module "se" or "cbam" at the end of a residual block, before the addition of the
 * shortcut; it is called BLOCK.KIND. bn_eps: for its batch norms. Returns the weighted map. */
int adl_attention(struct adl_graph *graph, int x, const char *kind, const char *block,
                  double bn_eps);

/* Appends BAM between two stages. */
int adl_attention_bam(struct adl_graph *graph, int x, const char *name, double bn_eps);

/* Return whether a parameter or value belongs to one of these modules. */
bool adl_attention_is_se(const char *name);
bool adl_attention_is_cbam(const char *name);
bool adl_attention_is_bam(const char *name);

#endif
