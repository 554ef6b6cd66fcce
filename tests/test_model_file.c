/* Model files: what is written is read back, names of other variants are
 * mapped, what does not fit is told, hostile descriptions are refused. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "formula.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "test.h"

/* Ends the test when what it needs is not there. */
static void must(bool there, const struct adl_error *err)
{
    if (there)
        return;
    printf("    %s\n", err->message);
    CU_FAIL_FATAL("cannot go on");
    abort(); /* not reached: CUnit has left the test */
}

static bool same_floats(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(a[i] == b[i]))
            return false;
    return true;
}

static const char *tmp_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
    return path;
}

/* The smallest network there is: 5 classes, width 0.25. */
static struct adl_arch small_arch(void)
{
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.num_classes = 5;
    arch.width = 0.25;
    return arch;
}

static struct adl_model *small_model(void)
{
    struct adl_error err = {0};
    struct adl_arch arch = small_arch();
    struct adl_model *model = adl_model_create(&arch, 64, 48, &err);
    must(model != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, i);
        formula_param(tensor->name, 0.5, 0.25, tensor->count, tensor->data);
    }
    return model;
}

static bool same_weights(const struct adl_model *a, const struct adl_model *b)
{
    bool same = adl_tensors_count(a->weights) == adl_tensors_count(b->weights);
    for (size_t i = 0; same && i < adl_tensors_count(a->weights); i++) {
        const struct adl_tensor *x = adl_tensors_at(a->weights, i);
        const struct adl_tensor *y = adl_tensors_at(b->weights, i);
        same = strcmp(x->name, y->name) == 0 && x->count == y->count &&
               same_floats(x->data, y->data, x->count) && b->params[i] == y->data;
    }
    return same;
}

static void what_is_saved_is_loaded(void)
{
    static const char *const names[] = {"cat", "dog, hound", "Łódź", "", "\"quoted\""};
    struct adl_error err = {0};
    struct adl_model *model = small_model();
    model->arch.bn_eps = 0.001;
    model->mean[1] = 0.1f;
    model->std[2] = 1.0f / 3;
    model->cam_threshold = 0.123;
    model->training = json_pack("{s:i}", "epochs", 40);
    model->metrics = json_pack("{s:f}", "top1_loc", 62.29);
    TEST_OK(adl_model_set_classes(model, names, ADL_COUNT(names), &err), &err);
    TEST_OK(adl_model_save(model, tmp_path("small.safetensors"), &err), &err);

    struct adl_model *back = adl_model_load(tmp_path("small.safetensors"), NULL, &err);
    if (!back) {
        TEST_FAIL("%s", err.message);
        adl_model_free(model);
        return;
    }
    CU_ASSERT_TRUE(same_weights(model, back));
    CU_ASSERT_PTR_EQUAL(back->arch.backbone, &adl_backbone_mobilenet_v1);
    CU_ASSERT_EQUAL(back->arch.num_classes, 5);
    CU_ASSERT_EQUAL(back->arch.width, 0.25);
    CU_ASSERT_EQUAL(back->arch.bn_eps, 0.001);
    CU_ASSERT_EQUAL(back->input_h, 64);
    CU_ASSERT_EQUAL(back->input_w, 48);
    CU_ASSERT_TRUE(same_floats(back->mean, model->mean, 3));
    CU_ASSERT_TRUE(same_floats(back->std, model->std, 3));
    CU_ASSERT_EQUAL(back->cam_threshold, 0.123);
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

/* The metadata itself, as another program would read it. */
static void the_file_is_the_contracts(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_model();
    TEST_OK(adl_model_save(model, tmp_path("small.safetensors"), &err), &err);
    struct adl_tensors *file = adl_safetensors_read(tmp_path("small.safetensors"), &err);
    must(file != NULL, &err);
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
    must(graph && tensors, &err);
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        struct adl_tensor *tensor =
            adl_tensors_add(tensors, param->name, ADL_U8, param->rank, param->shape, &err);
        must(tensor != NULL, &err);
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
        from.adl = cases[i].from_adl, from.large_feature_map = cases[i].from_large;
        to.adl = cases[i].to_adl, to.large_feature_map = cases[i].to_large;
        write_numbered(&from, tmp_path("numbered.safetensors"));
        struct adl_model_options options = {.arch = &to};
        struct adl_model *model = adl_model_load(tmp_path("numbered.safetensors"), &options, &err);
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
    write_numbered(&arch, tmp_path("numbered.safetensors"));
    struct adl_model_options options = {.arch = &arch};
    struct adl_model *model = adl_model_load(tmp_path("numbered.safetensors"), &options, &err);
    must(model != NULL, &err);
    char digest[65];
    snprintf(digest, sizeof digest, "%s", model->digest);

    TEST_OK(adl_model_set_adl(model, true, &err), &err);
    CU_ASSERT_TRUE(model->arch.adl);
    CU_ASSERT_TRUE(is_numbered(model));
    CU_ASSERT_PTR_NULL(adl_tensors_find(model->weights, "layer3.1.conv1.weight"));
    CU_ASSERT_PTR_NOT_NULL(adl_tensors_find(model->weights, "layer3.6.conv1.weight"));
    CU_ASSERT_STRING_NOT_EQUAL(model->digest, digest);
    TEST_OK(adl_model_set_adl(model, false, &err), &err);
    CU_ASSERT_TRUE(is_numbered(model));
    CU_ASSERT_STRING_EQUAL(model->digest, digest);
    adl_model_free(model);
}

/* --- descriptions ------------------------------------------------------------------- */

#define ARCH "\"arch\": {\"name\": \"mobilenet_v1\", \"width\": 0.25, \"num_classes\": 5}"

static void descriptions_are_checked(void)
{
    static const struct {
        const char *text;
        enum adl_error_kind kind; /* NONE: accepted */
    } cases[] = {
        {"{" ARCH "}", ADL_ERR_NONE},
        {"{\"version\": 1, \"future\": {\"a\": [1]}, " ARCH "}", ADL_ERR_NONE},
        {"{" ARCH ", \"classes\": []}", ADL_ERR_NONE},
        {"{" ARCH ", \"classes\": null, \"training\": null}", ADL_ERR_NONE},
        {"{" ARCH ", \"input\": {\"size\": [224, 224], \"std\": [-1, 2, 3.5]}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"threshold\": 0}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"threshold\": 1}}", ADL_ERR_NONE},
        {"", ADL_ERR_FORMAT},
        {"{", ADL_ERR_FORMAT},
        {"[]", ADL_ERR_FORMAT},
        {"null", ADL_ERR_FORMAT},
        {"{" ARCH "} x", ADL_ERR_FORMAT},
        {"{}", ADL_ERR_FORMAT},
        {"{" ARCH ", " ARCH "}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": \"1\"}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": 0}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": 2}", ADL_ERR_UNSUPPORTED},
        {"{\"arch\": []}", ADL_ERR_FORMAT},
        {"{\"arch\": {\"name\": \"vit\"}}", ADL_ERR_UNSUPPORTED},
        {"{" ARCH ", \"classes\": [\"a\"]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": {\"a\": 1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": [\"a\", \"b\", \"c\", \"d\", 5]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": [\"a\", \"b\", \"c\", \"d\", \"\\u0000\"]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": 224}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": 224}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [0, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224, 4097]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224, 4294967520]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [-1, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224.5, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, 1e300]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, 1e999]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, \"0\"]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, NaN]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": [1, 0, 1]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": [1, 1e-60, 1]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": null}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": 0.35}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": -0.1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": 1.1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": \"high\"}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"training\": [1]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"metrics\": \"good\"}", ADL_ERR_FORMAT},
        /* The weights are not those that the description promises. */
        {"{\"arch\": {\"name\": \"vgg16\", \"num_classes\": 65536}}", ADL_ERR_FORMAT},
        {"{\"arch\": {\"name\": \"mobilenet_v1\", \"width\": 1, \"num_classes\": 5}}",
         ADL_ERR_FORMAT},
    };
    struct adl_model *model = small_model();
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0}, write_err = {0};
        TEST_OK(adl_tensors_set_meta(model->weights, "adl", cases[i].text, &write_err), &write_err);
        TEST_OK(adl_safetensors_write(tmp_path("hostile.safetensors"), model->weights, &write_err),
                &write_err);
        struct adl_model *back = adl_model_load(tmp_path("hostile.safetensors"), NULL, &err);
        if ((back == NULL) != (cases[i].kind != ADL_ERR_NONE) || err.kind != cases[i].kind)
            TEST_FAIL("%s: %s", cases[i].text, back ? "accepted" : err.message);
        if (!back && !strstr(err.message, "hostile.safetensors"))
            TEST_FAIL("does not name the file: %s", err.message);
        if (back) {
            float image_net_mean[3] = {0.485f, 0.456f, 0.406f};
            CU_ASSERT_EQUAL(back->input_h, 224);
            CU_ASSERT_TRUE(same_floats(back->mean, image_net_mean, 3));
            CU_ASSERT_PTR_NULL(back->classes);
        }
        adl_model_free(back);
    }
    adl_model_free(model);
}

static void asked_and_said_are_reconciled(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_model();
    struct adl_arch arch = small_arch(), other;
    struct adl_model_options options = {0};
    TEST_OK(adl_model_save(model, tmp_path("said.safetensors"), &err), &err);
    TEST_OK(adl_tensors_set_meta(model->weights, "torch.architecture", "resnet50", &err), &err);

    /* Only the name was asked: the file knows width and classes. */
    adl_arch_init(&other, &adl_backbone_mobilenet_v1);
    other.adl = true;
    options.arch = &other;
    struct adl_model *back = adl_model_load(tmp_path("said.safetensors"), &options, &err);
    must(back != NULL, &err);
    CU_ASSERT_EQUAL(back->arch.width, 0.25);
    CU_ASSERT_EQUAL(back->arch.num_classes, 5);
    CU_ASSERT_TRUE(back->arch.adl);
    CU_ASSERT_TRUE(adl_graph_find_value(back->graph, "adl.after_block5") > 0);
    adl_model_free(back);

    const struct adl_arch wrong[] = {
        {.backbone = &adl_backbone_vgg16, .num_classes = 5, .bn_eps = 1e-5},
        {.backbone = arch.backbone, .num_classes = 6, .bn_eps = 1e-5, .width = 1, .last_stride = 1},
        {.backbone = arch.backbone,
         .num_classes = 5,
         .bn_eps = 1e-5,
         .width = 0.5,
         .last_stride = 1},
        {.backbone = arch.backbone,
         .num_classes = 5,
         .bn_eps = 1e-5,
         .width = 0.25,
         .activation = ADL_ACT_RELU6,
         .last_stride = 1},
    };
    for (size_t i = 0; i < ADL_COUNT(wrong); i++) {
        err = (struct adl_error){0};
        options.arch = &wrong[i];
        CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("said.safetensors"), &options, &err));
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }

    /* Without a description the caller has to know. */
    struct adl_tensors *bare = adl_tensors_create(&err);
    must(bare != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(model->weights, i);
        char name[200];
        snprintf(name, sizeof name, "module.%s", from->name);
        struct adl_tensor *to = adl_tensors_add(bare, name, ADL_F32, from->rank, from->shape, &err);
        must(to != NULL, &err);
        memcpy(to->data, from->data, from->count * sizeof(float));
    }
    CU_ASSERT_PTR_NOT_NULL(
        adl_tensors_add(bare, "module.bn1.num_batches_tracked", ADL_I64, 0, NULL, &err));
    TEST_OK(adl_tensors_set_meta(bare, "torch.architecture", "my_mobilenet", &err), &err);
    TEST_OK(adl_safetensors_write(tmp_path("bare.safetensors"), bare, &err), &err);
    adl_tensors_free(bare);

    err = (struct adl_error){0};
    CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("bare.safetensors"), NULL, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "--arch"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "my_mobilenet"));

    err = (struct adl_error){0};
    options.arch = &arch;
    back = adl_model_load(tmp_path("bare.safetensors"), &options, &err);
    if (!back)
        TEST_FAIL("%s", err.message);
    else
        CU_ASSERT_TRUE(same_weights(model, back));
    adl_model_free(back);

    /* The classifier has rows for other classes than were asked for. */
    err = (struct adl_error){0};
    arch.num_classes = 6;
    CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("bare.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "fc.weight is [5, 256], not [6, 256]"));
    adl_model_free(model);
}

/* --- what does not fit ------------------------------------------------------------ */

/* The small model's file with one tensor left out, one misspelt, one of
 * another shape and one too many. */
static void write_misfit(const struct adl_model *model, const char *path)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_tensors_create(&err);
    must(tensors != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(model->weights, i);
        const char *name = from->name;
        size_t shape[4];
        memcpy(shape, from->shape, sizeof shape);
        if (strcmp(name, "bn1.running_var") == 0)
            continue;
        if (strcmp(name, "blocks.3.pw.weight") == 0)
            name = "blocks.3.pw_conv.weight";
        if (strncmp(name, "fc.", 3) == 0)
            shape[0] = 7;
        struct adl_tensor *to = adl_tensors_add(tensors, name, ADL_F32, from->rank, shape, &err);
        must(to != NULL, &err);
        memcpy(to->data, from->data, ADL_MIN(from->count, to->count) * sizeof(float));
    }
    must(adl_tensors_add(tensors, "classifier.0.weight\n", ADL_F32, 2, (size_t[]){3, 4}, &err) !=
             NULL,
         &err);
    must(adl_tensors_add(tensors, "blocks.0.dw_bn.num_batches_tracked", ADL_I64, 0, NULL, &err) !=
             NULL,
         &err);
    TEST_OK(adl_safetensors_write(path, tensors, &err), &err);
    adl_tensors_free(tensors);
}

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
    struct adl_arch arch = small_arch();
    struct adl_model_options options = {.arch = &arch, .report = &report};
    struct adl_model *model = small_model();
    write_misfit(model, tmp_path("misfit.safetensors"));

    CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("misfit.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 missing"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 unexpected"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "2 misshapen"));
    must(report.data != NULL, &err);
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
    struct adl_model *back = adl_model_load(tmp_path("misfit.safetensors"), &options, &err);
    must(back != NULL, &err);
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

    /* Into weights that are there: the rest stays. */
    err = (struct adl_error){0};
    bool taken[400];
    back = small_model();
    int classifier = adl_graph_classifier(back->graph);
    TEST_OK(adl_model_take(back, tmp_path("misfit.safetensors"), NULL, taken, &report, &err), &err);
    CU_ASSERT_TRUE(same_weights(model, back));
    CU_ASSERT_FALSE(taken[classifier]);
    CU_ASSERT_TRUE(taken[0]);
    CU_ASSERT_TRUE(report.length == first_length);
    adl_model_free(back);
    adl_str_release(&report);

    /* Nothing fits: allowed or not, that is the wrong file. */
    err = (struct adl_error){0};
    adl_arch_init(&arch, &adl_backbone_inception_v3);
    CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("misfit.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    adl_str_release(&report);
    adl_model_free(model);
}

/* A file of nothing but strangers with long names: the table ends somewhere. */
static void the_report_has_an_end(void)
{
    struct adl_error err = {0};
    struct adl_str report = {0};
    struct adl_arch arch = small_arch();
    struct adl_model_options options = {.arch = &arch, .report = &report};
    struct adl_tensors *tensors = adl_tensors_create(&err);
    must(tensors != NULL, &err);
    for (int i = 0; i < ADL_LIMIT_REPORT_ROWS + 100; i++) {
        char name[400];
        snprintf(name, sizeof name, "blocks.%0300d.weight", i);
        must(adl_tensors_add(tensors, name, ADL_F32, 0, NULL, &err) != NULL, &err);
    }
    TEST_OK(adl_safetensors_write(tmp_path("strangers.safetensors"), tensors, &err), &err);
    adl_tensors_free(tensors);
    CU_ASSERT_PTR_NULL(adl_model_load(tmp_path("strangers.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    must(report.data != NULL, &err);
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
    struct adl_arch arch = small_arch();
    struct adl_model_options options = {.arch = &arch};
    for (size_t t = 0; t < ADL_COUNT(types); t++) {
        struct adl_error err = {0};
        struct adl_model *model = small_model();
        struct adl_tensors *tensors = adl_tensors_create(&err);
        must(tensors != NULL, &err);
        for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
            const struct adl_tensor *from = adl_tensors_at(model->weights, i);
            struct adl_tensor *to =
                adl_tensors_add(tensors, from->name, types[t], from->rank, from->shape, &err);
            must(to != NULL, &err);
            float *exact = from->data;
            for (size_t k = 0; k < from->count; k++) {
                /* -2, -1.5 ... 1.5 fit every type; their bits by hand. */
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
        TEST_OK(adl_safetensors_write(tmp_path("types.safetensors"), tensors, &err), &err);
        struct adl_model *back = adl_model_load(tmp_path("types.safetensors"), &options, &err);
        if (!back || !same_weights(model, back))
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
    struct adl_model *model = small_model();
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
    CU_ASSERT_EQUAL(adl_model_find_class(model, "4"), 4);
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
    CU_ASSERT_EQUAL(adl_model_save(model, tmp_path("dropped.safetensors"), &err), -1);
    TEST_OK(adl_model_set_adl(model, true, &(struct adl_error){0}), &err);
    adl_model_free(model);
}

/* Weights move into the plan one by one: never are all of them there twice. */
static void a_plan_takes_the_weights(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_model();
    size_t params = (size_t)adl_graph_param_count(model->graph), bytes = 0;
    for (size_t i = 0; i < params; i++)
        bytes += adl_tensor_bytes(adl_tensors_at(model->weights, i));
    TEST_OK(adl_model_save(model, tmp_path("plan.safetensors"), &err), &err);
    adl_model_free(model);

    size_t before = adl_mem_stats().live_bytes;
    model = adl_model_load(tmp_path("plan.safetensors"), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    if (!model)
        return;
    CU_ASSERT(adl_mem_stats().live_bytes - before < bytes + bytes / 2);
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *kept = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_plan *plan = adl_model_into_plan(model, &options, &err);
    TEST_OK(kept && plan ? 0 : -1, &err);
    CU_ASSERT_PTR_NULL(model->weights);
    CU_ASSERT_PTR_NULL(model->params);
    if (kept && plan) {
        const float *rows = adl_plan_classifier(plan);
        struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
        CU_ASSERT_EQUAL(adl_plan_weight_bytes(plan), adl_plan_weight_bytes(kept));
        CU_ASSERT(rows && memcmp(rows, adl_plan_classifier(kept),
                                 5 * (size_t)features.c * sizeof *rows) == 0);
    }
    adl_plan_unref(kept);
    adl_plan_unref(plan);
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
    CU_ASSERT_EQUAL(model->cam_threshold, 0.3);
    CU_ASSERT_EQUAL(model->std[2], 0.5f);
    CU_ASSERT_EQUAL(adl_model_find_class(model, "great white shark"), 2);
    adl_model_free(model);
}

/* --- out of memory --------------------------------------------------------------------- */

static void *json_allocate(size_t size)
{
    return adl_malloc(1, size);
}

/* One at a time, so that the work before a failure is not done over and over. */
struct scene {
    struct adl_model *model;
    char fitting[512], misfitting[512];
    struct adl_str report;
};

static int load_scene(struct scene *scene, struct adl_error *err)
{
    struct adl_model *model = adl_model_load(scene->fitting, NULL, err);
    adl_model_free(model);
    return model ? 0 : -1;
}

static int plan_scene(struct scene *scene, struct adl_error *err)
{
    struct adl_model *model = adl_model_load(scene->fitting, NULL, err);
    if (!model)
        return -1;
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_model_into_plan(model, &options, err);
    int result = plan ? 0 : -1;
    adl_plan_unref(plan);
    adl_model_free(model);
    return result;
}

static int misfit_scene(struct scene *scene, struct adl_error *err)
{
    struct adl_arch arch = small_arch();
    struct adl_model_options options = {
        .arch = &arch, .allow_missing = true, .report = &scene->report};
    struct adl_model *model = adl_model_load(scene->misfitting, &options, err);
    adl_model_free(model);
    adl_str_release(&scene->report);
    return model ? 0 : -1;
}

static int take_scene(struct scene *scene, struct adl_error *err)
{
    int result = adl_model_take(scene->model, scene->misfitting, NULL, NULL, &scene->report, err);
    adl_str_release(&scene->report);
    return result;
}

static int save_scene(struct scene *scene, struct adl_error *err)
{
    return adl_model_save(scene->model, tmp_path("again.safetensors"), err);
}

static int variant_scene(struct scene *scene, struct adl_error *err)
{
    return adl_model_set_adl(scene->model, !scene->model->arch.adl, err);
}

static int classes_scene(struct scene *scene, struct adl_error *err)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    return adl_model_set_classes(scene->model, names, 5, err);
}

static void every_allocation_may_fail(void)
{
    static int (*const scenes[])(struct scene *, struct adl_error *) = {
        load_scene, plan_scene, misfit_scene, take_scene, save_scene, variant_scene, classes_scene};
    struct adl_error err = {0};
    struct scene scene = {.model = small_model()};
    snprintf(scene.fitting, sizeof scene.fitting, "%s", tmp_path("small.safetensors"));
    snprintf(scene.misfitting, sizeof scene.misfitting, "%s", tmp_path("misfit.safetensors"));
    TEST_OK(adl_model_save(scene.model, scene.fitting, &err), &err);
    write_misfit(scene.model, scene.misfitting);

    for (size_t i = 0; i < ADL_COUNT(scenes); i++)
        for (uint64_t n = 1;; n++) {
            size_t blocks = adl_mem_stats().live_blocks;
            bool adl = scene.model->arch.adl;
            err = (struct adl_error){0};
            adl_mem_fail_nth(n);
            int result = scenes[i](&scene, &err);
            adl_mem_fail_nth(0);
            if (result == 0)
                break;
            size_t live = adl_mem_stats().live_blocks;
            if (live != blocks || err.kind != ADL_ERR_NOMEM || scene.model->arch.adl != adl) {
                TEST_FAIL("allocation %llu of scene %zu: %zu blocks are %zu, %s",
                          (unsigned long long)n, i, blocks, live, err.message);
                break;
            }
        }
    adl_model_free(scene.model);
}

/* The same for the JSON library's own allocations, on the description alone. */
static void json_may_run_out_of_memory(void)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct adl_error err = {0};
    json_malloc_t old_malloc;
    json_free_t old_free;
    struct adl_model *model = small_model();
    TEST_OK(adl_model_set_classes(model, names, 5, &err), &err);

    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(json_allocate, adl_free);
    size_t blocks = adl_mem_stats().live_blocks;
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct adl_arch arch;
        err = (struct adl_error){0};
        adl_mem_fail_nth(n);
        json_t *json = adl_model_to_json(model);
        done = json && adl_arch_from_json(&arch, json_object_get(json, "arch"), &err) == 0;
        adl_mem_fail_nth(0);
        if (json)
            CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "classes")), 5);
        json_decref(json);
        if (adl_mem_stats().live_blocks != blocks) {
            TEST_FAIL("allocation %llu leaks", (unsigned long long)n);
            break;
        }
    }
    json_set_alloc_funcs(old_malloc, old_free);
    adl_model_free(model);
}

TEST_SUITE(model_file, {"what is saved is loaded", what_is_saved_is_loaded},
           {"the file is the contract's", the_file_is_the_contracts},
           {"numbers of other variants are mapped", numbers_of_other_variants_are_mapped},
           {"ADL is added and removed", adl_is_added_and_removed},
           {"descriptions are checked", descriptions_are_checked},
           {"what is asked and said is reconciled", asked_and_said_are_reconciled},
           {"misfits are reported", misfits_are_reported},
           {"the report has an end", the_report_has_an_end},
           {"other types are converted", other_types_are_converted},
           {"classes are found", classes_are_found},
           {"a plan takes the weights", a_plan_takes_the_weights},
           {"the ImageNet model loads", the_imagenet_model_loads},
           {"every allocation may fail", every_allocation_may_fail},
           {"JSON may run out of memory", json_may_run_out_of_memory});
