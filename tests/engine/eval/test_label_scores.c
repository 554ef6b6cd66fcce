/* eval/label_scores: the average precision of classes that images have or lack. */

#include "eval/label_scores.h"

#include <math.h>

#include "base/size.h"
#include "support/test.h"

/* With order = argsort(-s, stable), the ends of runs of equal scores at
 * i = append(nonzero(diff(s[order])), n - 1), tp = cumsum(y[order])[i], and
 * sum(diff([0, tp / tp[-1]]) * tp / (i + 1)), which is average_precision_score(y, s), in numpy. */
static void equals_numpy(void)
{
    static const struct {
        size_t count;
        bool present[8];
        float scores[8];
        double precision;
    } cases[] = {
        {6, {1, 0, 1, 0, 0, 1}, {3, 2, 1, 0.5f, -1, -2}, 0.72222222222222232},
        {8, {0, 1, 1, 0, 1, 0, 0, 1}, {2, 2, 2, 1, 1, 0, -1, -1}, 0.60833333333333328},
        {3, {0, 0, 1}, {1, 2, -5}, 0.33333333333333331},
        {3, {1, 1, 0}, {1, 1, 1}, 0.66666666666666663},
        {5, {0, 1, 0, 1, 1}, {0.1f, 0.4f, 0.35f, 0.8f, 0.8f}, 1},
        /* An unreadable image ranks last, with the others like it. */
        {3, {1, 1, 0}, {1, -INFINITY, -INFINITY}, 0.5 * 1 + 0.5 * 2 / 3},
    };
    size_t order[8];
    for (size_t i = 0; i < ADL_COUNT(cases); i++)
        CU_ASSERT_DOUBLE_EQUAL(
            adl_label_precision(cases[i].scores, 1, cases[i].present, cases[i].count, order),
            cases[i].precision, 1e-15);
}

/* Without an image of the class it is not known; scores may be columns of a matrix. */
static void columns_and_absent_classes(void)
{
    static const float scores[] = {3, 0, 2, 9, 1, 5};
    static const bool none[3] = {0}, last[3] = {0, 0, 1};
    size_t order[3];
    CU_ASSERT(isnan(adl_label_precision(scores, 2, none, 3, order)));
    CU_ASSERT_DOUBLE_EQUAL(adl_label_precision(scores, 2, last, 3, order), 1.0 / 3, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(adl_label_precision(scores + 1, 2, last, 3, order), 1.0 / 2, 1e-15);
}

TEST_SUITE(label_scores, {"equals numpy's average precision", equals_numpy},
           {"columns and absent classes", columns_and_absent_classes});
