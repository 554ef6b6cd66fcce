/* `train --freeze`: what stays as it was to the bit, and what is refused. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static bool starts(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

/* Both models have the same random weights, of which one has learned all but bn1 and blocks.1: with
 * a rate of 0 the other shows what they began with, apart from the statistics, which are then
 * those of a new layer, 0 and 1. */
static void frozen_layers_keep_their_values(void)
{
    struct adl_error err;
    train_directories("freeze");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--freeze", "bn1,blocks.1"), &err);
    TEST_OK(TRAIN("still", false, &err, "--epochs", "1", "--lr", "0"), &err);
    struct adl_model *run = train_load("run/last.safetensors"),
                     *still = train_load("still/last.safetensors");
    size_t frozen = 0;
    for (int i = 0; i < adl_graph_param_count(run->graph); i++) {
        const struct adl_param *param = adl_graph_param(run->graph, i);
        bool stays = starts(param->name, "bn1.") || starts(param->name, "blocks.1.");
        bool statistic = strstr(param->name, ".running_");
        bool equal = !memcmp(run->params[i], still->params[i], param->count * sizeof(float));
        frozen += stays;
        if (statistic && stays) {
            float first = strstr(param->name, "_mean") ? 0 : 1;
            for (size_t c = 0; c < param->count; c++)
                CU_ASSERT_EQUAL(run->params[i][c], first);
        } else if (equal != stays) {
            TEST_FAIL("%s %s", param->name, equal ? "has not learned" : "has changed");
        }
    }
    CU_ASSERT(frozen > 5);
    adl_model_free(run);
    adl_model_free(still);
}

static void a_resumed_run_gives_the_same_bits(void)
{
    struct adl_error err;
    const char *const words[] = {TRAIN_COMMON, "--epochs", "2", "--freeze", "blocks.1", NULL};
    train_directories("freeze-parts");
    TEST_OK(train_words("whole", false, words, &err), &err);
    CU_ASSERT(train_in_parts("parts", words) > 2);
    CU_ASSERT_STRING_EQUAL(train_digest("whole/last.safetensors"),
                           train_digest("parts/last.safetensors"));
    CU_ASSERT(TRAIN("whole", false, &err, "--epochs", "3", "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "freeze blocks.1, not unset"));
}

static void unknown_names_are_refused(void)
{
    static const struct {
        const char *names, *part;
    } cases[] = {{"bloks.1", "did you mean blocks.1?"},
                 {"blocks.1,", "no layer \"\""},
                 {"nothing-like-it", "no layer \"nothing-like-it\""},
                 {"conv1,bn1,blocks,fc", "leaves no layer to train"}};
    struct adl_error err;
    train_directories("freeze-names");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CU_ASSERT(TRAIN("run", false, &err, "--epochs", "1", "--freeze", cases[i].names) < 0);
        if (err.kind != ADL_ERR_ARG || !strstr(err.message, cases[i].part))
            TEST_FAIL("%s: %s", cases[i].names, err.message);
    }
}

TEST_SUITE(train_freeze, {"frozen layers keep their values", frozen_layers_keep_their_values},
           {"a resumed run gives the same bits", a_resumed_run_gives_the_same_bits},
           {"unknown names are refused", unknown_names_are_refused});
