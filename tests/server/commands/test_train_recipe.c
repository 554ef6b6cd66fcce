/* `train --recipe NAME`: every published recipe is a set of options that `train` takes, and what
 * the user gives wins. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "server/commands/subcommands.h"
#include "server/training/named_recipe.h"
#include "server/training/run_record.h"
#include "server/training/train_settings.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* Applies a recipe to a command line. */
static int apply(const char *name, struct adl_train_settings *s, struct adl_error *err)
{
    char recipe[100], epochs[] = "--epochs=3", command[] = "train";
    char *words[] = {command, recipe, epochs, NULL};
    struct adl_options options;

    snprintf(recipe, sizeof recipe, "--recipe=%s", name);
    *err = (struct adl_error){0};
    int result = adl_options_parse(&options, adl_command_find("train"), 3, words, s, err);
    if (result == 0)
        result = adl_recipe_apply(s->recipe, &options, s, err);
    adl_options_release(&options);
    return result;
}

static void every_recipe_is_accepted(void)
{
    struct adl_train_settings s;
    struct adl_error err;
    const char *name;
    int count = 0;

    for (int i = 3; (name = adl_recipe_name(i)); i++, count++) {
        TEST_OK(apply(name, &s, &err), &err);
        CU_ASSERT_EQUAL(s.recipe, i);
        CU_ASSERT_EQUAL(s.epochs, 3);
        CU_ASSERT_EQUAL(s.batch_size, 32);
        CU_ASSERT_EQUAL(s.lr_decay_frequency, strstr(name, "-cub-") ? 15 : 3);
        CU_ASSERT(strstr(name, adl_arch_choice(s.arch.arch)) != NULL);
        /* The name of the method ends the recipe's. */
        const char *method = adl_method_set_text(adl_arch_settings_methods(&s.arch)).text;
        CU_ASSERT_STRING_EQUAL(strrchr(name, '-') + 1, method);
        CU_ASSERT(s.method.optimizer.lr > 1e-5 && s.method.optimizer.lr < 0.02);
        CU_ASSERT(!(
            fabs(s.method.optimizer.weight_decay - (strstr(name, "resnet50") ? 1e-4 : 5e-4)) > 0));
    }
    CU_ASSERT_EQUAL(count, 22);
    CU_ASSERT(apply("wsoleval-cub-vgg16-ald", &s, &err) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "wsoleval-cub-vgg16-adl"));
}

static void given_options_win(void)
{
    struct adl_error err;
    train_directories("recipe");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--recipe", "wsoleval-cub-vgg16-adl",
                  "--adl-drop-rate", "0.5"),
            &err);
    struct adl_run_record record;
    TEST_OK(adl_run_record_read(scratch_path("run"), &record, &err), &err);
    const json_t *config = record.config, *adl = json_object_get(config, "adl");
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(config, "lr")), 0.02, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(config, "weight_decay")), 5e-4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(adl, "drop_rate")), 0.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(adl, "threshold")), 0.72, 1e-12);
    adl_run_record_release(&record);
}

/* lr x (images of a step) / N: 0.02 x 8 x 2 / 4 = 0.08. */
static void the_rate_follows_the_batch(void)
{
    struct adl_error err;
    train_directories("recipe-scaled");
    TEST_OK(
        TRAIN("scaled", false, &err, "--epochs", "1", "--accumulate", "2", "--lr-scale-batch", "4"),
        &err);
    CU_ASSERT(train_logged("learning rate 0.08 for steps of 16 images (0.02 for 4); a higher"));
    TEST_OK(TRAIN("given", false, &err, "--epochs", "1", "--accumulate", "2", "--lr", "0.08"),
            &err);
    CU_ASSERT(!train_logged("learning rate"));
    CU_ASSERT_STRING_EQUAL(train_digest("scaled/last.safetensors"),
                           train_digest("given/last.safetensors"));
    CU_ASSERT(TRAIN("scaled", false, &err, "--epochs", "2", "--accumulate", "2", "--lr", "0.08",
                    "--resume") < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "lr_scale_batch 4, not unset"));
    CU_ASSERT(TRAIN("high", false, &err, "--lr", "99", "--lr-scale-batch", "1") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "makes the learning rate 792"));
}

TEST_SUITE(train_recipe, {"every recipe is accepted", every_recipe_is_accepted},
           {"given options win", given_options_win},
           {"the rate follows the batch", the_rate_follows_the_batch});
