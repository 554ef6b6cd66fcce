#ifndef ADL_SERVER_API_ANSWER_COST_H
#define ADL_SERVER_API_ANSWER_COST_H

/* What the answer to one image takes: an upper bound of its memory, and an estimate of its time. */

#include "base/limits.h"
#include "server/serving/batcher.h"

/* Of a class in an answer: its label, its numbers, and the JSON values around them. */
#define ADL_ANSWER_CLASS_BYTES (8 * ADL_KIB)

struct adl_answer_kind {
    size_t classes; /* the most that are localized */
    bool overlay;   /* the answer is an image */
    enum adl_reply_heatmap heatmap;
    enum adl_box_mode boxes;
    size_t map_cells; /* positions of a class map at most */
};

/* Returns the positions of a class map of these views at most. */
size_t adl_answer_map_cells(const struct adl_map_views *views, int input_h, int input_w);

struct adl_job_answer adl_answer_cost(const struct adl_answer_kind *kind);

#endif
