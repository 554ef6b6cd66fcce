/* Fuzz target: any bytes as a PyTorch file. Zip archives are tried twice, as they are and
 * with correct checksums: otherwise hardly any mutation would get beyond the CRC-32.
 * Corpus: tests/golden/torch. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "io/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* Corrects the checksum of every entry whose bytes can be found. */
static void mend_checksums(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 46 <= size; at++) {
        if (memcmp(bytes + at, "PK\1\2", 4))
            continue;
        size_t length = number(bytes + at + 24), local = number(bytes + at + 42);
        if (local > size || size - local < 30)
            continue;
        uint32_t lengths = number(bytes + local + 26); /* of the name and the extra field */
        size_t begin = local + 30 + (lengths & 0xffff) + (lengths >> 16);
        if (begin > size || length > size - begin)
            continue;
        uint32_t crc = (uint32_t)crc32_z(0, bytes + begin, length);
        for (size_t i = 0; i < 4; i++)
            bytes[at + 16 + i] = (uint8_t)(crc >> (8 * i));
    }
}

static void parse(const uint8_t *data, size_t size)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_torch_parse(data, size, NULL, &err);
    if (!tensors && (err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_INTERNAL))
        abort();
    for (size_t i = 0; tensors && i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        float *values = calloc(tensor->count + 1, sizeof *values);
        if (values)
            adl_tensor_to_f32(tensor, values);
        free(values);
    }
    adl_tensors_free(tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size);
    if (size < 4 || memcmp(data, "PK", 2))
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    mend_checksums(copy, size);
    parse(copy, size);
    free(copy);
    return 0;
}
