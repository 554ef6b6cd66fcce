/* The member "certainty" of a model file: it comes back as it was written, is absent where nothing
 * is known, and hostile ones are refused by name. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "models/file/certainty.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/small_model.h"
#include "support/test.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static void certainty_comes_back(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    const struct adl_certainty said = {.temperature = 1.0 / 3,
                                       .has_presence = true,
                                       .has_confidence = true,
                                       .presence = {1.25, -4.0 / 7},
                                       .confidence = {.bias = -2.0 / 3,
                                                      .weights = {0.1, 0, -3, 1e5, 0.5},
                                                      .low = {-5, 0, 0, 0.125, 0.25},
                                                      .high = {5, 0, 0.5, 0.125, 0.75}}};
    json_t *json = adl_model_to_json(model);
    CU_ASSERT_PTR_NULL(json_object_get(json, "certainty"));
    json_decref(json);
    model->certainty = said;
    TEST_OK(adl_model_save(model, model_tmp_path("sure.safetensors"), &err), &err);
    struct adl_model *back = adl_model_load(model_tmp_path("sure.safetensors"), NULL, &err);
    model_must(back != NULL, &err);
    const struct adl_certainty *read = &back->certainty;
    CU_ASSERT(near(read->temperature, said.temperature));
    CU_ASSERT(read->has_presence && read->has_confidence);
    CU_ASSERT(near(read->presence.slope, 1.25) && near(read->presence.offset, -4.0 / 7));
    CU_ASSERT(near(read->confidence.bias, said.confidence.bias));
    for (int i = 0; i < ADL_EVIDENCES; i++) {
        CU_ASSERT(near(read->confidence.weights[i], said.confidence.weights[i]));
        CU_ASSERT(near(read->confidence.low[i], said.confidence.low[i]));
        CU_ASSERT(near(read->confidence.high[i], said.confidence.high[i]));
    }

    /* The confidence is that of boxes cut by the model's own rule. */
    struct adl_map_rule other = back->map;
    CU_ASSERT_PTR_EQUAL(adl_model_confidence(back, &other), &back->certainty.confidence);
    other.threshold += 0.1;
    CU_ASSERT_PTR_NULL(adl_model_confidence(back, &other));
    struct adl_map_changes changes = ADL_MAP_NO_CHANGES;
    TEST_OK(adl_model_change_map(back, &changes, &err), &err);
    CU_ASSERT(back->certainty.has_confidence);
    changes.normalise = ADL_MAP_MAX;
    TEST_OK(adl_model_change_map(back, &changes, &err), &err);
    CU_ASSERT(!back->certainty.has_confidence && back->certainty.has_presence);
    adl_model_free(back);
    adl_model_free(model);
}

#define BOX(text) "{\"confidence\": {\"bias\": 1, \"evidence\": [" text "]}}"

static void hostile_values_are_named(void)
{
    static const struct {
        const char *text, *message; /* NULL: accepted */
    } cases[] = {
        {"{}", NULL},
        {"{\"future\": 1}", NULL},
        {"{\"temperature\": 2}", NULL},
        {"{\"temperature\": 0.01, \"presence\": {\"slope\": 0, \"offset\": 1000000}}", NULL},
        {BOX(""), NULL},
        {BOX("{\"name\": \"fill\", \"weight\": 1, \"low\": 0, \"high\": 0}"), NULL},
        {"[]", "certainty is not"},
        {"3", "certainty is not"},
        {"{\"temperature\": 0}", "certainty.temperature"},
        {"{\"temperature\": -1}", "certainty.temperature"},
        {"{\"temperature\": 1e300}", "certainty.temperature"},
        {"{\"temperature\": \"1\"}", "certainty.temperature"},
        {"{\"temperature\": null}", "certainty.temperature"},
        {"{\"presence\": 1}", "certainty.presence"},
        {"{\"presence\": {}}", "certainty.presence.slope"},
        {"{\"presence\": {\"slope\": -0.1, \"offset\": 0}}", "certainty.presence.slope"},
        {"{\"presence\": {\"slope\": 1, \"offset\": -1e7}}", "certainty.presence.offset"},
        {"{\"confidence\": []}", "certainty.confidence"},
        {"{\"confidence\": {\"evidence\": []}}", "certainty.confidence.bias"},
        {"{\"confidence\": {\"bias\": 0}}", "certainty.confidence.evidence"},
        {"{\"confidence\": {\"bias\": 0, \"evidence\": {}}}", "certainty.confidence.evidence"},
        {BOX("1"), "has no name"},
        {BOX("{\"weight\": 1}"), "has no name"},
        {BOX("{\"name\": \"luck\", \"weight\": 1, \"low\": 0, \"high\": 1}"), "\"luck\""},
        {BOX("{\"name\": \"fill\", \"weight\": 1e9, \"low\": 0, \"high\": 1}"), "evidence.weight"},
        {BOX("{\"name\": \"fill\", \"weight\": 1, \"high\": 1}"), "evidence.low"},
        {BOX("{\"name\": \"fill\", \"weight\": 1, \"low\": 0, \"high\": true}"), "evidence.high"},
        {BOX("{\"name\": \"fill\", \"weight\": 1, \"low\": 1, \"high\": 0}"), "above high"},
        {BOX("{\"name\": \"fill\", \"weight\": 1, \"low\": 0, \"high\": 1}, {\"name\": \"fill\", "
             "\"weight\": 1, \"low\": 0, \"high\": 1}"),
         "twice"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_certainty read = ADL_CERTAINTY_NONE;
        struct adl_error err = {0};
        json_t *json = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(json);
        int result = adl_certainty_from_json(&read, json, &err);
        if ((result < 0) != (cases[i].message != NULL))
            TEST_FAIL("%s: %s", cases[i].text, result ? err.message : "accepted");
        if (result < 0 && !strstr(err.message, cases[i].message))
            TEST_FAIL("%s: %s", cases[i].text, err.message);
        json_decref(json);
    }
}

TEST_SUITE(certainty_file, {"certainty comes back", certainty_comes_back},
           {"hostile values are named", hostile_values_are_named});
