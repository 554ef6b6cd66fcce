#include "support/mix_batch.h"

#include <string.h>

#include "support/methods.h"

float mix_images[MIX_COUNT * MIX_IMAGE], mix_mixed[MIX_COUNT * MIX_IMAGE];
size_t mix_partners[MIX_COUNT];

struct adl_method_batch mix_batch(const struct adl_method *method,
                                  const union adl_method_value *values, uint64_t key)
{
    struct adl_method_batch batch = {
        .count = MIX_COUNT, .height = MIX_HEIGHT, .width = MIX_WIDTH, .partners = mix_partners};
    memset(mix_mixed, 0, sizeof mix_mixed);
    test_method_input(method, values, key, mix_images, mix_mixed, &batch);
    return batch;
}
