/* The table of problems, and what is made of it. */

#include "server/http/problem.h"

#include <stdio.h>
#include <string.h>

#include "io/json_text.h"

static const struct adl_problem_row rows[ADL_PROBLEM_COUNT] = {
    [ADL_PROBLEM_MALFORMED_REQUEST] = {"malformed-request", 400, "The request is malformed",
                                       "The detail says which part of it; see /openapi.json for "
                                       "what is expected."},
    [ADL_PROBLEM_BAD_PARAMETER] = {"bad-parameter", 400, "A query parameter makes no sense",
                                   "The detail names the parameter and what it may be."},
    [ADL_PROBLEM_UNKNOWN_CLASS] = {"unknown-class", 400, "The model has no such class",
                                   "GET /models/NAME lists the classes; give one by its number or "
                                   "its label."},
    [ADL_PROBLEM_UNAUTHORIZED] = {"unauthorized", 401, "A token is needed",
                                  "Send Authorization: Bearer TOKEN with a token of the server's "
                                  "token file."},
    [ADL_PROBLEM_UNKNOWN_HOST] = {"unknown-host", 403, "The server does not go by this name",
                                  "A server on loopback answers to localhost only, so that a "
                                  "foreign web page cannot reach it under a name of its own. Start "
                                  "it with --allow-host NAME to allow another."},
    [ADL_PROBLEM_UNKNOWN_PATH] = {"unknown-path", 404, "There is nothing at this path",
                                  "GET /openapi.json lists the paths."},
    [ADL_PROBLEM_UNKNOWN_MODEL] = {"unknown-model", 404, "There is no such model",
                                   "GET /models lists the models that are loaded."},
    [ADL_PROBLEM_METHOD_NOT_ALLOWED] = {"method-not-allowed", 405,
                                        "The path does not take this method",
                                        "The Allow header lists the methods that it takes."},
    [ADL_PROBLEM_NOT_ACCEPTABLE] = {"not-acceptable", 406, "No such form of the answer",
                                    "Accept application/json, or image/jpeg or image/png for the "
                                    "picture with the result drawn on it."},
    [ADL_PROBLEM_CLIENT_TOO_SLOW] = {"client-too-slow", 408, "The request took too long to arrive",
                                     "Send a smaller picture, or start the server with a longer "
                                     "--timeout."},
    [ADL_PROBLEM_LENGTH_REQUIRED] = {"length-required", 411, "The request has no body",
                                     "Send the picture with Content-Length or in chunks: curl "
                                     "--data-binary @photo.jpg does."},
    [ADL_PROBLEM_BODY_TOO_LARGE] = {"body-too-large", 413, "The body is too large",
                                    "Send a smaller picture, or start the server with a larger "
                                    "--max-body."},
    [ADL_PROBLEM_IMAGE_TOO_LARGE] = {"image-too-large", 413, "The picture has too many pixels",
                                     "Send it reduced: the network looks at a few hundred pixels "
                                     "a side anyway. --max-pixels is the server's limit."},
    [ADL_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported-media-type", 415,
                                            "This is no kind of picture that is read",
                                            "Send JPEG, PNG or WebP (no animation) as image/jpeg, "
                                            "image/png or image/webp, or several as "
                                            "multipart/form-data."},
    [ADL_PROBLEM_CORRUPT_IMAGE] = {"corrupt-image", 422, "The picture is corrupt or truncated",
                                   "Open it in a viewer, save it anew, and send that."},
    /* 499 is what proxies log; nobody is there to read it. */
    [ADL_PROBLEM_CLIENT_GONE] = {"client-gone", 499, "The client left before the answer",
                                 "Keep the connection open in both directions until the answer "
                                 "has come."},
    [ADL_PROBLEM_INTERNAL] = {"internal", 500, "The server made a mistake",
                              "Report it with the request id and the server's log."},
    [ADL_PROBLEM_UNKNOWN_CODING] = {"unknown-coding", 501, "The body's transfer coding is not read",
                                    "Send the body with Content-Length, or with Transfer-Encoding: "
                                    "chunked and no other coding."},
    [ADL_PROBLEM_QUEUE_FULL] = {"queue-full", 503, "The server is busy",
                                "Try again after the seconds that Retry-After says. --queue is "
                                "how many pictures may wait."},
    [ADL_PROBLEM_LOADING] = {"loading", 503, "The model is being loaded",
                             "Try again after the seconds that Retry-After says; GET /readyz "
                             "tells when."},
    [ADL_PROBLEM_DRAINING] = {"draining", 503, "The server is stopping",
                              "Try again: another instance may answer."},
    [ADL_PROBLEM_DEADLINE_EXCEEDED] = {"deadline-exceeded", 503, "The answer was not ready in time",
                                       "Try again after the seconds that Retry-After says; "
                                       "--timeout is how long a request may take."},
    [ADL_PROBLEM_OUT_OF_MEMORY] = {"out-of-memory", 503, "The server is out of memory",
                                   "Try again later or with a smaller picture."},
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

/* The texts of the table hold nothing that HTML would take for markup. */
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
    adl_str_puts(out, "<h1>What can go wrong</h1>\n<ul>\n");
    for (int i = ADL_PROBLEM_NONE + 1; i < ADL_PROBLEM_COUNT; i++)
        adl_str_printf(out, "<li>%d <a href=\"/problems/%s\">%s</a>: %s</li>\n", rows[i].status,
                       rows[i].name, rows[i].name, rows[i].title);
    adl_str_puts(out, "</ul>\n");
}
