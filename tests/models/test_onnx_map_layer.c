/* Networks that end in a flattened map, read with a map that the user names: the scores and the
 * LayerCAM are PyTorch's, and another number of classes changes what it has to. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/onnx/onnx.h"
#include "models/onnx_in/onnx_in.h"
#include "support/golden.h"
#include "support/small_model.h"
#include "wsol/views.h"

#define LAYER "/2/2.2/Relu"

static struct adl_model *load(const char *layer, struct adl_error *err)
{
    char path[1024];
    const struct adl_onnx_in_options how = {.map_layer = layer};
    snprintf(path, sizeof path, "%s/onnx_in/vgg.onnx", test_golden_dir());
    return adl_onnx_in_load(path, &how, err);
}

/* The formula of tests/golden/onnx_in/make.py, for pixels in NHWC order. */
static void fill(float *input, int side)
{
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < side * side; i++) {
            double n = (double)(c * side * side + i);
            input[i * 3 + c] = (float)(sin(0.37 * n + 0.5) * cos(0.011 * n));
        }
}

/* Checks scores, and the map that a rule with the layer makes: tanh(2 m / max m) of the LayerCAM m,
 * as it is joined with a map that says nothing. */
static void check(struct adl_model *model, const json_t *want)
{
    struct adl_error err = {0};
    struct adl_view_run run;
    size_t count, pixels;
    model->map.views.layer = (struct adl_map_layer){.method = ADL_LAYER_LAYERCAM, .name = LAYER};
    struct adl_views *views = adl_model_into_views(model, NULL, 1, &err);
    model_must(views != NULL, &err);
    TEST_OK(adl_views_prepare(views, &model->map, false, &run, &err), &err);
    CU_ASSERT_FATAL(run.map_h == 6 && run.map_w == 6);
    float map[36] = {0};
    struct adl_session *session = adl_views_session(views);
    fill(adl_session_input(session, 0), model->input_h);
    adl_session_run(session, 1);
    double *scores = golden_doubles(golden_get(want, "scores"), &count);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_DOUBLE_EQUAL(adl_session_output(session, ADL_OUTPUT_LOGITS, 0)[i], scores[i],
                               1e-5);
    adl_view_add(&run, 0, 0, golden_int(want, "class"), &model->map, map);
    double *cam = golden_doubles(golden_get(want, "map"), &pixels), most = 0;
    CU_ASSERT_EQUAL_FATAL(pixels, 36);
    for (size_t i = 0; i < pixels; i++)
        most = fmax(most, cam[i]);
    CU_ASSERT(most > 0);
    for (size_t i = 0; i < pixels; i++)
        CU_ASSERT_DOUBLE_EQUAL((double)map[i], tanh(2 * cam[i] / most), 1e-4);
    adl_free(cam);
    adl_free(scores);
    adl_views_free(views);
}

static void equals_pytorch(void)
{
    struct adl_error err = {0};
    json_t *want = golden_load("onnx_in/vgg.json");
    struct adl_model *model = load(LAYER, &err);
    model_must(model != NULL && want != NULL, &err);
    TEST_OK(adl_model_save(model, model_tmp_path("vgg.safetensors"), &err), &err);
    check(model, want);
    adl_model_free(model);
    model = adl_model_load(model_tmp_path("vgg.safetensors"), NULL, &err);
    model_must(model != NULL, &err);
    /* Written as ONNX, its class maps are zeros; read again, it needs the layer again. */
    TEST_OK(adl_onnx_write(model, model_tmp_path("vgg.onnx"), &err), &err);
    check(model, want);
    adl_model_free(model);
    CU_ASSERT_PTR_NULL(adl_onnx_in_load(model_tmp_path("vgg.onnx"), NULL, &err));
    CU_ASSERT(strstr(err.message, "--map-layer") != NULL);
    json_decref(want);
}

static void refuses_in_words(void)
{
    static const struct {
        const char *layer, *part;
    } cases[] = {{NULL, "node \"/4/Gemm\" (conv) breaks this rule; `convert --map-layer LAYER` "
                        "takes the LayerCAM of a map that you name, such as \"" LAYER "\""},
                 {"/9/Conv", "no layer below the scores is called \"/9/Conv\""},
                 {"/5/Relu", "\"/5/Relu\" is not a map but a vector"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_error err = {0};
        CU_ASSERT_PTR_NULL(load(cases[i].layer, &err));
        if (!strstr(err.message, cases[i].part))
            TEST_FAIL("%s", err.message);
    }
}

static void follows_the_number_of_classes(void)
{
    struct adl_error err = {0};
    struct adl_model *model = load(LAYER, &err);
    model_must(model != NULL, &err);
    struct adl_arch arch = model->arch;
    arch.num_classes = 9;
    struct adl_graph *graph = adl_arch_build(&arch, 24, 24, &err);
    model_must(graph != NULL, &err);
    int map = adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP);
    CU_ASSERT_EQUAL(adl_graph_value(graph, map)->shape.c, 9);
    adl_graph_free(graph);
    adl_model_free(model);
}

TEST_SUITE(onnx_map_layer, {"scores and LayerCAM equal PyTorch", equals_pytorch},
           {"refuses in words", refuses_in_words},
           {"follows the number of classes", follows_the_number_of_classes});
