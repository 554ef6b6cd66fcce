/* Fits the confidence of boxes by regularised logistic regression.
 *
 * With e the standardised evidence of a box, y its target and p = sigmoid(bias + w e), the fit
 * minimises
 *
 *     sum over boxes of [-y log p - (1 - y) log(1 - p)] + lambda / 2 * |w|^2
 *
 * by Newton's method; the problem is convex, has at most six unknowns and is solved exactly.
 *
 * The target is a ramp of the IoU, clip((IoU - 0.5) / 0.2 + 0.5, 0, 1), and not 0 or 1: whether a
 * box has an IoU of 0.49 or of 0.51 is chance, and with a few dozen wrong boxes that chance would
 * be a good part of the fit. On the model that ships (140 boxes, 28 wrong), the ramp lowers the
 * cross-validated log loss by 0.005, and that on other images by 0.011.
 *
 * Lambda is 1, a weak penalty that keeps the solution finite. Choosing it by cross-validation does
 * harm: the losses of so few boxes differ by less than their noise, and a strong penalty draws all
 * confidences towards their mean, so that sure boxes are called unsure, which the log loss hardly
 * sees. Over six models (calibrated with and without a head), the sum of the leave-one-out log
 * losses on `val` is 2.630 for 0.3, 2.629 for 1, 2.635 for 3 and 2.662 for 10.
 *
 * If cross-validation (with 0 and 1 as truth) finds that the same confidence for every box predicts
 * as well, all get that. A choice among sets of evidence brought nothing: without the box's score
 * and filling, the cross-validated log loss of the model that shipped first is the same to 0.001.
 */

#include "eval/confidence_fit.h"

#include <math.h>

#include "base/size.h"

#define RAMP 0.2
#define NEWTON_STEPS 100

#define LAMBDA 1.0

struct fitting {
    const struct adl_judged_box *boxes;
    size_t count;
    int folds;
    int kinds;   /* of evidence that are used: 0, or all */
    int without; /* the fold that is left out; -1: none */
};

static bool counts(const struct fitting *f, size_t box)
{
    return (int)(box % (size_t)f->folds) != f->without;
}

static bool is_right(const struct adl_judged_box *box)
{
    return box->iou >= 0.5;
}

static double target_of(const struct adl_judged_box *box)
{
    return fmin(fmax((box->iou - 0.5) / RAMP + 0.5, 0), 1);
}

/* --- the regression ---------------------------------------------------------------- */

/* Mean and inverse deviation of each kind of evidence; inverse 0: it is constant. */
struct standard {
    double mean[ADL_EVIDENCES], scale[ADL_EVIDENCES];
};

static struct standard standardise(const struct fitting *f, struct adl_confidence *c)
{
    struct standard s = {{0}, {0}};

    for (int k = 0; k < f->kinds; k++) {
        double number = 0, squares = 0;
        c->low[k] = INFINITY;
        c->high[k] = -INFINITY;
        for (size_t i = 0; i < f->count; i++) {
            double value = f->boxes[i].evidence[k];
            if (!counts(f, i))
                continue;
            number++;
            s.mean[k] += value;
            c->low[k] = fmin(c->low[k], value);
            c->high[k] = fmax(c->high[k], value);
        }
        s.mean[k] /= number;
        for (size_t i = 0; i < f->count; i++)
            if (counts(f, i))
                squares += pow(f->boxes[i].evidence[k] - s.mean[k], 2);
        s.scale[k] = c->high[k] > c->low[k] ? 1 / sqrt(squares / number) : 0;
    }
    return s;
}

#define UNKNOWNS (ADL_EVIDENCES + 1)

/* Solves a x = b for a positive definite matrix by Cholesky's method; x overwrites b. */
static void solve(double a[UNKNOWNS][UNKNOWNS], double b[UNKNOWNS], int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++)
                sum -= a[i][k] * a[j][k];
            a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
        }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
}

/* Adds one box to gradient and curvature; w has the bias at the end. */
static void add_box(const struct fitting *f, const struct standard *s, size_t box, const double *w,
                    double g[UNKNOWNS], double h[UNKNOWNS][UNKNOWNS])
{
    double x[UNKNOWNS], odds = 0;
    int n = f->kinds + 1;

    for (int k = 0; k < f->kinds; k++)
        x[k] = (f->boxes[box].evidence[k] - s->mean[k]) * s->scale[k];
    x[f->kinds] = 1;
    for (int k = 0; k < n; k++)
        odds += w[k] * x[k];
    double p = 1 / (1 + exp(-odds));
    for (int i = 0; i < n; i++) {
        g[i] += (p - target_of(&f->boxes[box])) * x[i];
        for (int j = 0; j <= i; j++)
            h[i][j] += p * (1 - p) * x[i] * x[j];
    }
}

static struct adl_confidence regress(const struct fitting *f)
{
    struct adl_confidence c = {0};
    const struct standard s = standardise(f, &c);
    double w[UNKNOWNS] = {0}, change = 1;
    int n = f->kinds + 1;

    for (int step = 0; step < NEWTON_STEPS && change > 1e-10; step++) {
        double g[UNKNOWNS], h[UNKNOWNS][UNKNOWNS] = {{0}};
        for (int k = 0; k < n; k++) {
            /* The bias has a penalty of its own, which only matters if all boxes are right, or
             * all wrong. */
            double penalty = k < f->kinds ? LAMBDA : 0.01;
            g[k] = penalty * w[k];
            h[k][k] = penalty;
        }
        for (size_t i = 0; i < f->count; i++)
            if (counts(f, i))
                add_box(f, &s, i, w, g, h);
        solve(h, g, n);
        change = 0;
        for (int k = 0; k < n; k++)
            change = fmax(change, fabs(g[k]));
        /* Where the curve is flat, a full step would overshoot. */
        for (int k = 0; k < n; k++)
            w[k] -= g[k] * fmin(1, 2 / change);
    }
    c.bias = w[f->kinds];
    for (int k = 0; k < f->kinds; k++) {
        c.weights[k] = w[k] * s.scale[k];
        c.bias -= c.weights[k] * s.mean[k];
    }
    return c;
}

/* --- the choice -------------------------------------------------------------------- */

/* Returns the mean log loss of boxes that are judged without their fold, and adds them to
 * `held_out` unless that is NULL. */
static double cross_validate(const struct fitting *candidate, struct adl_reliability *held_out)
{
    struct fitting f = *candidate;
    double sum = 0;

    for (f.without = 0; f.without < f.folds; f.without++) {
        const struct adl_confidence c = regress(&f);
        for (size_t i = 0; i < f.count; i++) {
            if (counts(&f, i))
                continue;
            double p = adl_confidence_of(&c, f.boxes[i].evidence, 1);
            bool right = is_right(&f.boxes[i]);
            sum -= log(right ? p : 1 - p);
            if (held_out)
                adl_reliability_add(held_out, p, right);
        }
    }
    return sum / (double)f.count;
}

int adl_confidence_fit(const struct adl_judged_box *boxes, size_t count, int folds,
                       struct adl_confidence_fit *fit, struct adl_error *err)
{
    struct fitting best;

    if (count < ADL_CONFIDENCE_BOXES)
        return adl_fail(err, ADL_ERR_ARG, "%zu boxes are too few for a confidence; it takes %d",
                        count, ADL_CONFIDENCE_BOXES);
    *fit = (struct adl_confidence_fit){.boxes = count};
    for (size_t i = 0; i < count; i++)
        fit->right += is_right(&boxes[i]);
    const struct fitting all = {boxes, count, folds, ADL_EVIDENCES, -1};
    best = (struct fitting){boxes, count, folds, 0, -1};
    fit->loss = fit->loss_alone = cross_validate(&best, NULL);
    double loss = cross_validate(&all, NULL);
    if (loss < fit->loss) {
        fit->loss = loss;
        best = all;
    }
    cross_validate(&best, &fit->held_out);
    fit->confidence = regress(&best);
    return 0;
}
