#ifndef ADL_TRAIN_COURIER_H
#define ADL_TRAIN_COURIER_H

/* Sums arrays over the ranks along the tree of train/exchange.h while the caller goes on computing.
 *
 * One thread, the courier, carries parcels. It alone uses the exchange from adl_courier_begin() to
 * adl_courier_wait(), and nobody has to lend it processor time: MPI libraries such as Open MPI 4.1
 * move a message on only while somebody looks at it. All ranks hand over parcels of the same
 * kinds and sizes in the same order. Parcels are under way together, so that the sums of one come
 * down the tree while the terms of the next go up.
 *
 * The sum of a parcel has the bits of the tree, whatever arrives first. Where the exchange can be
 * used by one thread alone, all of it happens in adl_courier_wait(). */

#include <stdint.h>

#include "train/exchange.h"
#include "train/parcel.h"

/* What was carried since the courier was created. */
struct adl_courier_stats {
    double busy_s;   /* during which parcels were under way */
    double hidden_s; /* of these, those before adl_courier_wait(), while the caller computed */
    uint64_t sent_bytes, received_bytes;
};

struct adl_courier;

/* Creates a courier for up to `parcels` parcels at a time, with messages of up to `most` bytes. The
 * exchange is borrowed for its life. A rank that others send to takes memory for two messages.
 * Fails with ADL_ERR_NOMEM; if no thread can be started, all happens in adl_courier_wait(). */
struct adl_courier *adl_courier_create(const struct adl_exchange *exchange, int parcels,
                                       size_t most, struct adl_error *err) ADL_MUST_CHECK;
/* Ends the thread; NULL is fine. What is under way is given up. */
void adl_courier_free(struct adl_courier *courier);

/* Begins a new batch of parcels; the last one has to have been waited for. */
void adl_courier_begin(struct adl_courier *courier);
/* Hands over a parcel, whose arrays belong to the courier until adl_courier_wait(). */
void adl_courier_add(struct adl_courier *courier, const struct adl_parcel *parcel);
/* Waits for all parcels since adl_courier_begin(). Fails as the exchange does. */
int adl_courier_wait(struct adl_courier *courier, struct adl_error *err) ADL_MUST_CHECK;

/* Returns them; not between adl_courier_begin() and adl_courier_wait(). */
struct adl_courier_stats adl_courier_stats(const struct adl_courier *courier);
/* Returns the bytes of its memory. */
size_t adl_courier_bytes(const struct adl_courier *courier);

#endif
