#ifndef ADL_SERVER_API_LOCALIZE_JSON_H
#define ADL_SERVER_API_LOCALIZE_JSON_H

/* A request of /localize as JSON:
 *
 *     {"image": "<base64>", "model": "birds", "top_k": 3, "map_flip": true, "map_scales":
 * [1, 1.43]}
 *
 * "image" is the file in base64, also as a data: URL; all other members are the parameters of the
 * query, as texts, numbers, booleans or, for lists, arrays of numbers. null stands for a parameter
 * that is not given. */

#include <jansson.h>

#include "base/error.h"
#include "server/api/params.h"
#include "server/http/multipart.h"

#define ADL_LOCALIZE_JSON_PAIRS 16

struct adl_localize_json {
    struct adl_span file; /* a part of the body */
    struct adl_query_pair pairs[ADL_LOCALIZE_JSON_PAIRS];
    size_t count;
    char texts[ADL_LOCALIZE_JSON_PAIRS][100]; /* of values that are no texts */
    json_t *head;                             /* the request without the image; owned */
};

/* Reads a body, which has to outlive the request and is changed: the image is decoded in place. To
 * be released in any case. Fails with ADL_ERR_ARG or ADL_ERR_LIMIT and a message for the client. */
int adl_localize_json_read(struct adl_localize_json *request, char *body, size_t length,
                           struct adl_error *err) ADL_MUST_CHECK;
/* Reads the members of `head`, an object that the caller has put there, as parameters, but for the
 * one of this name. Fails with ADL_ERR_ARG. */
int adl_localize_json_members(struct adl_localize_json *request, const char *except,
                              struct adl_error *err) ADL_MUST_CHECK;
void adl_localize_json_release(struct adl_localize_json *request);

#endif
