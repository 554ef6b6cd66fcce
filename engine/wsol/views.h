#ifndef ADL_WSOL_VIEWS_H
#define ADL_WSOL_VIEWS_H

/* Runs a network on the views of a map rule (wsol/map_views.h) and averages their maps: the one
 * way from images to class maps, which evaluation, prediction, the report and calibration share.
 *
 *     adl_views_prepare(views, &rule, false, &run, err)
 *     for each view of the run:
 *         adl_view_load(...)                        for each image of the batch
 *         adl_session_run(run.items[view].session, images)
 *         adl_view_add(...)                         for each image and class that is wanted
 *
 * The first view is the image as it is; when it has run, its session has the scores of the classes.
 * Different images of a batch may be loaded, or added, at the same time.
 *
 * For each view the rule forms the class map, not normalised: the sum of the features weighted by
 * the class's weights, combined with the few-box head if the rule has one, in the grid of the head,
 * and joined with the map of another layer if it names one (the one with fewer positions is
 * enlarged before). It is enlarged to the largest grid of the views, bicubically as score maps are
 * (adl_scoremap_resize), mirrored back if the view is mirrored, and the mean over the views is
 * taken, each with the same weight. Values of different sizes agree because a position's features
 * are computed from its surroundings in the same way. */

#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"
#include "plan/session.h"
#include "wsol/boxes.h"
#include "wsol/layer_net.h"
#include "wsol/map_rule.h"
#include "wsol/map_views.h"

/* The sessions of one network, one for each input size. One thread at a time. */
struct adl_views;

/* Creates the session of the plain view for up to `batch` images. `stride1` is the network's graph
 * with a last stride of 1, which differs from the plan's graph in strides alone and has to outlive
 * the views; NULL: its last stride is 1. The pool (NULL: the calling thread alone) has to outlive
 * them too. Keeps a reference of the plan. Fails as adl_session_create() does. */
struct adl_views *adl_views_create(struct adl_plan *plan, const struct adl_graph *stride1,
                                   struct adl_pool *pool, int batch,
                                   struct adl_error *err) ADL_MUST_CHECK;
void adl_views_free(struct adl_views *views); /* NULL is ignored */

/* Makes maps of a layer possible, if the plan keeps this layer (adl_plan_keep). The net
 * has to outlive the views. */
void adl_views_set_layer(struct adl_views *views, const struct adl_layer_net *net);
/* Fails with ADL_ERR_ARG if views need the map of a layer that is not the one that was set, or of
 * any with another last stride. Other threads may call it while the views run. */
int adl_views_check_layer(const struct adl_views *views, const struct adl_map_views *which,
                          struct adl_error *err) ADL_MUST_CHECK;

/* Returns the session of the plain view, and its plan: the network as it was made. */
struct adl_session *adl_views_session(struct adl_views *views);
const struct adl_plan *adl_views_plan(const struct adl_views *views);
/* Returns whether the network has a last halving that can be left out. */
bool adl_views_can_stride1(const struct adl_views *views);
/* Returns the memory of all sessions, with that for maps of a layer. */
size_t adl_views_bytes(const struct adl_views *views);

/* How a batch is run by one rule. */
struct adl_view_run {
    int count;
    struct adl_view_item {
        struct adl_session *session; /* borrowed */
        struct adl_view view;
        int own_h, own_w;   /* of the class map: the last layer's, or the few-box head's */
        int grid_h, grid_w; /* of the view's map: the larger of this and the other layer's */
        /* For the map of another layer, borrowed; NULL: the class map alone. */
        struct adl_layer_runs *layer;
        enum adl_output layer_output; /* of the session: the layer's map */
        /* From the smaller grid of the two to the other; NULL if they are the same. Borrowed. */
        const struct adl_scoremap_resizer *layer_resizer;
        /* From the view's grid to that of the averaged map; NULL if they are the same, or there is
         * only one map. Borrowed. */
        const struct adl_scoremap_resizer *resizer;
    } items[ADL_MAX_VIEWS];
    struct adl_view_sizes sizes; /* of the images, by view.size */
    bool foreground;             /* with a few-box head */
    bool direct;                 /* class maps are the maps: one view, and nothing joined */
    enum adl_layer_method layer; /* of all views that count */
    int in_map;                  /* views whose maps count */
    int first, last;             /* the first and the last of them */
    int map_h, map_w;            /* of the averaged map */
    double *scratch;             /* borrowed; scratch_doubles for each image of the batch */
    size_t scratch_doubles;
    size_t layer_scratch; /* where, in these, the scratch for another layer begins, */
    size_t class_scratch; /* that for class maps, */
    size_t head_scratch;  /* and that for the few-box head */
};

/* Makes the sessions that the views of the rule need and that do not exist yet, and describes the
 * run. Of the rule, only the views matter and which layers the few-box head reads. The run is valid
 * until the next call. With `keep`, which is for one rule at most, the sessions are kept until
 * adl_views_free(); of the others, those that have not been used for the longest time are
 * freed when there are too many (ADL_LIMIT_VIEW_SIZES, ADL_LIMIT_VIEW_BYTES). Fails as
 * adl_views_check_layer() and adl_layer_runs_create() do, with ADL_ERR_LIMIT if a side exceeds
 * ADL_LIMIT_INPUT_SIDE, with ADL_ERR_ARG if an input is too small for the network, and with
 * ADL_ERR_NOMEM. */
int adl_views_prepare(struct adl_views *views, const struct adl_map_rule *rule, bool keep,
                      struct adl_view_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* The image at the sizes of the views, resized from the same image. */
struct adl_view_images {
    struct adl_image items[ADL_LIMIT_MAP_SCALES + 1]; /* by view.size; owned */
};
/* Resizes an image to all sizes. On failure `images` is empty. Fails as adl_image_resize() does. */
int adl_view_images_make(const struct adl_image *image, const struct adl_view_sizes *sizes,
                         struct adl_view_images *images, struct adl_error *err) ADL_MUST_CHECK;
void adl_view_images_release(struct adl_view_images *images);

/* Writes the input of image `slot` of the batch for a view. The network sees
 * (rgb / 255 - mean) / std. */
void adl_view_load(const struct adl_view_run *run, int view, int slot,
                   const struct adl_view_images *images, const float mean[3], const float std[3]);

/* As adl_view_load() from an input of the network, h x w x 3 floats of the view's size. */
void adl_view_load_tensor(const struct adl_view_run *run, int view, int slot, const float *tensor);

/* Adds the maps of image `slot` and of `count` classes to maps[], run->map_h x run->map_w each;
 * after the last view these are the averaged maps. Many classes at once take less time than one
 * after the other, to the same bits. Does nothing for a view that does not count. The rule has a
 * few-box head if the run was prepared for one. For a rule with one view, without a head and
 * without another layer the map is that of adl_session_cam(). Allocates nothing. */
void adl_view_add_all(const struct adl_view_run *run, int view, int slot, const int *class_ids,
                      size_t count, const struct adl_map_rule *rule, float *const maps[]);

/* Adds one of them. */
void adl_view_add(const struct adl_view_run *run, int view, int slot, int class_id,
                  const struct adl_map_rule *rule, float *map);

#endif
