#ifndef ADL_METHODS_BRANCHES_H
#define ADL_METHODS_BRANCHES_H

/* Layers of which the methods build their branches. */

#include "graph/graph.h"

/* Appends a convolution to k channels with a kernel of side x side and a bias that keeps the sides
 * of the map. `xavier`: its weight starts as Xavier's uniform distribution. Returns the value, or
 * -1 after an error, which the graph keeps. */
int adl_branch_conv(struct adl_graph *graph, int input, const char *name, int k, int side,
                    bool xavier);

/* Appends two 3x3 convolutions to `channels` with ReLUs, and a 1x1 convolution to a map for each
 * class, called NAME.0 to NAME.4; returns the maps. */
int adl_branch_classifier(struct adl_graph *graph, int input, const char *name, int channels,
                          int num_classes, bool xavier);

#endif
