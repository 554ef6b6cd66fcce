/* Handles the POST requests of the Open Inference Protocol: tensors or pictures in, tensors out.
 *
 * A request takes the path of /localize (api_localize.c): what the headers show is refused before
 * the body is read; the body becomes one job of the batcher for each image; the worker that
 * finishes the last of them writes the answer. A job with a tensor differs in one thing: in place
 * of decoding a picture, a worker reads the numbers (struct adl_job, `read`). An error of one image
 * is that of the request, because the protocol has none for an element. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "server/api/answer_cost.h"
#include "server/api/inference_reply.h"
#include "server/api/inference_target.h"
#include "server/api/job_answer.h"

/* Of reading one number of a tensor, as text and as binary data, in nanoseconds. */
#define TEXT_NS 120
#define BINARY_NS 2

/* The work for one request. Its jobs belong to the batcher until `pending` is 0. */
struct infer {
    struct adl_exchange *exchange;
    bool explain;
    struct adl_served *served;
    size_t header; /* Inference-Header-Content-Length; SIZE_MAX: none */
    struct adl_inference_request request;
    struct adl_map_rule map;
    int class_id;
    size_t text_bytes; /* for the text of one image's part of the answer */
    struct adl_job *jobs;
    size_t job_count;
    _Atomic size_t pending;
    _Atomic size_t kept; /* bytes that are reserved until the answer is sent */
};

static void release(void *work)
{
    struct infer *in = work;

    adl_batcher_give_back(in->exchange->server->batcher, in->kept);
    for (size_t i = 0; i < in->job_count; i++)
        adl_job_release(&in->jobs[i]);
    adl_free(in->jobs);
    adl_inference_request_release(&in->request);
    adl_served_release(in->served);
    adl_free(in);
}

static void malformed(struct infer *in, const struct adl_error *err)
{
    enum adl_problem problem = ADL_PROBLEM_MALFORMED_REQUEST;

    if (err->kind == ADL_ERR_NOMEM)
        problem = ADL_PROBLEM_OUT_OF_MEMORY;
    else if (err->kind == ADL_ERR_LIMIT)
        problem = ADL_PROBLEM_BODY_TOO_LARGE;
    adl_answer_problem(in->exchange, problem, problem == ADL_PROBLEM_OUT_OF_MEMORY, "%s",
                       err->message);
}

/* --- the headers ---------------------------------------------------------------------- */

static bool is_type(const char *text, const char *type)
{
    const size_t length = strlen(type);
    return !strncasecmp(text, type, length) && strchr(" \t;", text[length]);
}

/* Bodies are JSON, with binary data after it or not; many clients declare no type. */
static bool check_type(struct adl_exchange *exchange)
{
    const char *type = adl_http_header(exchange->http, "Content-Type");

    if (!type || is_type(type, "application/json") || is_type(type, "application/octet-stream"))
        return true;
    adl_answer_problem(exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                       "\"%s\" is not a type of requests for inference; send application/json, or "
                       "application/octet-stream with binary data after the JSON",
                       ADL_SHORT(type));
    return false;
}

/* Reads the length of the JSON. */
static bool read_header(struct infer *in)
{
    const char *text = adl_http_header(in->exchange->http, "Inference-Header-Content-Length");
    const size_t digits = text ? strspn(text, "0123456789") : 0;

    in->header = SIZE_MAX;
    if (!text)
        return true;
    if (digits == 0 || digits > 18 || text[digits]) {
        adl_answer_problem(in->exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "Inference-Header-Content-Length: %s: is not a number of bytes",
                           ADL_SHORT(text));
        return false;
    }
    in->header = (size_t)strtoull(text, NULL, 10);
    return true;
}

static void begin(struct adl_exchange *exchange, bool explain)
{
    struct infer *in = adl_calloc(1, sizeof *in);

    if (!in) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return;
    }
    in->exchange = exchange;
    in->explain = explain;
    exchange->work = in;
    exchange->release = release;
    if (!adl_check_body(exchange) || !check_type(exchange) || !read_header(in))
        return;
    in->served = adl_inference_model(exchange);
    if (!in->served)
        return;
    if (adl_batcher_full(exchange->server->batcher, adl_sender_of(exchange))) {
        adl_answer_queue_full(exchange, "the queue is full; try again shortly");
        return;
    }
    adl_http_take_body(exchange->http, exchange->server->max_body);
}

void adl_api_infer_begin(struct adl_exchange *exchange)
{
    begin(exchange, false);
}

void adl_api_explain_begin(struct adl_exchange *exchange)
{
    begin(exchange, true);
}

/* --- the answer ------------------------------------------------------------------------ */

static struct infer *infer_of(const struct adl_job *job)
{
    return job->context;
}

static void answer_failure(struct infer *in, const struct adl_job *job)
{
    enum adl_problem problem = adl_job_problem(in->exchange, job);
    char detail[sizeof job->err.message + 40];

    if (problem == ADL_PROBLEM_BAD_PARAMETER)
        problem = ADL_PROBLEM_MALFORMED_REQUEST;
    if (in->request.pictures && in->job_count > 1)
        snprintf(detail, sizeof detail, "element %zu of \"image\": %s", (size_t)(job - in->jobs),
                 job->err.message);
    else
        snprintf(detail, sizeof detail, "%s", job->err.message);
    adl_answer_job_problem(in->exchange, problem, detail);
}

/* Reserves the memory for writing the answer to several images, which did not wait for it. */
static int reserve_text(struct infer *in, struct adl_error *err)
{
    const size_t bytes = in->text_bytes * in->job_count;

    if (in->job_count == 1)
        return 0;
    if (adl_batcher_keep_more(in->exchange->server->batcher, bytes, err) < 0)
        return -1;
    in->kept += bytes;
    return 0;
}

/* Writes the answer. Returns false, with the reason in the last job, if there is not enough memory
 * or nobody waits for it. */
static bool answer(struct infer *in, struct adl_job *last)
{
    const struct adl_inference_answer parts = {
        .request = &in->request,
        .model = in->served->model,
        .model_name = in->served->name,
        .version = in->served->version,
        .jobs = in->jobs,
        .pause = last->pause,
    };
    struct adl_str text = {0};
    size_t json_length;
    bool binary;

    if (reserve_text(in, &last->err) < 0 ||
        adl_inference_answer_write(&parts, &text, &json_length, &binary, &last->err) < 0) {
        adl_str_release(&text);
        return false;
    }
    if (binary)
        adl_http_add_header(in->exchange->http, "Inference-Header-Content-Length", "%zu",
                            json_length);
    adl_answer_text(in->exchange, 200, binary ? "application/octet-stream" : "application/json",
                    &text);
    adl_str_release(&text);
    return true;
}

static void answer_all(struct infer *in, struct adl_job *last)
{
    for (size_t i = 0; i < in->job_count; i++)
        if (in->jobs[i].err.kind) {
            answer_failure(in, &in->jobs[i]);
            return;
        }
    if (!answer(in, last))
        answer_failure(in, last);
}

/* Gives back what is more than the answer takes. */
static void keep_only(struct infer *in, size_t bytes)
{
    const size_t kept = in->kept, left = ADL_MIN(kept, bytes);

    in->kept = left;
    adl_batcher_give_back(in->exchange->server->batcher, kept - left);
}

static void on_finished(struct adl_job *job)
{
    struct infer *in = infer_of(job);
    struct adl_batcher *batcher = in->exchange->server->batcher;
    struct adl_http_request *http = in->exchange->http;
    const uint64_t begin_ns = adl_clock_ns();

    adl_predict_input_drop(&job->input);
    in->kept += adl_batcher_keep(batcher, job, job->answer.bytes);
    if (atomic_fetch_sub(&in->pending, 1) > 1)
        return;
    adl_note_job_times(in->exchange, in->jobs, in->job_count);
    answer_all(in, job);
    for (size_t i = 0; i < in->job_count; i++)
        adl_job_release(&in->jobs[i]);
    keep_only(in, http->reply.length);
    adl_note_encode_time(in->exchange, begin_ns);
    adl_http_resume(http);
}

/* --- the jobs ------------------------------------------------------------------------- */

static bool is_abandoned(const struct adl_job *job)
{
    return adl_http_client_gone(infer_of(job)->exchange->http);
}

/* Makes the input of a job from its part of the tensor. */
static int read_tensor(struct adl_job *job, struct adl_error *err)
{
    const struct infer *in = infer_of(job);
    const int h = in->served->model->input_h, w = in->served->model->input_w;

    job->input.info = (struct adl_image_info){.width = w, .height = h};
    job->input.tensor = adl_malloc(3 * (size_t)h * (size_t)w, sizeof(float));
    if (!job->input.tensor)
        return adl_fail_nomem(err, "a tensor");
    return adl_inference_request_tensor(&in->request, (size_t)(job - in->jobs), (size_t)h,
                                        (size_t)w, job->decode.pause, job->input.tensor, err);
}

static void estimate_answer(struct infer *in, struct adl_job *job)
{
    const struct adl_model *model = in->served->model;
    const size_t cells =
        ADL_MAX(adl_answer_map_cells(&in->map.views, model->input_h, model->input_w),
                adl_shape_count(adl_plan_output_shape(in->served->plan, ADL_OUTPUT_FEATURES)));
    const struct adl_answer_kind kind = {.classes = 1, .boxes = in->request.params.boxes};
    double ms;

    job->answer = adl_answer_cost(&kind);
    job->answer.bytes =
        adl_inference_answer_bytes(&in->request, model, cells, &in->text_bytes, &ms);
    job->answer.ms += ms;
    /* The images of a request do not wait for the memory of the answer: each has the others'
     * results in memory, and two requests could wait for each other. */
    job->answer.in_form = in->job_count > 1;
    if (!job->answer.in_form)
        job->answer.bytes += in->text_bytes;
}

static void fill_job(struct infer *in, size_t index)
{
    const struct adl_server *server = in->exchange->server;
    const struct adl_model *model = in->served->model;
    const size_t numbers = 3 * (size_t)model->input_h * (size_t)model->input_w;
    struct adl_job *job = &in->jobs[index];

    *job = (struct adl_job){
        .bytes = in->request.files[index].data,
        .length = in->request.files[index].length,
        .served = in->served,
        .decode = {.max_pixels = server->max_pixels, .reduced = server->reduced_decode},
        .query = {.class_id = in->class_id,
                  .top_k = 1,
                  .label_threshold = -1,
                  .map = in->map,
                  .boxes = in->request.params.boxes,
                  .keep_outputs = true},
        .sender = adl_sender_of(in->exchange),
        .alone = in->job_count == 1,
        .run_cost = ADL_MAX(1, adl_map_cost(model, &in->map, 1)),
        .deadline_ns = in->exchange->http->start_ns + (uint64_t)server->timeout_s * 1000000000,
        .abandoned = is_abandoned,
        .finished = on_finished,
        .context = in,
    };
    if (!in->request.pictures) {
        job->read = read_tensor;
        job->read_bytes = numbers * sizeof(float);
        job->read_ms = (double)numbers * (in->request.binary ? BINARY_NS : TEXT_NS) * 1e-6;
    }
    adl_predict_query_certainty(&job->query, model);
    estimate_answer(in, job);
}

/* Completes the map rule. A tensor has one size only. */
static int choose_map(struct infer *in, struct adl_error *err)
{
    const struct adl_model *model = in->served->model;
    const struct adl_params *params = &in->request.params;

    in->map = model->map;
    if (!in->request.pictures && params->map.views.scale_count > 0)
        return adl_fail(err, ADL_ERR_ARG,
                        "map_scales needs pictures (\"image\"); a tensor has one size");
    if (adl_map_rule_change(&in->map, &params->map, model->foreground, err) < 0)
        return -1;
    if (!in->request.pictures)
        in->map.views.scale_count = 0;
    if (adl_check_views(in->exchange->server, in->served, &in->map, 1, err) < 0)
        return -1;
    in->class_id = -1;
    if (!*params->class_text)
        return 0;
    in->class_id = adl_model_find_class(model, params->class_text);
    if (in->class_id < 0)
        return adl_fail(err, ADL_ERR_ARG, "the model \"%s\" does not have the class \"%s\"",
                        in->served->name, ADL_SHORT(params->class_text));
    return 0;
}

static int read_request(struct infer *in, struct adl_error *err)
{
    const struct adl_http_request *http = in->exchange->http;
    const size_t json = in->header == SIZE_MAX ? http->body_length : in->header;

    if (json > http->body_length)
        return adl_fail(err, ADL_ERR_ARG,
                        "Inference-Header-Content-Length is %zu, and the body has %zu bytes", json,
                        http->body_length);
    if (adl_inference_request_read(&in->request, http->body, http->body_length, json,
                                   in->served->model, in->explain, err) < 0)
        return -1;
    return choose_map(in, err);
}

void adl_api_infer(struct adl_exchange *exchange)
{
    struct infer *in = exchange->work;
    struct adl_error err = {0};

    if (read_request(in, &err) < 0) {
        malformed(in, &err);
        return;
    }
    in->jobs = adl_calloc(in->request.images, sizeof *in->jobs);
    if (!in->jobs) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return;
    }
    in->job_count = exchange->images = in->request.images;
    for (size_t i = 0; i < in->job_count; i++)
        fill_job(in, i);
    atomic_init(&in->pending, in->job_count);
    /* From here on the request belongs to the thread that finishes its last job. */
    adl_http_suspend(exchange->http);
    if (adl_batcher_submit(exchange->server->batcher, in->jobs, in->job_count, &err) < 0) {
        if (exchange->server->draining)
            adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "%s", err.message);
        else
            adl_answer_queue_full(exchange, err.message);
        adl_http_resume(exchange->http);
    }
}

void adl_api_explain(struct adl_exchange *exchange)
{
    adl_api_infer(exchange);
}
