#ifndef ADL_MODELS_BACKBONES_CLASSIFIER_H
#define ADL_MODELS_BACKBONES_CLASSIFIER_H

/* Classifiers that have torchvision's names, or more than one layer. */

#include "models/backbones/backbone.h"

/* One layer of a classifier, which reads the layer before it. */
struct adl_classifier_layer {
    enum adl_classifier_kind {
        ADL_CLASSIFIER_LINEAR,
        ADL_CLASSIFIER_LAYERNORM, /* with weight and bias */
        ADL_CLASSIFIER_HARD_SWISH,
        ADL_CLASSIFIER_DROPOUT
    } kind;
    const char *name; /* of its value, and NAME.weight and NAME.bias of its parameters */
    int k;            /* outputs of a linear layer; 0: the number of classes */
    double number;    /* the rate of dropout; added to the variance in a layer norm */
};

/* Ends a network whose last map is base.features, and x after the layers of methods: with the
 * branches of a method, if it has them, or else with global average pooling and these layers.
 *
 * One linear layer has a row of weights for each class, which makes the class maps. With more
 * layers that are not dropout the network ends in a class map of its own: the derivative of the
 * scores by the pooled vector, applied to each pixel of the last map, layer by layer. It is
 * Grad-CAM's sum of the map weighted by the gradient, before its ReLU, for all classes at once. */
void adl_classifier_add(struct adl_graph *graph, const struct adl_arch *arch,
                        struct adl_method_base base, int x,
                        const struct adl_classifier_layer *layers, int count);

#endif
