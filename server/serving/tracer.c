/* Sends spans to a collector.
 *
 * DESIGN
 *
 * Requests copy their spans into a ring of SPANS. A thread takes up to BATCH of them, at the latest
 * PAUSE_MS after the first, and posts them as one body. What a collector refuses for the moment
 * (429, 502, 503, 504, or no answer) is sent again, after one second, then two, up to LONGEST_S or
 * as long as its Retry-After says; what it refuses for good is dropped, and so is what comes while
 * the ring is full. The log says once in a while that a collector does not answer.
 *
 * Lock. `lock` protects the ring, the counts and `stopping`. It is held while a span is copied, and
 * never during a request to the collector. */

#include "server/serving/tracer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/wait.h"
#include "server/serving/log.h"
#include "server/serving/otlp.h"

#define SPANS 2048
#define BATCH 256
#define PAUSE_MS 1000
#define LONGEST_S 30
#define TIMEOUT_MS 5000
#define LAST_TIMEOUT_MS 1000 /* for each request once the server ends */
#define STOP_S 3
#define REPORT_S 60

struct adl_tracer {
    struct adl_tracer_config config;
    char instance[80];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct adl_request_span *ring;
    size_t begin, count;
    struct adl_tracer_counts counts;
    bool stopping;

    /* of the thread alone */
    struct adl_request_span batch[BATCH];
    uint64_t reported_ns;
};

/* --- the thread ---------------------------------------------------------------------------- */

/* Waits for a number of milliseconds, or until so many spans wait, or the tracer is to stop. Under
 * the lock. */
static void wait_ms(struct adl_tracer *t, uint64_t ms, size_t enough)
{
    const uint64_t until_ns = adl_clock_ns() + ms * 1000000;

    while (!t->stopping && t->count < enough && adl_cond_wait_until(&t->wake, &t->lock, until_ns))
        ;
}

/* Takes a batch, after waiting for one; returns 0 at the end. Under the lock. */
static size_t take(struct adl_tracer *t)
{
    while (t->count == 0 && !t->stopping)
        pthread_cond_wait(&t->wake, &t->lock);
    wait_ms(t, PAUSE_MS, BATCH);
    size_t n = ADL_MIN(t->count, (size_t)BATCH);
    for (size_t i = 0; i < n; i++)
        t->batch[i] = t->ring[(t->begin + i) % SPANS];
    t->begin = (t->begin + n) % SPANS;
    t->count -= n;
    return n;
}

/* Says, at most once in REPORT_S seconds, that spans are not taken. */
static void report(struct adl_tracer *t, const char *why, bool again)
{
    const uint64_t now = adl_clock_ns();

    if (t->reported_ns > 0 && now - t->reported_ns < (uint64_t)REPORT_S * 1000000000)
        return;
    t->reported_ns = now;
    adl_log(ADL_LOG_WARN, "trace",
            again
                ? "the collector of --trace-endpoint does not take spans at present; they are kept "
                  "as long as there is space"
                : "the collector of --trace-endpoint refuses spans, which are dropped",
            json_pack("{s:s}", "error", why));
}

enum outcome { TAKEN, LATER, NEVER };

/* Sends a body once; *wait_s is how long the collector wants to be left alone, 0: it says nothing.
 */
static enum outcome send_once(struct adl_tracer *t, const char *body, size_t length,
                              unsigned timeout_ms, unsigned *wait_s)
{
    struct adl_http_post_answer answer = {0};
    struct adl_error err = {0};
    char why[40];

    *wait_s = 0;
    if (adl_http_post(&t->config.to, "application/json", body, length, timeout_ms, &answer, &err) <
        0) {
        report(t, err.message, true);
        adl_error_clear(&err);
        return LATER;
    }
    if (answer.status < 300)
        return TAKEN;
    bool later = answer.status == 429 || answer.status == 502 || answer.status == 503 ||
                 answer.status == 504;
    snprintf(why, sizeof why, "it answers %d", answer.status);
    report(t, why, later);
    *wait_s = answer.retry_after_s;
    return later ? LATER : NEVER;
}

/* Sends a body until it is taken, refused for good, or the tracer stops. Returns whether it was
 * taken. */
static bool send_until(struct adl_tracer *t, const char *body, size_t length)
{
    unsigned pause_s = 1, wait_s;

    for (;;) {
        pthread_mutex_lock(&t->lock);
        bool last = t->stopping;
        pthread_mutex_unlock(&t->lock);
        enum outcome outcome =
            send_once(t, body, length, last ? LAST_TIMEOUT_MS : TIMEOUT_MS, &wait_s);
        if (outcome != LATER || last)
            return outcome == TAKEN;
        pthread_mutex_lock(&t->lock);
        wait_ms(t, 1000 * (uint64_t)ADL_MAX(pause_s, ADL_MIN(wait_s, 10U * LONGEST_S)), SIZE_MAX);
        pthread_mutex_unlock(&t->lock);
        pause_s = ADL_MIN(2 * pause_s, (unsigned)LONGEST_S);
    }
}

/* What has to be added to adl_clock_ns() for the time since 1970, which may be set meanwhile. */
static int64_t unix_offset(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)adl_clock_ns();
}

static void *run(void *argument)
{
    struct adl_tracer *t = argument;
    struct adl_error err = {0};
    size_t n, length;

    pthread_mutex_lock(&t->lock);
    while ((n = take(t)) > 0) {
        pthread_mutex_unlock(&t->lock);
        char *body = adl_otlp_body(t->batch, n, t->instance, unix_offset(), &length, &err);
        bool taken = body && send_until(t, body, length);
        adl_error_clear(&err);
        adl_free(body);
        pthread_mutex_lock(&t->lock);
        *(taken ? &t->counts.sent : &t->counts.dropped) += n;
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* --- the interface ----------------------------------------------------------------------- */

struct adl_tracer *adl_tracer_start(const struct adl_tracer_config *config, struct adl_error *err)
{
    struct adl_tracer *t = adl_calloc(1, sizeof *t);
    char host[64] = "";

    if (!t || !(t->ring = adl_malloc(SPANS, sizeof *t->ring))) {
        adl_free(t);
        adl_fail_nomem(err, "the spans of --trace-endpoint");
        return NULL;
    }
    t->config = *config;
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    snprintf(t->instance, sizeof t->instance, "%s:%ld", host, (long)getpid());
    pthread_mutex_init(&t->lock, NULL);
    adl_cond_init(&t->wake);
    if (pthread_create(&t->thread, NULL, run, t) == 0)
        return t;
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    adl_free(t->ring);
    adl_free(t);
    adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread");
    return NULL;
}

void adl_tracer_stop(struct adl_tracer *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (!adl_thread_join_within(t->thread, 1000 * STOP_S))
        return;
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    adl_free(t->ring);
    adl_free(t);
}

void adl_tracer_begin(const struct adl_tracer *t, const char *traceparent, bool may_begin,
                      struct adl_trace *trace)
{
    bool sampled;

    if (!adl_trace_parse(traceparent, trace, &sampled) && t && may_begin)
        sampled = adl_trace_begin(trace) < t->config.share;
    if (t && sampled)
        adl_trace_add_span(trace);
}

void adl_tracer_end(struct adl_tracer *t, const struct adl_request_span *span)
{
    pthread_mutex_lock(&t->lock);
    if (t->count == SPANS) {
        t->counts.dropped++;
    } else {
        t->ring[(t->begin + t->count++) % SPANS] = *span;
        pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->lock);
}

struct adl_tracer_counts adl_tracer_counts(struct adl_tracer *t)
{
    struct adl_tracer_counts counts = {0, 0};

    if (!t)
        return counts;
    pthread_mutex_lock(&t->lock);
    counts = t->counts;
    pthread_mutex_unlock(&t->lock);
    return counts;
}
