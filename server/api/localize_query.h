#ifndef ADL_SERVER_API_LOCALIZE_QUERY_H
#define ADL_SERVER_API_LOCALIZE_QUERY_H

/* What is asked of an image: the parameters of /localize, and the model that answers. A request
 * and the pictures of a folder have the same. */

#include "server/api/params.h"
#include "server/api/server.h"

struct adl_localize_query {
    struct adl_params params;
    struct adl_served *served; /* a reference, to be released; NULL: none yet */
    struct adl_map_rule map;
    int class_id; /* -1: the predicted classes */
};

/* Takes the model that the parameters name, and checks what else they say against it. Returns the
 * problem if they cannot be met, with a sentence for the client in `err`; `served` is set as soon
 * as there is such a model. */
enum adl_problem adl_localize_choose(const struct adl_server *server,
                                     struct adl_localize_query *query, struct adl_error *err);

/* Fills in what a job computes and what its answer takes. `overlay`: the answer is an image, and
 * not JSON. */
void adl_localize_fill(const struct adl_server *server, const struct adl_localize_query *query,
                       bool overlay, struct adl_job *job);

#endif
