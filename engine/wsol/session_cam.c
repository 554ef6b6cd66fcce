/* Makes the map of a class from the outputs of a run, for both kinds of classifier: a class map, or
 * pooled features and a linear layer. */

#include "wsol/session_cam.h"

#include "wsol/cam.h"
#include "wsol/foreground.h"

void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     const struct adl_map_rule *rule, float *cam)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP);
    struct adl_shape shape = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    size_t pixels = (size_t)shape.h * (size_t)shape.w, channels = (size_t)shape.c;
    const float *features = adl_session_output(session, ADL_OUTPUT_FEATURES, index);

    if (map.c > 0 && rule->weights == ADL_MAP_WEIGHTS_ALL)
        adl_cam_channel(adl_session_output(session, ADL_OUTPUT_CLASS_MAP, index), pixels,
                        (size_t)map.c, (size_t)class_id, cam);
    else
        adl_cam_weighted(features, pixels, channels,
                         adl_plan_classifier(plan) + (size_t)class_id * channels, rule->weights,
                         cam);
    if (rule->foreground)
        adl_foreground_map(features, pixels, channels, rule->foreground, cam);
}
