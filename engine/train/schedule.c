/* Computes learning rates as a function of the position in the run, t = epoch + batch /
 * batches:
 *
 *     step    lr decay^(number of multiples of `every` in 1 .. epoch + 1)
 *     cosine  lr (1 + cos(pi (t - warmup) / (epochs - warmup))) / 2
 *
 * During the warm-up, the rate is multiplied by (t + 1 / batches) / warmup. One as long as the run
 * is all of it, and the cosine does not begin. */

#include "train/schedule.h"

#include <math.h>

const char *const adl_schedule_names[] = {
    [ADL_SCHEDULE_STEP] = "step", [ADL_SCHEDULE_COSINE] = "cosine", NULL};

double adl_schedule_lr(const struct adl_schedule *s, int epoch, size_t batch, size_t batches)
{
    double t = (double)epoch + (double)batch / (double)(batches ? batches : 1);
    double lr = s->lr;

    if (s->kind == ADL_SCHEDULE_COSINE) {
        double span = (double)s->epochs - s->warmup_epochs;
        double done = span > 0 ? (t - s->warmup_epochs) / span : 0; /* 0: all is warm-up */
        lr *= 0.5 * (1 + cos(acos(-1) * fmin(fmax(done, 0), 1)));
    } else if (s->every > 0) {
        for (int number = s->every; number <= epoch + 1; number += s->every)
            lr *= s->decay;
    }
    if (t < s->warmup_epochs) {
        /* Without the added step the first one would have a rate of 0 and learn nothing. */
        double step = 1 / (double)(batches ? batches : 1);
        lr *= fmin((t + step) / s->warmup_epochs, 1);
    }
    return lr;
}
