#ifndef ADL_SERVER_TASKS_PREDICT_H
#define ADL_SERVER_TASKS_PREDICT_H

/* Localizes the objects of one image, in steps that may run on different threads:
 *
 *     decode   bytes -> the image at the input sizes           no session needed
 *     load     that image -> the session's input               before the session runs
 *     collect  the session's outputs -> scores and class maps  before the session runs again
 *     locate   class maps -> boxes                             no session needed
 *
 * `load` and `collect` are done for each view of the map rule (wsol/views.h), usually one. They use
 * only one image's part of the session, so different images of a batch
 * may be loaded, and collected, at the same time. `serve` and `localize` both use this file, so
 * that they give the same answer for the same image. */

#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"
#include "models/model.h"
#include "wsol/localize.h"
#include "wsol/views.h"

/* A decoded image. A zeroed struct is empty. */
struct adl_predict_input {
    struct adl_image_info info; /* of the image as displayed */
    struct adl_image image;     /* the whole image, if it was to be kept */
    struct adl_view_images resized;
    /* In place of an image: the network's input, h x w x 3 floats (NHWC), already normalised, at
     * the model's input size; then the rule has no views at other sizes. Owned; NULL: none. */
    float *tensor;
};

void adl_predict_input_release(struct adl_predict_input *input);
/* Frees the pixels and keeps `info`. */
void adl_predict_input_drop(struct adl_predict_input *input);

struct adl_predict_decode {
    size_t max_pixels;                 /* as in struct adl_decode_options */
    size_t max_memory_bytes;           /* as in struct adl_decode_options */
    bool reduced;                      /* a large JPEG may be decoded at a smaller scale */
    bool keep_image;                   /* the whole image is needed later, for an overlay */
    const struct adl_pause *pause;     /* as in struct adl_decode_options */
    struct adl_image_decoder *decoder; /* as in struct adl_decode_options */
};

/* Decodes the bytes of an image file and resizes it to `sizes`. All of `input` is written; on
 * failure it has no pixels. Fails as adl_image_decode() and adl_image_resize() do. */
int adl_predict_decode(const void *bytes, size_t length, const struct adl_predict_decode *how,
                       const struct adl_view_sizes *sizes, struct adl_predict_input *input,
                       struct adl_error *err) ADL_MUST_CHECK;

/* What adl_predict_decode() takes, as far as the header of the file shows it. */
struct adl_predict_needs {
    int width, height;   /* of the image as displayed */
    size_t decode_bytes; /* upper bound of the memory while it runs, with its result */
    size_t kept_bytes;   /* of its result */
    double decode_ms;    /* a rough estimate of the processor time */
};

/* Computes them. Fails as adl_image_examine() does; `needs` is then zeroed. */
int adl_predict_examine(const void *bytes, size_t length, const struct adl_predict_decode *how,
                        const struct adl_view_sizes *sizes, struct adl_predict_needs *needs,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Reads and resizes the image file at `path`; otherwise as adl_predict_decode(). Fails as
 * adl_file_read() and adl_predict_decode() do. */
int adl_predict_read(const char *path, const struct adl_predict_decode *how,
                     const struct adl_view_sizes *sizes, struct adl_predict_input *input,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Frees what adl_predict_load() reads. */
void adl_predict_input_loaded(struct adl_predict_input *input);

/* Writes the input of image `slot` of the batch for a view. */
void adl_predict_load(const struct adl_model *model, const struct adl_predict_input *input,
                      const struct adl_view_run *run, int view, int slot);

/* The most classes that are localized in an image because they are present. */
#define ADL_PREDICT_LABELS 20

/* Which classes to localize in one image, and how. */
struct adl_predict_query {
    int class_id; /* the only class to localize; -1: the most probable ones */
    /* Number of the most probable ones; capped at the number of classes. 0: one; or, if an image
     * may have several classes, those that are present, at least the most probable one and at most
     * `most`. */
    size_t top_k;
    size_t most; /* 0: ADL_PREDICT_LABELS */
    /* From which probability on a class is present; negative: as the model says. */
    double label_threshold;
    struct adl_map_rule map;
    enum adl_box_mode boxes;
    struct adl_label_rule labels; /* by adl_predict_query_certainty() */
    /* The model's; both borrowed. NULL: probabilities as trained, and boxes without confidence. */
    const struct adl_certainty *certainty;
    const struct adl_confidence *confidence;
    bool keep_outputs; /* of the network: what struct adl_predict_outputs has */
};

/* Completes a query whose `map` is final with what the model says about its classes and its
 * certainty. Boxes have a
 * confidence only if `map` is the model's own rule, threshold included. */
void adl_predict_query_certainty(struct adl_predict_query *query, const struct adl_model *model);

struct adl_prediction {
    int class_id;
    float score;                   /* probability at the model's temperature */
    float present;                 /* how strongly the class is seen, 0..1, if that is known */
    float *cam;                    /* the class map, cam_h x cam_w, not normalised; owned */
    struct adl_localization place; /* boxes, after locate; place.map is NULL, see below */
};

/* Outputs of the network for one image. */
struct adl_predict_outputs {
    size_t classes;
    float *logits; /* `classes`; owned; NULL: they were not asked for */
    float *scores; /* `classes`: the probabilities, as in struct adl_prediction; owned */
    int map_w, map_h;
    float *cam; /* map_h x map_w: the sum of the features weighted by the first class's weights,
                 * whatever the map rule says; not normalised; owned */
};

struct adl_predictions {
    struct adl_prediction *items; /* most probable first; owned */
    size_t count;
    int cam_w, cam_h;        /* of the class maps */
    int input_w, input_h;    /* of the network's input */
    struct adl_map_rule map; /* the rule by which the maps were made; from the query */
    bool has_present;        /* it is known how strongly classes are seen */
    const struct adl_confidence *confidence; /* of their boxes, borrowed from the model; or NULL */
    struct adl_predict_outputs outputs;
};

void adl_predictions_release(struct adl_predictions *predictions);

/* Collects the scores and raw class maps of image `slot` after the run of a view. The classes are
 * chosen after the first view, which writes all of `predictions`; the others, in their order, add
 * their maps. The class in the query has to be one of the network's, and `run` is that of the
 * query's rule. On failure `predictions` is zeroed. Fails with ADL_ERR_NOMEM, or with
 * ADL_ERR_INTERNAL if a score is not finite. */
int adl_predict_collect(const struct adl_view_run *run, int view, int slot,
                        const struct adl_predict_query *query, struct adl_predictions *predictions,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Finds boxes in pixels of an image of image_w x image_h. `pause` (NULL: none) is called between
 * classes, which it may share among threads; fails as it does, too. The boxes are cut from maps at
 * the input size, which are not kept: those of a hundred predictions of one image would be tens of
 * megabytes. Fails as adl_localize_map() does. */
int adl_predict_locate(struct adl_predictions *predictions, const struct adl_predict_query *query,
                       int image_w, int image_h, const struct adl_pause *pause,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns the factor by which a prediction's heat is dimmed where it is shown as colours, 0..1:
 * `present`, or 1 if that is not known. */
float adl_predict_glow(const struct adl_predictions *predictions, size_t index);

/* Recomputes the map that the boxes of a prediction were cut from: input_h x input_w floats in
 * 0..1, to be freed with adl_free(). Returns NULL if there is not enough memory. */
float *adl_predict_map(const struct adl_predictions *predictions, size_t index,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
