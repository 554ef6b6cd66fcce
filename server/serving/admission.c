/* Adapts the number of jobs to the time that they wait; see admission.h. */

#include "server/serving/admission.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/size.h"

#define INTERVAL_MS 100.0
#define KEPT_PART 0.9  /* of the limit, after an interval in which all have waited for too long */
#define GROWTH_PART 32 /* this part of the capacity is added after any other interval */

void adl_admission_init(struct adl_admission *a, size_t capacity, double most_wait_ms)
{
    *a = (struct adl_admission){.capacity = capacity,
                                .most_wait_ms = most_wait_ms,
                                .limit = (double)capacity,
                                .least_wait_ms = -1};
}

size_t adl_admission_limit(const struct adl_admission *a)
{
    return (size_t)a->limit;
}

#define OWED_PART 16

size_t adl_admission_with_owed(size_t limit, enum adl_owed owed)
{
    return limit + (size_t)owed * limit / OWED_PART;
}

size_t adl_admission_limit_with_owed(const struct adl_admission *a, enum adl_owed owed)
{
    const size_t limit = adl_admission_limit(a);

    return limit +
           (size_t)owed * ADL_MAX(limit, ADL_MIN(a->capacity, (size_t)OWED_PART)) / OWED_PART;
}

size_t adl_admission_few(size_t capacity)
{
    return capacity / OWED_PART;
}

static void end_interval(struct adl_admission *a, size_t admitted)
{
    const double least = (double)ADL_MIN(a->capacity, (size_t)ADL_LIMIT_LEAST_QUEUE);

    if (a->least_wait_ms > a->most_wait_ms)
        /* Where fewer are there than may be, the limit begins to matter below their number. */
        a->limit = ADL_MAX(least, KEPT_PART * ADL_MIN(a->limit, (double)admitted));
    else
        a->limit = ADL_MIN((double)a->capacity,
                           a->limit + ADL_MAX(1.0, (double)a->capacity / GROWTH_PART));
    a->least_wait_ms = -1;
}

void adl_admission_waited(struct adl_admission *a, double wait_ms, size_t admitted, uint64_t now_ns)
{
    if (a->most_wait_ms <= 0)
        return;
    if (a->since_ns == 0)
        a->since_ns = now_ns;
    if (a->least_wait_ms < 0 || wait_ms < a->least_wait_ms)
        a->least_wait_ms = wait_ms;
    if (adl_clock_ms(a->since_ns, now_ns) < INTERVAL_MS)
        return;
    end_interval(a, admitted);
    a->since_ns = now_ns;
}

void adl_admission_idle(struct adl_admission *a)
{
    a->limit = (double)a->capacity;
    a->least_wait_ms = -1;
    a->since_ns = 0;
}
