/* Model files: what is written is read back, names of other variants are mapped, what does
 * not fit is reported. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/methods.h"
#include "support/small_model.h"
#include "support/test.h"

static void what_is_saved_is_loaded(void)
{
    static const char *const names[] = {"cat", "dog, hound", "Łódź", "", "\"quoted\""};
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    model->arch.bn_eps = 0.001;
    model->mean[1] = 0.1f;
    model->std[2] = 1.0f / 3;
    model->map = (struct adl_map_rule){
        .weights = ADL_MAP_WEIGHTS_POSITIVE,
        .normalise = ADL_MAP_IVR,
        .percentile = 0.55,
        .threshold = 0.123,
        .classes = 3,
        .objects = {.prominence = 0.15, .area = 0.03},
        .views = {.flip = true, .stride1 = true, .scale_count = 2, .scales = {1, 1.43}}};
    model->calibration = json_pack("{s:i}", "images", 57);
    model->training = json_pack("{s:i}", "epochs", 40);
    model->metrics = json_pack("{s:f}", "top1_loc", 62.29);
    TEST_OK(adl_model_set_classes(model, names, ADL_COUNT(names), &err), &err);
    TEST_OK(adl_model_save(model, model_tmp_path("small.safetensors"), &err), &err);

    struct adl_model *back = adl_model_load(model_tmp_path("small.safetensors"), NULL, &err);
    if (!back) {
        TEST_FAIL("%s", err.message);
        adl_model_free(model);
        return;
    }
    CU_ASSERT_TRUE(model_same_weights(model, back));
    CU_ASSERT_PTR_EQUAL(back->arch.backbone, &adl_backbone_mobilenet_v1);
    CU_ASSERT_EQUAL(back->arch.num_classes, 5);
    CU_ASSERT_EQUAL(back->arch.width, 0.25);
    CU_ASSERT_EQUAL(back->arch.bn_eps, 0.001);
    CU_ASSERT_EQUAL(back->input_h, 64);
    CU_ASSERT_EQUAL(back->input_w, 48);
    CU_ASSERT_TRUE(model_same_floats(back->mean, model->mean, 3));
    CU_ASSERT_TRUE(model_same_floats(back->std, model->std, 3));
    CU_ASSERT_TRUE(adl_map_rule_equal(&back->map, &model->map));
    CU_ASSERT_TRUE(json_equal(back->calibration, model->calibration));
    CU_ASSERT_TRUE(json_equal(back->training, model->training));
    CU_ASSERT_TRUE(json_equal(back->metrics, model->metrics));
    CU_ASSERT_EQUAL_FATAL(back->class_count, ADL_COUNT(names));
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        CU_ASSERT_STRING_EQUAL(back->classes[i], names[i]);
    CU_ASSERT_EQUAL(adl_graph_value(back->graph, 0)->shape.w, 48);
    adl_model_update_digest(model);
    CU_ASSERT_STRING_EQUAL(back->digest, model->digest);
    CU_ASSERT_EQUAL(strlen(back->digest), 64);
    adl_model_free(back);
    adl_model_free(model);
}

/* The metadata as another program would read them. */
static void the_file_is_the_contracts(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    TEST_OK(adl_model_save(model, model_tmp_path("small.safetensors"), &err), &err);
    struct adl_tensors *file = adl_safetensors_read(model_tmp_path("small.safetensors"), &err);
    model_must(file != NULL, &err);
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(file, "format"), "pt");
    const char *text = adl_tensors_meta(file, "adl");
    json_t *adl = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *want =
        json_loads("{\"version\": 1, \"arch\": {\"name\": \"mobilenet_v1\", \"num_classes\": 5, "
                   "\"bn_eps\": 1e-5, \"width\": 0.25, \"activation\": \"relu\", "
                   "\"padding\": \"symmetric\", \"last_stride\": 1}, "
                   "\"input\": {\"size\": [64, 48], \"resize\": \"bilinear\", "
                   "\"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, 0.224, 0.225]}, "
                   "\"cam\": {\"threshold\": 0.35}}",
                   0, NULL);
    CU_ASSERT_PTR_NOT_NULL(want);
    if (!json_equal(adl, want))
        TEST_FAIL("%s", text);
    json_decref(adl);
    json_decref(want);
    adl_tensors_free(file);
    adl_model_free(model);
}

/* --- other numberings ------------------------------------------------------------ */

/* A file of the variant `arch` whose parameter i is filled with i modulo 251;
 * bytes keep it small. */
static void write_numbered(const struct adl_arch *arch, const char *path)
{
    struct adl_error err = {0};
    struct adl_graph *graph = adl_arch_build(arch, 64, 64, &err);
    struct adl_tensors *tensors = adl_tensors_create(&err);
    model_must(graph && tensors, &err);
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        struct adl_tensor *tensor =
            adl_tensors_add(tensors, param->name, ADL_U8, param->rank, param->shape, &err);
        model_must(tensor != NULL, &err);
        memset(tensor->data, i % 251, tensor->count);
    }
    TEST_OK(adl_safetensors_write(path, tensors, &err), &err);
    adl_tensors_free(tensors);
    adl_graph_free(graph);
}

static bool is_numbered(const struct adl_model *model)
{
    for (int i = 0; i < adl_graph_param_count(model->graph); i++) {
        const struct adl_param *param = adl_graph_param(model->graph, i);
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, (size_t)i);
        if (strcmp(param->name, tensor->name) != 0 || model->params[i] != tensor->data ||
            model->params[i][0] != (float)(i % 251) ||
            model->params[i][param->count - 1] != (float)(i % 251))
            return false;
    }
    return true;
}

static void numbers_of_other_variants_are_mapped(void)
{
    static const struct {
        const char *name;
        bool from_adl, from_large, to_adl, to_large;
    } cases[] = {
        {"vgg16", false, false, true, false},    {"vgg16", true, false, false, false},
        {"vgg16", false, false, false, true},    {"vgg16", true, true, false, false},
        {"resnet50", false, false, true, false}, {"resnet50", true, false, false, false},
        {"resnet50", true, false, true, false},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_arch from, to;
        adl_arch_init(&from, adl_backbone_find(cases[i].name));
        from.num_classes = 5;
        to = from;
        from.methods = test_adl_if(cases[i].from_adl), from.large_feature_map = cases[i].from_large;
        to.methods = test_adl_if(cases[i].to_adl), to.large_feature_map = cases[i].to_large;
        write_numbered(&from, model_tmp_path("numbered.safetensors"));
        struct adl_model_options options = {.arch = &to};
        struct adl_model *model =
            adl_model_load(model_tmp_path("numbered.safetensors"), &options, &err);
        if (!model)
            TEST_FAIL("%s, case %zu: %s", cases[i].name, i, err.message);
        else if (!is_numbered(model))
            TEST_FAIL("%s, case %zu: a parameter has another's values", cases[i].name, i);
        adl_model_free(model);
    }
}

static void adl_is_added_and_removed(void)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_resnet50);
    arch.num_classes = 5;
    write_numbered(&arch, model_tmp_path("numbered.safetensors"));
    struct adl_model_options options = {.arch = &arch};
    struct adl_model *model =
        adl_model_load(model_tmp_path("numbered.safetensors"), &options, &err);
    model_must(model != NULL, &err);
    char digest[65];
    snprintf(digest, sizeof digest, "%s", model->digest);

    TEST_OK(adl_model_set_methods(model, adl_method_alone(&adl_method_adl), &err), &err);
    CU_ASSERT_TRUE(adl_arch_has_layers(&model->arch));
    CU_ASSERT_TRUE(is_numbered(model));
    CU_ASSERT_PTR_NULL(adl_tensors_find(model->weights, "layer3.1.conv1.weight"));
    CU_ASSERT_PTR_NOT_NULL(adl_tensors_find(model->weights, "layer3.6.conv1.weight"));
    CU_ASSERT_STRING_NOT_EQUAL(model->digest, digest);
    TEST_OK(adl_model_set_methods(model, adl_method_alone(&adl_method_cam), &err), &err);
    CU_ASSERT_TRUE(is_numbered(model));
    CU_ASSERT_STRING_EQUAL(model->digest, digest);
    adl_model_free(model);
}

/* --- what does not fit ------------------------------------------------------------ */

static void expect_line(const char *text, const char *start, const char *also)
{
    const char *at = strstr(text, start);
    size_t length = at ? strcspn(at, "\n") : 0;
    char line[400];
    snprintf(line, sizeof line, "%.*s", (int)length, at ? at : "");
    if (!at || !strstr(line, also))
        TEST_FAIL("no line with '%s' and '%s' in\n%s", start, also, text);
}

static void misfits_are_reported(void)
{
    struct adl_error err = {0};
    struct adl_str report = {0};
    struct adl_arch arch = model_small_arch();
    struct adl_model_options options = {.arch = &arch, .report = &report};
    struct adl_model *model = model_small();
    model_write_misfit(model, model_tmp_path("misfit.safetensors"));

    CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("misfit.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 missing"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 unexpected"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 misshapen"));
    model_must(report.data != NULL, &err);
    expect_line(report.data, "missing     \"bn1.running_var\"", "[8]");
    expect_line(report.data, "missing     \"blocks.3.pw.weight\"",
                "in the file: \"blocks.3.pw_conv.weight\" [64, 32, 1, 1]");
    expect_line(report.data, "unexpected  \"blocks.3.pw_conv.weight\"",
                "in the network: \"blocks.3.pw.weight\"");
    expect_line(report.data, "unexpected  \"classifier.0.weight?\"", "[3, 4]");
    expect_line(report.data, "misshapen   \"fc.weight\"", "[7, 256]");
    expect_line(report.data, "misshapen   \"fc.weight\"", "needs [5, 256]");
    CU_ASSERT_PTR_NULL(strstr(report.data, "num_batches_tracked"));
    size_t first_length = report.length;

    err = (struct adl_error){0};
    options.allow_missing = true;
    struct adl_model *back = adl_model_load(model_tmp_path("misfit.safetensors"), &options, &err);
    model_must(back != NULL, &err);
    CU_ASSERT_EQUAL(report.length, 2 * first_length);
    for (int i = 0; i < adl_graph_param_count(back->graph); i++) {
        const struct adl_param *param = adl_graph_param(back->graph, i);
        bool one = strcmp(param->name, "bn1.running_var") == 0;
        bool zero =
            strcmp(param->name, "blocks.3.pw.weight") == 0 || strncmp(param->name, "fc.", 3) == 0;
        float want = one ? 1 : zero ? 0 : model->params[i][param->count - 1];
        if (back->params[i][param->count - 1] != want)
            TEST_FAIL("%s ends in %g, not %g", param->name,
                      (double)back->params[i][param->count - 1], (double)want);
    }
    adl_model_free(back);
    adl_str_release(&report);

    /* Into existing weights: what the file does not have stays as it is. */
    err = (struct adl_error){0};
    bool taken[400];
    back = model_small();
    int classifier = adl_graph_classifier(back->graph);
    struct adl_tensors *weights =
        adl_model_read_weights(model_tmp_path("misfit.safetensors"), NULL, NULL, &err);
    TEST_OK(weights ? adl_model_take(back, weights, taken, &report, &err) : -1, &err);
    adl_tensors_free(weights);
    CU_ASSERT_TRUE(model_same_weights(model, back));
    CU_ASSERT_FALSE(taken[classifier]);
    CU_ASSERT_TRUE(taken[0]);
    CU_ASSERT_TRUE(report.length == first_length);
    adl_model_free(back);
    adl_str_release(&report);

    /* A file of which nothing fits is refused even where missing tensors are allowed. */
    err = (struct adl_error){0};
    adl_arch_init(&arch, &adl_backbone_inception_v3);
    CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("misfit.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    adl_str_release(&report);
    adl_model_free(model);
}

/* A file with many unknown long names: the table and the search for names are bounded. */
static void the_report_has_an_end(void)
{
    struct adl_error err = {0};
    struct adl_str report = {0};
    struct adl_arch arch = model_small_arch();
    struct adl_model_options options = {.arch = &arch, .report = &report};
    struct adl_tensors *tensors = adl_tensors_create(&err);
    model_must(tensors != NULL, &err);
    for (int i = 0; i < ADL_LIMIT_REPORT_ROWS + 100; i++) {
        char name[400];
        snprintf(name, sizeof name, "blocks.%0300d.weight", i);
        model_must(adl_tensors_add(tensors, name, ADL_F32, 0, NULL, &err) != NULL, &err);
    }
    TEST_OK(adl_safetensors_write(model_tmp_path("strangers.safetensors"), tensors, &err), &err);
    adl_tensors_free(tensors);
    CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("strangers.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    model_must(report.data != NULL, &err);
    expect_line(report.data, "unexpected  and", "100 more");
    size_t lines = 0;
    for (const char *at = report.data; *at; at++)
        lines += *at == '\n';
    CU_ASSERT_EQUAL(lines, 137 + ADL_LIMIT_REPORT_ROWS + 1);
    adl_str_release(&report);
}

static void other_types_are_converted(void)
{
    static const enum adl_dtype types[] = {ADL_F64, ADL_F16, ADL_BF16};
    struct adl_arch arch = model_small_arch();
    struct adl_model_options options = {.arch = &arch};
    for (size_t t = 0; t < ADL_COUNT(types); t++) {
        struct adl_error err = {0};
        struct adl_model *model = model_small();
        struct adl_tensors *tensors = adl_tensors_create(&err);
        model_must(tensors != NULL, &err);
        for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
            const struct adl_tensor *from = adl_tensors_at(model->weights, i);
            struct adl_tensor *to =
                adl_tensors_add(tensors, from->name, types[t], from->rank, from->shape, &err);
            model_must(to != NULL, &err);
            float *exact = from->data;
            for (size_t k = 0; k < from->count; k++) {
                /* -2, -1.5 ... 1.5 are exact in every type; their bits are written by hand. */
                static const uint16_t half[] = {0xc000, 0xbe00, 0xbc00, 0xb800,
                                                0x0000, 0x3800, 0x3c00, 0x3e00};
                static const uint16_t brain[] = {0xc000, 0xbfc0, 0xbf80, 0xbf00,
                                                 0x0000, 0x3f00, 0x3f80, 0x3fc0};
                size_t step = (k + i) % 8;
                exact[k] = (float)step / 2 - 2;
                if (types[t] == ADL_F64)
                    ((double *)to->data)[k] = (double)exact[k];
                else
                    ((uint16_t *)to->data)[k] = types[t] == ADL_F16 ? half[step] : brain[step];
            }
        }
        TEST_OK(adl_safetensors_write(model_tmp_path("types.safetensors"), tensors, &err), &err);
        struct adl_model *back =
            adl_model_load(model_tmp_path("types.safetensors"), &options, &err);
        if (!back || !model_same_weights(model, back))
            TEST_FAIL("%s: %s", adl_dtype_name(types[t]), err.message);
        adl_model_free(back);
        adl_tensors_free(tensors);
        adl_model_free(model);
    }
}

/* --- classes ------------------------------------------------------------------------ */

static void classes_are_found(void)
{
    static const char *const names[] = {"Cat", "cat", "hound, dog, canis", "4", "Tench"};
    struct adl_error err = {0};
    char text[32];
    struct adl_model *model = model_small();
    CU_ASSERT_STRING_EQUAL(adl_model_label(model, 3, text, sizeof text), "class 3");
    CU_ASSERT_EQUAL(adl_model_find_class(model, "4"), 4);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "cat"), -1);

    TEST_OK(adl_model_set_classes(model, names, 5, &err), &err);
    CU_ASSERT_STRING_EQUAL(adl_model_label(model, 1, text, sizeof text), "cat");
    CU_ASSERT_STRING_EQUAL(adl_model_label(model, 5, text, sizeof text), "class 5");
    CU_ASSERT_STRING_EQUAL(adl_model_label(model, -1, text, sizeof text), "class -1");
    CU_ASSERT_EQUAL(adl_model_find_class(model, "cat"), 1);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "CAT"), 0);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "Hound"), 2);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "dog"), -1);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "hound, dog, CANIS"), 2);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "4"), 3); /* its label, not its number */
    CU_ASSERT_EQUAL(adl_model_find_class(model, "04"), 4);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "0003"), 3);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "5"), -1);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "99999999999999999999"), -1);
    CU_ASSERT_EQUAL(adl_model_find_class(model, ""), -1);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "-1"), -1);

    CU_ASSERT_EQUAL(adl_model_set_classes(model, names, 4, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    static const char *const latin1[] = {"a", "b", "\xe9", "d", "e"};
    err = (struct adl_error){0};
    CU_ASSERT_EQUAL(adl_model_set_classes(model, latin1, 5, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    CU_ASSERT_STRING_EQUAL(model->classes[2], names[2]);

    adl_model_drop_weights(model);
    CU_ASSERT_PTR_NULL(model->params);
    err = (struct adl_error){0};
    CU_ASSERT_EQUAL(adl_model_save(model, model_tmp_path("dropped.safetensors"), &err), -1);
    TEST_OK(adl_model_set_methods(model, adl_method_alone(&adl_method_adl), &(struct adl_error){0}),
            &err);
    adl_model_free(model);
}

/* The weights that ship, described by somebody else. */
static void the_imagenet_model_loads(void)
{
    char path[512];
    struct adl_error err = {0};
    if (!test_shared_dir()) {
        test_skip("the ImageNet weights are not here");
        return;
    }
    snprintf(path, sizeof path, "%s/weights/mobilenet_v1_0.75_224_imagenet.safetensors",
             test_shared_dir());
    struct adl_model *model = adl_model_load(path, NULL, &err);
    if (!model) {
        TEST_FAIL("%s", err.message);
        return;
    }
    CU_ASSERT_EQUAL(model->arch.width, 0.75);
    CU_ASSERT_EQUAL(model->arch.padding, ADL_PAD_TF_SAME);
    CU_ASSERT_EQUAL(model->arch.last_stride, 2);
    CU_ASSERT_EQUAL(model->map.threshold, 0.3);
    CU_ASSERT_EQUAL(model->std[2], 0.5f);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "great white shark"), 2);
    adl_model_free(model);
}

TEST_SUITE(model_file, {"what is saved is loaded", what_is_saved_is_loaded},
           {"the file is the contract's", the_file_is_the_contracts},
           {"numbers of other variants are mapped", numbers_of_other_variants_are_mapped},
           {"ADL is added and removed", adl_is_added_and_removed},
           {"misfits are reported", misfits_are_reported},
           {"the report has an end", the_report_has_an_end},
           {"other types are converted", other_types_are_converted},
           {"classes are found", classes_are_found},
           {"the ImageNet model loads", the_imagenet_model_loads});
