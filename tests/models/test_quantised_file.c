/* models/file/quantised: a model in 8 bits comes back with the same weights, scales and ranges, in
 * a quarter of the space; files whose scales or ranges are missing or wrong are refused in words.
 */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "support/small_model.h"

/* Gives the small model scales and ranges, and rounds its weights. */
static struct adl_model *small_in_bytes(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    struct adl_quantisation *q = adl_quantisation_create(model->graph, &err);
    model_must(q != NULL, &err);
    for (int v = 1; v < q->value_count; v++)
        q->ranges[v] = (struct adl_int8_range){0.01F * (float)v, v % 256};
    for (int id = 0; id < q->param_count; id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        if (!adl_quantisation_takes(param))
            continue;
        float *values = adl_model_param(model, id);
        float *scales = adl_quantisation_scales(q, model->graph, id, &err);
        model_must(scales != NULL, &err);
        size_t count = param->count / param->shape[0];
        for (size_t k = 0; k < param->shape[0]; k++) {
            scales[k] = 0.003F + 0.0001F * (float)(k % 7);
            for (size_t i = 0; i < count; i++) {
                float *w = &values[k * count + i];
                *w = scales[k] * fminf(fmaxf(nearbyintf(*w / scales[k]), -127), 127);
            }
        }
    }
    model->quantisation = q;
    model->precision = ADL_PRECISION_INT8;
    return model;
}

static long size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void it_comes_back(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes();
    char path[300], again[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("int8.safetensors"));
    snprintf(again, sizeof again, "%s", model_tmp_path("int8-again.safetensors"));
    TEST_OK(adl_model_save(model, path, &err), &err);
    struct adl_model *back = adl_model_load(path, NULL, &err);
    model_must(back != NULL, &err);

    CU_ASSERT_EQUAL(back->precision, ADL_PRECISION_INT8);
    CU_ASSERT(model_same_weights(model, back));
    CU_ASSERT_FATAL(back->quantisation != NULL);
    for (int v = 1; v < model->quantisation->value_count; v++) {
        struct adl_int8_range a = model->quantisation->ranges[v], b = back->quantisation->ranges[v];
        CU_ASSERT(a.scale == b.scale && a.zero == b.zero);
    }
    for (int id = 0; id < model->quantisation->param_count; id++) {
        const float *a = model->quantisation->scales[id], *b = back->quantisation->scales[id];
        CU_ASSERT_EQUAL(a == NULL, b == NULL);
        if (a && b)
            CU_ASSERT(model_same_floats(a, b, adl_graph_param(model->graph, id)->shape[0]));
    }
    TEST_OK(adl_model_save(back, again, &err), &err);
    CU_ASSERT_EQUAL(size_of(path), size_of(again));

    /* A quarter, but for the batch norms and the header. */
    adl_quantisation_free(back->quantisation);
    back->quantisation = NULL;
    TEST_OK(adl_model_save(back, again, &err), &err);
    CU_ASSERT(size_of(path) < 0.45 * (double)size_of(again));
    adl_model_free(back);
    adl_model_free(model);
}

/* Without its description the file is one of float32 with the same weights. */
static void a_lost_description_leaves_the_weights(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes();
    struct adl_arch arch = model_small_arch();
    char path[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("int8-bare.safetensors"));
    TEST_OK(adl_model_save(model, path, &err), &err);
    /* Another name of the member hides the description. */
    size_t length = 0;
    char *bytes = adl_file_read(path, (size_t)1 << 24, &length, &err);
    model_must(bytes != NULL, &err);
    char *member = memmem(bytes, length, "\"adl\"", 5);
    CU_ASSERT_PTR_NOT_NULL_FATAL(member);
    member[1] = 'x';
    TEST_OK(adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, &err), &err);
    adl_free(bytes);
    struct adl_model *back = adl_model_load(path, &(struct adl_model_options){.arch = &arch}, &err);
    model_must(back != NULL, &err);
    CU_ASSERT_EQUAL(back->precision, ADL_PRECISION_F32);
    CU_ASSERT(model_same_weights(model, back));
    adl_model_free(back);
    adl_model_free(model);
}

static void precision_is_chosen(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes(), *plain = model_small();
    struct adl_plan_options options = {0};

    adl_model_plan_precision(model, &options);
    CU_ASSERT(options.precision == ADL_PRECISION_INT8 &&
              options.quantisation == model->quantisation);
    TEST_OK(adl_model_choose_precision(model, 1, "m", &err), &err);
    CU_ASSERT_EQUAL(model->precision, ADL_PRECISION_F32);
    TEST_OK(adl_model_choose_precision(model, 1 + ADL_PRECISION_INT8, "m", &err), &err);
    TEST_OK(adl_model_choose_precision(plain, 0, "m", &err), &err);
    TEST_OK(adl_model_choose_precision(plain, 1, "m", &err), &err);
    CU_ASSERT_EQUAL(
        adl_model_choose_precision(plain, 1 + ADL_PRECISION_INT8, "m.safetensors", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "adl-server convert m.safetensors"));
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_model_set_methods(model, model->arch.methods, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_model_free(model);
    adl_model_free(plain);
}

/* --- hostile files --------------------------------------------------------------------- */

/* Copies the tensors of a file, except one of this name. */
static struct adl_tensors *without(const char *path, const char *name)
{
    struct adl_error err = {0};
    struct adl_tensors *from = adl_safetensors_read(path, &err);
    struct adl_tensors *to = adl_tensors_create(&err);
    model_must(from && to, &err);
    for (size_t i = 0; i < adl_tensors_count(from); i++) {
        const struct adl_tensor *t = adl_tensors_at(from, i);
        if (!strcmp(t->name, name))
            continue;
        struct adl_tensor *copy = adl_tensors_add(to, t->name, t->dtype, t->rank, t->shape, &err);
        model_must(copy != NULL, &err);
        memcpy(copy->data, t->data, adl_tensor_bytes(t));
    }
    TEST_OK(adl_tensors_set_meta(to, "adl", adl_tensors_meta(from, "adl"), &err), &err);
    adl_tensors_free(from);
    return to;
}

static void expect_refused(struct adl_tensors *set, const char *part)
{
    struct adl_error err = {0};
    const char *path = model_tmp_path("hostile-int8.safetensors");
    TEST_OK(adl_safetensors_write(path, set, &err), &err);
    struct adl_model *model = adl_model_load(path, NULL, &err);
    CU_ASSERT_PTR_NULL(model);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT || err.kind == ADL_ERR_UNSUPPORTED);
    if (!strstr(err.message, part))
        TEST_FAIL("\"%s\" does not say \"%s\"", err.message, part);
    adl_model_free(model);
    adl_tensors_free(set);
}

static void wrong_scales_are_refused(void)
{
    static const float wrong[] = {NAN, INFINITY, -INFINITY, 0, -0.5F, 1e-42F};
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes();
    char path[300], name[200], text[300];
    const struct adl_param *param = adl_graph_param(model->graph, 0);
    size_t k = param->shape[0];
    snprintf(path, sizeof path, "%s", model_tmp_path("right-int8.safetensors"));
    snprintf(name, sizeof name, "%s_scale", param->name);
    TEST_OK(adl_model_save(model, path, &err), &err);

    snprintf(text, sizeof text, "its scales, %s, are missing", name);
    expect_refused(without(path, name), text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct adl_tensors *set = without(path, "");
        ((float *)adl_tensors_find(set, name)->data)[k - 1] = wrong[i];
        snprintf(text, sizeof text, "%s: scale %zu is", name, k - 1);
        expect_refused(set, text);
    }
    for (int form = 0; form < 3; form++) {
        struct adl_tensors *set = without(path, name);
        size_t shape[2] = {form == 0 ? k + 1 : k, 1};
        model_must(adl_tensors_add(set, name, form == 1 ? ADL_F64 : ADL_F32, form == 2 ? 2 : 1,
                                   shape, &err) != NULL,
                   &err);
        expect_refused(set, "is not F32 with one scale for each");
    }
    /* Weights of another shape, and a batch norm in bytes. */
    struct adl_tensors *set = without(path, param->name);
    model_must(adl_tensors_add(set, param->name, ADL_I8, 2, (size_t[]){k, 3}, &err) != NULL, &err);
    expect_refused(set, "misshapen");
    const struct adl_param *norm = adl_graph_param(model->graph, 1);
    set = without(path, norm->name);
    model_must(adl_tensors_add(set, norm->name, ADL_I8, norm->rank, norm->shape, &err) != NULL,
               &err);
    expect_refused(set, "only weights of convolutions and linear layers");
    adl_model_free(model);
}

static void wrong_descriptions_are_refused(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes();
    char path[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("right-int8.safetensors"));
    TEST_OK(adl_model_save(model, path, &err), &err);
    const char *value = adl_graph_value(model->graph, 3)->name;
    static const struct {
        const char *precision, *range, *part; /* NULL: the right one; range "": left out */
    } cases[] = {
        {"\"int4\"", NULL, "precision is not one that this program knows"},
        {"8", NULL, "precision is not one that this program knows"},
        {NULL, "", "is missing"},
        {NULL, "[0, 3]", "is not [scale, zero point]"},
        {NULL, "[-0.5, 3]", "is not [scale, zero point]"},
        {NULL, "[1e300, 3]", "is not [scale, zero point]"},
        {NULL, "[1e-300, 3]", "is not [scale, zero point]"},
        {NULL, "[0.5, 256]", "is not [scale, zero point]"},
        {NULL, "[0.5, -1]", "is not [scale, zero point]"},
        {NULL, "[0.5, 1.5]", "is not [scale, zero point]"},
        {NULL, "[0.5]", "is not [scale, zero point]"},
        {NULL, "[0.5, 3, 1]", "is not [scale, zero point]"},
        {NULL, "{}", "is not [scale, zero point]"},
        {NULL, "\"1\"", "is not [scale, zero point]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_tensors *set = without(path, "");
        json_t *json = json_loads(adl_tensors_meta(set, "adl"), 0, NULL);
        json_t *ranges = json_object_get(json, "activations");
        if (cases[i].precision)
            json_object_set_new(json, "precision",
                                json_loads(cases[i].precision, JSON_DECODE_ANY, NULL));
        if (cases[i].range && !*cases[i].range)
            json_object_del(ranges, value);
        else if (cases[i].range)
            json_object_set_new(ranges, value, json_loads(cases[i].range, JSON_DECODE_ANY, NULL));
        char *text = json_dumps(json, JSON_COMPACT);
        TEST_OK(adl_tensors_set_meta(set, "adl", text, &err), &err);
        free(text);
        json_decref(json);
        expect_refused(set, cases[i].part);
    }
    static const char *const activations[] = {NULL, "null", "[]", "{}", "7"};
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        struct adl_tensors *set = without(path, "");
        json_t *json = json_loads(adl_tensors_meta(set, "adl"), 0, NULL);
        json_object_del(json, "activations");
        if (activations[i])
            json_object_set_new(json, "activations",
                                json_loads(activations[i], JSON_DECODE_ANY, NULL));
        char *text = json_dumps(json, JSON_COMPACT);
        TEST_OK(adl_tensors_set_meta(set, "adl", text, &err), &err);
        free(text);
        json_decref(json);
        expect_refused(set, "missing");
    }
    adl_model_free(model);
}

static void running_out_of_memory_is_an_error(void)
{
    struct adl_error err = {0};
    struct adl_model *model = small_in_bytes(), *back = NULL;
    char path[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("int8-memory.safetensors"));
    for (uint64_t n = 1; n == 1 || err.kind; n += 5) {
        size_t before = adl_mem_stats().live_blocks;
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        int result = adl_model_save(model, path, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(result == 0 ||
                  (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    for (uint64_t n = 1; !back; n += 5) {
        size_t before = adl_mem_stats().live_blocks;
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        back = adl_model_load(path, NULL, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(back || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    adl_model_free(back);
    adl_model_free(model);
}

TEST_SUITE(quantised_file, {"it comes back", it_comes_back},
           {"a lost description leaves the weights", a_lost_description_leaves_the_weights},
           {"precision is chosen", precision_is_chosen},
           {"wrong scales are refused", wrong_scales_are_refused},
           {"wrong descriptions are refused", wrong_descriptions_are_refused},
           {"running out of memory is an error", running_out_of_memory_is_an_error});
