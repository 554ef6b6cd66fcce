/* server/http/problem and server/api/routes; and the API document describes every problem
 * and every route. */

#include "support/test.h"

#include <string.h>

#include "base/str.h"
#include "server/api/assets.h"
#include "server/api/server.h"
#include "server/http/problem.h"

static void every_row_is_complete(void)
{
    for (int p = ADL_PROBLEM_NONE + 1; p < ADL_PROBLEM_COUNT; p++) {
        const struct adl_problem_row *row = adl_problem_row((enum adl_problem)p);
        CU_ASSERT_FATAL(row->name && row->title && row->remedy);
        CU_ASSERT(row->status >= 400 && row->status < 600);
        CU_ASSERT_EQUAL(strspn(row->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->name));
        CU_ASSERT_EQUAL((int)adl_problem_find(row->name, strlen(row->name)), p);
        CU_ASSERT_EQUAL(strpbrk(row->title, "<>&"), NULL);
        CU_ASSERT_EQUAL(strpbrk(row->remedy, "<>&"), NULL);
    }
    CU_ASSERT_EQUAL(adl_problem_find("queue-ful", 9), ADL_PROBLEM_NONE);
    CU_ASSERT_EQUAL(adl_problem_find("", 0), ADL_PROBLEM_NONE);
}

/* The statuses that the interface documents. */
static void errors_have_their_statuses(void)
{
    static const struct {
        enum adl_error_kind kind;
        int status;
    } cases[] = {
        {ADL_ERR_ARG, 400},         {ADL_ERR_NOT_FOUND, 404}, {ADL_ERR_FORMAT, 422},
        {ADL_ERR_UNSUPPORTED, 415}, {ADL_ERR_LIMIT, 413},     {ADL_ERR_BUSY, 503},
        {ADL_ERR_NOMEM, 503},       {ADL_ERR_INTERNAL, 500},  {ADL_ERR_IO, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(adl_problem_row(adl_problem_of(cases[i].kind))->status, cases[i].status);
    CU_ASSERT_EQUAL(adl_problem_of(ADL_ERR_NONE), ADL_PROBLEM_NONE);
}

static void documents_follow_rfc_9457(void)
{
    json_t *json = adl_problem_json(ADL_PROBLEM_QUEUE_FULL, "it is \"full\"", "id-1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "type")),
                           "/problems/queue-full");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "status")), 503);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "detail")), "it is \"full\"");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "request_id")), "id-1");
    json_decref(json);
    /* The detail may repeat bytes of a client that are not UTF-8. */
    json = adl_problem_json(ADL_PROBLEM_BAD_PARAMETER, "top_k=\xff\xfe", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "detail")), "top_k=??");
    CU_ASSERT_PTR_NULL(json_object_get(json, "request_id"));
    json_decref(json);
}

static json_t *load_document(void)
{
    const struct adl_asset *asset = adl_asset_find("/openapi.json");
    json_error_t error;
    json_t *document =
        json_loadb(asset->codings[ADL_CODING_IDENTITY].data,
                   adl_asset_length(asset, ADL_CODING_IDENTITY), JSON_REJECT_DUPLICATES, &error);
    if (!document)
        TEST_FAIL("line %d: %s", error.line, error.text);
    return document;
}

static void the_document_has_every_route(void)
{
    json_t *document = load_document(), *paths = json_object_get(document, "paths"), *item;
    const char *path;

    CU_ASSERT_EQUAL(json_object_size(paths), adl_route_count());
    for (size_t i = 0; i < adl_route_count(); i++) {
        item = json_object_get(paths, adl_routes[i].path);
        if (!item)
            TEST_FAIL("%s is not described", adl_routes[i].path);
        CU_ASSERT_EQUAL(json_object_get(item, "get") != NULL, adl_routes[i].get != NULL);
        CU_ASSERT_EQUAL(json_object_get(item, "post") != NULL, adl_routes[i].post != NULL);
    }
    json_object_foreach(paths, path, item)
    {
        json_t *method = json_object_get(item, "get");
        const char *rest;
        if (!strchr(path, '{') && !adl_route_find(path, &rest))
            TEST_FAIL("%s is not a route", path);
        if (!method)
            method = json_object_get(item, "post");
        CU_ASSERT(json_object_size(json_object_get(method, "responses")) > 0);
    }
    json_decref(document);
}

static void the_document_has_every_problem(void)
{
    json_t *document = load_document();
    json_t *names = json_object_get(
        json_object_get(json_object_get(json_object_get(document, "components"), "schemas"),
                        "ProblemName"),
        "enum");

    CU_ASSERT_EQUAL(json_array_size(names), ADL_PROBLEM_COUNT - 1);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (adl_problem_find(name, strlen(name)) == ADL_PROBLEM_NONE)
            TEST_FAIL("%s is not in the table of problems", name);
    }
    json_decref(document);
}

/* Every "$ref" of the document has a target. */
static void check_references(json_t *document, json_t *at)
{
    const char *key;
    json_t *value;
    size_t index;

    json_array_foreach(at, index, value) check_references(document, value);
    json_object_foreach(at, key, value)
    {
        if (!strcmp(key, "$ref")) {
            json_t *target = document;
            char path[200], *save = NULL;
            snprintf(path, sizeof path, "%s", json_string_value(value));
            for (char *part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save))
                if (strcmp(part, "#") != 0)
                    target = json_object_get(target, part);
            if (!target)
                TEST_FAIL("%s has no target", json_string_value(value));
        }
        check_references(document, value);
    }
}

static void the_documents_references_resolve(void)
{
    json_t *document = load_document();
    check_references(document, document);
    json_decref(document);
}

static void paths_find_their_routes(void)
{
    static const struct {
        const char *path, *route, *rest;
    } cases[] = {
        {"/localize", "/localize", ""},
        {"/models", "/models", ""},
        {"/models/a", "/models/{name}", "a"},
        {"/", "/", ""},
        {"/style.css", "/{file}", "style.css"},
        {"/examples/umbrella.jpg", "/{file}", "examples/umbrella.jpg"},
        {"/examples/", NULL, ""},
        {"/examples/../app.js", NULL, ""},
        {"//app.js", NULL, ""},
        {"/problems/queue-full", "/problems/{name}", "queue-full"},
        {"/openapi.json", "/openapi.json", ""},
        {"/nope", NULL, ""},
        {"/models/", NULL, ""},
        {"/models/a/b", NULL, ""},
        {"/localize/", NULL, ""},
        {"/localizer", NULL, ""},
        {"/LOCALIZE", NULL, ""},
        {"/../etc/passwd", NULL, ""},
        {"", NULL, ""},
        {"*", NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *rest;
        const struct adl_route *route = adl_route_find(cases[i].path, &rest);
        if ((route != NULL) != (cases[i].route != NULL))
            TEST_FAIL("%s", cases[i].path);
        else if (route) {
            CU_ASSERT_STRING_EQUAL(route->path, cases[i].route);
            CU_ASSERT_STRING_EQUAL(rest, cases[i].rest);
        }
    }
}

TEST_SUITE(problem, {"every row is complete", every_row_is_complete},
           {"errors have their statuses", errors_have_their_statuses},
           {"documents follow RFC 9457", documents_follow_rfc_9457},
           {"the API document has every route", the_document_has_every_route},
           {"the API document has every problem", the_document_has_every_problem},
           {"the API document's references resolve", the_documents_references_resolve},
           {"paths find their routes", paths_find_their_routes});
