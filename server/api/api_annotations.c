/* Handles /annotations: pictures and the boxes that people drew on them, which --annotations keeps.
 *
 * A picture and its boxes have the same path; the media type tells them apart. Both are checked and
 * written by the thread for errands: a request is suspended when its body has arrived, and resumed
 * with its answer. What can be refused without the body is refused before it. */

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "io/json_text.h"
#include "server/api/later.h"
#include "server/api/params.h"
#include "server/api/server.h"
#include "server/serving/log.h"

/* The work for one request. */
struct change {
    struct adl_exchange *exchange;
    bool picture; /* the body is a picture, not boxes */
    char name[ADL_LIMIT_ANNOTATION_NAME_BYTES + 1];
};

/* --- reading ---------------------------------------------------------------------- */

static void answer_text(struct adl_exchange *exchange, const char *name)
{
    struct adl_error err = {0};
    size_t length;
    char *text = adl_annotations_text(exchange->server->annotations, name, &length, &err);

    if (text)
        adl_answer_bytes(exchange, "application/json", text, length);
    else if (err.kind == ADL_ERR_NOT_FOUND)
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_PICTURE, 0, "%s", err.message);
    else
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "%s", err.message);
}

void adl_api_annotations(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    answer_text(exchange, NULL);
}

/* --- before the body ---------------------------------------------------------------- */

/* Makes the work for a request; on failure answers it and returns NULL. */
static struct change *begin(struct adl_exchange *exchange, const char *name)
{
    struct change *c;

    if (!adl_annotations_name_valid(name)) {
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "a picture's name has at most %d bytes of UTF-8, no slash, backslash or "
                           "control character, no dot at its beginning and no space at its ends",
                           ADL_LIMIT_ANNOTATION_NAME_BYTES);
        return NULL;
    }
    if (adl_errands_full(exchange->server->writer)) {
        adl_answer_problem(exchange, ADL_PROBLEM_QUEUE_FULL, 1,
                           "too many annotations wait to be written; try again shortly");
        return NULL;
    }
    c = adl_calloc(1, sizeof *c);
    if (!c) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return NULL;
    }
    c->exchange = exchange;
    memcpy(c->name, name, strlen(name));
    exchange->work = c;
    exchange->release = adl_free;
    return c;
}

void adl_api_annotation(struct adl_exchange *exchange, const char *name)
{
    answer_text(exchange, name);
}

/* Returns whether a media type, with or without parameters, is this one. */
static bool is_type(const char *given, const char *type)
{
    size_t length = strcspn(given, "; \t");
    return length == strlen(type) && !strncasecmp(given, type, length);
}

/* Answers and returns false if the media type is neither a picture's nor JSON. */
static bool check_type(struct change *c)
{
    const struct adl_http_request *http = c->exchange->http;
    const char *type = adl_http_header(http, "Content-Type");
    const char *coding = adl_http_header(http, "Content-Encoding");

    c->picture = type && adl_image_media_type(type, strcspn(type, "; \t"));
    if (coding && strcasecmp(coding, "identity") != 0) {
        adl_http_add_header(c->exchange->http, "Accept-Encoding", "identity");
        adl_answer_problem(c->exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                           "Content-Encoding: %s: encoded bodies are not supported",
                           ADL_SHORT(coding));
        return false;
    }
    if (type && (c->picture || is_type(type, "application/json")))
        return true;
    adl_answer_problem(c->exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                       "send a picture as image/jpeg, image/png or the like, or its boxes as "
                       "application/json");
    return false;
}

void adl_api_annotation_put_begin(struct adl_exchange *exchange, const char *name)
{
    const struct adl_http_request *http = exchange->http;
    struct change *c = begin(exchange, name);

    if (!c || !check_type(c))
        return;
    size_t limit = c->picture ? exchange->server->max_body
                              : ADL_MIN(exchange->server->max_body, ADL_LIMIT_ANNOTATION_BYTES);
    if (!http->has_body)
        adl_answer_problem(exchange, ADL_PROBLEM_LENGTH_REQUIRED, 0,
                           "the request has no body: send a picture or its boxes");
    else if (http->content_length > 0 && (size_t)http->content_length > limit)
        adl_answer_problem(exchange, ADL_PROBLEM_BODY_TOO_LARGE, 0,
                           "the body has %lld bytes; at most %zu are accepted",
                           http->content_length, limit);
    else
        adl_http_take_body(exchange->http, limit);
}

void adl_api_annotation_delete_begin(struct adl_exchange *exchange, const char *name)
{
    (void)!begin(exchange, name);
}

/* --- the errand ------------------------------------------------------------------------ */

/* Answers with a problem. What went wrong with the server's own files is for its log. */
static void answer_failure(struct change *c, enum adl_problem problem, const struct adl_error *err)
{
    if (problem == ADL_PROBLEM_INTERNAL) {
        adl_log(ADL_LOG_ERROR, "annotations", "an annotation could not be written",
                json_pack("{s:o, s:s}", "error", adl_json_from_text(err->message), "request_id",
                          c->exchange->request_id));
        adl_answer_problem(c->exchange, problem, 0,
                           "the annotation could not be written; the server's log says why");
        return;
    }
    adl_answer_problem(c->exchange, problem, adl_problem_row(problem)->status == 503, "%s",
                       err->message);
}

/* Reserves the memory for a picture's check in the budget of --memory, and sets *reserved to it.
 * Answers the request and returns false if it is not there. */
static bool reserve(struct adl_exchange *exchange, size_t *reserved)
{
    const struct adl_http_request *http = exchange->http;
    const struct adl_server *server = exchange->server;
    size_t bytes =
        adl_annotations_picture_bytes(server->annotations, http->body, http->body_length);
    struct adl_error err = {0};

    if (bytes > server->memory - server->memory / 8) {
        adl_answer_problem(exchange, ADL_PROBLEM_IMAGE_TOO_LARGE, 0,
                           "checking this picture takes %zu MiB of memory, more than --memory "
                           "leaves for one",
                           bytes / ADL_MIB);
        return false;
    }
    if (adl_batcher_keep_more(server->batcher, bytes, &err) < 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                           "there is not enough memory for the picture at present");
        return false;
    }
    *reserved = bytes;
    return true;
}

static void put_now(struct adl_exchange *exchange)
{
    struct change *c = exchange->work;
    size_t reserved = 0;
    struct adl_annotations *store = exchange->server->annotations;
    const struct adl_http_request *http = exchange->http;
    struct adl_error err = {0};
    json_t *record = NULL;
    enum adl_problem problem;

    if (c->picture && !reserve(exchange, &reserved))
        return;
    if (c->picture)
        problem = adl_annotations_put_picture(store, c->name, http->body, http->body_length,
                                              &record, &err);
    else
        problem = adl_annotations_put_boxes(store, c->name, http->body ? http->body : "",
                                            http->body_length, &record, &err);
    adl_batcher_give_back(exchange->server->batcher, reserved);
    if (problem == ADL_PROBLEM_NONE)
        adl_answer_json(exchange, record);
    else
        answer_failure(c, problem, &err);
}

static void delete_now(struct adl_exchange *exchange)
{
    struct change *c = exchange->work;
    struct adl_error err = {0};
    enum adl_problem problem = adl_annotations_remove(exchange->server->annotations, c->name, &err);

    if (problem == ADL_PROBLEM_NONE)
        adl_http_reply(exchange->http, 204, NULL, (struct adl_http_body){0});
    else
        answer_failure(c, problem, &err);
}

void adl_api_annotation_put(struct adl_exchange *exchange)
{
    adl_later_submit(exchange->server->writer, exchange, put_now);
}

void adl_api_annotation_delete(struct adl_exchange *exchange)
{
    adl_later_submit(exchange->server->writer, exchange, delete_now);
}
