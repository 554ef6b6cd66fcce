#ifndef ADL_WSOL_BOX_TRACK_H
#define ADL_WSOL_BOX_TRACK_H

/* Smooths the box of an object over the frames of a video, without looking ahead: the one-euro
 * filter (Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy
 * input in interactive systems", CHI 2012) on the centre, the width and the height of the box, each
 * as a fraction of the image's side.
 *
 * It is a low-pass filter of first order whose cutoff rises with the speed s of what it follows:
 *
 *     cutoff = still + slope |s|     in Hz
 *
 * So a box that stands still does not tremble, and one that moves does not lag: at a constant
 * speed s it lags by s / (2 pi cutoff), which is less than 1 / (2 pi slope) of the side. */

#include <stdbool.h>

#include "wsol/boxes.h"

/* The cutoff of the speed itself, as in the paper, Hz. */
#define ADL_BOX_TRACK_SPEED_HZ 1.0
/* Hz for a speed of one side of the image a second: the lag is below 3.2 % of the side. */
#define ADL_BOX_TRACK_SLOPE 5.0
/* After so many seconds without a box the next one begins anew. */
#define ADL_BOX_TRACK_GAP 1.0

/* `still` is set by the caller: > 0, Hz; 0: boxes stay as they are. The rest is zeroed at first. */
struct adl_box_track {
    double still;
    bool started;
    int class_id;
    double time; /* of the last box, s */
    double raw[4], smooth[4], speed[4];
};

/* Takes the inclusive box of a class in an image of width x height pixels at `time` seconds, which
 * has to be later than that of the box before, and returns the smoothed one, inclusive and within
 * the image. A box of another class begins anew. */
struct adl_box adl_box_track_add(struct adl_box_track *track, struct adl_box box, int class_id,
                                 int width, int height, double time);

#endif
