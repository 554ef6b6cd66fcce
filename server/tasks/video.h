#ifndef ADL_SERVER_TASKS_VIDEO_H
#define ADL_SERVER_TASKS_VIDEO_H

/* The frames of a video, which the program `ffmpeg` decodes as a child process. */

#include "image/image.h"

/* Frames a second that are asked for. */
#define ADL_VIDEO_RATE_MIN 0.001
#define ADL_VIDEO_RATE_MAX 240.0

struct adl_video;

/* Starts ffmpeg on the file `path`, or on standard input if that is "-", and has it give `rate`
 * frames a second: frame n is the one that is seen at n / rate seconds. Fails with
 * ADL_ERR_NOT_FOUND if there is no such file or no ffmpeg in PATH, with ADL_ERR_IO and
 * ADL_ERR_NOMEM. */
int adl_video_open(struct adl_video **video, const char *path, double rate,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Waits for the next frame; `image` is allocated. Returns 1, or 0 if there is none any more and
 * ffmpeg has ended well. Fails with ADL_ERR_FORMAT and ffmpeg's last words if it has not, or if
 * what it sends is no frame, with ADL_ERR_LIMIT if a frame has more than ADL_LIMIT_IMAGE_PIXELS,
 * with ADL_ERR_IO and ADL_ERR_NOMEM. Not to be called again after 0 or -1. */
int adl_video_next(struct adl_video *video, struct adl_image *image,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether a part of the next frame is there already. */
bool adl_video_waits(const struct adl_video *video);

/* Returns what ffmpeg has complained of without ending, its last line; NULL: nothing. */
const char *adl_video_complaint(const struct adl_video *video);

/* Ends ffmpeg if it still runs. NULL is ignored. */
void adl_video_close(struct adl_video *video);

#endif
