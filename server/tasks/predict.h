#ifndef ADL_SERVER_TASKS_PREDICT_H
#define ADL_SERVER_TASKS_PREDICT_H

/* One photograph through a model, in steps that may run on different threads:
 *
 *     decode   bytes to a picture of the network's input size   (any thread)
 *     load     that picture into a session's input              (the session's thread)
 *     collect  scores and class maps out of the session         (the session's thread)
 *     locate   class maps to heat maps and boxes                (any thread)
 *
 * Shared by `serve` and `localize`. */

#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"
#include "models/model.h"
#include "plan/session.h"
#include "wsol/localize.h"

/* A picture on its way to the network. A zeroed struct is none. */
struct adl_predict_input {
    struct adl_image_info info; /* as displayed */
    struct adl_image image;     /* the whole picture, when it was to be kept */
    struct adl_image resized;   /* the network's input size */
};

void adl_predict_input_release(struct adl_predict_input *input);
/* Frees the pictures; what is known of them stays. */
void adl_predict_input_drop(struct adl_predict_input *input);

struct adl_predict_decode {
    size_t max_pixels;       /* as in struct adl_decode_options */
    size_t max_memory_bytes; /* the same */
    bool reduced;            /* a large JPEG may be decoded at a smaller scale */
    bool keep_image;         /* the whole picture is needed later, for an overlay */
};

/* `input` is written as a whole; on failure it is zeroed, but for info, which
 * holds what was known by then. Fails as adl_image_decode. */
int adl_predict_decode(const void *bytes, size_t length, const struct adl_predict_decode *how,
                       int input_w, int input_h, struct adl_predict_input *input,
                       struct adl_error *err) ADL_MUST_CHECK;

/* The same for the image file at `path`; fails as adl_image_read(). */
int adl_predict_read(const char *path, const struct adl_predict_decode *how, int input_w,
                     int input_h, struct adl_predict_input *input,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Fills image `index`'s input, normalised as the model wants it. */
void adl_predict_load(const struct adl_model *model, const struct adl_predict_input *input,
                      struct adl_session *session, int index);

/* What is asked of one picture. */
struct adl_predict_query {
    int class_id;     /* localize this class; -1: the most probable ones */
    size_t top_k;     /* how many of those */
    double threshold; /* 0..1 of the normalised map */
    enum adl_box_mode boxes;
};

struct adl_prediction {
    int class_id;
    float score;                   /* softmax probability */
    float *heatmap;                /* cam_h x cam_w; raw after collect, 0..1 after locate; owned */
    struct adl_localization place; /* after locate: boxes; its map is freed, see below */
};

struct adl_predictions {
    struct adl_prediction *items; /* most probable first; owned */
    size_t count;
    int cam_w, cam_h;
    int input_w, input_h;
};

void adl_predictions_release(struct adl_predictions *predictions);

/* Image `index` of the session's last run. The class in the query has to be one
 * of the network's. `predictions` is written as a whole; on failure it is
 * zeroed. Fails with NOMEM, or INTERNAL when the scores are not finite. */
int adl_predict_collect(const struct adl_session *session, int index,
                        const struct adl_predict_query *query, struct adl_predictions *predictions,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Boxes in pixels of an image of image_w x image_h. The maps at the input size
 * they are taken from are not kept: a hundred predictions of one picture would
 * hold tens of megabytes. */
int adl_predict_locate(struct adl_predictions *predictions, const struct adl_predict_query *query,
                       int image_w, int image_h, struct adl_error *err) ADL_MUST_CHECK;

/* A located prediction's heat map at the input size again, input_h x input_w
 * numbers in 0..1, freed by the caller with adl_free. NULL when there is no
 * memory. */
float *adl_predict_map(const struct adl_predictions *predictions, size_t index,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
