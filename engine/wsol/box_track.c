/* The one-euro filter of a box, see box_track.h. */

#include "wsol/box_track.h"

#include <math.h>

#include "base/size.h"

#define TWO_PI 6.283185307179586

/* Returns how much of a new value a low-pass filter takes, 0..1, `dt` seconds after the last. */
static double weight(double cutoff, double dt)
{
    double turn = TWO_PI * cutoff * dt;
    return turn / (turn + 1);
}

static void smooth_value(struct adl_box_track *t, int i, double value, double dt)
{
    double speed = (value - t->raw[i]) / dt;
    t->speed[i] += weight(ADL_BOX_TRACK_SPEED_HZ, dt) * (speed - t->speed[i]);
    t->smooth[i] +=
        weight(t->still + ADL_BOX_TRACK_SLOPE * fabs(t->speed[i]), dt) * (value - t->smooth[i]);
    t->raw[i] = value;
}

/* Returns the pixels of an extent between two fractions of a side. */
static void extent(double centre, double length, int side, int *first, int *last)
{
    double from = (centre - length / 2) * side, to = (centre + length / 2) * side - 1;
    *first = ADL_MIN(ADL_MAX((int)lround(from), 0), side - 1);
    *last = ADL_MIN(ADL_MAX((int)lround(to), *first), side - 1);
}

struct adl_box adl_box_track_add(struct adl_box_track *t, struct adl_box box, int class_id,
                                 int width, int height, double time)
{
    const double values[4] = {
        (box.x0 + box.x1 + 1) / (2.0 * width), (box.y0 + box.y1 + 1) / (2.0 * height),
        (box.x1 - box.x0 + 1) / (double)width, (box.y1 - box.y0 + 1) / (double)height};
    double dt = time - t->time;
    bool again = !t->started || t->class_id != class_id || dt > ADL_BOX_TRACK_GAP || dt <= 0;

    if (t->still <= 0)
        return box;
    for (int i = 0; i < 4; i++) {
        if (!again) {
            smooth_value(t, i, values[i], dt);
            continue;
        }
        t->raw[i] = t->smooth[i] = values[i];
        t->speed[i] = 0;
    }
    t->started = true;
    t->class_id = class_id;
    t->time = time;
    extent(t->smooth[0], t->smooth[2], width, &box.x0, &box.x1);
    extent(t->smooth[1], t->smooth[3], height, &box.y0, &box.y1);
    return box;
}
