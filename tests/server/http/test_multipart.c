/* server/http/multipart: well-formed and malformed RFC 7578 bodies. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "server/http/multipart.h"

static int parse(const char *body, size_t length, const char *boundary, struct adl_multipart *out)
{
    struct adl_error err = {0};
    int result =
        adl_multipart_parse(body, length, (struct adl_span){boundary, strlen(boundary)}, out, &err);
    CU_ASSERT((result < 0) == (err.kind != ADL_ERR_NONE));
    return result;
}

static bool span_is(struct adl_span span, const char *text)
{
    return span.data && span.length == strlen(text) && !memcmp(span.data, text, span.length);
}

#define PART(headers, bytes) "--b\r\n" headers "\r\n\r\n" bytes "\r\n"
#define DISPOSITION "Content-Disposition: form-data; name=\"image\""

static void reads_parts(void)
{
    static const char body[] =
        "a preamble\r\n" PART(DISPOSITION "; filename=\"a;b \\\"c\\\".jpg\"\r\n"
                                          "Content-Type: image/jpeg",
                              "one")
            PART("content-disposition:form-data;name=image;", "--bb\r\n--\r\n-b\0\r")
                PART(DISPOSITION, "") "--b--\r\nan epilogue";
    struct adl_multipart form;

    CU_ASSERT_EQUAL_FATAL(parse(body, sizeof body - 1, "b", &form), 0);
    CU_ASSERT_EQUAL_FATAL(form.count, 3);
    CU_ASSERT(span_is(form.parts[0].name, "image"));
    CU_ASSERT(span_is(form.parts[0].filename, "a;b \\\"c\\\".jpg"));
    CU_ASSERT(span_is(form.parts[0].type, "image/jpeg"));
    CU_ASSERT(span_is(form.parts[0].body, "one"));
    CU_ASSERT(span_is(form.parts[1].name, "image"));
    CU_ASSERT(form.parts[1].filename.data == NULL && form.parts[1].type.data == NULL);
    CU_ASSERT_EQUAL(form.parts[1].body.length, 14);
    CU_ASSERT(!memcmp(form.parts[1].body.data, "--bb\r\n--\r\n-b\0\r", 14));
    CU_ASSERT_EQUAL(form.parts[2].body.length, 0);
}

/* Every truncation of a valid body is refused, and the parser never reads beyond the end
 * of the buffer (which the sanitizers check). */
static void refuses_every_truncation(void)
{
    static const char body[] = PART(DISPOSITION, "one") PART(DISPOSITION, "two") "--b--";
    struct adl_multipart form;

    CU_ASSERT_EQUAL(parse(body, sizeof body - 1, "b", &form), 0);
    for (size_t length = 0; length < sizeof body - 1; length++) {
        char *copy = adl_malloc(length, 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, body, length);
        CU_ASSERT(parse(copy, length, "b", &form) < 0);
        adl_free(copy);
    }
}

static void refuses_malformed_bodies(void)
{
    static const char *const bodies[] = {
        "",
        "nothing",
        "--b\r\n\r\n\r\n--b--", /* no name */
        "--b\r\nContent-Disposition: attachment; name=x\r\n\r\n\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name\r\n\r\n\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"x\r\n\r\n\r\n--b--",
        "--b\r\nContent-Disposition form-data; name=x\r\n\r\n\r\n--b--",
        "--b\r\n: x\r\n" DISPOSITION "\r\n\r\n\r\n--b--",
        "--b\r\n" DISPOSITION "\r\nBad Name: x\r\n\r\n\r\n--b--",
        "--b\r\n" DISPOSITION "\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--",
        "--b\r\n" DISPOSITION "\r\n--b--",
        "--b\n" DISPOSITION "\n\none\n--b--",
        "--bb\r\n" DISPOSITION "\r\n\r\none\r\n--bb--",
    };
    struct adl_multipart form;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (parse(bodies[i], strlen(bodies[i]), "b", &form) == 0)
            TEST_FAIL("body %zu is accepted", i);
    CU_ASSERT_EQUAL(parse("--b--\r\n", 7, "b", &form), 0);
    CU_ASSERT_EQUAL(form.count, 0);
}

static void keeps_its_limits(void)
{
    struct adl_multipart form;
    struct adl_str body = {0};
    struct adl_error err = {0};

    for (int i = 0; i < ADL_LIMIT_MULTIPART_PARTS; i++)
        adl_str_puts(&body, PART(DISPOSITION, "x"));
    size_t full = body.length;
    adl_str_puts(&body, "--b--");
    CU_ASSERT_EQUAL(parse(body.data, body.length, "b", &form), 0);
    CU_ASSERT_EQUAL(form.count, ADL_LIMIT_MULTIPART_PARTS);
    body.length = full;
    adl_str_puts(&body, PART(DISPOSITION, "x") "--b--");
    CU_ASSERT(adl_multipart_parse(body.data, body.length, (struct adl_span){"b", 1}, &form, &err) <
              0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_str_release(&body);

    adl_str_puts(&body, "--b\r\n" DISPOSITION "\r\nX-Long: ");
    for (size_t i = 0; i < ADL_LIMIT_PART_HEADER_BYTES; i++)
        adl_str_puts(&body, "x");
    adl_str_puts(&body, "\r\n\r\nx\r\n--b--");
    adl_error_clear(&err);
    CU_ASSERT(adl_multipart_parse(body.data, body.length, (struct adl_span){"b", 1}, &form, &err) <
              0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_str_release(&body);
}

static void reads_boundaries(void)
{
    static const struct {
        const char *type, *boundary; /* NULL: refused */
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"multipart/form-data; charset=x; BOUNDARY=\"a b\"", "a b"},
        {"multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW"},
        {"multipart/form-data;boundary=a;", "a"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=a{b", NULL},
        {"multipart/form-data; boundary=a; boundary=b", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data; boundary="
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"},
        {"multipart/form-data; boundary="
         "01234567890123456789012345678901234567890123456789012345678901234567890",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_error err = {0};
        struct adl_span boundary;
        int result = adl_multipart_boundary(cases[i].type, &boundary, &err);
        if ((result == 0) != (cases[i].boundary != NULL) ||
            (result == 0 && !span_is(boundary, cases[i].boundary)))
            TEST_FAIL("%s", cases[i].type);
    }
}

TEST_SUITE(multipart, {"reads parts", reads_parts},
           {"refuses every truncation", refuses_every_truncation},
           {"refuses malformed bodies", refuses_malformed_bodies},
           {"keeps its limits", keeps_its_limits}, {"reads boundaries", reads_boundaries});
