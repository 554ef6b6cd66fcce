/* wsol/principal: the map against NumPy's singular value decomposition, its sign, and input that
 * has no component. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "wsol/principal.h"

enum { PIXELS = 6, CHANNELS = 11 };

static const float weight[CHANNELS] = {0.5F, -1,    2,     0.25F, -0.75F, 1,
                                       1.5F, -0.5F, 0.75F, -2,    1.25F};

/* sin(1 + 5 p + 3 k) + 0.2 (k + 1) at the even positions, and the class map, their weighted sum. */
static void make(float features[PIXELS * CHANNELS], const float *weights, float cam[PIXELS])
{
    for (int p = 0; p < PIXELS; p++) {
        double sum = 0;
        for (int k = 0; k < CHANNELS; k++) {
            float value = (float)(sin(1 + 5 * p + 3 * k) + (p % 2 ? 0 : 0.2 * (k + 1)));
            features[p * CHANNELS + k] = value;
            sum += (double)value * (weights ? (double)weights[k] : 1);
        }
        cam[p] = (float)sum;
    }
}

static void compare(const float *weights, const double want[PIXELS])
{
    float features[PIXELS * CHANNELS], cam[PIXELS];
    make(features, weights, cam);
    adl_principal_map(features, PIXELS, CHANNELS, weights, cam);
    for (int p = 0; p < PIXELS; p++)
        CU_ASSERT_DOUBLE_EQUAL((double)cam[p], want[p], 2e-4);
}

/* y = features * weight; y -= y.mean(0); map = y @ numpy.linalg.svd(y)[2][0], with the sign that
 * agrees with the class map. */
static void equals_numpy(void)
{
    static const double weighted[PIXELS] = {3.2808304,  -3.8300154, 1.3924849,
                                            -2.5254314, 4.0209528,  -2.3388214};
    static const double alone[PIXELS] = {2.2297235,  -3.4461807, 0.8411004,
                                         -1.1964259, 3.5060643,  -1.9342817};
    compare(weight, weighted);
    compare(NULL, alone);
}

static void what_has_no_component_stays(void)
{
    float features[PIXELS * CHANNELS], cam[PIXELS], was[PIXELS];
    make(features, weight, cam);
    for (int p = 0; p < PIXELS; p++)
        cam[p] = 3;
    memcpy(was, cam, sizeof cam);
    adl_principal_map(features, PIXELS, CHANNELS, weight, cam);
    CU_ASSERT(!memcmp(cam, was, sizeof cam));
    cam[2] = NAN;
    memcpy(was, cam, sizeof cam);
    adl_principal_map(features, PIXELS, CHANNELS, weight, cam);
    CU_ASSERT(!memcmp(cam, was, sizeof cam));
    /* Features without any variation, which no class map of theirs could have. */
    for (size_t i = 0; i < ADL_COUNT(features); i++)
        features[i] = 0;
    for (int p = 0; p < PIXELS; p++)
        cam[p] = (float)p;
    adl_principal_map(features, PIXELS, CHANNELS, weight, cam);
    for (int p = 0; p < PIXELS; p++)
        CU_ASSERT(isfinite(cam[p]));
}

TEST_SUITE(principal, {"the map is NumPy's first principal component", equals_numpy},
           {"what has no component stays as it is", what_has_no_component_stays});
