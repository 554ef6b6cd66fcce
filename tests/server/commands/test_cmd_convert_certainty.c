/* `convert` keeps what a model says about its certainty as long as it is still true. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static void stale_certainty_is_dropped(void)
{
    static const struct {
        const char *option, *value;
        bool presence, confidence, said;
    } cases[] = {
        {NULL, NULL, true, true, false},
        {"--threshold", "0.61", true, false, true},
        {"--map-normalise", "max", true, false, true},
        {"--mean", "0.1,0.2,0.3", false, false, true},
        {"--input-size", "64", false, false, true},
    };
    struct adl_error err = {0};
    char in[300], out[300], text[900];
    scratch_open("convert-certainty", (const char *const[]){NULL});
    snprintf(in, sizeof in, "%s", scratch_path("in.safetensors"));
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    struct adl_model *model = adl_model_load(test_small_model(), NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    model->certainty.temperature = 2;
    model->certainty.has_presence = model->certainty.has_confidence = true;
    TEST_OK(adl_model_save(model, in, &err), &err);
    adl_model_free(model);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *arguments[] = {"convert", in, out, cases[i].option, cases[i].value, NULL};
        CU_ASSERT_EQUAL(test_program_run(arguments, text, sizeof text), 0);
        struct adl_model *back = adl_model_load(out, NULL, &err);
        CU_ASSERT_FATAL(back != NULL);
        if (back->certainty.has_presence != cases[i].presence ||
            back->certainty.has_confidence != cases[i].confidence ||
            back->certainty.temperature != (cases[i].presence ? 2 : 1) ||
            (strstr(text, "how sure the model is") != NULL) != cases[i].said)
            TEST_FAIL("case %zu: %s", i, text);
        adl_model_free(back);
    }
}

TEST_SUITE(cmd_convert_certainty, {"stale certainty is dropped", stale_certainty_is_dropped});
