#ifndef ADL_SERVER_API_INFERENCE_TARGET_H
#define ADL_SERVER_API_INFERENCE_TARGET_H

/* The model, and the version of it, in a path of the Open Inference Protocol:
 * /v2/models/NAME[/versions/VERSION][/VERB]. */

#include "server/api/server.h"

/* Returns the model that the request's path names, to be released with adl_served_release(); NULL
 * if it, or this version of it, does not exist or is still loading: then the request is answered.
 */
struct adl_served *adl_inference_model(struct adl_exchange *exchange);

#endif
