#ifndef ADL_TESTS_SUPPORT_ONNX_MEMORY_H
#define ADL_TESTS_SUPPORT_ONNX_MEMORY_H

#include "models/model.h"

/* Writes the model as ONNX while each allocation in turn fails: every failure is one of memory, and
 * leaves neither memory nor a file behind. The file is removed at the end. */
void test_onnx_without_memory(const struct adl_model *model, const char *path);

#endif
