#ifndef ADL_SERVER_API_PARAMS_H
#define ADL_SERVER_API_PARAMS_H

/* Parses the parameters of a request into typed values: the query, the type of the body, and
 * the format of the answer. The parsing is strict: a parameter that is not understood is an
 * error, since ignoring it would give a result that the client did not ask for. */

#include <jansson.h>
#include <stdbool.h>

#include "base/limits.h"
#include "image/image.h"
#include "server/serving/model_file.h"
#include "server/tasks/reply_json.h"
#include "wsol/map_rule.h"

/* "name=value" of the query, percent-decoded; the value may be NULL. */
struct adl_query_pair {
    const char *name;
    const char *value;
    size_t value_length; /* in bytes; larger than strlen() if the value contains a NUL */
};

struct adl_params {
    /* "NAME" or "NAME@VERSION"; "": the first model */
    char model[ADL_LIMIT_MODEL_NAME_BYTES + 1 + ADL_MODEL_VERSION_DIGITS + 1];
    char class_text[ADL_LIMIT_PARAM_BYTES + 1]; /* "": the predicted classes */
    int top_k;                                  /* 1..100 */
    bool top_k_given;
    double label_threshold;     /* 0..1; negative: the model's */
    struct adl_map_changes map; /* differences from the model's map rule */
    enum adl_box_mode boxes;
    enum adl_reply_heatmap heatmap;
};

/* Writes a boolean or a number of JSON as it would stand in a query. Returns its length, which
 * `size` of 32 always holds. */
size_t adl_params_value_text(const json_t *value, char *text, size_t size);

/* Fills `params` from the defaults and a query of `count` pairs. Fails with ADL_ERR_ARG and a
 * message that names the parameter. */
int adl_params_parse(struct adl_params *params, const struct adl_query_pair *pairs, size_t count,
                     struct adl_error *err) ADL_MUST_CHECK;

/* The declared type of a body. */
enum adl_body_type {
    ADL_BODY_UNSUPPORTED,
    ADL_BODY_IMAGE, /* image/jpeg or another of adl_image_media_type(); the bytes decide */
    ADL_BODY_BYTES, /* application/octet-stream; the bytes decide whether it is an image */
    ADL_BODY_FORM,  /* multipart/form-data */
    ADL_BODY_JSON   /* application/json: localize_json.h */
};

/* Returns the type that the Content-Type header (NULL: none) declares. If it is
 * ADL_BODY_UNSUPPORTED, *detail says what to send instead; it is static or in `text` of `size`
 * bytes. */
enum adl_body_type adl_params_body_type(const char *content_type, char *text, size_t size,
                                        const char **detail);

/* Sets *type to the format of the answer that the Accept header (NULL: any) prefers:
 * ADL_IMAGE_UNKNOWN for JSON, otherwise an image type. Returns -1 if none of the available
 * formats is accepted. Source: RFC 9110, 12.5.1. */
int adl_params_accept(const char *accept, enum adl_image_type *type) ADL_MUST_CHECK;

#endif
