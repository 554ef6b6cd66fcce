/* models/backbones/stored_build: a network that came from ONNX, cut at a finer map for the method
 * bas. With the light head and the weights of its own classifier the network has to compute what it
 * computed before, by the layers as they stand and by their copy, once nothing is erased. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "methods/methods.h"
#include "models/backbones/stored.h"
#include "models/file/load.h"
#include "models/onnx_in/onnx_in.h"
#include "plan/session.h"
#include "support/methods.h"
#include "support/small_model.h"
#include "train/tape.h"

/* The taps of engine/methods/bas.c. */
enum { FOREGROUND, BACKGROUND, MAP };

static struct adl_model *read_network(const char *name)
{
    struct adl_error err = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/onnx_in/%s.onnx", test_golden_dir(), name);
    struct adl_model *model = adl_onnx_in_load(path, NULL, &err);
    model_must(model != NULL, &err);
    return model;
}

static struct adl_arch with_bas(const struct adl_model *model)
{
    struct adl_arch arch = model->arch;
    arch.methods = adl_method_alone(&adl_method_bas);
    memcpy(arch.method_values, test_method_values("bas-head", 1.0, NULL),
           sizeof arch.method_values);
    return arch;
}

static float *filled(size_t count, float value)
{
    float *values = adl_malloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = value;
    return values;
}

/* Returns the values of a parameter of the network with the branches: those of the layers that both
 * have, the classifier's as a convolution, and a map of the object that is zero everywhere. */
static float *values_for(const struct adl_model *model, const struct adl_param *param)
{
    const char *weight = model->arch.stored->classifier;
    char name[300];

    snprintf(name, sizeof name, "%s", param->name);
    if (!strcmp(name, "classifier_cls.weight"))
        snprintf(name, sizeof name, "%s", weight);
    else if (!strcmp(name, "classifier_cls.bias"))
        snprintf(name, sizeof name, "%.*sbias", (int)(strlen(weight) - strlen("weight")), weight);
    else if (!strncmp(name, "classifier_loc", 14))
        return filled(param->count, strstr(name, "bias") ? -1000 : 0);
    int id = adl_graph_find_param(model->graph, name);
    CU_ASSERT_FATAL(id >= 0 && adl_graph_param(model->graph, id)->count == param->count);
    float *values = filled(param->count, 0);
    memcpy(values, model->params[id], param->count * sizeof *values);
    return values;
}

static void image(float *input, size_t count)
{
    for (size_t i = 0; i < count; i++)
        input[i] = (float)(sin(0.37 * (double)i + 0.5) * cos(0.011 * (double)i));
}

/* Writes the scores of the network as it was read. */
static struct adl_shape plain_scores(const struct adl_model *model, float *scores)
{
    struct adl_error err = {0};
    const struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    model_must(session != NULL, &err);
    image(adl_session_input(session, 0), 3 * (size_t)model->input_h * (size_t)model->input_w);
    adl_session_run(session, 1);
    memcpy(scores, adl_session_output(session, ADL_OUTPUT_LOGITS, 0),
           (size_t)model->arch.num_classes * sizeof *scores);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    adl_session_free(session);
    adl_plan_unref(plan);
    return features;
}

static void check_network(const char *name)
{
    struct adl_error err = {0};
    struct adl_model *model = read_network(name);
    const struct adl_arch arch = with_bas(model);
    struct adl_graph *graph = adl_arch_build(&arch, model->input_h, model->input_w, &err);
    size_t classes = (size_t)arch.num_classes;
    float scores[16];

    model_must(graph != NULL, &err);
    struct adl_shape last = plain_scores(model, scores);
    struct adl_shape fine =
        adl_graph_value(graph, adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP))->shape;
    CU_ASSERT(fine.h > last.h && fine.w > last.w && fine.c == (int)classes);

    size_t count = (size_t)adl_graph_param_count(graph);
    float **params = adl_calloc(count, sizeof *params);
    for (size_t i = 0; i < count; i++)
        params[i] = values_for(model, adl_graph_param(graph, (int)i));
    struct adl_tape *tape =
        adl_tape_create(graph, model->input_h, model->input_w, 1, ADL_TAPE_SHARED, NULL, &err);
    model_must(tape != NULL, &err);
    image(adl_tape_input(tape), 3 * (size_t)model->input_h * (size_t)model->input_w);
    const int label = 1;
    const struct adl_train_mode mode = {.bn_momentum = 0.1,
                                        .frozen_batchnorm = true,
                                        .method_layers = true,
                                        .method_values = arch.method_values,
                                        .labels = &label};
    adl_tape_forward(tape, 1, params, &mode);

    double want[16], largest = 1;
    for (size_t i = 0; i < classes; i++) {
        want[i] = (double)scores[i];
        largest = fmax(largest, fabs(want[i]));
    }
    test_close(name, adl_tape_logits(tape), want, classes, 1e-5 * largest);
    test_close("the copy", adl_tape_tap(tape, BACKGROUND), want, classes, 1e-5 * largest);
    for (size_t i = 0; i < classes; i++)
        want[i] = 0;
    test_close("under a map of zeros", adl_tape_tap(tape, FOREGROUND), want, classes, 1e-6);
    adl_tape_free(tape);
    for (size_t i = 0; i < count; i++)
        adl_free(params[i]);
    adl_free(params);
    adl_graph_free(graph);
    adl_model_free(model);
}

static void networks_compute_the_same(void)
{
    static const char *const names[] = {"resnet18", "resnet50", "densenet", "regnet"};
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        check_network(names[i]);
}

/* In a network whose maps all have the sides of the last one there is none to begin at. */
static void one_map_is_refused(void)
{
    struct adl_error err = {0};
    struct adl_model *model = read_network("trainable");
    const struct adl_arch arch = with_bas(model);
    struct adl_graph *graph = adl_arch_build(&arch, model->input_h, model->input_w, &err);
    CU_ASSERT_PTR_NULL(graph);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "a map of larger sides") != NULL);
    adl_graph_free(graph);
    adl_model_free(model);
}

TEST_SUITE(stored_bas, {"networks compute the same", networks_compute_the_same},
           {"one map is refused", one_map_is_refused});
