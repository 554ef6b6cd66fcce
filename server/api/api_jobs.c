/* Handles /jobs: folders of this machine whose pictures are localized while nobody waits.
 *
 * A request names a folder below the directory of --jobs. Whether it exists is looked up on the
 * thread for files, because a disk may hang; all else is answered at once. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "server/api/folder_jobs.h"
#include "server/api/job_answer.h"
#include "server/api/later.h"
#include "server/api/localize_json.h"
#include "server/api/localize_query.h"
#include "server/api/server.h"
#include "server/serving/job_folder.h"

/* --- POST /jobs ------------------------------------------------------------------------ */

void adl_api_jobs_begin(struct adl_exchange *exchange)
{
    const struct adl_http_request *http = exchange->http;
    const char *detail;
    char text[300];

    if (!adl_check_body(exchange))
        return;
    if (adl_params_body_type(adl_http_header(http, "Content-Type"), text, sizeof text, &detail) !=
        ADL_BODY_JSON)
        adl_answer_problem(exchange, ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE, 0,
                           "send the job as application/json: {\"folder\": \"holiday\"}");
    else if (http->content_length > (long long)ADL_LIMIT_JOB_REQUEST_BYTES)
        adl_answer_problem(exchange, ADL_PROBLEM_BODY_TOO_LARGE, 0,
                           "the body has %lld bytes; at most %zu are accepted",
                           http->content_length, ADL_LIMIT_JOB_REQUEST_BYTES);
    else
        adl_http_take_body(exchange->http, ADL_LIMIT_JOB_REQUEST_BYTES);
}

static void answer_error(struct adl_exchange *exchange, enum adl_problem problem,
                         const struct adl_error *err)
{
    adl_answer_problem(exchange, err->kind == ADL_ERR_NOMEM ? ADL_PROBLEM_OUT_OF_MEMORY : problem,
                       err->kind == ADL_ERR_NOMEM || problem == ADL_PROBLEM_LOADING, "%s",
                       err->message);
}

/* Reads what the body asks for; answers the request and returns NULL if it makes no sense. The text
 * belongs to request->head. */
static const char *read_folder(struct adl_exchange *exchange, struct adl_localize_json *request,
                               struct adl_params *params)
{
    const struct adl_http_request *http = exchange->http;
    struct adl_error err = {0};
    json_error_t problem;
    const char *folder;

    request->head = json_loadb(http->body ? http->body : "", http->body_length,
                               JSON_REJECT_DUPLICATES, &problem);
    folder = json_string_value(json_object_get(request->head, "folder"));
    if (!request->head)
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0, "the body is not JSON: %s",
                           problem.text);
    else if (!folder)
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "the body has to be an object with the path of a folder as \"folder\"");
    else if (!adl_job_folder_name_valid(folder))
        adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0,
                           "\"folder\" has to be a path relative to the directory of --jobs, \".\" "
                           "for all of it, without hidden parts and \"..\", and of %d bytes at "
                           "most",
                           ADL_LIMIT_JOB_FOLDER_BYTES);
    else if (adl_localize_json_members(request, "folder", &err) < 0 ||
             adl_params_parse(params, request->pairs, request->count, &err) < 0)
        answer_error(exchange, ADL_PROBLEM_BAD_PARAMETER, &err);
    else
        return folder;
    return NULL;
}

/* Returns whether a model can answer this; if not, the request is answered. */
static bool can_answer(struct adl_exchange *exchange, const struct adl_params *params)
{
    struct adl_localize_query query = {.params = *params};
    struct adl_error err = {0};
    enum adl_problem problem = adl_localize_choose(exchange->server, &query, &err);

    if (query.served)
        snprintf(exchange->model, sizeof exchange->model, "%s", query.served->name);
    adl_served_release(query.served);
    if (problem != ADL_PROBLEM_NONE)
        answer_error(exchange, problem, &err);
    return problem == ADL_PROBLEM_NONE;
}

static void add_job(struct adl_exchange *exchange, const char *folder,
                    const struct adl_params *params, json_t *parameters)
{
    const struct adl_folder_job_request request = {
        .owner = exchange->owner, .folder = folder, .params = params, .parameters = parameters};
    struct adl_http_request *http = exchange->http;
    char id[ADL_FOLDER_JOB_ID_BYTES + 1];
    struct adl_error err = {0};
    unsigned wait_s;
    json_t *job;
    enum adl_problem problem =
        adl_folder_jobs_add(exchange->server->jobs, &request, &job, id, &wait_s, &err);

    if (problem != ADL_PROBLEM_NONE) {
        adl_answer_problem(exchange, problem, problem == ADL_PROBLEM_INTERNAL ? 0 : wait_s, "%s",
                           err.message);
        return;
    }
    adl_answer_json(exchange, job);
    if (http->status != 200)
        return; /* the job goes on, and GET /jobs has its id */
    http->status = 202;
    adl_http_add_header(http, "Location", "/jobs/%s", id);
}

/* On the thread for files. */
static void post_now(struct adl_exchange *exchange)
{
    struct adl_localize_json *request = adl_calloc(1, sizeof *request);
    struct adl_params params;
    struct adl_error err = {0};
    const char *folder;

    if (!request) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return;
    }
    folder = read_folder(exchange, request, &params);
    if (folder && can_answer(exchange, &params)) {
        const int root = adl_folder_jobs_root(exchange->server->jobs);
        json_t *parameters = json_copy(request->head);
        if (adl_job_folder_check(root, folder, &err) < 0) {
            answer_error(exchange,
                         err.kind == ADL_ERR_IO ? ADL_PROBLEM_INTERNAL : ADL_PROBLEM_UNKNOWN_FOLDER,
                         &err);
        } else if (!parameters) {
            adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                               "there is not enough memory");
        } else {
            json_object_del(parameters, "folder");
            add_job(exchange, folder, &params, parameters);
        }
        json_decref(parameters);
    }
    adl_localize_json_release(request);
    adl_free(request);
}

void adl_api_jobs_post(struct adl_exchange *exchange)
{
    adl_later_submit(exchange->server->reader, exchange, post_now);
}

/* --- the others -------------------------------------------------------------------------- */

static void answer_unknown(struct adl_exchange *exchange)
{
    adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_JOB, 0,
                       "there is no such job; GET /jobs lists them");
}

void adl_api_jobs(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    adl_answer_json(exchange, adl_folder_jobs_list(exchange->server->jobs, exchange->owner));
}

void adl_api_job(struct adl_exchange *exchange, const char *id)
{
    bool found;
    json_t *job = adl_folder_jobs_describe(exchange->server->jobs, exchange->owner, id, &found);

    if (found)
        adl_answer_json(exchange, job);
    else
        answer_unknown(exchange);
}

void adl_api_job_delete_begin(struct adl_exchange *exchange, const char *id)
{
    bool forgotten;
    json_t *job;

    if (!adl_folder_jobs_delete(exchange->server->jobs, exchange->owner, id, &forgotten, &job))
        answer_unknown(exchange);
    else if (forgotten)
        adl_http_reply(exchange->http, 204, NULL, (struct adl_http_body){0});
    else
        adl_answer_json(exchange, job);
}

/* The request is answered before its body, if it has one, has arrived. */
void adl_api_job_delete(struct adl_exchange *exchange)
{
    (void)exchange;
}

/* Reads ?from=N; returns false, with the answer, if it is no number. */
static bool read_from(struct adl_exchange *exchange, size_t *from)
{
    const char *text =
        MHD_lookup_connection_value(exchange->http->connection, MHD_GET_ARGUMENT_KIND, "from");
    size_t digits = text ? strspn(text, "0123456789") : 0;

    *from = 0;
    if (!text)
        return true;
    if (digits > 0 && digits < 10 && !text[digits]) {
        *from = strtoul(text, NULL, 10);
        return true;
    }
    adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0,
                       "from=%s: has to be the number of a line, from 0", ADL_SHORT(text));
    return false;
}

void adl_api_job_results(struct adl_exchange *exchange, const char *rest)
{
    struct adl_error err = {0};
    char id[ADL_FOLDER_JOB_ID_BYTES + 1] = "";
    size_t from, length, digits = strcspn(rest, "/");
    uint64_t offset;
    int fd;

    if (digits < sizeof id)
        memcpy(id, rest, digits);
    if (!read_from(exchange, &from))
        return;
    if (adl_folder_jobs_results(exchange->server->jobs, exchange->owner, id, from, &fd, &offset,
                                &length, &err) < 0) {
        if (err.kind == ADL_ERR_NOT_FOUND)
            answer_unknown(exchange);
        else
            answer_error(exchange, ADL_PROBLEM_INTERNAL, &err);
        return;
    }
    adl_http_add_header(exchange->http, "Cache-Control", "no-store");
    if (length > 0)
        adl_http_reply_file(exchange->http, 200, "application/jsonl", fd, offset, length);
    else
        adl_http_reply(exchange->http, 200, "application/jsonl", (struct adl_http_body){0});
    if (length == 0 && fd >= 0)
        close(fd);
}
