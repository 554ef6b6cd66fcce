/* server/serving/registry: names, versions and aliases, and that nothing of a removed one stays in
 * memory. */

#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/serving/registry.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static struct adl_registry *registry;
static struct adl_error err;
static bool added;

/* Opens a registry with the small model, and variants 1.safetensors to 4.safetensors. */
static bool open_registry(size_t keep)
{
    scratch_open("registry", NULL);
    for (int i = 1; i <= 4; i++)
        test_model_variant(scratch_path("%d.safetensors", i), i / 10.0);
    err = (struct adl_error){0};
    registry = test_small_model() ? adl_registry_create(1, &err) : NULL;
    if (!registry)
        return false;
    adl_registry_keep_versions(registry, keep);
    TEST_OK(adl_registry_open_folder(registry, scratch_root(), &err), &err);
    TEST_OK(adl_registry_add(registry, test_small_model(), &err), &err);
    TEST_OK(adl_registry_load(registry, "default", false, NULL, &err), &err);
    return true;
}

static enum adl_problem put(const char *name, int variant)
{
    char file[40];

    adl_error_clear(&err);
    snprintf(file, sizeof file, "%d.safetensors", variant);
    return adl_registry_put(registry, name, file, &added, &err);
}

static enum adl_problem alias(const char *name, const char *target)
{
    adl_error_clear(&err);
    return adl_registry_alias(registry, name, target, &added, &err);
}

static enum adl_problem removed(const char *name)
{
    adl_error_clear(&err);
    return adl_registry_remove(registry, name, &err);
}

/* Returns the variant that a name means, 0 if it does not exist. */
static int variant(const char *name)
{
    struct adl_error ignored = {0};
    struct adl_served *served = adl_registry_acquire(registry, name, &ignored);
    int result = served ? (int)(served->model->map.threshold * 10 + 0.5) : 0;

    if (!served)
        CU_ASSERT_EQUAL(ignored.kind, ADL_ERR_NOT_FOUND);
    adl_served_release(served);
    return result;
}

/* Writes "NAME@VERSION" of the current version of a name. */
static void full_name(const char *name, char text[100])
{
    struct adl_served *served = adl_registry_acquire(registry, name, &err);

    CU_ASSERT_PTR_NOT_NULL_FATAL(served);
    snprintf(text, 100, "%s@%s", name, served->version);
    adl_served_release(served);
}

static void versions(void)
{
    char first[100], second[100], third[100];

    if (!open_registry(1))
        return;
    CU_ASSERT_EQUAL(put("birds", 1), ADL_PROBLEM_NONE);
    CU_ASSERT(added);
    full_name("birds", first);
    CU_ASSERT_EQUAL(put("birds", 2), ADL_PROBLEM_NONE);
    CU_ASSERT(!added);
    full_name("birds", second);
    CU_ASSERT_EQUAL(variant("birds"), 2);
    CU_ASSERT_EQUAL(variant(first), 1);
    CU_ASSERT_EQUAL(put("birds", 3), ADL_PROBLEM_NONE);
    full_name("birds", third);
    CU_ASSERT_EQUAL(variant(first), 0);
    CU_ASSERT_EQUAL(variant(second), 2);
    CU_ASSERT_EQUAL(variant(third), 3);
    /* Back to one that is kept: it has one version of that content, not two. */
    CU_ASSERT_EQUAL(put("birds", 2), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant("birds"), 2);
    CU_ASSERT_EQUAL(variant(third), 3);
    struct adl_registry_table *table = adl_registry_table(registry);
    CU_ASSERT_EQUAL(adl_registry_find(table, "birds")->kept_count, 1);
    adl_registry_table_release(table);
    CU_ASSERT_EQUAL(removed(second), ADL_PROBLEM_MODEL_CONFLICT); /* it is the current one */
    CU_ASSERT_EQUAL(removed(third), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant(third), 0);
    CU_ASSERT_EQUAL(removed(third), ADL_PROBLEM_UNKNOWN_MODEL);
    CU_ASSERT(strstr(err.message, strchr(second, '@') + 1) != NULL);
    CU_ASSERT_EQUAL(variant("birds@"), 0);
    CU_ASSERT_EQUAL(variant("@"), 0);
    adl_registry_free(registry);
}

static void aliases(void)
{
    char first[100];

    if (!open_registry(0))
        return;
    CU_ASSERT_EQUAL(put("birds", 1), ADL_PROBLEM_NONE);
    full_name("birds", first);
    CU_ASSERT_EQUAL(alias("latest", "birds"), ADL_PROBLEM_NONE);
    CU_ASSERT(added);
    CU_ASSERT_EQUAL(alias("stable", first), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(put("birds", 2), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant("latest"), 2);
    CU_ASSERT_EQUAL(variant("stable"), 1);
    CU_ASSERT_EQUAL(variant(first), 1); /* the alias holds it, though none are kept */
    CU_ASSERT_EQUAL(put("birds", 3), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant("stable"), 1);

    CU_ASSERT_EQUAL(removed("birds"), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT(strstr(err.message, "\"latest\"") != NULL);
    CU_ASSERT_EQUAL(removed(first), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT(strstr(err.message, "\"stable\"") != NULL);
    CU_ASSERT_EQUAL(alias("x", "latest"), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(alias("birds", "default"), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(put("latest", 1), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(alias("x", "nope"), ADL_PROBLEM_UNKNOWN_MODEL);
    CU_ASSERT_EQUAL(alias("x", "birds@nope"), ADL_PROBLEM_UNKNOWN_MODEL);

    CU_ASSERT_EQUAL(alias("stable", "birds"), ADL_PROBLEM_NONE);
    CU_ASSERT(!added);
    CU_ASSERT_EQUAL(variant("stable"), 3);
    CU_ASSERT_EQUAL(variant(first), 0); /* nothing holds it any more */
    CU_ASSERT_EQUAL(removed("stable"), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(removed("latest"), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(removed("birds"), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant("birds"), 0);
    CU_ASSERT_EQUAL(removed("default"), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(adl_registry_count(registry), 1);
    adl_registry_free(registry);
}

static void names_run_out(void)
{
    char name[20];
    int count = 0;

    if (!open_registry(0))
        return;
    for (snprintf(name, sizeof name, "a0"); alias(name, "default") == ADL_PROBLEM_NONE;
         snprintf(name, sizeof name, "a%d", count))
        count++;
    CU_ASSERT_EQUAL(count, ADL_LIMIT_MODELS - 1);
    CU_ASSERT_EQUAL(alias(name, "default"), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(put(name, 1), ADL_PROBLEM_MODEL_CONFLICT);
    CU_ASSERT_EQUAL(removed("a3"), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(put(name, 1), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(variant("a4"), variant("default"));
    adl_registry_free(registry);
}

/* A file that cannot be loaded changes nothing, and neither does running out of memory. */
static void failures_change_nothing(void)
{
    if (!open_registry(1))
        return;
    scratch_append("9.safetensors", "no model");
    CU_ASSERT_EQUAL(put("birds", 1), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(put("birds", 9), ADL_PROBLEM_UNUSABLE_MODEL);
    CU_ASSERT(!strncmp(err.message, "9.safetensors: ", 15) && !strstr(err.message, "/proc/"));
    CU_ASSERT_EQUAL(put("new", 9), ADL_PROBLEM_UNUSABLE_MODEL);
    CU_ASSERT_EQUAL(put("new", 8), ADL_PROBLEM_UNKNOWN_MODEL_FILE);
    CU_ASSERT_EQUAL(variant("new"), 0);
    size_t blocks = adl_mem_stats().live_blocks;
    uint64_t tried = 1;
    for (; tried < 20000; tried += 1 + tried / 4) {
        adl_mem_fail_nth(tried);
        enum adl_problem problem = put("birds", 2);
        adl_mem_fail_nth(0);
        if (problem == ADL_PROBLEM_NONE)
            break;
        CU_ASSERT_EQUAL(problem, ADL_PROBLEM_OUT_OF_MEMORY);
        CU_ASSERT_EQUAL(variant("birds"), 1);
        if (adl_mem_stats().live_blocks != blocks)
            TEST_FAIL("%zu blocks after failure %llu, %zu before", adl_mem_stats().live_blocks,
                      (unsigned long long)tried, blocks);
    }
    CU_ASSERT(tried > 5);
    adl_registry_free(registry);
}

/* What is put and removed again leaves nothing behind, but for what somebody holds. */
static void nothing_stays(void)
{
    if (!open_registry(2))
        return;
    size_t blocks = adl_mem_stats().live_blocks;
    for (int i = 1; i <= 4; i++)
        CU_ASSERT_EQUAL(put("birds", i), ADL_PROBLEM_NONE);
    struct adl_served *held = adl_registry_acquire(registry, "birds", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(held);
    CU_ASSERT_EQUAL(removed("birds"), ADL_PROBLEM_NONE);
    CU_ASSERT_STRING_EQUAL(held->name, "birds");
    CU_ASSERT_DOUBLE_EQUAL(held->model->map.threshold, 0.4, 1e-9);
    adl_served_release(held);
    if (adl_mem_stats().live_blocks != blocks)
        TEST_FAIL("%zu blocks, %zu before", adl_mem_stats().live_blocks, blocks);
    adl_registry_free(registry);
}

/* A file that has not changed is not loaded again, whatever its time says. */
static void same_content_is_not_loaded(void)
{
    bool loaded;

    if (!open_registry(0))
        return;
    CU_ASSERT_EQUAL(put("birds", 1), ADL_PROBLEM_NONE);
    test_model_variant(scratch_path("1.safetensors"), 0.1);
    TEST_OK(adl_registry_load(registry, "birds", true, &loaded, &err), &err);
    CU_ASSERT(!loaded);
    TEST_OK(adl_registry_load(registry, "birds", false, &loaded, &err), &err);
    CU_ASSERT(loaded);
    test_model_variant(scratch_path("1.safetensors"), 0.2);
    TEST_OK(adl_registry_load(registry, "birds", true, &loaded, &err), &err);
    CU_ASSERT(loaded);
    CU_ASSERT_EQUAL(variant("birds"), 2);
    adl_registry_free(registry);
}

static atomic_bool stop;

static void *read_all(void *unused)
{
    (void)unused;
    while (!stop) {
        struct adl_error ignored = {0};
        struct adl_registry_table *table = adl_registry_table(registry);
        size_t bytes = 0;
        for (size_t i = 0; i < table->count; i++) {
            struct adl_served *served = adl_registry_version(table, &table->entries[i]);
            bytes += served ? strlen(served->description) : 0;
        }
        CU_ASSERT(bytes > 0 && table->count >= 1);
        adl_registry_table_release(table);
        struct adl_served *served = adl_registry_acquire(registry, "birds", &ignored);
        if (served)
            CU_ASSERT_STRING_EQUAL(served->name, "birds");
        adl_served_release(served);
        CU_ASSERT(adl_registry_ready(registry));
    }
    return NULL;
}

static void readers_and_changes(void)
{
    pthread_t threads[3];

    if (!open_registry(1))
        return;
    stop = false;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, read_all, NULL);
    for (int i = 0; i < 12; i++) {
        CU_ASSERT_EQUAL(put("birds", 1 + i % 4), ADL_PROBLEM_NONE);
        CU_ASSERT_EQUAL(alias("same", "birds"), ADL_PROBLEM_NONE);
        CU_ASSERT_EQUAL(removed("same"), ADL_PROBLEM_NONE);
        if (i % 3 == 2)
            CU_ASSERT_EQUAL(removed("birds"), ADL_PROBLEM_NONE);
    }
    stop = true;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    adl_registry_free(registry);
}

TEST_SUITE(registry, {"versions", versions}, {"aliases", aliases}, {"names run out", names_run_out},
           {"failures change nothing", failures_change_nothing}, {"nothing stays", nothing_stays},
           {"the same content is not loaded", same_content_is_not_loaded},
           {"readers and changes", readers_and_changes});
