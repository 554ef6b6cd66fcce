#ifndef ADL_WSOL_SESSION_CAM_H
#define ADL_WSOL_SESSION_CAM_H

#include "plan/session.h"

/* One class's activation map of image `index` of the last run: h x w of
 * ADL_OUTPUT_FEATURES, summed over channels (or the class's channel of the
 * class map), not normalised. */
void adl_session_cam(const struct adl_session *session, int index, int class_id, float *cam);

#endif
