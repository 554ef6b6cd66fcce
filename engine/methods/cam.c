/* Plain training, the baseline of every other method: the class map is that of an ordinary
 * classifier that ends in global average pooling (Zhou et al., "Learning Deep Features for
 * Discriminative Localization", CVPR 2016). Nothing is added to the network. */

#include "methods/method.h"

const struct adl_method adl_method_cam = {.name = "cam"};
