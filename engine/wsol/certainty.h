#ifndef ADL_WSOL_CERTAINTY_H
#define ADL_WSOL_CERTAINTY_H

/* How sure a model is: the temperature of its class scores, how strongly a class is seen in an
 * image, and the chance that a box is right. A model file carries the values, which are fitted to
 * images with known classes and boxes (eval/certainty_fit.h, eval/confidence_fit.h); this file
 * applies them. */

#include <stdbool.h>
#include <stddef.h>

#include "wsol/boxes.h"

/* What a box is judged by. */
enum adl_evidence {
    ADL_EVIDENCE_CLASS,  /* log odds of the class's probability, within +-ADL_EVIDENCE_ODDS */
    ADL_EVIDENCE_SIZE,   /* root of the fraction of the map that the box covers, 0..1 */
    ADL_EVIDENCE_OFFSET, /* |x| + |y| of its centre from the map's, in sides of the map, 0..1 */
    ADL_EVIDENCE_SCORE,  /* mean of the map inside the box, 0..1 */
    ADL_EVIDENCE_FILL,   /* fraction of the box that is above the threshold, 0..1 */
    ADL_EVIDENCES
};
extern const char *const adl_evidence_names[]; /* "class", "size", ..., NULL */

/* Probabilities within 0.7 % of 0 and 1 are not told apart. */
#define ADL_EVIDENCE_ODDS 5.0

/* The odds that a box is right: log odds = bias + sum over i of weights[i] * e[i], where e is the
 * evidence clipped to low..high, the range that the weights were fitted in. Finite values,
 * low <= high. */
struct adl_confidence {
    double bias;
    double weights[ADL_EVIDENCES], low[ADL_EVIDENCES], high[ADL_EVIDENCES];
};

/* See adl_presence(). */
struct adl_presence {
    double slope, offset; /* finite; slope >= 0 */
};

struct adl_certainty {
    double temperature;                /* logits are divided by it, > 0; 1: as trained */
    bool has_presence, has_confidence; /* the following are known */
    struct adl_presence presence;
    struct adl_confidence confidence;
};

/* Of a model that was not calibrated. */
#define ADL_CERTAINTY_NONE                                                                         \
    {                                                                                              \
        .temperature = 1                                                                           \
    }

/* From which probability on a class counts as present, unless a model says otherwise. */
#define ADL_LABEL_THRESHOLD 0.5

/* Which classes an image may have. */
struct adl_label_rule {
    bool several;     /* any number of them; false: one */
    double threshold; /* with several: from this probability on a class is present, 0..1 */
};

/* Computes the probabilities of the classes: the softmax as below, or with labels->several the
 * sigmoid of each logit / temperature. `labels` may be NULL: one; the two arrays may be one. */
void adl_class_probabilities(const struct adl_label_rule *labels, double temperature,
                             const float *logits, size_t count, float *probabilities);

/* Returns how many of the classes are present: of a probability of at least the threshold. */
size_t adl_labels_present(const struct adl_label_rule *labels, const float *probabilities,
                          size_t count);

/* Computes probabilities = softmax(logits / temperature); the two arrays may be one. With a
 * temperature of 1 it gives the bits of adl_softmax(). */
void adl_softmax_at(double temperature, const float *logits, size_t count, float *probabilities);

/* Returns how strongly a class of probability p is seen, 0..1: sigmoid(slope * log p + offset), the
 * chance that the class is in the image if that was as likely as not before looking. 0 for p = 0.
 */
double adl_presence(const struct adl_presence *presence, double p);

/* Computes the evidence for an inclusive box of a map, which is loaded in `finder` and is cut at
 * `byte` (adl_box_finder_byte()); `p` is the probability of the map's class. */
void adl_evidence_of_box(const struct adl_box_finder *finder, int byte, struct adl_box box,
                         double p, double evidence[ADL_EVIDENCES]);

/* Returns the chance, 0..1, that the IoU of a box with a true box of the class is at least 0.5 if
 * the class is in the image. `share` is the box's area divided by that of the largest box of the
 * same map, 1 for that box itself: the odds are multiplied by its square, because fragments beside
 * the largest region are seldom an object. */
double adl_confidence_of(const struct adl_confidence *confidence,
                         const double evidence[ADL_EVIDENCES], double share);

#endif
