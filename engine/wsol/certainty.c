/* Applies what a model file says about its certainty; see certainty.h.
 *
 * The evidence is computed from the bytes that the box was cut from and not from the map in double,
 * so that the evaluation and the prediction, which keep different forms of the map, see the same.
 *
 * Fragments: models are calibrated on the box of the largest region, since a map has another region
 * in one image of ten only. Of 37 such fragments of the model that ships (16 in 140 images, 21 in
 * 216) one was right, at a share of 0.19; half of them have a share below 0.01, and the
 * square of the share gives them a mean confidence of 0.05. */

#include "wsol/certainty.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "wsol/cam.h"

const char *const adl_evidence_names[] = {"class", "size", "offset", "score", "fill", NULL};

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double clip(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

void adl_softmax_at(double temperature, const float *logits, size_t count, float *probabilities)
{
    float greatest = -INFINITY;
    double sum = 0;

    if (temperature == 1) {
        adl_softmax(logits, count, probabilities);
        return;
    }
    for (size_t i = 0; i < count; i++)
        greatest = logits[i] > greatest ? logits[i] : greatest;
    for (size_t i = 0; i < count; i++)
        sum += exp(((double)logits[i] - (double)greatest) / temperature);
    for (size_t i = 0; i < count; i++)
        probabilities[i] = (float)(exp(((double)logits[i] - (double)greatest) / temperature) / sum);
}

void adl_class_probabilities(const struct adl_label_rule *labels, double temperature,
                             const float *logits, size_t count, float *probabilities)
{
    if (!labels || !labels->several) {
        adl_softmax_at(temperature, logits, count, probabilities);
        return;
    }
    for (size_t i = 0; i < count; i++)
        probabilities[i] = (float)sigmoid((double)logits[i] / temperature);
}

size_t adl_labels_present(const struct adl_label_rule *labels, const float *probabilities,
                          size_t count)
{
    size_t present = 0;
    for (size_t i = 0; i < count; i++)
        present += (double)probabilities[i] >= labels->threshold;
    return present;
}

double adl_presence(const struct adl_presence *presence, double p)
{
    /* 1e-9: below it, classes are equally absent, and the logarithm stays finite. */
    return p > 0 ? sigmoid(presence->slope * log(fmax(p, 1e-9)) + presence->offset) : 0;
}

void adl_evidence_of_box(const struct adl_box_finder *finder, int byte, struct adl_box box,
                         double p, double evidence[ADL_EVIDENCES])
{
    double width = finder->width, height = finder->height;
    size_t columns = (size_t)(box.x1 - box.x0 + 1), rows = (size_t)(box.y1 - box.y0 + 1);
    double area = (double)columns * (double)rows;
    uint64_t sum = 0, above = 0;

    for (size_t y = 0; y < rows; y++) {
        const uint8_t *row =
            finder->bytes + ((size_t)box.y0 + y) * (size_t)finder->width + (size_t)box.x0;
        unsigned row_sum = 0, row_above = 0; /* a side of the map has at most 4096 pixels */
        for (size_t x = 0; x < columns; x++) {
            row_sum += row[x];
            row_above += row[x] > byte;
        }
        sum += row_sum;
        above += row_above;
    }
    evidence[ADL_EVIDENCE_CLASS] = clip(log(p) - log1p(-p), -ADL_EVIDENCE_ODDS, ADL_EVIDENCE_ODDS);
    evidence[ADL_EVIDENCE_SIZE] = sqrt(area / (width * height));
    evidence[ADL_EVIDENCE_OFFSET] = fabs((box.x0 + box.x1 + 1) / (2 * width) - 0.5) +
                                    fabs((box.y0 + box.y1 + 1) / (2 * height) - 0.5);
    evidence[ADL_EVIDENCE_SCORE] = (double)sum / (255 * area);
    evidence[ADL_EVIDENCE_FILL] = (double)above / area;
}

double adl_confidence_of(const struct adl_confidence *confidence,
                         const double evidence[ADL_EVIDENCES], double share)
{
    double odds = confidence->bias + 2 * log(clip(share, 1e-6, 1));

    for (int i = 0; i < ADL_EVIDENCES; i++)
        odds += confidence->weights[i] * clip(evidence[i], confidence->low[i], confidence->high[i]);
    return sigmoid(odds);
}
