#ifndef ADL_SERVER_COMMANDS_LOCALIZE_VIDEO_H
#define ADL_SERVER_COMMANDS_LOCALIZE_VIDEO_H

/* `localize --video`: the frames of a video one after the other, with a box a frame that is also
 * smoothed over time. */

#include "base/pool.h"
#include "server/tasks/predict.h"

/* Everything is borrowed. */
struct adl_localize_video {
    const char *path;    /* "-": standard input */
    double rate;         /* frames a second */
    double still;        /* as in struct adl_box_track */
    bool json;           /* a JSON object a frame in place of a row */
    const char *overlay; /* directory for the frames with what was found; NULL: none */
    const struct adl_model *model;
    const char *model_name;
    const struct adl_predict_query *query; /* of one class, and its largest box */
    const struct adl_view_run *batch;      /* of the query's rule */
    struct adl_pool *pool;
    size_t group; /* most frames of a batch */
};

/* Prints a line for each frame. Fails as adl_video_open() and adl_video_next() do, after the lines
 * of the frames before, and as localizing, printing and writing do. */
int adl_localize_video(const struct adl_localize_video *video,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
