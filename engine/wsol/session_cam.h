#ifndef ADL_WSOL_SESSION_CAM_H
#define ADL_WSOL_SESSION_CAM_H

#include "plan/session.h"
#include "wsol/map_rule.h"

/* Computes the class activation map of image `index` of the session's last run, not normalised:
 * h x w floats, the sides of ADL_OUTPUT_FEATURES, which are weighted by the class's classifier
 * weights. A network with a class map gives the class's channel of that, which has the bias as
 * well, unless only positive weights are wanted. */
void adl_session_cam(const struct adl_session *session, int index, int class_id,
                     enum adl_map_weights which, float *cam);

#endif
