/* What the handlers that compute images share; see job_answer.h. */

#include "server/api/job_answer.h"

#include <strings.h>

#include "base/clock.h"
#include "base/name.h"
#include "base/size.h"
#include "server/api/tracing.h"

bool adl_check_body(struct adl_exchange *exchange)
{
    const struct adl_http_request *http = exchange->http;
    const char *coding = adl_http_header(http, "Content-Encoding");

    if (!http->has_body && !adl_http_header(http, "Content-Length")) {
        adl_answer_problem(exchange, ADL_PROBLEM_LENGTH_REQUIRED, 0,
                           "the request has neither Content-Length nor a body in chunks");
        return false;
    }
    if (http->content_length > 0 && (size_t)http->content_length > exchange->server->max_body) {
        adl_answer_problem(exchange, ADL_PROBLEM_BODY_TOO_LARGE, 0,
                           "the body has %lld bytes; the limit set by --max-body is %zu",
                           http->content_length, exchange->server->max_body);
        return false;
    }
    if (coding && strcasecmp(coding, "identity") != 0) {
        adl_http_add_header(exchange->http, "Accept-Encoding", "identity");
        adl_answer_problem(exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                           "Content-Encoding: %s: encoded bodies are not supported; send the "
                           "bytes as they are",
                           ADL_SHORT(coding));
        return false;
    }
    return true;
}

/* --- views --------------------------------------------------------------------- */

/* The map of another layer takes a forward and a backward pass of the network above it for each
 * class, which is counted as twice the image; the principal component of a class takes iterations
 * over the features, counted as a fifth (100 classes of MobileNetV1 at 224x224, with a map stride
 * of 1, took 0.54 s of processor time, instead of 0.10 s with weighted sums). */
double adl_map_cost(const struct adl_model *model, const struct adl_map_rule *map, int classes)
{
    const struct adl_map_views *views = &map->views;
    double cost = adl_map_views_cost(views, model->input_h, model->input_w, model->stride1 != NULL);

    if (map->weights == ADL_MAP_WEIGHTS_PC1)
        cost *= 1 + 0.2 * classes;
    return views->layer.method == ADL_LAYER_NONE ? cost : cost * (1 + 2 * classes);
}

int adl_check_views(const struct adl_server *server, const struct adl_served *served,
                    const struct adl_map_rule *map, int classes, struct adl_error *err)
{
    const struct adl_model *model = served->model;
    double limit = server->max_map_cost;
    double cost = adl_map_cost(model, map, classes);
    bool by_class = cost > adl_map_cost(model, map, 0);

    if (cost > limit && cost > adl_map_cost(model, &model->map, ADL_MIN(classes, ADL_OWN_CLASSES)))
        return adl_fail(
            err, ADL_ERR_ARG,
            "%s cost %.1f times the image alone; the limit set by --max-map-cost is %g",
            by_class ? "the views of the map and the classes, each with a map that takes long,"
                     : "the scales and mirror images of the map",
            cost, limit);
    if (adl_map_views_check(&map->views, model->input_h, model->input_w, err) < 0)
        return -1;
    return adl_views_check_layer(served->views, &map->views, err);
}

/* --- failures ---------------------------------------------------------------------- */

void adl_answer_queue_full(struct adl_exchange *exchange, const char *detail)
{
    adl_answer_problem(exchange, ADL_PROBLEM_QUEUE_FULL,
                       adl_batcher_retry_after_s(exchange->server->batcher), "%s", detail);
}

enum adl_problem adl_job_problem(const struct adl_exchange *exchange, const struct adl_job *job)
{
    if (job->pushed_out)
        return ADL_PROBLEM_QUEUE_FULL;
    if (job->err.kind == ADL_ERR_BUSY)
        return exchange->server->draining ? ADL_PROBLEM_DRAINING : ADL_PROBLEM_DEADLINE_EXCEEDED;
    return adl_problem_of(job->err.kind);
}

void adl_answer_job_problem(struct adl_exchange *exchange, enum adl_problem problem,
                            const char *detail)
{
    unsigned retry_s = problem == ADL_PROBLEM_QUEUE_FULL
                           ? adl_batcher_retry_after_s(exchange->server->batcher)
                           : adl_problem_row(problem)->status == 503;

    adl_answer_problem(exchange, problem, retry_s, "%s", detail);
}

/* --- times ------------------------------------------------------------------------- */

void adl_note_job_times(struct adl_exchange *exchange, const struct adl_job *jobs, size_t count)
{
    struct adl_stage_times *times = &exchange->times;

    times->known = true;
    times->ahead = jobs[0].ahead;
    for (size_t i = 0; i < count; i++) {
        const struct adl_job *job = &jobs[i];
        times->batch = ADL_MAX(times->batch, job->batch);
        for (int stage = 0; stage < ADL_STAGE_COUNT; stage++) {
            const struct adl_stage_span *span = &job->stages[stage];
            times->ms[stage] += adl_clock_ms(span->begin_ns, span->end_ns);
            adl_tracing_join(&times->spans[stage], span);
        }
    }
}

void adl_note_encode_time(struct adl_exchange *exchange, uint64_t begin_ns)
{
    const struct adl_stage_span encode = {begin_ns, adl_clock_ns()};
    const double ms = adl_clock_ms(encode.begin_ns, encode.end_ns);

    exchange->times.spans[ADL_STAGE_ENCODE] = encode;
    exchange->times.ms[ADL_STAGE_ENCODE] = ms;
    adl_histogram_add(&exchange->server->metrics.stage_seconds[ADL_STAGE_ENCODE],
                      &adl_buckets_seconds, ms / 1e3);
}
