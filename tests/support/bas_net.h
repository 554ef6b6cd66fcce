#ifndef ADL_TESTS_SUPPORT_BAS_NET_H
#define ADL_TESTS_SUPPORT_BAS_NET_H

/* A training step of a small network with the branches of methods/bas.c.
 *
 * The input is 7x7x2, the features "stem" are 7x7x3 and the upper map "up" is 4x4x4, so that the
 * windows of the pooled map overlap. Each of the two is a 3x3 convolution, a batch norm (NAME_bn)
 * and a sigmoid, which keeps the loss smooth but for the ReLUs of the method's own head. */

#include "methods/methods.h"
#include "support/train_step.h"

#define BAS_ALPHA 0.7
#define BAS_BETA 1.3
#define BAS_EPS 1e-3 /* of batch norm */

enum { BAS_N = 3, BAS_SIDE = 7, BAS_CLASSES = 3, BAS_HEAD = 5 };

/* The taps of the graph. */
enum { BAS_FOREGROUND, BAS_BACKGROUND, BAS_MAP };

extern const int bas_labels[BAS_N];

/* A step of the network; input and parameters follow from their names. */
struct bas_net {
    struct train_step step;
    struct adl_train_mode mode;
    float input[BAS_N * BAS_SIDE * BAS_SIDE * 2];
    double loss;
};

void bas_net_open(struct bas_net *net, enum adl_tape_memory memory);
void bas_net_close(struct bas_net *net);

/* Runs forward and computes the loss and its gradient with respect to the taps. */
void bas_net_forward(struct bas_net *net);
void bas_net_backward(struct bas_net *net);

#endif
