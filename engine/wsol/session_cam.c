/* The map of a class from the outputs of a run, for both kinds of classifier: a class map, or
 * pooled features and a linear layer. */

#include "wsol/session_cam.h"

#include "wsol/cam.h"

void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     enum adl_map_weights which, float *cam)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);

    if (map.c > 0 && which == ADL_MAP_WEIGHTS_ALL) {
        adl_cam_channel(adl_session_output(session, ADL_OUTPUT_CLASS_MAP, index),
                        (size_t)map.h * (size_t)map.w, (size_t)map.c, (size_t)class_id, cam);
        return;
    }
    adl_cam_weighted(adl_session_output(session, ADL_OUTPUT_FEATURES, index),
                     (size_t)features.h * (size_t)features.w, (size_t)features.c,
                     adl_plan_classifier(plan) + (size_t)class_id * (size_t)features.c, which, cam);
}
