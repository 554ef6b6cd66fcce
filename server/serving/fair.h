#ifndef ADL_SERVER_SERVING_FAIR_H
#define ADL_SERVER_SERVING_FAIR_H

/* Keeps account of the processor time that clients have used, and says whose work is next.
 *
 * There are three levels: two lanes (small work and large work), in each lane its clients
 * (addresses, or tokens), and of each client its connections. Whoever has used less time goes
 * first, on every level. The design is in docs/decisions/027. Not thread-safe: the owner has a
 * lock. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum adl_lane {
    ADL_LANE_SMALL, /* takes a few milliseconds */
    ADL_LANE_LARGE,
    ADL_LANE_COUNT
};
extern const char *const adl_lane_names[ADL_LANE_COUNT]; /* "small", "large" */

/* Who sends a piece of work. */
struct adl_sender {
    uint64_t client;     /* a hash of the address or of the token */
    uint64_t connection; /* different for each open connection */
};

struct adl_fair;

/* A place in the accounts; plain data, owned by whoever entered. */
struct adl_fair_place {
    enum adl_lane lane;
    int client, connection; /* indices of accounts */
};

/* Creates accounts for up to `most` entries at a time. Fails with ADL_ERR_NOMEM. */
struct adl_fair *adl_fair_create(size_t most, struct adl_error *err) ADL_MUST_CHECK;
void adl_fair_free(struct adl_fair *fair); /* NULL is ignored */

/* Notes that a sender has work in a lane, until adl_fair_leave(). */
void adl_fair_enter(struct adl_fair *fair, enum adl_lane lane, struct adl_sender sender,
                    struct adl_fair_place *place);
void adl_fair_leave(struct adl_fair *fair, const struct adl_fair_place *place);

/* Charges milliseconds of processor time to the place's lane, client and connection; negative ones
 * correct an estimate. */
void adl_fair_charge(struct adl_fair *fair, const struct adl_fair_place *place, double ms);

/* Returns whether the work of place `a` goes before that of `b`. Neither does if they are equal;
 * then the one that came first should. */
bool adl_fair_before(const struct adl_fair *fair, const struct adl_fair_place *a,
                     const struct adl_fair_place *b);
/* Tells that the work of a place begins: whoever enters from now on starts level with it. */
void adl_fair_begin(struct adl_fair *fair, const struct adl_fair_place *place);

/* Returns whether large work has to wait, because there is small work and large work has had its
 * share. */
bool adl_fair_large_waits(const struct adl_fair *fair);

/* How far somebody who has no entry now has been left behind by others that were served meanwhile,
 * in ascending order of what he is owed. */
enum adl_fair_lag {
    ADL_FAIR_LEVEL,             /* he has had his share */
    ADL_FAIR_BEHIND_CONNECTION, /* his connection is behind others of the same client */
    ADL_FAIR_BEHIND_CLIENT,     /* the client is behind other clients */
};

/* Returns how far a sender is behind in a lane. Who was never seen before is level with the work
 * that began last, and is behind if he asks again later without having been served. */
enum adl_fair_lag adl_fair_lag(struct adl_fair *fair, enum adl_lane lane, struct adl_sender sender);

/* Returns the entries of a client, in both lanes. */
size_t adl_fair_entries(const struct adl_fair *fair, uint64_t client);

#endif
