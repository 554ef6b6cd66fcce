/* eval/certainty_fit and eval/confidence_fit, compared with other solvers: the figures come from
 * numpy (golden section on the objective, without derivatives) and from torch (LBFGS in double) on
 * the same data, which the comments give. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/certainty_fit.h"
#include "eval/confidence_fit.h"

enum { IMAGES = 60, CLASSES = 4, BOXES = 90 };

struct scores {
    float logits[IMAGES][CLASSES];
    const float *rows[IMAGES];
    int labels[IMAGES];
    struct adl_scored scored;
};

/* logits[i][c] = 3 sin(1.7 i + 2.3 c + 0.4 i c), rounded to float. The label is the largest logit's
 * class, except for i % 5 in {1, 3}, where it is (i / 5) % 4. */
static void make_scores(struct scores *s)
{
    for (int i = 0; i < IMAGES; i++) {
        int top = 0;
        for (int c = 0; c < CLASSES; c++) {
            s->logits[i][c] = (float)(3 * sin(1.7 * i + 2.3 * c + 0.4 * i * c));
            top = s->logits[i][c] > s->logits[i][top] ? c : top;
        }
        s->rows[i] = s->logits[i];
        s->labels[i] = i % 5 == 1 || i % 5 == 3 ? i / 5 % CLASSES : top;
    }
    s->scored = (struct adl_scored){s->rows, s->labels, IMAGES, CLASSES};
}

static void temperature_is_that_of_other_solvers(void)
{
    struct scores s;
    struct adl_temperature_fit fit;
    struct adl_error err = {0};
    make_scores(&s);
    TEST_OK(adl_temperature_fit(&s.scored, &fit, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(fit.estimate, 2.521085544, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(fit.standard_error, 0.2412875, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(fit.loss_before, 1.425065755, 1e-8);
    CU_ASSERT_DOUBLE_EQUAL(fit.loss, 1.203759005, 1e-8);
    CU_ASSERT_EQUAL(fit.temperature, fit.estimate); /* 3.8 standard errors from 1 */

    /* Logits at the fitted temperature need none. */
    for (int i = 0; i < IMAGES; i++)
        for (int c = 0; c < CLASSES; c++)
            s.logits[i][c] = (float)((double)s.logits[i][c] / fit.estimate);
    TEST_OK(adl_temperature_fit(&s.scored, &fit, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(fit.estimate, 1, 0.02);
    CU_ASSERT_EQUAL(fit.temperature, 1);
    CU_ASSERT_EQUAL(fit.loss, fit.loss_before);
}

static void extremes_stay_finite(void)
{
    struct scores s;
    struct adl_temperature_fit fit;
    struct adl_presence presence;
    struct adl_error err = {0};
    make_scores(&s);
    /* All right, and all of one class: whether scores are right elsewhere is not known. */
    for (int i = 0; i < IMAGES; i++) {
        s.labels[i] = 0;
        s.logits[i][0] = 50;
    }
    TEST_OK(adl_temperature_fit(&s.scored, &fit, &err), &err);
    CU_ASSERT(isfinite(fit.estimate) && fit.estimate > 0 && fit.temperature == 1);
    TEST_OK(adl_presence_fit(&s.scored, 1, &presence, &err), &err);
    CU_ASSERT(isfinite(presence.slope) && isfinite(presence.offset));
    CU_ASSERT(adl_presence(&presence, 1) > 0.9 && adl_presence(&presence, 1e-12) < 0.1);
    /* All wrong, and logits as large as floats can be. */
    for (int i = 0; i < IMAGES; i++) {
        s.labels[i] = 1 + i % 3;
        s.logits[i][0] = 3e38F;
        s.logits[i][1] = -3e38F;
    }
    TEST_OK(adl_temperature_fit(&s.scored, &fit, &err), &err);
    CU_ASSERT(isfinite(fit.estimate) && fit.temperature > 0);
    TEST_OK(adl_presence_fit(&s.scored, fit.temperature, &presence, &err), &err);
    CU_ASSERT(isfinite(presence.slope) && presence.slope >= 0 && isfinite(presence.offset));
    /* All equal. */
    memset(s.logits, 0, sizeof s.logits);
    TEST_OK(adl_temperature_fit(&s.scored, &fit, &err), &err);
    CU_ASSERT_EQUAL(fit.temperature, 1);
    TEST_OK(adl_presence_fit(&s.scored, 1, &presence, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(adl_presence(&presence, 0.25), 0.5, 0.01);

    s.scored.images = 0;
    CU_ASSERT_EQUAL(adl_temperature_fit(&s.scored, &fit, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_presence_fit(&s.scored, 1, &presence, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void presence_is_that_of_other_solvers(void)
{
    struct scores s;
    struct adl_presence presence;
    struct adl_error err = {0};
    make_scores(&s);
    TEST_OK(adl_presence_fit(&s.scored, 1, &presence, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(presence.slope, 0.4268423, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(presence.offset, 0.8433131, 1e-6);
}

/* evidence[i][k] = (sin(0.9 i + 1.3 k) (1 + 0.2 k) + 0.1 k) * (3 if k = 0, else 1); the IoU is 0.55
 * + 0.05 evidence[i][0] + 0.2 evidence[i][2] + 0.25 sin(2.9 i), clipped to 0..1. */
static void make_boxes(struct adl_judged_box *boxes)
{
    for (int i = 0; i < BOXES; i++) {
        double *e = boxes[i].evidence;
        for (int k = 0; k < ADL_EVIDENCES; k++)
            e[k] = (sin(0.9 * i + 1.3 * k) * (1 + 0.2 * k) + 0.1 * k) * (k == 0 ? 3 : 1);
        boxes[i].iou = fmin(fmax(0.55 + 0.05 * e[0] + 0.2 * e[2] + 0.25 * sin(2.9 * i), 0), 1);
    }
}

static void confidence_is_that_of_other_solvers(void)
{
    static const double weights[ADL_EVIDENCES] = {-0.07975367, 0.27590425, 0.30040755, -0.06779430,
                                                  -0.26628145};
    static const double low[] = {-2.99983106, -1.07894314, -1.19144412, -1.29386337, -1.36022543};
    static const double high[] = {2.92154289, 1.29714288, 1.58510155, 1.88150258, 2.19809442};
    struct adl_judged_box boxes[BOXES];
    struct adl_confidence_fit fit;
    struct adl_error err = {0};
    make_boxes(boxes);
    TEST_OK(adl_confidence_fit(boxes, BOXES, 5, &fit, &err), &err);
    CU_ASSERT(fit.boxes == BOXES && fit.right == 59);
    CU_ASSERT_DOUBLE_EQUAL(fit.loss, 0.6259580247323053, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(fit.confidence.bias, 0.7197197775, 1e-6);
    for (int k = 0; k < ADL_EVIDENCES; k++)
        CU_ASSERT_DOUBLE_EQUAL(fit.confidence.weights[k], weights[k], 1e-6);
    for (int k = 0; k < ADL_EVIDENCES; k++) {
        CU_ASSERT_DOUBLE_EQUAL(fit.confidence.low[k], low[k], 1e-7);
        CU_ASSERT_DOUBLE_EQUAL(fit.confidence.high[k], high[k], 1e-7);
    }
    CU_ASSERT_EQUAL(fit.held_out.count, BOXES);
}

static void what_predicts_nothing_is_not_used(void)
{
    struct adl_judged_box boxes[BOXES];
    struct adl_confidence_fit fit;
    struct adl_error err = {0};
    make_boxes(boxes);
    /* The IoU repeats with a period of its own. */
    for (int i = 0; i < BOXES; i++)
        boxes[i].iou = i % 4 ? 0.8 : 0.1;
    TEST_OK(adl_confidence_fit(boxes, BOXES, 5, &fit, &err), &err);
    CU_ASSERT_EQUAL(fit.loss, fit.loss_alone);
    for (int k = 0; k < ADL_EVIDENCES; k++)
        CU_ASSERT_EQUAL(fit.confidence.weights[k], 0);
    double p = adl_confidence_of(&fit.confidence, boxes[3].evidence, 1);
    CU_ASSERT_DOUBLE_EQUAL(p, 67.0 / 90, 0.001);

    /* All right, and no evidence differs. */
    for (int i = 0; i < BOXES; i++)
        boxes[i] = (struct adl_judged_box){.evidence = {1, 0.5, 0, 0.5, 0.5}, .iou = 1};
    TEST_OK(adl_confidence_fit(boxes, BOXES, 5, &fit, &err), &err);
    p = adl_confidence_of(&fit.confidence, boxes[0].evidence, 1);
    CU_ASSERT(p > 0.99 && p < 1);

    CU_ASSERT_EQUAL(adl_confidence_fit(boxes, ADL_CONFIDENCE_BOXES - 1, 5, &fit, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void survives_no_memory(void)
{
    struct scores s;
    make_scores(&s);
    for (uint64_t nth = 1, failed = 1; failed; nth++) {
        struct adl_temperature_fit fit;
        struct adl_presence presence;
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        int result = adl_temperature_fit(&s.scored, &fit, &err);
        if (result == 0)
            result = adl_presence_fit(&s.scored, 1, &presence, &err);
        adl_mem_fail_nth(0);
        failed = result < 0;
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
    }
}

TEST_SUITE(certainty_fit,
           {"the temperature is that of other solvers", temperature_is_that_of_other_solvers},
           {"extremes stay finite", extremes_stay_finite},
           {"the presence is that of other solvers", presence_is_that_of_other_solvers},
           {"the confidence is that of other solvers", confidence_is_that_of_other_solvers},
           {"what predicts nothing is not used", what_predicts_nothing_is_not_used},
           {"survives running out of memory", survives_no_memory});
