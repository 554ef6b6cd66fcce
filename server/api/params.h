#ifndef ADL_SERVER_API_PARAMS_H
#define ADL_SERVER_API_PARAMS_H

/* What a request asks for, as typed values: the query, the kind of body, and
 * the form of the answer. Strict: what is not understood is refused. */

#include <stdbool.h>

#include "base/limits.h"
#include "image/image.h"
#include "server/tasks/reply_json.h"

/* "name=value" of the query, decoded; value may be NULL. */
struct adl_query_pair {
    const char *name;
    const char *value;
    size_t value_length; /* larger than strlen: it has a NUL in it */
};

struct adl_params {
    char model[ADL_LIMIT_MODEL_NAME_BYTES + 1]; /* "": the first */
    char class_text[ADL_LIMIT_PARAM_BYTES + 1]; /* "": the predicted ones */
    int top_k;                                  /* 1..100 */
    double threshold;                           /* 0..1; negative: the model's */
    enum adl_box_mode boxes;
    enum adl_reply_heatmap heatmap;
};

/* Fills `params` from the defaults and a query. Fails with ARG and a sentence
 * that names the parameter. */
int adl_params_parse(struct adl_params *params, const struct adl_query_pair *pairs, size_t count,
                     struct adl_error *err) ADL_MUST_CHECK;

/* What a body is declared to be. */
enum adl_body_type {
    ADL_BODY_UNSUPPORTED,
    ADL_BODY_IMAGE, /* image/jpeg, image/png, image/webp: the bytes decide which */
    ADL_BODY_BYTES, /* application/octet-stream: an image if the bytes are one */
    ADL_BODY_FORM   /* multipart/form-data */
};

/* By Content-Type (NULL: none). Of UNSUPPORTED ones, *detail says what to send
 * instead; static or in `text`. */
enum adl_body_type adl_params_body_type(const char *content_type, char *text, size_t size,
                                        const char **detail);

/* The answer's form by an Accept header (NULL: anything): UNKNOWN is JSON,
 * otherwise an image type. -1 when nothing we have is accepted. */
int adl_params_accept(const char *accept, enum adl_image_type *type) ADL_MUST_CHECK;

#endif
