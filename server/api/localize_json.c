/* Reads a request of /localize as JSON; see localize_json.h. The image is the larger part by far,
 * so its text is cut out before jansson reads the rest. */

#include "server/api/localize_json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/str.h"
#include "server/api/json_span.h"

/* Copies the body to `head` with null in place of the text of the outermost member "image", which
 * *image becomes, without its quotes. Anything that is no JSON is left for jansson to refuse. */
static int cut_image(const char *body, size_t length, struct adl_str *head, struct adl_span *image,
                     struct adl_error *err)
{
    static const char key[] = "\"image\"";
    const char *end = body + length;
    size_t depth = 0;

    for (const char *at = body; at < end;) {
        const char *next = *at == '"' ? adl_json_string_end(at, end) : at + 1;
        if (!next)
            return adl_fail(err, ADL_ERR_ARG, "the JSON of the request ends in a string");
        adl_str_append(head, at, (size_t)(next - at));
        depth += *at == '{' || *at == '[';
        depth -= (*at == '}' || *at == ']') && depth > 0;
        if (depth == 1 && (size_t)(next - at) == sizeof key - 1 &&
            !memcmp(at, key, sizeof key - 1)) {
            const char *colon = adl_json_skip_blanks(next, end);
            const char *value = colon < end ? adl_json_skip_blanks(colon + 1, end) : end;
            if (value < end && *colon == ':' && *value == '"' && !image->data) {
                next = adl_json_string_end(value, end);
                if (!next)
                    return adl_fail(err, ADL_ERR_ARG, "the JSON of the request ends in the image");
                *image = (struct adl_span){value + 1, (size_t)(next - value) - 2};
                adl_str_puts(head, ":null");
            }
        }
        if (head->length > ADL_LIMIT_INFERENCE_HEAD_BYTES)
            return adl_fail(err, ADL_ERR_LIMIT,
                            "the request has more than %zu KiB beside the image",
                            ADL_LIMIT_INFERENCE_HEAD_BYTES / ADL_KIB);
        at = next;
    }
    return head->failed ? adl_fail_nomem(err, "the request") : 0;
}

/* Decodes the image; a data: URL has its type before the comma. */
static int decode_image(struct adl_span *image, struct adl_error *err)
{
    if (image->length > 5 && !memcmp(image->data, "data:", 5)) {
        const char *comma = memchr(image->data, ',', ADL_MIN(image->length, (size_t)200));
        if (!comma || comma - image->data < 12 || memcmp(comma - 7, ";base64", 7) != 0)
            return adl_fail(err, ADL_ERR_ARG, "\"image\" is a data: URL, but not one of base64");
        image->length -= (size_t)(comma + 1 - image->data);
        image->data = comma + 1;
    }
    image->length = adl_json_decode_base64((char *)image->data, image->length);
    if (image->length == SIZE_MAX)
        return adl_fail(err, ADL_ERR_ARG,
                        "\"image\" is not base64 (RFC 4648, section 4, with padding)");
    return 0;
}

static bool is_scalar(const json_t *value)
{
    return json_is_number(value) || json_is_boolean(value);
}

static void put_scalar(struct adl_str *text, const json_t *value)
{
    char scalar[32];
    adl_str_append(text, scalar, adl_params_value_text(value, scalar, sizeof scalar));
}

/* Appends a member as a pair of the query. */
static int add_pair(struct adl_localize_json *request, const char *name, const json_t *value,
                    struct adl_error *err)
{
    struct adl_str text = {0};
    const json_t *item;
    bool known = is_scalar(value) || json_array_size(value) > 0;
    size_t i;

    if (request->count == ADL_LOCALIZE_JSON_PAIRS)
        return adl_fail(err, ADL_ERR_ARG, "the request has more than %d parameters",
                        ADL_LOCALIZE_JSON_PAIRS);
    struct adl_query_pair *pair = &request->pairs[request->count];
    if (json_is_string(value)) {
        *pair = (struct adl_query_pair){name, json_string_value(value), json_string_length(value)};
        request->count++;
        return 0;
    }
    json_array_foreach(value, i, item)
    {
        adl_str_puts(&text, i > 0 ? "," : "");
        known &= json_is_number(item);
        put_scalar(&text, item);
    }
    if (is_scalar(value))
        put_scalar(&text, value);
    char *copy = request->texts[request->count];
    bool fits = known && text.data && !text.failed && text.length < sizeof *request->texts;
    if (fits)
        memcpy(copy, text.data, text.length + 1);
    *pair = (struct adl_query_pair){name, copy, text.length};
    request->count += fits;
    adl_str_release(&text);
    return fits ? 0
                : adl_fail(err, ADL_ERR_ARG,
                           "%s has to be a text, a number, a boolean or a short array of numbers",
                           ADL_SHORT(name));
}

int adl_localize_json_members(struct adl_localize_json *request, const char *except,
                              struct adl_error *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(request->head, name, value)
    {
        if (strcmp(name, except) != 0 && !json_is_null(value) &&
            add_pair(request, name, value, err) < 0)
            return -1;
    }
    return 0;
}

int adl_localize_json_read(struct adl_localize_json *request, char *body, size_t length,
                           struct adl_error *err)
{
    struct adl_str head = {0};
    json_error_t problem;
    int result = -1;

    *request = (struct adl_localize_json){0};
    ADL_TRY(cut_image(body, length, &head, &request->file, err));
    request->head =
        json_loadb(head.data ? head.data : "", head.length, JSON_REJECT_DUPLICATES, &problem);
    if (!request->head) {
        adl_fail(err, ADL_ERR_ARG, "the body is not JSON: %s", problem.text);
        goto out;
    }
    if (!json_is_object(request->head) || !json_object_get(request->head, "image")) {
        adl_fail(err, ADL_ERR_ARG,
                 "the body has to be an object with the image file in base64 as \"image\"");
        goto out;
    }
    if (!request->file.data) {
        adl_fail(err, ADL_ERR_ARG, "\"image\" has to be a text: the image file in base64");
        goto out;
    }
    ADL_TRY(adl_localize_json_members(request, "image", err));
    result = decode_image(&request->file, err);
out:
    adl_str_release(&head);
    return result;
}

void adl_localize_json_release(struct adl_localize_json *request)
{
    json_decref(request->head);
    request->head = NULL;
}
