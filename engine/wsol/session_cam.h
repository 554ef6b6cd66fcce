#ifndef ADL_WSOL_SESSION_CAM_H
#define ADL_WSOL_SESSION_CAM_H

#include "plan/session.h"
#include "wsol/map_rule.h"

/* Computes the class activation map of image `index` of the session's last run by the rule, not
 * normalised: h x w floats, the sides of ADL_OUTPUT_FEATURES, which are weighted by the class's
 * classifier weights. A network with a class map gives the class's channel of that, which has the
 * bias as well, unless only positive weights are wanted. A foreground head turns the map into its
 * own (wsol/foreground.h). */
void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     const struct adl_map_rule *rule, float *cam);

#endif
