/* Handles POST /localize: images in, boxes out.
 *
 * A request goes through four stages. (1) On an I/O thread, when the headers have arrived:
 * everything that can be refused without the body is refused (headers, parameters, model,
 * a full queue), so that the client does not send it in vain. (2) On the same thread, when
 * the body has arrived: it is split into images, each becomes a job of the batcher, and
 * the request is suspended. (3) On the batcher's threads: each job is computed. (4) On the
 * decode worker that finishes the last job of the request: the answer is written and the
 * request resumed.
 *
 * `pending` decides which thread writes the answer. It is decremented when a job is finished;
 * when it reaches 0, all results are complete and no other thread uses the request. After
 * adl_http_suspend() the I/O thread uses the request only if the batcher refused the jobs;
 * otherwise it may already be answered and freed. */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "server/api/answer_cost.h"
#include "server/api/job_answer.h"
#include "server/api/localize_json.h"
#include "server/api/localize_query.h"
#include "server/api/params.h"
#include "server/api/server.h"
#include "server/http/multipart.h"

/* The work for one request. Its jobs belong to the batcher until `pending` is 0. */
struct localize {
    struct adl_exchange *exchange;
    struct adl_localize_query query;
    enum adl_body_type body;
    enum adl_image_type overlay; /* format of the overlay; UNKNOWN: the answer is JSON */
    uint64_t begin_ns;           /* when the body was complete */
    struct adl_job *jobs;
    size_t job_count;
    _Atomic size_t pending;
    size_t last;           /* index of the job whose worker writes the answer */
    size_t heatmap_pixels; /* pixels that PNG heat maps may still use of their budget */
    _Atomic size_t kept;   /* bytes that the answer has reserved until it is sent */
};

static void release(void *work)
{
    struct localize *l = work;

    adl_batcher_give_back(l->exchange->server->batcher, l->kept);
    for (size_t i = 0; i < l->job_count; i++)
        adl_job_release(&l->jobs[i]);
    adl_free(l->jobs);
    adl_served_release(l->query.served);
    adl_free(l);
}

/* --- stage 1: the headers ---------------------------------------------------- */

#define MAX_PAIRS 24 /* of the query; there are fewer parameters */

struct query {
    struct adl_query_pair pairs[MAX_PAIRS + ADL_LOCALIZE_JSON_PAIRS];
    size_t count;
    bool too_many;
};

static enum MHD_Result collect_pair(void *cls, enum MHD_ValueKind kind, const char *key,
                                    size_t key_size, const char *value, size_t value_size)
{
    struct query *query = cls;

    (void)kind;
    /* In "?&a=b&", the empty text before and after an ampersand is not a parameter. */
    if (key_size == 0 && !value)
        return MHD_YES;
    query->too_many = query->count == MAX_PAIRS;
    if (query->too_many)
        return MHD_NO;
    query->pairs[query->count++] = (struct adl_query_pair){key, value, value_size};
    return MHD_YES;
}

/* Reads the parameters: those of the query, and `count` others. */
static int read_query(struct localize *l, const struct adl_query_pair *others, size_t count,
                      struct adl_error *err)
{
    struct query query = {.count = 0};

    MHD_get_connection_values_n(l->exchange->http->connection, MHD_GET_ARGUMENT_KIND, collect_pair,
                                &query);
    if (query.too_many)
        return adl_fail(err, ADL_ERR_ARG, "there are more than %d parameters", MAX_PAIRS);
    for (size_t i = 0; i < count; i++)
        query.pairs[query.count++] = others[i];
    return adl_params_parse(&l->query.params, query.pairs, query.count, err);
}

static bool check_body(struct localize *l)
{
    struct adl_exchange *exchange = l->exchange;
    const struct adl_http_request *http = exchange->http;
    const char *detail;
    char text[300];

    if (!adl_check_body(exchange))
        return false;
    l->body =
        adl_params_body_type(adl_http_header(http, "Content-Type"), text, sizeof text, &detail);
    if (l->body == ADL_BODY_UNSUPPORTED) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0, "%s", detail);
        return false;
    }
    return true;
}

static bool choose_model(struct localize *l)
{
    struct adl_exchange *exchange = l->exchange;
    struct adl_error err = {0};
    enum adl_problem problem = adl_localize_choose(exchange->server, &l->query, &err);

    if (l->query.served)
        snprintf(exchange->model, sizeof exchange->model, "%s", l->query.served->name);
    if (problem != ADL_PROBLEM_NONE)
        adl_answer_problem(exchange, problem, problem == ADL_PROBLEM_LOADING, "%s", err.message);
    return problem == ADL_PROBLEM_NONE;
}

void adl_api_localize_begin(struct adl_exchange *exchange)
{
    struct adl_error err = {0};
    struct localize *l = adl_calloc(1, sizeof *l);

    if (!l) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return;
    }
    l->exchange = exchange;
    exchange->work = l;
    exchange->release = release;
    if (!check_body(l))
        return;
    if (read_query(l, NULL, 0, &err) < 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0, "%s", err.message);
        return;
    }
    if (adl_params_accept(adl_http_header(exchange->http, "Accept"), &l->overlay) < 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_NOT_ACCEPTABLE, 0,
                           "the answer is available as application/json, image/jpeg or image/png");
        return;
    }
    /* The members of a JSON body may name another model. */
    if (l->body != ADL_BODY_JSON && !choose_model(l))
        return;
    if (adl_batcher_full(exchange->server->batcher, adl_sender_of(exchange))) {
        adl_answer_queue_full(exchange, "the queue is full; try again shortly");
        return;
    }
    adl_http_take_body(exchange->http, exchange->server->max_body);
}

/* --- stage 4: the answer -------------------------------------------------------- */

static void answer_failure(struct localize *l, const struct adl_job *job)
{
    adl_answer_job_problem(l->exchange, adl_job_problem(l->exchange, job), job->err.message);
}

/* --- what the answer takes ----------------------------------------------------- */

/* Whether the answer has a list of results, one for each image. */
static bool is_form(const struct localize *l)
{
    return l->body == ADL_BODY_FORM && l->overlay == ADL_IMAGE_UNKNOWN;
}

/* Keeps `bytes` of what a job has reserved until the answer is sent. */
static void keep(struct localize *l, struct adl_job *job, size_t bytes)
{
    l->kept += adl_batcher_keep(l->exchange->server->batcher, job, bytes);
}

/* Reserves the memory for the answer to one image of a form. The images of a form do not wait for
 * it: each has the others' results in memory, and two forms could wait for each other. */
static int keep_more(struct localize *l, struct adl_job *job, struct adl_error *err)
{
    double pixels = (double)job->input.info.width * (double)job->input.info.height;
    struct adl_batcher *batcher = l->exchange->server->batcher;
    size_t bytes = adl_batcher_answer_bytes(batcher, &job->answer, pixels);

    if (adl_batcher_keep_more(batcher, bytes, err) < 0)
        return -1;
    l->kept += bytes;
    return 0;
}

/* Gives back what is more than `bytes`. */
static void keep_only(struct localize *l, size_t bytes)
{
    size_t kept = l->kept, left = ADL_MIN(kept, bytes);

    l->kept = left;
    adl_batcher_give_back(l->exchange->server->batcher, kept - left);
}

/* --- stage 4, continued -------------------------------------------------------- */

/* Returns the reply to one job as JSON; on failure NULL, with the reason in job->err. The
 * job's result is freed, because no budget limits the results of all images of a form
 * together. */
static json_t *job_json(struct localize *l, struct adl_job *job, bool with_id)
{
    struct adl_reply reply = {
        .model = l->query.served->model,
        .model_name = l->query.served->name,
        .model_version = l->query.served->version,
        .request_id = with_id ? l->exchange->request_id : NULL,
        .image_width = job->input.info.width,
        .image_height = job->input.info.height,
        .predictions = &job->predictions,
        .heatmap = l->query.params.heatmap,
        .timing = &job->timing,
        .heatmap_pixels = &l->heatmap_pixels,
        .pause = l->jobs[l->last].pause,
    };
    json_t *json;

    job->timing.total = adl_clock_ms(l->begin_ns, adl_clock_ns());
    json = job->err.kind ? NULL : adl_reply_to_json(&reply, &job->err);
    adl_job_release(job);
    return json;
}

static void answer_overlay(struct localize *l, struct adl_job *job)
{
    void *bytes;
    size_t length;

    if (adl_reply_overlay(&job->input.image, l->query.served->model, &job->predictions, 0,
                          l->overlay, &bytes, &length, &job->err) < 0) {
        adl_job_release(job);
        answer_failure(l, job);
        return;
    }
    adl_job_release(job);
    adl_http_add_header(l->exchange->http, "Vary", "Accept");
    adl_answer_bytes(l->exchange, l->overlay == ADL_IMAGE_PNG ? "image/png" : "image/jpeg", bytes,
                     length);
}

static void answer_one(struct localize *l)
{
    struct adl_job *job = &l->jobs[0];
    json_t *json;

    if (job->err.kind == ADL_ERR_NONE && l->overlay != ADL_IMAGE_UNKNOWN) {
        answer_overlay(l, job);
        return;
    }
    json = job_json(l, job, true);
    if (!json)
        answer_failure(l, job);
    else
        adl_answer_json(l->exchange, json);
}

static int append(const char *bytes, size_t length, void *text)
{
    adl_str_append(text, bytes, length);
    return 0;
}

/* Appends one entry of "results". It is converted to text at once, since the JSON values of
 * a heat map take several times the memory of their text. */
static void append_result(struct localize *l, struct adl_job *job, struct adl_str *text)
{
    json_t *json;

    if (job->err.kind == ADL_ERR_NONE)
        (void)!keep_more(l, job, &job->err);
    json = job_json(l, job, false);

    if (!json)
        json =
            json_pack("{s:o}", "error",
                      adl_problem_json(adl_job_problem(l->exchange, job), job->err.message, NULL));
    if (!json || json_dump_callback(json, append, text, ADL_REPLY_JSON_FLAGS) < 0)
        text->failed = true;
    json_decref(json);
}

static void answer_form(struct localize *l)
{
    struct adl_str text = {0};

    /* Names and ids cannot contain a character that JSON would have to escape. */
    adl_str_printf(&text,
                   "{\"model\":\"%s\",\"model_version\":\"%s\",\"request_id\":\"%s\",\"results\":[",
                   l->query.served->name, l->query.served->version, l->exchange->request_id);
    for (size_t i = 0; i < l->job_count; i++) {
        adl_str_puts(&text, i ? "," : "");
        append_result(l, &l->jobs[i], &text);
    }
    adl_str_puts(&text, "]}\n");
    adl_answer_text(l->exchange, 200, "application/json", &text);
    adl_str_release(&text);
}

static void on_finished(struct adl_job *job)
{
    struct localize *l = job->context;
    struct adl_http_request *http = l->exchange->http;
    uint64_t begin = adl_clock_ns();

    /* The answer does not need the image, so it is freed before the other jobs finish. */
    if (l->overlay == ADL_IMAGE_UNKNOWN)
        adl_predict_input_drop(&job->input);
    if (is_form(l))
        keep(l, job, ADL_ANSWER_CLASS_BYTES);
    if (atomic_fetch_sub(&l->pending, 1) > 1)
        return;
    l->last = (size_t)(job - l->jobs);
    adl_note_job_times(l->exchange, l->jobs, l->job_count);
    if (is_form(l)) {
        answer_form(l);
        keep_only(l, http->reply.length);
    } else {
        answer_one(l);
        keep(l, job, http->reply.length);
    }
    adl_note_encode_time(l->exchange, begin);
    adl_http_resume(http);
}

/* --- stage 2: the body ------------------------------------------------------------ */

static bool is_abandoned(const struct adl_job *job)
{
    const struct localize *l = job->context;
    return adl_http_client_gone(l->exchange->http);
}

static void fill_job(struct localize *l, struct adl_job *job, const void *bytes, size_t length)
{
    const struct adl_server *server = l->exchange->server;

    *job = (struct adl_job){
        .bytes = bytes,
        .length = length,
        .sender = adl_sender_of(l->exchange),
        .alone = !is_form(l),
        .deadline_ns = l->exchange->http->start_ns + (uint64_t)server->timeout_s * 1000000000,
        .abandoned = is_abandoned,
        .finished = on_finished,
        .context = l,
    };
    adl_localize_fill(server, &l->query, l->overlay != ADL_IMAGE_UNKNOWN, job);
    job->answer.in_form = is_form(l); /* then keep_more() reserves the memory */
}

static bool allocate_jobs(struct localize *l, size_t count)
{
    l->jobs = adl_calloc(count, sizeof *l->jobs);
    if (!l->jobs) {
        adl_answer_problem(l->exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return false;
    }
    l->job_count = count;
    l->exchange->images = count;
    return true;
}

/* Makes a job of each part; returns false if the request was answered with an error. */
static bool read_form(struct localize *l, struct adl_multipart *form)
{
    const struct adl_http_request *http = l->exchange->http;
    struct adl_error err = {0};
    struct adl_span boundary;

    if (adl_multipart_boundary(adl_http_header(http, "Content-Type"), &boundary, &err) < 0 ||
        adl_multipart_parse(http->body, http->body_length, boundary, form, &err) < 0) {
        adl_answer_problem(l->exchange,
                           err.kind == ADL_ERR_LIMIT ? ADL_PROBLEM_BODY_TOO_LARGE
                                                     : ADL_PROBLEM_MALFORMED_REQUEST,
                           0, "%s", err.message);
        return false;
    }
    for (size_t i = 0; i < form->count; i++) {
        struct adl_span name = form->parts[i].name;
        if (name.length != 5 || memcmp(name.data, "image", 5) != 0) {
            char text[100];
            snprintf(text, sizeof text, "%.*s", (int)ADL_MIN(name.length, sizeof text), name.data);
            adl_answer_problem(l->exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                               "part %zu is named \"%s\"; images have to be named \"image\", and "
                               "parameters belong in the query",
                               i + 1, ADL_SHORT(text));
            return false;
        }
    }
    if (form->count == 0) {
        adl_answer_problem(l->exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "the form contains no image");
        return false;
    }
    if (form->count > 1 && l->overlay != ADL_IMAGE_UNKNOWN) {
        adl_answer_problem(l->exchange, ADL_PROBLEM_NOT_ACCEPTABLE, 0,
                           "%zu images cannot be answered with one image; send one, or accept "
                           "application/json",
                           form->count);
        return false;
    }
    if (!allocate_jobs(l, form->count))
        return false;
    for (size_t i = 0; i < form->count; i++)
        fill_job(l, &l->jobs[i], form->parts[i].body.data, form->parts[i].body.length);
    return true;
}

/* Makes a job of a JSON body; returns false if the request was answered with an error. */
static bool read_json(struct localize *l)
{
    const struct adl_http_request *http = l->exchange->http;
    struct adl_localize_json request;
    struct adl_error err = {0};
    bool read = false;

    if (adl_localize_json_read(&request, http->body, http->body_length, &err) < 0)
        adl_answer_problem(l->exchange,
                           err.kind == ADL_ERR_NOMEM ? ADL_PROBLEM_OUT_OF_MEMORY
                                                     : ADL_PROBLEM_MALFORMED_REQUEST,
                           err.kind == ADL_ERR_NOMEM, "%s", err.message);
    else if (read_query(l, request.pairs, request.count, &err) < 0)
        adl_answer_problem(l->exchange, ADL_PROBLEM_BAD_PARAMETER, 0, "%s", err.message);
    else
        read = choose_model(l) && allocate_jobs(l, 1);
    if (read)
        fill_job(l, &l->jobs[0], request.file.data, request.file.length);
    adl_localize_json_release(&request);
    return read;
}

void adl_api_localize(struct adl_exchange *exchange)
{
    struct localize *l = exchange->work;
    struct adl_http_request *http = exchange->http;
    struct adl_error err = {0};

    l->begin_ns = adl_clock_ns();
    if (http->body_length == 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "the body is empty; send the bytes of an image file");
        return;
    }
    if (l->body == ADL_BODY_FORM) {
        struct adl_multipart *form = adl_malloc(1, sizeof *form);
        bool read = form && read_form(l, form);
        if (!form)
            adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                               "there is not enough memory");
        adl_free(form);
        if (!read)
            return;
    } else if (l->body == ADL_BODY_JSON) {
        if (!read_json(l))
            return;
    } else {
        if (!allocate_jobs(l, 1))
            return;
        fill_job(l, &l->jobs[0], http->body, http->body_length);
    }
    atomic_init(&l->pending, l->job_count);
    l->heatmap_pixels = ADL_LIMIT_HEATMAP_PIXELS;
    /* From here on the request belongs to the thread that finishes its last job. */
    adl_http_suspend(http);
    if (adl_batcher_submit(exchange->server->batcher, l->jobs, l->job_count, &err) < 0) {
        if (exchange->server->draining)
            adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "%s", err.message);
        else
            adl_answer_queue_full(exchange, err.message);
        adl_http_resume(http);
    }
}
