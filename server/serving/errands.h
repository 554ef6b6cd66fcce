#ifndef ADL_SERVER_SERVING_ERRANDS_H
#define ADL_SERVER_SERVING_ERRANDS_H

/* One thread for what may block, such as writing files: requests hand it their errands, so that
 * neither the I/O threads nor the engine wait for a disk. Errands run one after the other in the
 * order in which they were given. */

#include <stdbool.h>

#include "base/error.h"

struct adl_errands;

/* Something to be done. The giver owns it and keeps it valid until run() or refuse() is called;
 * the thread does not use it after that. */
struct adl_errand {
    void (*run)(struct adl_errand *errand);
    void (*refuse)(struct adl_errand *errand); /* called instead, at the end; see below */
    struct adl_errand *next;                   /* for errands.c only */
};

/* Starts the thread. Fails with ADL_ERR_NOMEM. */
struct adl_errands *adl_errands_start(struct adl_error *err) ADL_MUST_CHECK;

/* Hands over an errand. Returns false, and does not run it, if ADL_LIMIT_ERRANDS wait or
 * adl_errands_finish() was called. */
bool adl_errands_give(struct adl_errands *errands, struct adl_errand *errand) ADL_MUST_CHECK;
/* Returns whether adl_errands_give() would return false now. */
bool adl_errands_full(struct adl_errands *errands);

/* Takes no more errands and waits until those that were given are done, or for `patience_ms` if
 * that is shorter. Returns false if one is still not done, as on a file system that hangs: those
 * behind it are refused, and adl_errands_free() must not be called, nor anything be freed that the
 * one uses. Returns true for NULL. */
bool adl_errands_finish(struct adl_errands *errands, unsigned patience_ms) ADL_MUST_CHECK;
/* Joins the thread and frees `errands`, when all errands are done. NULL is ignored. */
void adl_errands_free(struct adl_errands *errands);

#endif
