#ifndef ADL_WSOL_LAYER_MAP_H
#define ADL_WSOL_LAYER_MAP_H

/* Class maps of any layer, made from its map F and from the gradient G of the class's logit with
 * respect to F, and how such a map is joined with the class map of the last layer. wsol/layer_net.h
 * computes the gradient. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

/* With the sums over channels k, and sums and means over positions (y, x):
 *
 *     layercam   ReLU(sum_k ReLU(G_k) F_k)                         Jiang et al., IEEE TIP 2021
 *     gradcam    ReLU(sum_k mean(G_k) F_k)                         Selvaraju et al., ICCV 2017
 *     gradcam++  ReLU(sum_k w_k F_k), w_k = sum of a_k ReLU(G_k),  Chattopadhay et al., WACV 2018
 *                a_k = G_k^2 / (2 G_k^2 + sum(F_k) G_k^3)
 *
 * In gradcam++, a_k is 0 where G_k is, and where its denominator is. The derivatives are those of
 * exp(logit), as in the paper, whose common factor is left out. */
enum adl_layer_method {
    ADL_LAYER_NONE,
    ADL_LAYER_LAYERCAM,
    ADL_LAYER_GRADCAM,
    ADL_LAYER_GRADCAM_PP,
};
/* "none", "layercam", "gradcam", "gradcam++", NULL */
extern const char *const adl_layer_method_names[];

/* A part of a map rule: the layer whose map is joined with the class map. All zero: none. */
struct adl_map_layer {
    enum adl_layer_method method;
    char name[ADL_LIMIT_LAYER_NAME_BYTES]; /* of a value of the graph, as in PyTorch */
};

/* Reads "LAYER", which means layercam, "METHOD:LAYER" or "none". Fails with ADL_ERR_ARG. */
int adl_map_layer_parse(const char *text, struct adl_map_layer *layer,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Writes what adl_map_layer_parse() reads: "METHOD:LAYER" or "none". Returns `text`. */
#define ADL_MAP_LAYER_TEXT_BYTES (ADL_LIMIT_LAYER_NAME_BYTES + 12)
const char *adl_map_layer_text(const struct adl_map_layer *layer,
                               char text[ADL_MAP_LAYER_TEXT_BYTES]);

bool adl_map_layer_equal(const struct adl_map_layer *a, const struct adl_map_layer *b);

/* Computes the map of a layer, `pixels` values, from its map and the gradient, both pixels x
 * channels (NHWC), summed over channels and over positions in their order. `method` is not
 * ADL_LAYER_NONE. */
void adl_layer_map(enum adl_layer_method method, const float *features, const float *gradient,
                   size_t pixels, size_t channels, double *map);

/* Joins the map of a layer with the class map of the last layer, which are of one grid: with both
 * clipped at 0 and divided by their maximum,
 *
 *     joined = max(last, tanh(2 layer))
 *
 * element by element: the fusion of Jiang et al., in which the values of lower layers, mostly
 * small, are raised by a factor of 2. A map that is nowhere above 0 counts as zeros, and if one has
 * a NaN or an infinity, all of the joined map is NaN, which normalisation makes zeros. `joined` may
 * be `last`. */
void adl_layer_join(const double *last, const double *layer, size_t count, double *joined);

#endif
