#ifndef ADL_EVAL_PSEUDO_BOXES_H
#define ADL_EVAL_PSEUDO_BOXES_H

/* Draws boxes for images that have none, from what the images of a class have in common
 * (eval/ddt.h), so that a map rule can be chosen without boxes that people drew. */

#include "base/pool.h"
#include "data/dataset.h"
#include "wsol/views.h"

struct adl_pseudo_boxes_options {
    int batch;             /* images run at once, up to the batch size of the views */
    struct adl_pool *pool; /* that of the views; NULL: the calling thread alone */
    float mean[3], std[3]; /* of the network's input */
    /* Called on the calling thread after each group of images; may be NULL. */
    void (*progress)(void *context, size_t done);
    void *progress_context;
};

/* Gives each image of the data set one box in place of those it has: the box of the largest
 * connected part of its map of deep descriptor transforming, where that is positive. Images that
 * cannot be read and those without such a part are left out. For the owner of a data set, before
 * others read it. The features of all images are in memory at the same time. Fails as
 * adl_evaluate_views() does, with ADL_ERR_FORMAT if no image has a box, and with ADL_ERR_NOMEM. */
int adl_pseudo_boxes_draw(struct adl_dataset *dataset, struct adl_views *views,
                          const struct adl_pseudo_boxes_options *options,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
