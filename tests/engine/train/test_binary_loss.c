/* train/binary_loss: equality with PyTorch's binary cross-entropy, the gradient by finite
 * differences, and logits whose exponential overflows; and the methods that know one label. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "methods/methods.h"
#include "support/formula.h"
#include "train/loss.h"

static const float logits[] = {0.5f, -1.25f, 2, 0, -3, 4.5f, 4.25f, 1, 0, 60, -60, 0.125f};
static const float present[] = {1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1};
static const float weights[] = {0.5f, 2, 1.25f, 3};
static const size_t partners[] = {1, 2, 0};

/* In float64, with y = present, t = (1 - s) y + s y[partners] and then t (1 - e) + e / 2:
 * torch.nn.functional.binary_cross_entropy_with_logits(logits, t, pos_weight=weights or None) and
 * logits.grad after its backward. */
static const struct {
    double smoothing, share;
    const float *weights;
    double loss, grad[12];
} pytorch[] = {
    {0,
     0,
     NULL,
     1.0840739761564646,
     {-0.0314617223998, 0.0185583449021, -0.00993357683518, 0.0416666666667, 0.00395215609813,
      0.0824177547808, 0.0821613644131, 0.0609215482192, 0.0416666666667, 0, 7.29709230225e-28,
      -0.0390658855522}},
    {0.1,
     0,
     NULL,
     1.5720948094897977,
     {-0.0272950557332, 0.0143916782354, -0.00576691016851, 0.0375, -0.000214510568536,
      0.0782510881141, 0.0779946977464, 0.0567548815525, 0.0375, 0.00416666666667,
      -0.00416666666667, -0.0348992188855}},
    {0,
     0,
     weights,
     1.1723982745985504,
     {-0.0157308611999, 0.0185583449021, -0.012416971044, 0.0416666666667, 0.00395215609813,
      0.0824177547808, 0.0821613644131, 0.0609215482192, 0.0416666666667, 0, 7.29709230225e-28,
      -0.117197656657}},
    {0.2,
     0.3,
     NULL,
     4.4026156428231324,
     {-0.00312838906651, 0.0102250115688, 0.0183997564982, 0.0333333333333, -0.0043811772352,
      0.0540844214475, 0.0738280310797, 0.0325882148858, 0.0133333333333, 0.0283333333333,
      -0.0283333333333, -0.0107325522189}},
    {0.1,
     0.3,
     weights,
     4.6809255608486824,
     {0.00590192988277, 0.0111529288139, 0.0150443817695, 0.0333333333333, 0.00177001886234,
      0.0554581029773, 0.0779800481349, 0.0199113390794, 0.0216666666667, 0.0266666666667,
      -0.0333333333333, -0.0655288232365}},
};

static void equals_pytorch(void)
{
    for (size_t i = 0; i < ADL_COUNT(pytorch); i++) {
        float grad[12];
        size_t right;
        const struct adl_targets targets = {.present = present,
                                            .smoothing = pytorch[i].smoothing,
                                            .partners = partners,
                                            .share = pytorch[i].share,
                                            .weights = pytorch[i].weights};
        double loss = adl_binary_cross_entropy(logits, &targets, 3, 4, grad, &right);
        CU_ASSERT_DOUBLE_EQUAL(loss, pytorch[i].loss, 1e-13);
        test_close("gradient", grad, pytorch[i].grad, 12, 1e-7);
        /* Wrong are the 0 of the first row, three of the second, and the 0 of the third. */
        CU_ASSERT_EQUAL(right, 7);
        CU_ASSERT_EQUAL(adl_binary_cross_entropy(logits, &targets, 3, 4, NULL, NULL), loss);
    }
}

static void gradient_equals_differences(void)
{
    enum { N = 5, CLASSES = 7 };
    float z[N * CLASSES], y[N * CLASSES], w[CLASSES], grad[N * CLASSES];
    double want[N * CLASSES];
    static const size_t others[N] = {4, 0, 2, 1, 3};

    formula_param("binary_loss.logits", 0, 4, N * CLASSES, z);
    for (size_t i = 0; i < N * CLASSES; i++)
        y[i] = i * 5 % 7 < 3;
    for (size_t k = 0; k < CLASSES; k++)
        w[k] = 0.5f + (float)k;
    for (double share = 0; share < 0.5; share += 0.4) {
        const struct adl_targets targets = {.present = y,
                                            .smoothing = 0.2 * share,
                                            .partners = others,
                                            .share = share,
                                            .weights = w};
        (void)adl_binary_cross_entropy(z, &targets, N, CLASSES, grad, NULL);
        for (size_t i = 0; i < N * CLASSES; i++) {
            float kept = z[i], h = 1.0f / 1024;
            z[i] = kept + h;
            double up = adl_binary_cross_entropy(z, &targets, N, CLASSES, NULL, NULL);
            double step = (double)z[i];
            z[i] = kept - h;
            want[i] = (up - adl_binary_cross_entropy(z, &targets, N, CLASSES, NULL, NULL)) /
                      (step - (double)z[i]);
            z[i] = kept;
        }
        test_close("gradient", grad, want, N * CLASSES, 2e-7);
    }
}

static void extreme_logits_stay_finite(void)
{
    static const float z[] = {1e4f, -1e4f, -3e38f, 3e38f}, y[] = {1, 0, 1, 0};
    float grad[4];
    const struct adl_targets targets = {.present = y};
    /* (0 + 0 + 3e38 + 3e38) / 4, with 3e38 as a float32. */
    double loss = adl_binary_cross_entropy(z, &targets, 2, 2, grad, NULL);
    CU_ASSERT_DOUBLE_EQUAL(loss, (double)3e38f / 2, 1e25);
    CU_ASSERT(grad[0] == 0 && grad[1] == 0 && grad[2] == -0.25f && grad[3] == 0.25f);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            float bad[2] = {0, i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY};
            const float all[2] = {(float)k, (float)k};
            const struct adl_targets one = {.present = all};
            CU_ASSERT(!isfinite(adl_binary_cross_entropy(bad, &one, 1, 2, NULL, NULL)));
        }
}

/* Methods that go by one label are refused, whichever they are combined with. */
static void methods_of_one_label_are_refused(void)
{
    static const char *const taken[] = {"cam",        "adl",
                                        "has,cutmix", "mixup,cutout,dropblock",
                                        "maxdrop",    "spatial_dropout",
                                        "dropout"},
                             *const refused[] = {"acol", "spg", "bas", "ae", "has,ae"};
    struct adl_method_set set;
    for (size_t i = 0; i < ADL_COUNT(taken); i++) {
        struct adl_error err = {0};
        TEST_OK(adl_method_set_parse(taken[i], &set, &err), &err);
        TEST_OK(adl_method_set_check_labels(set, &err), &err);
    }
    for (size_t i = 0; i < ADL_COUNT(refused); i++) {
        struct adl_error err = {0};
        TEST_OK(adl_method_set_parse(refused[i], &set, &err), &err);
        CU_ASSERT(adl_method_set_check_labels(set, &err) < 0);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
        CU_ASSERT(strstr(err.message, "one class of an image") != NULL);
    }
}

TEST_SUITE(binary_loss, {"equals PyTorch's binary cross-entropy", equals_pytorch},
           {"gradient equals differences", gradient_equals_differences},
           {"extreme logits stay finite", extreme_logits_stay_finite},
           {"methods of one label are refused", methods_of_one_label_are_refused});
