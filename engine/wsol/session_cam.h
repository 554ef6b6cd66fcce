#ifndef ADL_WSOL_SESSION_CAM_H
#define ADL_WSOL_SESSION_CAM_H

#include "plan/session.h"

/* The class activation map of image `index` of the session's last run, not normalised:
 * h x w floats, the sides of ADL_OUTPUT_FEATURES. A network with a class map gives the class's
 * channel of it, any other the features weighted by the class's classifier weights. */
void adl_session_cam(const struct adl_session *session, int index, int class_id, float *cam);

#endif
