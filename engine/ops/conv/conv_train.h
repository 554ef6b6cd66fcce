#ifndef ADL_OPS_CONV_CONV_TRAIN_H
#define ADL_OPS_CONV_CONV_TRAIN_H

#include "ops/train.h"

/* The training side of a convolution. */
extern const struct adl_op_train adl_conv_training;

#endif
