/* `convert --precision bf16`, and what the other commands do with the file, as a user runs them. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/command_run.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define EXPECT(status, part, ...)                                                                  \
    command_says(status, part, (const char *const[]){program_path(), __VA_ARGS__, NULL})

static long size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void the_file_is_half_as_large_and_says_so(void)
{
    char path[300], again[300], onnx[300];
    if (!program_exists())
        return;
    scratch_open("convert_bf16", (const char *const[]){NULL});
    snprintf(path, sizeof path, "%s", scratch_path("bf16.safetensors"));
    snprintf(again, sizeof again, "%s", scratch_path("again.safetensors"));
    snprintf(onnx, sizeof onnx, "%s", scratch_path("bf16.onnx"));

    EXPECT(0, "tensors", "convert", test_small_model(), path, "--precision", "bf16");
    CU_ASSERT(size_of(path) < 0.65 * (double)size_of(test_small_model()));
    EXPECT(0, "precision     bf16", "info", path);

    /* As it is, it stays in bfloat16; in float32 it is long again. */
    EXPECT(0, "tensors", "convert", path, again);
    CU_ASSERT_EQUAL(size_of(again), size_of(path));
    EXPECT(0, "tensors", "convert", path, again, "--precision", "fp32");
    CU_ASSERT(size_of(again) > 1.5 * (double)size_of(path));
    EXPECT(1, "a bf16 model can be written as safetensors only", "convert", path, onnx,
           "--precision", "bf16");
    EXPECT(0, "tensors", "convert", path, onnx);
}

TEST_SUITE(cmd_convert_bf16,
           {"the file is half as large and says so", the_file_is_half_as_large_and_says_so});
