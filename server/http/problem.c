/* Holds the table of problems, and makes documents and pages from it.
 *
 * A problem's type is the relative URL of a page of this server that explains it
 * (RFC 9457, 3.1.1). A new problem is an enumerator, a row here and a name in openapi.json
 * (a test compares the two); its document, its page and its counter in the metrics follow
 * from the row. Names and statuses are part of the interface and do not change; titles and
 * remedies are for people and may change. */

#include "server/http/problem.h"

#include <stdio.h>
#include <string.h>

#include "image/image_decode.h"
#include "io/json_text.h"

static const struct adl_problem_row rows[ADL_PROBLEM_COUNT] = {
    [ADL_PROBLEM_MALFORMED_REQUEST] = {"malformed-request", 400, "The request is malformed",
                                       "The detail says which part is malformed; /openapi.json "
                                       "describes what is expected."},
    [ADL_PROBLEM_BAD_PARAMETER] = {"bad-parameter", 400, "A query parameter is invalid",
                                   "The detail names the parameter and its permitted values."},
    [ADL_PROBLEM_UNKNOWN_CLASS] = {"unknown-class", 400, "The model does not have this class",
                                   "GET /models/NAME lists the classes; name one by its number or "
                                   "its label."},
    [ADL_PROBLEM_UNAUTHORIZED] = {"unauthorized", 401, "A token is required",
                                  "Send the header Authorization: Bearer TOKEN with a token from "
                                  "the server's token file."},
    [ADL_PROBLEM_UNKNOWN_HOST] = {"unknown-host", 403,
                                  "The server does not answer to this host name",
                                  "A server on a loopback address answers to localhost only, so "
                                  "that a web page from elsewhere cannot reach it through a host "
                                  "name that resolves to this machine (DNS rebinding). Start it "
                                  "with --allow-host NAME to allow another name."},
    [ADL_PROBLEM_FORBIDDEN] = {"forbidden", 403, "This is not permitted",
                               "The detail says why. Administration is for programs with a token, "
                               "not for pages in a browser."},
    [ADL_PROBLEM_UNKNOWN_PATH] = {"unknown-path", 404, "This path does not exist",
                                  "GET /openapi.json lists the paths."},
    [ADL_PROBLEM_UNKNOWN_MODEL] = {"unknown-model", 404, "This model does not exist",
                                   "GET /models lists the models that are loaded."},
    [ADL_PROBLEM_UNKNOWN_MODEL_FILE] =
        {"unknown-model-file", 404, "There is no such model file",
         "Put the file into the server's folder of models (--models-dir) first, under another name "
         "that is then changed, so that it is never seen half written."},
    [ADL_PROBLEM_UNKNOWN_PICTURE] =
        {"unknown-picture", 404, "This picture does not exist",
         "GET /annotations lists the pictures that are kept; PUT one to "
         "/annotations/NAME before its boxes."},
    [ADL_PROBLEM_UNKNOWN_FOLDER] =
        {"unknown-folder", 404, "This folder does not exist",
         "Name a folder below the directory that the server was given with --jobs, relative to it "
         "and without links that lead out of it."},
    [ADL_PROBLEM_UNKNOWN_JOB] =
        {"unknown-job", 404, "This job does not exist",
         "GET /jobs lists those that the token may see. Jobs end with the server, and a new one "
         "takes the place of one that has ended when there are as many as --max-jobs says."},
    [ADL_PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405,
                                        "This path does not support the method",
                                        "The Allow header lists the methods it supports."},
    [ADL_PROBLEM_NOT_ACCEPTABLE] = {"not-acceptable", 406,
                                    "No acceptable representation of the answer",
                                    "Accept application/json, or image/jpeg or image/png for the "
                                    "image with the result drawn on it."},
    [ADL_PROBLEM_CLIENT_TOO_SLOW] = {"client-too-slow", 408, "The request took too long to arrive",
                                     "Send a smaller image, or start the server with a longer "
                                     "--timeout."},
    [ADL_PROBLEM_PICTURE_CONFLICT] = {"picture-conflict", 409, "Another picture has this name",
                                      "Send it under another name, or DELETE the other one first."},
    [ADL_PROBLEM_MODEL_CONFLICT] = {"model-conflict", 409,
                                    "The models are in a state that does not allow this",
                                    "The detail says why; GET /models lists the models, their "
                                    "versions and the aliases."},
    [ADL_PROBLEM_LENGTH_REQUIRED] = {"length-required", 411, "The request has no body",
                                     "Send the image with Content-Length or in chunks, as curl "
                                     "--data-binary @photo.jpg does."},
    [ADL_PROBLEM_BODY_TOO_LARGE] = {"body-too-large", 413, "The body is too large",
                                    "Send a smaller image, or start the server with a larger "
                                    "--max-body."},
    [ADL_PROBLEM_IMAGE_TOO_LARGE] = {"image-too-large", 413, "The image has too many pixels",
                                     "Reduce it before sending: the network's input has only a few "
                                     "hundred pixels a side. --max-pixels is the server's limit."},
    [ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported-media-type", 415,
                                            "This media type is not supported",
                                            "Send a " ADL_IMAGE_FORMATS(
                                                "or") " image as "
                                                      "image/jpeg, image/png and so on, or several "
                                                      "images as multipart/form-data."},
    [ADL_PROBLEM_CORRUPT_IMAGE] =
        {"corrupt-image", 422, "The image is corrupt or truncated",
         "Open it in an image viewer, save it again, and send that file."},
    [ADL_PROBLEM_UNUSABLE_MODEL] = {"unusable-model", 422,
                                    "The file is no model that can be served",
                                    "The detail says what is wrong with it; what was loaded before "
                                    "stays in use. adl-server info FILE says the same."},
    [ADL_PROBLEM_RATE_LIMITED] = {"rate-limited", 429, "The token has made too many requests",
                                  "Try again after the number of seconds in Retry-After. The "
                                  "token file gives each token its rate."},
    [ADL_PROBLEM_TOO_MANY_JOBS] = {"too-many-jobs", 429, "Too many jobs wait",
                                   "Try again after the number of seconds in Retry-After, or "
                                   "DELETE a job. --max-jobs is the server's limit."},
    /* No client receives this problem. 499 is the status that nginx logs in this case. */
    [ADL_PROBLEM_CLIENT_GONE] = {"client-gone", 499, "The client disconnected before the answer",
                                 "Keep the connection open until the answer has arrived."},
    [ADL_PROBLEM_INTERNAL] = {"internal", 500, "Internal error of the server",
                              "Please report it with the request id and the server's log."},
    [ADL_PROBLEM_RELOAD_FAILED] = {"reload-failed", 500, "A file could not be reloaded",
                                   "The detail names the file and what is wrong with it; what was "
                                   "loaded before stays in use."},
    [ADL_PROBLEM_UNKNOWN_CODING] = {"unknown-coding", 501, "The transfer coding is not supported",
                                    "Send the body with Content-Length, or with Transfer-Encoding: "
                                    "chunked and no other coding."},
    [ADL_PROBLEM_QUEUE_FULL] = {"queue-full", 503, "The server is busy",
                                "Try again after the number of seconds in Retry-After. --queue is "
                                "the server's limit of images queued or in progress."},
    [ADL_PROBLEM_LOADING] = {"loading", 503, "The model is still loading",
                             "Try again after the number of seconds in Retry-After; GET "
                             "/readyz answers 200 when all models are loaded."},
    [ADL_PROBLEM_DRAINING] = {"draining", 503, "The server is shutting down",
                              "Try again; another instance may answer."},
    [ADL_PROBLEM_DEADLINE_EXCEEDED] = {"deadline-exceeded", 503, "The answer was not ready in time",
                                       "Try again after the number of seconds in Retry-After; "
                                       "--timeout is the server's limit for one request."},
    [ADL_PROBLEM_OUT_OF_MEMORY] = {"out-of-memory", 503, "The server is out of memory",
                                   "Try again later or with a smaller image."},
    [ADL_PROBLEM_STORE_FULL] = {"store-full", 507, "The directory of annotations is full",
                                "DELETE pictures, or start the server with another directory."},
};

const struct adl_problem_row *adl_problem_row(enum adl_problem problem)
{
    return &rows[problem];
}

enum adl_problem adl_problem_find(const char *name, size_t length)
{
    for (int i = ADL_PROBLEM_NONE + 1; i < ADL_PROBLEM_COUNT; i++)
        if (strlen(rows[i].name) == length && !memcmp(rows[i].name, name, length))
            return (enum adl_problem)i;
    return ADL_PROBLEM_NONE;
}

enum adl_problem adl_problem_of(enum adl_error_kind kind)
{
    switch (kind) {
    case ADL_ERR_NONE: return ADL_PROBLEM_NONE;
    case ADL_ERR_ARG: return ADL_PROBLEM_BAD_PARAMETER;
    case ADL_ERR_NOT_FOUND: return ADL_PROBLEM_UNKNOWN_MODEL;
    case ADL_ERR_FORMAT: return ADL_PROBLEM_CORRUPT_IMAGE;
    case ADL_ERR_UNSUPPORTED: return ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE;
    case ADL_ERR_LIMIT: return ADL_PROBLEM_IMAGE_TOO_LARGE;
    case ADL_ERR_NOMEM: return ADL_PROBLEM_OUT_OF_MEMORY;
    case ADL_ERR_BUSY: return ADL_PROBLEM_QUEUE_FULL;
    case ADL_ERR_CANCELLED: return ADL_PROBLEM_CLIENT_GONE;
    case ADL_ERR_IO:
    case ADL_ERR_INTERNAL: return ADL_PROBLEM_INTERNAL;
    }
    return ADL_PROBLEM_INTERNAL;
}

json_t *adl_problem_json(enum adl_problem problem, const char *detail, const char *request_id)
{
    char type[80];

    snprintf(type, sizeof type, "/problems/%s", rows[problem].name);
    return json_pack("{s:s, s:s, s:i, s:o, s:s*}", "type", type, "title", rows[problem].title,
                     "status", rows[problem].status, "detail", adl_json_from_text(detail),
                     "request_id", request_id);
}

/* The texts of the table contain no character that is special in HTML, so they are not
 * escaped (a test checks this). */
void adl_problem_page(enum adl_problem problem, struct adl_str *out)
{
    const struct adl_problem_row *row = &rows[problem];

    adl_str_printf(out,
                   "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width\">\n"
                   "<link rel=\"stylesheet\" href=\"/style.css\">\n<title>%s</title>\n",
                   problem ? row->title : "Problems");
    if (problem) {
        adl_str_printf(out, "<h1>%s</h1>\n<p>%s, status %d.</p>\n<p>%s</p>\n", row->title,
                       row->name, row->status, row->remedy);
        adl_str_puts(out, "<p><a href=\"/problems\">All problems</a></p>\n");
        return;
    }
    adl_str_puts(out, "<h1>Problems</h1>\n<ul>\n");
    for (int i = ADL_PROBLEM_NONE + 1; i < ADL_PROBLEM_COUNT; i++)
        adl_str_printf(out, "<li>%d <a href=\"/problems/%s\">%s</a>: %s</li>\n", rows[i].status,
                       rows[i].name, rows[i].name, rows[i].title);
    adl_str_puts(out, "</ul>\n");
}
