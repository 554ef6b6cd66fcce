/* Computes what the features are weighted by in the map of a class, where the classifier has
 * several layers (classes.c): row k of J = J_n ... J_1, the derivatives of the layers at the pooled
 * vector, from the end: row k of J_n, times J_n-1, and so on to the features. */

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "plan/ir.h"
#include "plan/session.h"

/* out = row W, the sum of the rows of W, K x C, in their order, four at a time. */
static void classes_times(const float *row, size_t k, const float *w, size_t c, float *restrict out)
{
    size_t i = 0;

    memset(out, 0, c * sizeof *out);
    for (; i + 4 <= k; i += 4, w += 4 * c) {
        const float a0 = row[i], a1 = row[i + 1], a2 = row[i + 2], a3 = row[i + 3];
        for (size_t j = 0; j < c; j++)
            out[j] += (a0 * w[j] + a1 * w[c + j]) + (a2 * w[2 * c + j] + a3 * w[3 * c + j]);
    }
    for (; i < k; i++, w += c)
        for (size_t j = 0; j < c; j++)
            out[j] += row[i] * w[j];
}

/* row = row J of a layer norm at x: J is s (1 - 1/C - y y'/C), with y the normalised vector. */
static void classes_norm(const float *x, size_t channels, double eps, float *row)
{
    double n = (double)channels, mean = 0, square = 0, shift = 0, along = 0;

    for (size_t c = 0; c < channels; c++) {
        mean += (double)x[c] / n;
        shift += (double)row[c] / n;
    }
    for (size_t c = 0; c < channels; c++)
        square += ((double)x[c] - mean) * ((double)x[c] - mean) / n;
    double s = 1 / sqrt(square + eps);
    for (size_t c = 0; c < channels; c++)
        along += (double)row[c] * ((double)x[c] - mean) * s / n;
    for (size_t c = 0; c < channels; c++)
        row[c] = (float)(s * ((double)row[c] - shift - ((double)x[c] - mean) * s * along));
}

void adl_session_class_weights(const struct adl_session *session, int index, size_t class_id,
                               float *weights)
{
    const struct adl_plan *plan = adl_session_plan(session);
    float buffers[2][ADL_LIMIT_CLASS_CHANNELS], *row = buffers[0];
    size_t width = 0; /* of the row; 0: it is that of the class in the unit matrix */

    for (int i = 0; i < plan->class_layer_count; i++) {
        const struct plan_class_layer *layer = &plan->class_layers[i];
        const float *vector =
            layer->vector < 0 ? layer->factors
                              : adl_session_output(session, (enum adl_output)layer->output, index);
        const float *w = layer->weights;
        if (w && width == 0) {
            memcpy(row, w + class_id * layer->channels, layer->channels * sizeof *row);
        } else if (w) {
            float *next = row == buffers[0] ? buffers[1] : buffers[0];
            classes_times(row, width, w, layer->channels, next);
            row = next;
        } else {
            if (width == 0) {
                memset(row, 0, layer->channels * sizeof *row);
                row[class_id] = 1;
            }
            if (layer->norm)
                classes_norm(vector, layer->channels, layer->norm->eps, row);
            for (size_t c = 0; !layer->norm && c < layer->channels; c++)
                row[c] *= vector[c];
        }
        width = layer->channels;
    }
    memcpy(weights, row, width * sizeof *weights);
}
