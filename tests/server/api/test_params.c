/* server/api/params: strict parsing of queries, Content-Type and Accept. */

#include "support/test.h"

#include <string.h>

#include "base/size.h"
#include "server/api/params.h"

static int parse(struct adl_params *params, const char *name, const char *value,
                 struct adl_error *err)
{
    struct adl_query_pair pair = {name, value, value ? strlen(value) : 0};
    *err = (struct adl_error){0};
    return adl_params_parse(params, &pair, 1, err);
}

static void has_the_defaults_of_the_interface(void)
{
    struct adl_params params;
    struct adl_error err = {0};
    TEST_OK(adl_params_parse(&params, NULL, 0, &err), &err);
    CU_ASSERT_EQUAL(params.top_k, 1);
    CU_ASSERT(params.map.threshold < 0);
    CU_ASSERT_EQUAL(params.boxes, ADL_BOXES_LARGEST);
    CU_ASSERT_EQUAL(params.heatmap, ADL_HEATMAP_NONE);
    CU_ASSERT(!*params.model && !*params.class_text);
}

static void takes_what_is_in_range(void)
{
    struct adl_params params;
    struct adl_error err;
    TEST_OK(parse(&params, "map_classes", "1000", &err), &err);
    CU_ASSERT_EQUAL(params.map.classes, 1000);
    TEST_OK(parse(&params, "top_k", "1", &err), &err);
    TEST_OK(parse(&params, "top_k", "100", &err), &err);
    CU_ASSERT_EQUAL(params.top_k, 100);
    TEST_OK(parse(&params, "threshold", "0", &err), &err);
    TEST_OK(parse(&params, "threshold", "1.0", &err), &err);
    TEST_OK(parse(&params, "threshold", "2.5e-1", &err), &err);
    CU_ASSERT_EQUAL(params.map.threshold, 0.25);
    TEST_OK(parse(&params, "boxes", "all", &err), &err);
    CU_ASSERT_EQUAL(params.boxes, ADL_BOXES_ALL);
    TEST_OK(parse(&params, "heatmap", "png", &err), &err);
    CU_ASSERT_EQUAL(params.heatmap, ADL_HEATMAP_PNG);
    TEST_OK(parse(&params, "map_flip", "true", &err), &err);
    CU_ASSERT(params.map.views.flip == 1 && params.map.views.scale_count == -1);
    TEST_OK(parse(&params, "map_scales", "1.43,1", &err), &err);
    CU_ASSERT(params.map.views.scale_count == 2 && params.map.views.scales[1] == 1.43);
    TEST_OK(parse(&params, "map_scales", "1", &err), &err);
    CU_ASSERT_EQUAL(params.map.views.scale_count, 0);
    TEST_OK(parse(&params, "map_stride", "2", &err), &err);
    CU_ASSERT(params.map.views.stride == 2 && params.map.views.flip == -1);
    TEST_OK(parse(&params, "map_layer", "blocks.4", &err), &err);
    CU_ASSERT(params.map.views.layer.method == ADL_LAYER_LAYERCAM);
    CU_ASSERT_STRING_EQUAL(params.map.views.layer.name, "blocks.4");
    TEST_OK(parse(&params, "map_layer", "none", &err), &err);
    CU_ASSERT(params.map.views.has_layer && params.map.views.layer.method == ADL_LAYER_NONE);
    TEST_OK(parse(&params, "map", "gradcam:relu", &err), &err);
    CU_ASSERT(!params.map.reference && params.map.views.layer.method == ADL_LAYER_GRADCAM);
    TEST_OK(parse(&params, "map", "reference", &err), &err);
    CU_ASSERT(params.map.reference && !params.map.views.has_layer);
    TEST_OK(parse(&params, "model", "birds", &err), &err);
    CU_ASSERT_STRING_EQUAL(params.model, "birds");
    TEST_OK(parse(&params, "class", "grey wolf", &err), &err);
    CU_ASSERT_STRING_EQUAL(params.class_text, "grey wolf");
}

static void refuses_anything_else_by_name(void)
{
    static const char *const bad[][2] = {
        {"map_classes", "0"},  {"map_classes", "1001"},
        {"top_k", "0"},        {"top_k", "101"},
        {"map_flip", "1"},     {"map_flip", ""},
        {"map_scales", ""},    {"map_scales", "3"},
        {"map_scales", "1,1"}, {"map_scales", NULL},
        {"map_stride", "0"},   {"map_stride", "3"},
        {"map_layer", ""},     {"map_layer", "cam:blocks.4"},
        {"map", "layercam:"},  {"map", "layercam"},
        {"top_k", "-1"},       {"top_k", "1.0"},
        {"top_k", "+1"},       {"top_k", " 1"},
        {"top_k", "1 "},       {"top_k", "banana"},
        {"top_k", ""},         {"top_k", "99999999999"},
        {"top_k", NULL},       {"threshold", "7"},
        {"threshold", "-0.1"}, {"threshold", "nan"},
        {"threshold", "inf"},  {"threshold", "0x1p-1"},
        {"threshold", " 0"},   {"threshold", "0.5x"},
        {"threshold", ""},     {"threshold", "1e"},
        {"threshold", "."},    {"boxes", "ALL"},
        {"boxes", ""},         {"heatmap", "jpeg"},
        {"model", ""},         {"class", ""},
        {"topk", "3"},         {"", "x"},
        {"zebra", "1"},
    };
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        struct adl_params params;
        struct adl_error err;
        if (parse(&params, bad[i][0], bad[i][1], &err) == 0)
            TEST_FAIL("%s=%s is accepted", bad[i][0], bad[i][1] ? bad[i][1] : "(null)");
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, bad[i][0]));
    }
}

static void refuses_doubles_nuls_and_contradictions(void)
{
    struct adl_query_pair twice[] = {{"top_k", "1", 1}, {"top_k", "1", 1}};
    struct adl_query_pair nul = {"class", "a\0b", 3};
    struct adl_query_pair both[] = {{"class", "1", 1}, {"top_k", "2", 1}};
    struct adl_params params;
    struct adl_error err = {0};
    CU_ASSERT(adl_params_parse(&params, twice, 2, &err) < 0);
    adl_error_clear(&err);
    CU_ASSERT(adl_params_parse(&params, &nul, 1, &err) < 0);
    adl_error_clear(&err);
    CU_ASSERT(adl_params_parse(&params, both, 2, &err) < 0);
    adl_error_clear(&err);
    CU_ASSERT(parse(&params, "treshold", "1", &err) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "did you mean threshold"));
}

static void knows_kinds_of_bodies(void)
{
    static const struct {
        const char *text;
        enum adl_body_type type;
    } cases[] = {
        {"image/jpeg", ADL_BODY_IMAGE},
        {"IMAGE/PNG ; x=y", ADL_BODY_IMAGE},
        {"image/webp", ADL_BODY_IMAGE},
        {"application/octet-stream", ADL_BODY_BYTES},
        {"multipart/form-data; boundary=x", ADL_BODY_FORM},
        {"application/x-www-form-urlencoded", ADL_BODY_UNSUPPORTED},
        {"image/jpegx", ADL_BODY_UNSUPPORTED},
        {"image/gif", ADL_BODY_IMAGE},
        {"image/bmp", ADL_BODY_IMAGE},
        {"image/svg+xml", ADL_BODY_UNSUPPORTED},
        {"text/plain", ADL_BODY_UNSUPPORTED},
        {"", ADL_BODY_UNSUPPORTED},
        {NULL, ADL_BODY_UNSUPPORTED},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char text[200];
        const char *detail = NULL;
        enum adl_body_type type = adl_params_body_type(cases[i].text, text, sizeof text, &detail);
        if (type != cases[i].type || (type == ADL_BODY_UNSUPPORTED && !detail))
            TEST_FAIL("%s", cases[i].text ? cases[i].text : "(null)");
    }
}

/* The rules of RFC 9110, 12.5.1. The expected format is J for JPEG, P for PNG, - for none
 * (refused); otherwise JSON. */
static void negotiates(void)
{
    static const struct {
        const char *accept;
        char want;
    } cases[] = {
        {NULL, 'j'},
        {"", 'j'},
        {"*/*", 'j'},
        {"application/json", 'j'},
        {"application/*", 'j'},
        {"image/jpeg", 'J'},
        {"image/png", 'P'},
        {"image/*", 'J'},
        {"image/png, image/jpeg;q=0.5", 'P'},
        {"image/png;q=0.4, image/jpeg;q=0.5", 'J'},
        {"image/jpeg, */*;q=0.8", 'J'},
        {"image/jpeg;q=0.5, */*;q=0.8", 'j'},
        {"text/html, image/png;q=0.9, */*;q=0.1", 'P'},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
         'j'},
        {"IMAGE/JPEG", 'J'},
        {"image/jpeg;q=0", '-'},
        {"image/jpeg;q=0, image/*", 'P'},
        {"application/json;q=0, */*", 'J'},
        {"text/html", '-'},
        {"image/webp", '-'},
        {" , ,image/png", 'P'},
        {"image/jpeg;level=1;q=0.3, image/png;q=0.2", 'J'},
        {"*/*;q=0", '-'},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        enum adl_image_type type;
        int result = adl_params_accept(cases[i].accept, &type);
        char got = result < 0               ? '-'
                   : type == ADL_IMAGE_JPEG ? 'J'
                   : type == ADL_IMAGE_PNG  ? 'P'
                                            : 'j';
        if (got != cases[i].want)
            TEST_FAIL("%s: %c, expected %c", cases[i].accept ? cases[i].accept : "(null)", got,
                      cases[i].want);
    }
}

/* The message of an error ends a long value in an ellipsis, and not within a character. */
static void shortens_long_values_in_messages(void)
{
    struct adl_params params;
    struct adl_error err;
    char text[81] = "x";

    for (int i = 1; i < 79; i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    CU_ASSERT(parse(&params, "top_k", text, &err) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\xc3\xa4...: has to be"));
    CU_ASSERT(parse(&params, text, "1", &err) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\xc3\xa4...\""));
}

TEST_SUITE(params, {"has the defaults of the interface", has_the_defaults_of_the_interface},
           {"takes what is in range", takes_what_is_in_range},
           {"refuses anything else by name", refuses_anything_else_by_name},
           {"refuses doubles, NULs and contradictions", refuses_doubles_nuls_and_contradictions},
           {"shortens long values in messages", shortens_long_values_in_messages},
           {"knows kinds of bodies", knows_kinds_of_bodies}, {"negotiates", negotiates});
