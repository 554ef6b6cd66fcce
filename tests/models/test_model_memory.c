/* The memory of models: weights move into the plan, every allocation may fail. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/methods.h"
#include "support/small_model.h"
#include "support/test.h"

/* Weights move into the plan one by one, so that they never exist twice as a whole. */
static void a_plan_takes_the_weights(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    size_t params = (size_t)adl_graph_param_count(model->graph), bytes = 0;
    for (size_t i = 0; i < params; i++)
        bytes += adl_tensor_bytes(adl_tensors_at(model->weights, i));
    TEST_OK(adl_model_save(model, model_tmp_path("plan.safetensors"), &err), &err);
    adl_model_free(model);

    size_t before = adl_mem_stats().live_bytes;
    model = adl_model_load(model_tmp_path("plan.safetensors"), NULL, &err);
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

static void *json_allocate(size_t size)
{
    return adl_malloc(1, size);
}

/* What a scene, a piece of work that is starved by itself, works on. */
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
    struct adl_arch arch = model_small_arch();
    struct adl_model_options options = {
        .arch = &arch, .allow_missing = true, .report = &scene->report};
    struct adl_model *model = adl_model_load(scene->misfitting, &options, err);
    adl_model_free(model);
    adl_str_release(&scene->report);
    return model ? 0 : -1;
}

static int take_scene(struct scene *scene, struct adl_error *err)
{
    struct adl_tensors *weights = adl_model_read_weights(scene->misfitting, NULL, NULL, err);
    int result = weights ? adl_model_take(scene->model, weights, NULL, &scene->report, err) : -1;
    adl_tensors_free(weights);
    adl_str_release(&scene->report);
    return result;
}

static int save_scene(struct scene *scene, struct adl_error *err)
{
    return adl_model_save(scene->model, model_tmp_path("copy.safetensors"), err);
}

static int variant_scene(struct scene *scene, struct adl_error *err)
{
    return adl_model_set_methods(scene->model,
                                 test_adl_if(!adl_arch_has_layers(&scene->model->arch)), err);
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
    struct scene scene = {.model = model_small()};
    snprintf(scene.fitting, sizeof scene.fitting, "%s", model_tmp_path("small.safetensors"));
    snprintf(scene.misfitting, sizeof scene.misfitting, "%s", model_tmp_path("misfit.safetensors"));
    TEST_OK(adl_model_save(scene.model, scene.fitting, &err), &err);
    model_write_misfit(scene.model, scene.misfitting);

    for (size_t i = 0; i < ADL_COUNT(scenes); i++)
        for (uint64_t n = 1;; n++) {
            size_t blocks = adl_mem_stats().live_blocks;
            bool adl = adl_arch_has_layers(&scene.model->arch);
            err = (struct adl_error){0};
            adl_mem_fail_nth(n);
            int result = scenes[i](&scene, &err);
            adl_mem_fail_nth(0);
            if (result == 0)
                break;
            size_t live = adl_mem_stats().live_blocks;
            if (live != blocks || err.kind != ADL_ERR_NOMEM ||
                adl_arch_has_layers(&scene.model->arch) != adl) {
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
    struct adl_model *model = model_small();
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

TEST_SUITE(model_memory, {"a plan takes the weights", a_plan_takes_the_weights},
           {"every allocation may fail", every_allocation_may_fail},
           {"JSON may run out of memory", json_may_run_out_of_memory});
TEST_SLOW(every_allocation_may_fail);
