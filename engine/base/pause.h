#ifndef ADL_BASE_PAUSE_H
#define ADL_BASE_PAUSE_H

/* A hook that long work calls between its pieces, each of which takes about a millisecond. The hook
 * may wait, so that other work goes first, and it may end the work by failing. */

#include <stddef.h>

#include "base/error.h"

struct adl_pause {
    int (*call)(void *context, struct adl_error *err);
    void *context;
};

/* Pixels of an image that make a piece. */
#define ADL_PAUSE_PIXELS 65536

/* Calls the hook, of which NULL does nothing. Fails as the hook does. */
static inline int adl_pause(const struct adl_pause *pause, struct adl_error *err)
{
    return pause ? pause->call(pause->context, err) : 0;
}

/* The same, once ADL_PAUSE_PIXELS pixels have been counted in *done; `more` are added first. */
static inline int adl_pause_after(const struct adl_pause *pause, size_t *done, size_t more,
                                  struct adl_error *err)
{
    *done += more;
    if (*done < ADL_PAUSE_PIXELS)
        return 0;
    *done = 0;
    return adl_pause(pause, err);
}

#endif
