#include "support/head.h"

#include <string.h>

#include "base/mem.h"
#include "models/head.h"
#include "support/formula.h"
#include "support/test.h"

static float *make_weights(const struct adl_foreground_head *head, const char *name)
{
    size_t count = adl_foreground_channels(head) + 1;
    float *weights = adl_malloc(count, sizeof *weights);
    CU_ASSERT_FATAL(weights != NULL);
    formula_param(name, 0, 0.3, count, weights);
    return weights;
}

void test_give_head(struct adl_model *model, const char *name)
{
    struct adl_error err = {0};
    struct adl_foreground_head head = adl_head_begin(model->graph);

    /* The layer nearer to the end comes first, in whatever order they are added. */
    TEST_OK(adl_head_add_layer(model->graph, &head, "blocks.4", &err), &err);
    TEST_OK(adl_head_add_layer(model->graph, &head, "blocks.10", &err), &err);
    float *weights = make_weights(&head, name);
    head.weights = weights;
    TEST_OK(adl_model_set_foreground(model, &head, &err), &err);
    adl_free(weights);
}

void test_check_head(const struct adl_model *model, const char *name)
{
    const struct adl_foreground_head *head = model->foreground;

    CU_ASSERT_FATAL(head != NULL);
    CU_ASSERT_EQUAL(head->layer_count, 2);
    CU_ASSERT_STRING_EQUAL(head->layers[0].name, "blocks.10");
    CU_ASSERT_STRING_EQUAL(head->layers[1].name, "blocks.4");
    float *weights = make_weights(head, name);
    CU_ASSERT(
        !memcmp(weights, head->weights, (adl_foreground_channels(head) + 1) * sizeof *weights));
    adl_free(weights);
}
