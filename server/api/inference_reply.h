#ifndef ADL_SERVER_API_INFERENCE_REPLY_H
#define ADL_SERVER_API_INFERENCE_REPLY_H

/* Answers of the Open Inference Protocol: the outputs of the network and of the localization as
 * tensors, in JSON or as binary data after it.
 *
 *     logits   FP32 [N,C]    as `forward` gives them, to the last bit
 *     scores   FP32 [N,C]    the probabilities, at the model's temperature
 *     cam      FP32 [N,h,w]  the class map of the network, as `forward` gives it
 *     boxes    FP32 [M,6]    image, x0, y0, x1, y1, score: those of /localize, in its order
 *     map      FP32 [N,h,w]  the map that they were cut from, as "heatmap" of /localize
 *     classes  INT64 [N]     the class of cam, map and boxes
 *     labels   BYTES [N]     its name */

#include "server/api/inference_request.h"
#include "server/serving/job.h"

struct adl_inference_answer {
    const struct adl_inference_request *request;
    const struct adl_model *model;
    const char *model_name, *version;
    const struct adl_job *jobs; /* finished, one for each image */
    const struct adl_pause *pause;
};

/* Appends the answer, of which *json_length bytes are JSON; *binary says whether more follow. Fails
 * with ADL_ERR_NOMEM, with ADL_ERR_INTERNAL if a value is not finite, and as the pause does. */
int adl_inference_answer_write(const struct adl_inference_answer *answer, struct adl_str *out,
                               size_t *json_length, bool *binary,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Returns an upper bound of the memory that the results of one image take while the answer waits
 * for the others, and *ms an estimate of the time that writing it takes; *text becomes a bound of
 * the memory for writing it. `cells` are the positions of a map. */
size_t adl_inference_answer_bytes(const struct adl_inference_request *request,
                                  const struct adl_model *model, size_t cells, size_t *text,
                                  double *ms);

#endif
