/* train/loss: equality with PyTorch's cross-entropy, the gradient by finite differences,
 * and logits whose exponential overflows. */

#include "support/test.h"

#include <float.h>
#include <math.h>

#include "base/size.h"
#include "support/formula.h"
#include "train/loss.h"

static const float logits[] = {0.5f, -1.25f, 2, 0, -3, 4.5f, 4.25f, 1, 0, 0, 0, 0};
static const int labels[] = {2, 0, 3};

/* torch.nn.functional.cross_entropy(logits, labels, label_smoothing=e) in
 * float64, and logits.grad after its backward. */
static const struct {
    double smoothing, loss, grad[12];
} pytorch[] = {
    {0,
     3.2712906201875387,
     {0.053231183344, 0.00925019264423, -0.0947677207392, 0.0322863447509, -0.333231450915,
      0.184207732815, 0.143461126564, 0.00556259153716, 0.0833333333333, 0.0833333333333,
      0.0833333333333, -0.25}},
    {0.1,
     3.1712906201875386,
     {0.0448978500107, 0.000916859310893, -0.0697677207392, 0.0239530114176, -0.308231450915,
      0.175874399481, 0.13512779323, -0.00277074179618, 0.075, 0.075, 0.075, -0.225}},
    {0.9,
     2.3712906201875388,
     {-0.021768816656, -0.0657498073558, 0.130232279261, -0.0427136552491, -0.108231450915,
      0.109207732815, 0.0684611265638, -0.0694374084628, 0.00833333333333, 0.00833333333333,
      0.00833333333333, -0.025}},
};

static double cross_entropy(const float *z, const int *y, size_t n, size_t classes,
                            double smoothing, float *grad, size_t *right)
{
    const struct adl_targets targets = {.labels = y, .smoothing = smoothing};
    return adl_cross_entropy(z, &targets, n, classes, grad, right);
}

static void equals_pytorch(void)
{
    for (size_t i = 0; i < ADL_COUNT(pytorch); i++) {
        float grad[12];
        size_t right;
        double loss = cross_entropy(logits, labels, 3, 4, pytorch[i].smoothing, grad, &right);
        CU_ASSERT_DOUBLE_EQUAL(loss, pytorch[i].loss, 1e-13);
        test_close("gradient", grad, pytorch[i].grad, 12, 1e-7);
        CU_ASSERT_EQUAL(right, 1);
        CU_ASSERT_EQUAL(cross_entropy(logits, labels, 3, 4, pytorch[i].smoothing, NULL, NULL),
                        loss);
    }
}

/* The same with weight=[0.5, 2, 1.25, 3]; the last row is (1 - s) times the loss of the labels plus
 * s times that of their partners', with s = 0.3 and smoothing 0.1. */
static const float weights[] = {0.5f, 2, 1.25f, 3};
static const struct {
    double smoothing, share, loss, grad[12];
} weighted[] = {
    {0,
     0,
     1.8154833247439539,
     {0.0420246184295, 0.00730278366649, -0.0748166216362, 0.0254892195402, -0.1052309845,
      0.0581708629941, 0.0453035136517, 0.00175660785384, 0.157894736842, 0.157894736842,
      0.157894736842, -0.473684210526}},
    {0.1,
     0,
     1.8625199136316515,
     {0.0408639011272, -0.00296793469465, -0.0484878349724, 0.0105918685399, -0.0973286064762,
      0.0614601271657, 0.0494841507756, -0.0136156714651, 0.148355263158, 0.140460526316,
      0.144407894737, -0.433223684211}},
    {0.9,
     0,
     2.2388126247332316,
     {0.0315781627085, -0.0851336815838, 0.162142458338, -0.108586939463, -0.0341095822886,
      0.0877742405386, 0.0829292477665, -0.136593906016, 0.0720394736842, 0.000986842105263,
      0.0365131578947, -0.109539473684}},
    {0.1,
     0.3,
     2.2209553228811201,
     {0.00563486031001, -0.00415098564862, -0.00794648963578, 0.0064626149744, -0.0688641197612,
      0.139990792208, 0.110643894205, -0.181770566652, 0.123486842105, 0.115592105263,
      0.0484868421053, -0.287565789474}},
};

static void weights_classes_as_pytorch(void)
{
    for (size_t i = 0; i < ADL_COUNT(weighted); i++) {
        float grad[12];
        const struct adl_targets targets = {.labels = labels,
                                            .smoothing = weighted[i].smoothing,
                                            .partners = (const size_t[]){1, 2, 0},
                                            .share = weighted[i].share,
                                            .weights = weights};
        double loss = adl_cross_entropy(logits, &targets, 3, 4, grad, NULL);
        CU_ASSERT_DOUBLE_EQUAL(loss, weighted[i].loss, 1e-13);
        test_close("gradient", grad, weighted[i].grad, 12, 1e-7);
    }
}

static void gradient_equals_differences(void)
{
    enum { N = 5, CLASSES = 7 };
    float z[N * CLASSES], grad[N * CLASSES];
    int y[N];
    for (int i = 0; i < N; i++)
        y[i] = i * 3 % CLASSES;
    formula_param("loss.logits", 0, 4, N * CLASSES, z);
    for (double smoothing = 0; smoothing < 0.5; smoothing += 0.2) {
        double want[N * CLASSES];
        cross_entropy(z, y, N, CLASSES, smoothing, grad, NULL);
        for (size_t i = 0; i < N * CLASSES; i++) {
            float kept = z[i], h = 1.0f / 1024;
            z[i] = kept + h;
            double up = cross_entropy(z, y, N, CLASSES, smoothing, NULL, NULL);
            double step = (double)z[i];
            z[i] = kept - h;
            want[i] = (up - cross_entropy(z, y, N, CLASSES, smoothing, NULL, NULL)) /
                      (step - (double)z[i]);
            z[i] = kept;
        }
        test_close("gradient", grad, want, N * CLASSES, 2e-7);
    }
}

/* The loss of two labels is the mean of the losses with each alone, weighted by their shares, and
 * so is its gradient. */
static void shares_the_loss_between_partners(void)
{
    static const size_t partners[] = {2, 1, 0};
    const double share = 0.3, smoothing = 0.1;
    int others[3];
    float grad[12], own[12], other[12];
    double want[12];
    size_t right;
    const struct adl_targets targets = {
        .labels = labels, .smoothing = smoothing, .partners = partners, .share = share};

    for (int i = 0; i < 3; i++)
        others[i] = labels[partners[i]];
    CU_ASSERT_NOT_EQUAL(others[0], labels[0]);
    double loss = adl_cross_entropy(logits, &targets, 3, 4, grad, &right);
    double both = (1 - share) * cross_entropy(logits, labels, 3, 4, smoothing, own, NULL) +
                  share * cross_entropy(logits, others, 3, 4, smoothing, other, NULL);
    CU_ASSERT_DOUBLE_EQUAL(loss, both, 1e-13);
    for (int i = 0; i < 12; i++)
        want[i] = (1 - share) * (double)own[i] + share * (double)other[i];
    test_close("gradient", grad, want, 12, 1e-7);
    CU_ASSERT_EQUAL(right, 1);
}

static void extreme_logits_stay_finite(void)
{
    static const float z[] = {1e4f, -1e4f, 0, -3e38f, 3e38f, 1e38f};
    /* PyTorch's value in float64. */
    static const struct {
        int labels[2];
        double smoothing, loss;
    } rows[] = {{{0, 1}, 0, 0},
                {{0, 1}, 0.1, 1.333333341410783e+37},
                {{1, 0}, 0, 3.0000000054977558e+38},
                {{1, 0}, 0.1, 2.8333333390890587e+38}};
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        float grad[6];
        double loss = cross_entropy(z, rows[i].labels, 2, 3, rows[i].smoothing, grad, NULL);
        CU_ASSERT_DOUBLE_EQUAL(loss, rows[i].loss, 1e-12 * rows[i].loss);
        for (int k = 0; k < 6; k++)
            CU_ASSERT(isfinite(grad[k]) && fabsf(grad[k]) <= 0.5f);
    }
    /* A logit that is not finite must give a loss that is not finite. */
    for (int i = 0; i < 3; i++) {
        float bad[2] = {0, i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY};
        double loss = cross_entropy(bad, (int[]){1}, 1, 2, 0, NULL, NULL);
        CU_ASSERT(!isfinite(loss));
    }
}

static void counts_correct_predictions(void)
{
    static const float z[] = {1, 1, 0, /* a tie: the first counts */
                              0, 2, 2, -1, -2, -3, 5, 6, 7};
    size_t right;
    cross_entropy(z, (int[]){0, 1, 0, 2}, 4, 3, 0, NULL, &right);
    CU_ASSERT_EQUAL(right, 4);
    cross_entropy(z, (int[]){1, 2, 1, 0}, 4, 3, 0, NULL, &right);
    CU_ASSERT_EQUAL(right, 0);
    /* With one class the probability is 1: no loss, no gradient. */
    float grad = 1;
    CU_ASSERT_EQUAL(cross_entropy((float[]){3}, (int[]){0}, 1, 1, 0, &grad, &right), 0);
    CU_ASSERT_EQUAL(grad, 0);
    CU_ASSERT_EQUAL(right, 1);
}

/* As torch.argmax and cross_entropy have it. */
static void nan_is_the_largest(void)
{
    float grad[3];
    for (int at = 0; at < 3; at++)
        for (int label = 0; label < 3; label++) {
            float z[3] = {1, 5, 3};
            size_t right = 9;
            z[at] = NAN;
            CU_ASSERT(isnan(cross_entropy(z, &label, 1, 3, 0, grad, &right)));
            CU_ASSERT(isnan(grad[0]) && isnan(grad[1]) && isnan(grad[2]));
            CU_ASSERT_EQUAL(right, at == label);
        }
}

TEST_SUITE(loss, {"weights classes as PyTorch", weights_classes_as_pytorch},
           {"equals PyTorch's cross-entropy", equals_pytorch},
           {"gradient equals differences", gradient_equals_differences},
           {"shares the loss between partners", shares_the_loss_between_partners},
           {"extreme logits stay finite", extreme_logits_stay_finite},
           {"counts correct predictions", counts_correct_predictions},
           {"NaN is the largest logit", nan_is_the_largest});
