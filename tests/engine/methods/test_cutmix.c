/* methods/cutmix: what the mixed images consist of, and how often and how much is mixed. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "support/methods.h"
#include "support/mix_batch.h"

/* Mixes images in which each value tells where it comes from: image, row, column and channel. */
static struct adl_method_batch mix_by(double probability, double beta, uint64_t key)
{
    for (size_t i = 0; i < MIX_COUNT * MIX_IMAGE; i++)
        mix_images[i] = (float)i;
    return mix_batch(&adl_method_cutmix,
                     test_method_values("cutmix-prob", probability, "cutmix-beta", beta, NULL),
                     key);
}

static struct adl_method_batch mix(double probability, uint64_t key)
{
    return mix_by(probability, 1, key);
}

/* Returns the image whose pixel stands at `pixel` of mixed image `i`, at the same place. */
static size_t source(size_t i, size_t pixel)
{
    size_t at = (size_t)mix_mixed[i * MIX_IMAGE + pixel * 3];
    for (size_t c = 0; c < 3; c++)
        CU_ASSERT_EQUAL(mix_mixed[i * MIX_IMAGE + pixel * 3 + c], (float)(at + c));
    CU_ASSERT_EQUAL(at % MIX_IMAGE, pixel * 3);
    return at / MIX_IMAGE;
}

/* Every pixel is the image's own or its partner's; the partner's form one rectangle, the same in
 * all images, whose share of the area is the share of the loss. The partners are a permutation. */
static void pastes_one_rectangle(void)
{
    for (uint64_t key = 0; key < 200; key++) {
        struct adl_method_batch batch = mix(1, key);
        bool used[MIX_COUNT] = {false};
        for (size_t i = 0; i < MIX_COUNT; i++) {
            size_t partner = mix_partners[i], pasted = 0;
            size_t left = MIX_WIDTH, right = 0, top = MIX_HEIGHT, bottom = 0;
            CU_ASSERT_FATAL(partner < MIX_COUNT && !used[partner]);
            used[partner] = true;
            for (size_t p = 0; p < MIX_HEIGHT * MIX_WIDTH; p++) {
                size_t from = source(i, p);
                CU_ASSERT(from == i || from == partner);
                if (from == i)
                    continue;
                pasted++;
                left = ADL_MIN(left, p % MIX_WIDTH);
                right = ADL_MAX(right, p % MIX_WIDTH + 1);
                top = ADL_MIN(top, p / MIX_WIDTH);
                bottom = ADL_MAX(bottom, p / MIX_WIDTH + 1);
            }
            if (partner == i)
                continue;
            CU_ASSERT_EQUAL(pasted, pasted ? (right - left) * (bottom - top) : 0);
            CU_ASSERT_DOUBLE_EQUAL(batch.share, (double)pasted / (MIX_HEIGHT * MIX_WIDTH), 1e-12);
        }
    }
}

/* Mean, deviation and frequency of an empty rectangle are those of two million draws with NumPy:
 * lambda from Beta(beta, beta); f = sqrt(1 - lambda); sides int(12 f) and int(17 f); halves rounded
 * down; a centre uniform over the pixels. */
static void draws_the_shares_of_the_definition(void)
{
    enum { DRAWS = 10000 };
    static const struct {
        double beta, mean, deviation, empty;
    } cases[] = {
        {1, 0.27141, 0.17443, 0.02791},
        {0.04, 0.24847, 0.25861, 0.43442},
        {0.3, 0.25643, 0.21784, 0.19016},
        {5, 0.28196, 0.11813, 0.00000},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        double sum = 0, squares = 0;
        size_t empty = 0;
        for (uint64_t key = 0; key < DRAWS; key++) {
            double share = mix_by(1, cases[i].beta, key * 977).share;
            sum += share;
            squares += share * share;
            empty += share <= 0;
        }
        double mean = sum / DRAWS, p = cases[i].empty;
        CU_ASSERT_DOUBLE_EQUAL(mean, cases[i].mean, 5 * cases[i].deviation / sqrt(DRAWS));
        CU_ASSERT_DOUBLE_EQUAL(sqrt(squares / DRAWS - mean * mean), cases[i].deviation, 0.008);
        CU_ASSERT_DOUBLE_EQUAL((double)empty / DRAWS, p, 5 * sqrt(p * (1 - p) / DRAWS) + 1e-9);
    }
}

/* An unchanged batch has no partners' share; the key alone decides. */
static void changes_as_many_batches_as_asked(void)
{
    enum { DRAWS = 4000 };
    size_t changed = 0;
    for (uint64_t key = 0; key < DRAWS; key++) {
        struct adl_method_batch batch = mix(0.25, key);
        changed += batch.share > 0;
        if (batch.share <= 0)
            CU_ASSERT(memcmp(mix_images, mix_mixed, sizeof mix_mixed) == 0);
        if (key == 7) {
            static float first[MIX_COUNT * MIX_IMAGE];
            memcpy(first, mix_mixed, sizeof mix_mixed);
            mix(0.25, key);
            CU_ASSERT(memcmp(first, mix_mixed, sizeof mix_mixed) == 0);
        }
    }
    CU_ASSERT_DOUBLE_EQUAL((double)changed / DRAWS, 0.25 * (1 - 0.02773), 5 * sqrt(0.1875 / DRAWS));
    CU_ASSERT_EQUAL(mix(0, 1).share, 0);
    CU_ASSERT(memcmp(mix_images, mix_mixed, sizeof mix_mixed) == 0);
}

TEST_SUITE(cutmix, {"pastes one rectangle", pastes_one_rectangle},
           {"draws the shares of the definition", draws_the_shares_of_the_definition},
           {"changes as many batches as asked", changes_as_many_batches_as_asked});
