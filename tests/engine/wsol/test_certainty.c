/* wsol/certainty: the formulas, compared with numpy on a small map, and where they have to agree
 * with what an uncalibrated model gives. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "wsol/cam.h"
#include "wsol/certainty.h"
#include "wsol/localize.h"

/* A map of bytes (7 x + 13 y + 3 x y) % 256, the box 1,2 - 4,3, the byte 40 and p = 0.3. */
static void evidence_is_that_of_numpy(void)
{
    static const double want[ADL_EVIDENCES] = {-0.8472978603872036, 0.5163977794943222, 0.1,
                                               0.2696078431372549, 0.875};
    static const struct adl_confidence c = {.bias = 0.7,
                                            .weights = {0.5, -2, -3, 1.5, 0.25},
                                            .low = {-0.5, 0.1, 0, 0, 0.2},
                                            .high = {5, 0.4, 1, 1, 0.3}};
    uint8_t bytes[5 * 6];
    struct adl_box_finder finder = {.bytes = bytes, .height = 5, .width = 6};
    double evidence[ADL_EVIDENCES];
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 6; x++)
            bytes[6 * y + x] = (uint8_t)(7 * x + 13 * y + 3 * x * y);
    adl_evidence_of_box(&finder, 40, (struct adl_box){1, 2, 4, 3}, 0.3, evidence);
    for (int i = 0; i < ADL_EVIDENCES; i++)
        CU_ASSERT_DOUBLE_EQUAL(evidence[i], want[i], 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_confidence_of(&c, evidence, 1), 0.45745606145067463, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(adl_confidence_of(&c, evidence, 0.25), 0.0500599800828578, 1e-12);
    adl_evidence_of_box(&finder, 40, (struct adl_box){0, 0, 5, 4}, 0, evidence);
    CU_ASSERT(evidence[0] == -5 && evidence[1] == 1 && fabs(evidence[2]) < 1e-12);
    adl_evidence_of_box(&finder, 40, (struct adl_box){5, 4, 5, 4}, 1, evidence);
    CU_ASSERT(evidence[0] == 5 && evidence[4] == 1);
}

static void temperature_keeps_the_order(void)
{
    static const double want[] = {0.2953465531525192, 0.0505742999404284, 0.12221679575863206,
                                  0.5318623511484204};
    static const float huge[] = {3e38F, -3e38F, 0};
    const float logits[] = {2, -1, 0.5F, 3};
    float at[4], plain[4];
    adl_softmax_at(1.7, logits, 4, at);
    test_close("softmax at 1.7", at, want, 4, 1e-7);
    adl_softmax(logits, 4, plain);
    adl_softmax_at(1, logits, 4, at);
    CU_ASSERT_EQUAL(memcmp(at, plain, sizeof at), 0);
    for (double t = 0.01; t <= 100; t *= 10) {
        adl_softmax_at(t, huge, 3, at);
        CU_ASSERT(at[0] == 1 && at[1] == 0 && at[2] == 0);
        adl_softmax_at(t, logits, 4, at);
        CU_ASSERT(at[3] >= at[0] && at[0] >= at[2] && at[2] >= at[1]);
    }
}

static void presence_grows_with_the_probability(void)
{
    const struct adl_presence presence = {1.2, 5};
    CU_ASSERT_DOUBLE_EQUAL(adl_presence(&presence, 0.02), 0.5758041663483935, 1e-12);
    CU_ASSERT_EQUAL(adl_presence(&presence, 0), 0);
    CU_ASSERT(adl_presence(&presence, 1e-300) > 0);
    for (double p = 1e-8; p < 1; p *= 2)
        CU_ASSERT(adl_presence(&presence, p) < adl_presence(&presence, 2 * p));
}

/* Two squares, of which the smaller one has a sixteenth of the other's area. */
static void fragments_have_less_confidence(void)
{
    enum { SIDE = 20 };
    static const struct adl_confidence c = {.bias = 2};
    float cam[SIDE * SIDE] = {0};
    struct adl_localization found;
    struct adl_error err = {0};
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            cam[(2 + y) * SIDE + 2 + x] = 1;
            if (x < 2 && y < 2)
                cam[(15 + y) * SIDE + 15 + x] = 1;
        }
    const struct adl_map_rule rule = {.threshold = 0.5};
    struct adl_class_map map = {
        .values = cam, .h = SIDE, .w = SIDE, .input_h = SIDE, .input_w = SIDE};
    TEST_OK(adl_localize_map(&rule, &map, ADL_BOXES_ALL, true, SIDE, SIDE, &found, &err), &err);
    CU_ASSERT(found.box_count == 2 && !found.judged);
    adl_localization_release(&found);
    map.confidence = &c;
    map.probability = 0.5;
    TEST_OK(adl_localize_map(&rule, &map, ADL_BOXES_ALL, true, SIDE, SIDE, &found, &err), &err);
    CU_ASSERT_FATAL(found.box_count == 2 && found.judged);
    for (size_t i = 0; i < 2; i++) {
        bool large = found.boxes[i].box.x0 == 2;
        double odds = exp(2) * (large ? 1 : 1.0 / 256);
        CU_ASSERT_DOUBLE_EQUAL(found.boxes[i].confidence, odds / (1 + odds), 1e-12);
    }
    adl_localization_release(&found);
}

TEST_SUITE(certainty, {"evidence is that of numpy", evidence_is_that_of_numpy},
           {"a temperature keeps the order", temperature_keeps_the_order},
           {"presence grows with the probability", presence_grows_with_the_probability},
           {"fragments have less confidence", fragments_have_less_confidence});
