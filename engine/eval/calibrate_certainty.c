/* Calibrates how sure a model is; see calibrate_certainty.h. The order matters: probabilities at
 * the new temperature are evidence for the presence of a class and for its box. */

#include "eval/calibrate_certainty.h"

#include "base/mem.h"
#include "wsol/certainty.h"

/* Judges the box that the rule gives for a sample; *usable is false if the map has none. */
static int judge(const struct adl_calibrate_samples *s, const struct adl_calibrate_sample *sample,
                 const struct adl_map_rule *rule, const float *cam, double probability, double *map,
                 struct adl_box_finder *finder, struct adl_boxes *boxes, struct adl_judged_box *out,
                 bool *usable, struct adl_error *err)
{
    if (adl_map_make(rule, cam, s->cam_h, s->cam_w, map, s->input_h, s->input_w, NULL, err) < 0 ||
        adl_box_finder_load(finder, map, s->input_h, s->input_w, err) < 0)
        return -1;
    int byte = adl_box_finder_byte(finder, rule->threshold);
    if (adl_box_finder_cut(finder, byte, ADL_BOXES_LARGEST, boxes, err) < 0)
        return -1;
    *usable = finder->contours.count > 0;
    if (!*usable)
        return 0;
    adl_evidence_of_box(finder, byte, adl_box_to_inclusive(*boxes->items, s->input_w, s->input_h),
                        probability, out->evidence);
    out->iou = adl_box_best_iou(boxes->items, 1, sample->truth, sample->truth_count);
    return 0;
}

/* Judges the boxes of all samples and sets *count to the number of those that have one. */
static int judge_all(const struct adl_calibrate_samples *s, const struct adl_calibration *c,
                     double temperature, struct adl_judged_box *judged, size_t *count,
                     struct adl_error *err)
{
    float *probabilities = adl_malloc(s->class_count, sizeof *probabilities);
    double *map = adl_malloc((size_t)s->input_h * (size_t)s->input_w, sizeof *map);
    struct adl_box_finder finder = {0};
    struct adl_boxes boxes = {0};
    int result = -1;

    *count = 0;
    if (!probabilities || !map) {
        adl_fail_nomem(err, "the confidence of boxes");
        goto out;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct adl_calibrate_sample *one = &s->items[i];
        const float *cam = adl_calibrate_map(s, one, &c->rule);
        bool usable;
        adl_softmax_at(temperature, one->logits, s->class_count, probabilities);
        const struct adl_map_rule rule = adl_map_rule_of_class(&c->rule, (size_t)one->class_id);
        ADL_TRY(judge(s, one, &rule, cam, (double)probabilities[one->class_id], map, &finder,
                      &boxes, &judged[*count], &usable, err));
        *count += usable;
    }
    result = 0;
out:
    adl_box_finder_release(&finder);
    adl_boxes_release(&boxes);
    adl_free(map);
    adl_free(probabilities);
    return result;
}

static int fit_scores(const struct adl_calibrate_samples *s, const float **logits, int *labels,
                      struct adl_calibrated_certainty *out, struct adl_error *err)
{
    const struct adl_scored scored = {
        .logits = logits, .labels = labels, .images = s->count, .classes = s->class_count};

    for (size_t i = 0; i < s->count; i++) {
        logits[i] = s->items[i].logits;
        labels[i] = s->items[i].class_id;
    }
    if (adl_temperature_fit(&scored, &out->temperature, err) < 0)
        return -1;
    out->certainty.temperature = out->temperature.temperature;
    out->certainty.has_presence = true;
    return adl_presence_fit(&scored, out->certainty.temperature, &out->certainty.presence, err);
}

int adl_calibrate_certainty(const struct adl_calibrate_samples *samples,
                            const struct adl_calibration *calibration,
                            struct adl_calibrated_certainty *out, struct adl_error *err)
{
    const float **logits = adl_malloc(samples->count, sizeof *logits);
    int *labels = adl_malloc(samples->count, sizeof *labels);
    struct adl_judged_box *judged = adl_malloc(samples->count, sizeof *judged);
    size_t count;
    int result = -1;

    *out = (struct adl_calibrated_certainty){.certainty = ADL_CERTAINTY_NONE,
                                             .temperature = {.estimate = 1, .temperature = 1}};
    if (!logits || !labels || !judged) {
        adl_fail_nomem(err, "the calibration");
        goto out;
    }
    if (samples->class_count > 1)
        ADL_TRY(fit_scores(samples, logits, labels, out, err));
    ADL_TRY(judge_all(samples, calibration, out->certainty.temperature, judged, &count, err));
    result = 0;
    if (count >= ADL_CONFIDENCE_BOXES) {
        result = adl_confidence_fit(judged, count, ADL_CALIBRATE_FOLDS, &out->boxes, err);
        out->certainty.has_confidence = result == 0;
        out->certainty.confidence = out->boxes.confidence;
    }
out:
    adl_free(logits);
    adl_free(labels);
    adl_free(judged);
    return result;
}
