/* `attention`: the example of the page /about is what the model that ships says of its drawing. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <nettle/base64.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/command_run.h"
#include "support/program.h"

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* The bytes of both maps, which may differ by one between kernels of different processors. */
static void same_map(const json_t *a, const json_t *b)
{
    uint8_t bytes[2][1200];
    const char *data[2] = {json_string_value(json_object_get(a, "data")),
                           json_string_value(json_object_get(b, "data"))};
    size_t length[2] = {sizeof bytes[0], sizeof bytes[1]};

    for (int i = 0; i < 2; i++) {
        struct base64_decode_ctx context;
        base64_decode_init(&context);
        CU_ASSERT_FATAL(data[i] && strlen(data[i]) < 1500);
        CU_ASSERT_FATAL(
            base64_decode_update(&context, &length[i], bytes[i], strlen(data[i]), data[i]));
    }
    CU_ASSERT_EQUAL_FATAL(length[0], length[1]);
    CU_ASSERT_EQUAL(length[0], (size_t)(number(a, "width") * number(a, "height")));
    for (size_t i = 0; i < length[0]; i++)
        CU_ASSERT(abs(bytes[0][i] - bytes[1][i]) <= 1);
}

static void the_page_shows_what_the_command_prints(void)
{
    if (access("models/default.safetensors", R_OK) < 0) {
        test_skip("the model that ships is not here");
        return;
    }
    if (!program_exists())
        return;
    struct command_result result =
        RUN("attention", "--model", "models/default.safetensors", "web/examples/starfish.jpg");
    json_t *shown = json_load_file("web/about/starfish.json", 0, NULL);
    json_t *printed = result.out ? json_loads(result.out, 0, NULL) : NULL;
    command_expect(result, 0, "attention");
    CU_ASSERT_FATAL(shown && printed);
    json_t *layers = json_object_get(printed, "layers"), *layer;
    json_t *expected = json_object_get(shown, "layers");
    size_t i;
    CU_ASSERT_EQUAL(json_array_size(layers), json_array_size(expected));
    CU_ASSERT_EQUAL(json_array_size(layers), 3);
    for (i = 0; i < json_array_size(layers); i++) {
        layer = json_array_get(layers, i);
        const json_t *other = json_array_get(expected, i);
        const json_t *attention = json_object_get(layer, "attention");
        double most = number(attention, "most");
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(layer, "name")),
                               json_string_value(json_object_get(other, "name")));
        /* The drop mask begins at 0.9 of the greatest attention, with which the model was trained;
         * the importance of an attention a is 1 / (1 + exp(-a)). */
        CU_ASSERT_DOUBLE_EQUAL(number(layer, "cut"), 0.9 * most, 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(number(json_object_get(layer, "importance"), "most"),
                               1 / (1 + exp(-most)), 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(number(layer, "cut"), number(other, "cut"), 1e-3);
        same_map(attention, json_object_get(other, "attention"));
        same_map(json_object_get(layer, "importance"), json_object_get(other, "importance"));
    }
    json_decref(printed);
    json_decref(shown);
}

TEST_SUITE(attention,
           {"the page shows what the command prints", the_page_shows_what_the_command_prints});
