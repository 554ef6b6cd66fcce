#ifndef ADL_BASE_PAUSE_H
#define ADL_BASE_PAUSE_H

/* A hook that long work calls between its pieces, each of which takes about a millisecond. The hook
 * may wait, so that other work goes first, and it may end the work by failing. It may also have
 * pieces that do not depend on each other done by several threads. */

#include <stddef.h>

#include "base/error.h"

struct adl_pause;

/* Does piece `i` of some work. `pause` belongs to the thread that does it; NULL: there is none. */
typedef int adl_pause_body(void *of_body, size_t i, const struct adl_pause *pause,
                           struct adl_error *err);

struct adl_pause {
    int (*call)(void *context, struct adl_error *err);
    /* Does adl_pause_for() on several threads; NULL: the thread that calls it does all pieces. */
    int (*share)(void *context, size_t n, adl_pause_body *body, void *of_body,
                 struct adl_error *err);
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

/* Calls body(of_body, i, ...) for each i in 0..n-1 and the hook before each, and returns when all
 * have ended; several may run at a time, in any order. Fails if a call does or if the hook does,
 * and then leaves out those that have not begun. */
static inline int adl_pause_for(const struct adl_pause *pause, size_t n, adl_pause_body *body,
                                void *of_body, struct adl_error *err)
{
    if (pause && pause->share && n > 1)
        return pause->share(pause->context, n, body, of_body, err);
    for (size_t i = 0; i < n; i++)
        if (adl_pause(pause, err) < 0 || body(of_body, i, pause, err) < 0)
            return -1;
    return 0;
}

#endif
