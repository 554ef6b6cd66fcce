/* Chooses how images are weighed; see range_choice.h.
 *
 * Two things are to be kept: the maps that boxes are cut from, and the class. So the error of an
 * image is that of its last map, the sum of the squared differences relative to that of the
 * squares, at most 1, and in addition the Kullback-Leibler divergence of its class probabilities.
 * The mean over the images decides. Everything that can run in 8 bits does, whatever a plan would
 * choose on this processor, so that the ranges do not depend on where they are chosen. */

#include "eval/range_choice.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "plan/session.h"

/* The most images that are tried, and the memory for their outputs. */
#define MOST_IMAGES 64
#define MOST_FLOATS ((size_t)16 << 20)

struct adl_range_choice {
    size_t images;   /* all */
    size_t kept;     /* of these are tried, spread evenly, from the first on */
    size_t features; /* floats of one image */
    size_t classes;
    float *outputs; /* of each that is kept: features, logits */
    bool *known;    /* whether it was noted */
};

struct adl_range_choice *adl_range_choice_create(const struct adl_range_fit *fit, size_t images,
                                                 struct adl_error *err)
{
    struct adl_range_choice *choice = adl_calloc(1, sizeof *choice);

    if (!choice)
        goto failed;
    choice->images = images;
    choice->features = adl_shape_count(adl_range_fit_shape(fit, ADL_OUTPUT_FEATURES));
    choice->classes = adl_shape_count(adl_range_fit_shape(fit, ADL_OUTPUT_LOGITS));
    size_t most = MOST_FLOATS / (choice->features + choice->classes);
    choice->kept = ADL_MIN(ADL_MIN(images, (size_t)MOST_IMAGES), ADL_MAX(most, (size_t)1));
    choice->outputs =
        adl_malloc(choice->kept * (choice->features + choice->classes), sizeof *choice->outputs);
    choice->known = adl_calloc(choice->kept, sizeof *choice->known);
    if (choice->outputs && choice->known)
        return choice;
failed:
    adl_fail_nomem(err, "the choice of ranges");
    adl_range_choice_free(choice);
    return NULL;
}

void adl_range_choice_free(struct adl_range_choice *choice)
{
    if (!choice)
        return;
    adl_free(choice->outputs);
    adl_free(choice->known);
    adl_free(choice);
}

/* Returns the index of the image that is kept as number `number`. */
static size_t choice_image(const struct adl_range_choice *choice, size_t number)
{
    return number * choice->images / choice->kept;
}

static float *choice_features(const struct adl_range_choice *choice, size_t number)
{
    return choice->outputs + number * (choice->features + choice->classes);
}

static float *choice_logits(const struct adl_range_choice *choice, size_t number)
{
    return choice_features(choice, number) + choice->features;
}

void adl_range_choice_note(struct adl_range_choice *choice, const struct adl_range_fit *fit,
                           size_t index)
{
    /* The first one whose image is not before this. */
    size_t number = adl_ceil_div(index * choice->kept, choice->images);

    if (number >= choice->kept || choice_image(choice, number) != index)
        return;
    memcpy(choice_features(choice, number), adl_range_fit_output(fit, ADL_OUTPUT_FEATURES),
           choice->features * sizeof(float));
    memcpy(choice_logits(choice, number), adl_range_fit_output(fit, ADL_OUTPUT_LOGITS),
           choice->classes * sizeof(float));
    choice->known[number] = true;
}

/* --- the error ------------------------------------------------------------------------- */

static double choice_map_error(const float *before, const float *after, size_t count)
{
    double squares = 0, error = 0;

    for (size_t i = 0; i < count; i++) {
        double x = (double)before[i], d = (double)after[i] - x;
        squares += x * x;
        error += d * d;
    }
    if (squares > 0)
        return fmin(error / squares, 1);
    return error > 0 ? 1 : 0;
}

/* Returns the logarithm of the sum of the exponentials. */
static double choice_log_sum(const float *logits, size_t count)
{
    double most = -INFINITY, sum = 0;

    for (size_t i = 0; i < count; i++)
        most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum);
}

static double choice_class_error(const float *before, const float *after, size_t count)
{
    double a = choice_log_sum(before, count), b = choice_log_sum(after, count), error = 0;

    for (size_t i = 0; i < count; i++) {
        double log_p = (double)before[i] - a, log_q = (double)after[i] - b;
        error += exp(log_p) * (log_p - log_q);
    }
    return error;
}

/* Returns the mean error of the session's network. */
static double choice_error(const struct adl_range_choice *choice, struct adl_session *session,
                           adl_range_choice_load *load, void *context)
{
    double sum = 0, count = 0;

    for (size_t i = 0; i < choice->kept; i++) {
        if (!choice->known[i] ||
            !load(context, choice_image(choice, i), adl_session_input(session, 0)))
            continue;
        adl_session_run(session, 1);
        sum +=
            choice_map_error(choice_features(choice, i),
                             adl_session_output(session, ADL_OUTPUT_FEATURES, 0),
                             choice->features) +
            choice_class_error(choice_logits(choice, i),
                               adl_session_output(session, ADL_OUTPUT_LOGITS, 0), choice->classes);
        count++;
    }
    return count > 0 ? sum / count : 0;
}

int adl_range_choice_run(const struct adl_range_choice *choice, const struct adl_range_fit *fit,
                         const float *const *params, adl_range_choice_load *load, void *context,
                         struct adl_quantisation *quantisation, struct adl_error *err)
{
    double least = INFINITY;
    enum adl_range_weight best = ADL_RANGE_ALIKE;

    for (int w = 0; w < ADL_RANGE_WEIGHTS; w++) {
        adl_range_fit_ranges(fit, (enum adl_range_weight)w, quantisation);
        struct adl_session *session = adl_range_fit_session(fit, params, quantisation, err);
        if (!session)
            return -1;
        double error = choice_error(choice, session, load, context);
        adl_session_free(session);
        if (error < least) {
            least = error;
            best = (enum adl_range_weight)w;
        }
    }
    adl_range_fit_ranges(fit, best, quantisation);
    return 0;
}
