#ifndef TESTS_SUPPORT_HEAD_H
#define TESTS_SUPPORT_HEAD_H

#include "models/model.h"

/* Gives a MobileNet a few-box head that reads the last map, blocks.10 and blocks.4; its weights are
 * formula_param(name, 0, 0.3, ...). */
void test_give_head(struct adl_model *model, const char *name);

/* Checks that the model has that head. */
void test_check_head(const struct adl_model *model, const char *name);

#endif
