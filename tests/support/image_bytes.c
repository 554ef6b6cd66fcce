#include "support/image_bytes.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

#define MAX_BYTES ((size_t)1 << 16)

struct image_bytes image_bytes_load(const char *name)
{
    char path[4096];
    struct image_bytes file = {0};
    snprintf(path, sizeof path, "%s/images/%s", test_golden_dir(), name);
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        TEST_FAIL("cannot open %s", path);
        return file;
    }
    file.data = malloc(MAX_BYTES);
    file.length = fread(file.data, 1, MAX_BYTES, stream);
    fclose(stream);
    return file;
}

int image_bytes_decode(struct image_bytes file, const struct adl_decode_options *options,
                       struct adl_image *image, struct adl_error *err)
{
    adl_error_clear(err);
    return adl_image_decode(file.data, file.length, options, image, NULL, err);
}
