#ifndef ADL_SERVER_SERVING_ADMISSION_H
#define ADL_SERVER_SERVING_ADMISSION_H

/* Decides how many jobs of a lane may be queued or in progress, from how long they wait for the
 * network. The lanes (fair.h) are apart: large pictures may take long before they come to the
 * network, and that is no reason to accept fewer small ones.
 *
 * Not how many wait but how long they do is what clients notice, and a job that waits for longer
 * than its client is computed for nobody. If in an interval of INTERVAL_MS even the job that waited
 * the least has waited for more than `most_wait_ms`, there is a standing queue that batching does
 * not need (as CoDel detects it: K. Nichols, V. Jacobson, "Controlling Queue Delay", 2012, RFC
 * 8289), and the limit is reduced by a part; otherwise it grows by a number, up to the capacity
 * (additive increase, multiplicative decrease). The least counts, since one that waits for long
 * beside others that do not is the matter of fair.h.
 *
 * Beyond the limit there are places for those who would otherwise be kept out for good by clients
 * that send the next request as soon as they have an answer, and so always find the place free that
 * they have just left (adl_admission_with_owed()).
 *
 * Not thread-safe: the owner has a lock. */

#include <stddef.h>
#include <stdint.h>

struct adl_admission {
    size_t capacity;
    double most_wait_ms;
    double limit;         /* from the least limit to the capacity */
    double least_wait_ms; /* in the present interval; negative: none has waited */
    uint64_t since_ns;    /* when it began; 0: not yet */
};

/* `most_wait_ms` 0: the limit is always the capacity. */
void adl_admission_init(struct adl_admission *admission, size_t capacity, double most_wait_ms);

/* Returns how many jobs may be there now: at least the smaller of ADL_LIMIT_LEAST_QUEUE and the
 * capacity. */
size_t adl_admission_limit(const struct adl_admission *admission);

/* What somebody is owed that comes when the limit is reached, in ascending order: nothing, because
 * he has had his share; a place because he is behind (enum adl_fair_lag), or because his work is
 * small and hardly any such work is there beside large work. */
enum adl_owed {
    ADL_OWED_NOTHING,
    ADL_OWED_AS_CONNECTION,
    ADL_OWED_AS_CLIENT,
    ADL_OWED_AS_LANE,
};

/* Returns a limit, and a sixteenth of it more for each degree of what is owed. So at most 3/16 more
 * than the capacity are ever there, and each degree has places that no lower one takes. */
size_t adl_admission_with_owed(size_t limit, enum adl_owed owed);
/* Returns the limit as it is now with the places beyond it: at least one for each degree, however
 * low it is, where the capacity has as many. */
size_t adl_admission_limit_with_owed(const struct adl_admission *admission, enum adl_owed owed);
/* Returns how few jobs of small work are hardly any. */
size_t adl_admission_few(size_t capacity);

/* To be called for each job that reaches the network at the time `now_ns` (base/clock.h), `wait_ms`
 * after it was admitted, while `admitted` jobs are there. */
void adl_admission_waited(struct adl_admission *admission, double wait_ms, size_t admitted,
                          uint64_t now_ns);

/* To be called when a job comes and no other is there, or none of the lane: what was measured
 * before is of no use. */
void adl_admission_idle(struct adl_admission *admission);

#endif
