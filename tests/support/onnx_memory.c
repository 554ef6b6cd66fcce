/* Writes ONNX files while memory fails; see onnx_memory.h. */

#include "support/onnx_memory.h"

#include <unistd.h>

#include "base/mem.h"
#include "models/onnx/onnx.h"
#include "support/test.h"

void test_onnx_without_memory(const struct adl_model *model, const char *path)
{
    int result = -1;
    for (uint64_t n = 1; result < 0; n++) {
        struct adl_error err = {0};
        size_t blocks = adl_mem_stats().live_blocks;
        adl_mem_fail_nth(n);
        result = adl_onnx_write(model, path, &err);
        adl_mem_fail_nth(0);
        if (adl_mem_stats().live_blocks != blocks || (result < 0 && err.kind != ADL_ERR_NOMEM) ||
            (access(path, F_OK) == 0) != (result == 0)) {
            TEST_FAIL("allocation %llu: %s", (unsigned long long)n, err.message);
            break;
        }
    }
    CU_ASSERT_EQUAL(result, 0);
    unlink(path);
}
