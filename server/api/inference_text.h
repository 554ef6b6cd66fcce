#ifndef ADL_SERVER_API_INFERENCE_TEXT_H
#define ADL_SERVER_API_INFERENCE_TEXT_H

/* The text of tensors in a request of the Open Inference Protocol, without a value in memory for
 * each number: jansson would take some fifty bytes for two bytes of a body. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/pause.h"
#include "base/str.h"
#include "server/http/multipart.h"

/* Copies a request to `head` and puts null in place of each array "data" of an element of "inputs";
 * data[k] becomes the text of that of element k, with its brackets, or absent. The text between the
 * brackets is not checked; that of `head` may be no JSON, too. Fails with ADL_ERR_LIMIT if more
 * than ADL_LIMIT_INFERENCE_HEAD_BYTES are left in `head`, and with ADL_ERR_ARG if an array has no
 * end or there are more than ADL_LIMIT_INFERENCE_INPUTS elements. */
int adl_inference_split(const char *text, size_t length, struct adl_str *head,
                        struct adl_span data[ADL_LIMIT_INFERENCE_INPUTS],
                        struct adl_error *err) ADL_MUST_CHECK;

/* The numbers of a tensor [N,C,H,W] as text: flat, or as nested arrays. */
struct adl_number_text {
    struct adl_span text; /* with the outer brackets */
    bool nested;
    size_t images;
    size_t dims[3]; /* C, H, W */
};

/* Finds where the text of each image begins; starts has room for images + 1. Fails with ADL_ERR_ARG
 * if there are too few numbers. */
int adl_number_text_divide(struct adl_number_text *numbers, size_t *starts,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Reads the numbers of image `index` into H x W x C floats; `starts` as from
 * adl_number_text_divide(). The numbers are rounded to the nearest float. Fails with ADL_ERR_ARG
 * and a message that names the element on anything that is no number of JSON, on one beyond the
 * range of a float, and on brackets that do not follow the shape; and as `pause` does. */
int adl_number_text_read(const struct adl_number_text *numbers, const size_t *starts, size_t index,
                         const struct adl_pause *pause, float *nhwc,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Reads `count` strings of base64 (RFC 4648, section 4), flat or each in an array of its own, and
 * decodes each in place: items[i] becomes its bytes. The text is changed. Fails with ADL_ERR_ARG.
 */
int adl_base64_text_read(struct adl_span text, size_t count, struct adl_span *items,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
