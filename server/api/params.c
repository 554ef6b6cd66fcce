/* Parses the query and the headers Content-Type and Accept strictly. */

#include "server/api/params.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/name.h"
#include "base/size.h"
#include "image/image_decode.h"

/* --- the query --------------------------------------------------------------- */

/* Parses the value of the parameter `name`, an integer from 1 to `most`. */
static int parse_count(int *out, const char *name, int most, const char *text,
                       struct adl_error *err)
{
    size_t digits = strspn(text, "0123456789");
    long value = digits > 0 && digits < 6 && !text[digits] ? strtol(text, NULL, 10) : 0;

    if (value < 1 || value > most)
        return adl_fail(err, ADL_ERR_ARG, "%s=%s: has to be an integer from 1 to %d", name,
                        ADL_SHORT(text), most);
    *out = (int)value;
    return 0;
}

static int parse_top_k(struct adl_params *params, const char *text, struct adl_error *err)
{
    params->top_k_given = true;
    return parse_count(&params->top_k, "top_k", ADL_LIMIT_TOP_K, text, err);
}

static int parse_map_classes(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_count(&params->map.classes, "map_classes", ADL_LIMIT_MAP_CLASSES, text, err);
}

/* Parses the value of the parameter `name`, a number from 0 to 1. */
static int parse_fraction(double *out, const char *name, const char *text, struct adl_error *err)
{
    char *end;
    double value = -1;

    /* strtod() alone would also accept blanks, hexadecimal numbers, "inf" and "nan". */
    if (*text && strspn(text, "0123456789.eE+-") == strlen(text)) {
        value = strtod(text, &end);
        if (*end)
            value = -1;
    }
    if (!(value >= 0 && value <= 1))
        return adl_fail(err, ADL_ERR_ARG, "%s=%s: has to be a number from 0 to 1", name,
                        ADL_SHORT(text));
    *out = fabs(value); /* turns -0 into 0 */
    return 0;
}

static int parse_threshold(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_fraction(&params->map.threshold, "threshold", text, err);
}

static int parse_label_threshold(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_fraction(&params->label_threshold, "label_threshold", text, err);
}

static int parse_percentile(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_fraction(&params->map.percentile, "map_percentile", text, err);
}

/* Parses a value that has to be one of the names; sets *out to its index. */
static int parse_choice(int *out, const char *name, const char *const *names, const char *text,
                        struct adl_error *err)
{
    char list[100];
    int length = 0;

    for (*out = 0; names[*out]; ++*out) {
        if (!strcmp(text, names[*out]))
            return 0;
        length += snprintf(list + length, sizeof list - (size_t)length, "%s%s",
                           *out == 0         ? ""
                           : names[*out + 1] ? ", "
                                             : " or ",
                           names[*out]);
    }
    return adl_fail(err, ADL_ERR_ARG, "%s=%s: has to be %s", name, ADL_SHORT(text), list);
}

static int parse_map(struct adl_params *params, const char *text, struct adl_error *err)
{
    return adl_map_base_parse(text, &params->map, err) < 0 ? adl_error_context(err, "map") : 0;
}

static int parse_layer(struct adl_params *params, const char *text, struct adl_error *err)
{
    struct adl_map_view_changes *views = &params->map.views;

    if (views->has_layer)
        return adl_fail(err, ADL_ERR_ARG, "map_layer=%s: map gives a layer as well",
                        ADL_SHORT(text));
    views->has_layer = true;
    return adl_map_layer_parse(text, &views->layer, err) < 0 ? adl_error_context(err, "map_layer")
                                                             : 0;
}

static int parse_foreground(struct adl_params *params, const char *text, struct adl_error *err)
{
    static const char *const names[] = {"false", "true", NULL};
    return parse_choice(&params->map.foreground, "foreground", names, text, err);
}

static int parse_flip(struct adl_params *params, const char *text, struct adl_error *err)
{
    static const char *const names[] = {"false", "true", NULL};
    return parse_choice(&params->map.views.flip, "map_flip", names, text, err);
}

static int parse_scales(struct adl_params *params, const char *text, struct adl_error *err)
{
    struct adl_map_view_changes *views = &params->map.views;

    if (adl_map_scales_parse(text, views->scales, &views->scale_count, err) < 0)
        return adl_error_context(err, "map_scales");
    return 0;
}

static int parse_stride(struct adl_params *params, const char *text, struct adl_error *err)
{
    static const char *const names[] = {"1", "2", NULL};

    if (parse_choice(&params->map.views.stride, "map_stride", names, text, err) < 0)
        return -1;
    params->map.views.stride++;
    return 0;
}

static int parse_weights(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_choice(&params->map.weights, "map_weights", adl_map_weights_names, text, err);
}

static int parse_normalise(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_choice(&params->map.normalise, "map_normalise", adl_map_normalise_names, text,
                        err);
}

static int parse_boxes(struct adl_params *params, const char *text, struct adl_error *err)
{
    int mode;

    if (parse_choice(&mode, "boxes", adl_box_mode_names, text, err) < 0)
        return -1;
    params->boxes = (enum adl_box_mode)mode;
    return 0;
}

static int parse_heatmap(struct adl_params *params, const char *text, struct adl_error *err)
{
    int form;

    if (parse_choice(&form, "heatmap", adl_reply_heatmap_names, text, err) < 0)
        return -1;
    params->heatmap = (enum adl_reply_heatmap)form;
    return 0;
}

static int parse_text(char *out, size_t size, const char *name, const char *text,
                      struct adl_error *err)
{
    if (!*text || strlen(text) >= size)
        return adl_fail(err, ADL_ERR_ARG, "%s=%s: has to be 1 to %zu bytes", name, ADL_SHORT(text),
                        size - 1);
    snprintf(out, size, "%s", text);
    return 0;
}

static int parse_model(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_text(params->model, sizeof params->model, "model", text, err);
}

static int parse_class(struct adl_params *params, const char *text, struct adl_error *err)
{
    return parse_text(params->class_text, sizeof params->class_text, "class", text, err);
}

static const struct {
    const char *name;
    int (*parse)(struct adl_params *params, const char *text, struct adl_error *err);
} table[] = {
    {"model", parse_model},
    {"top_k", parse_top_k},
    {"class", parse_class},
    {"threshold", parse_threshold},
    {"label_threshold", parse_label_threshold},
    {"boxes", parse_boxes},
    {"heatmap", parse_heatmap},
    {"map", parse_map},
    {"map_weights", parse_weights},
    {"map_normalise", parse_normalise},
    {"map_percentile", parse_percentile},
    {"map_classes", parse_map_classes},
    {"foreground", parse_foreground},
    {"map_flip", parse_flip},
    {"map_scales", parse_scales},
    {"map_stride", parse_stride},
    {"map_layer", parse_layer},
};

static int fail_unknown(const char *name, struct adl_error *err)
{
    struct adl_nearest nearest = {.word = name};

    for (size_t i = 0; i < ADL_COUNT(table); i++)
        adl_nearest_offer(&nearest, table[i].name);
    return adl_fail(
        err, ADL_ERR_ARG, "unknown parameter \"%s\"%s%s%s", ADL_SHORT(name),
        nearest.best
            ? "; did you mean "
            : "; the parameters are model, top_k, class, "
              "threshold, label_threshold, boxes, heatmap, map, map_weights, map_normalise, "
              "map_percentile, map_classes, map_flip, map_scales, "
              "map_stride, map_layer and foreground",
        nearest.best ? nearest.best : "", nearest.best ? "?" : "");
}

size_t adl_params_value_text(const json_t *value, char *text, size_t size)
{
    if (json_is_boolean(value))
        snprintf(text, size, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(text, size, "%.17g", json_real_value(value));
    return strlen(text);
}

int adl_params_parse(struct adl_params *params, const struct adl_query_pair *pairs, size_t count,
                     struct adl_error *err)
{
    bool seen[ADL_COUNT(table)] = {false};

    *params = (struct adl_params){
        .top_k = 1, .label_threshold = -1, .boxes = ADL_BOXES_LARGEST, .map = ADL_MAP_NO_CHANGES};
    for (size_t i = 0; i < count; i++) {
        size_t row = 0;
        while (row < ADL_COUNT(table) && strcmp(table[row].name, pairs[i].name) != 0)
            row++;
        if (row == ADL_COUNT(table))
            return fail_unknown(pairs[i].name, err);
        if (seen[row])
            return adl_fail(err, ADL_ERR_ARG, "%s is given more than once", pairs[i].name);
        seen[row] = true;
        if (!pairs[i].value)
            return adl_fail(err, ADL_ERR_ARG, "%s needs a value", pairs[i].name);
        if (strlen(pairs[i].value) != pairs[i].value_length)
            return adl_fail(err, ADL_ERR_ARG, "%s contains a NUL byte", pairs[i].name);
        if (table[row].parse(params, pairs[i].value, err) < 0)
            return -1;
    }
    if (*params->class_text && params->top_k > 1)
        return adl_fail(err, ADL_ERR_ARG,
                        "class and top_k exclude each other: class selects a single class");
    return 0;
}

/* --- Content-Type ------------------------------------------------------------ */

/* Returns the length of "type/subtype" at the beginning of a header value. */
static size_t media_type_length(const char *text)
{
    size_t length = strcspn(text, ";,");
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return length;
}

static bool media_type_is(const char *text, size_t length, const char *want)
{
    return length == strlen(want) && !strncasecmp(text, want, length);
}

enum adl_body_type adl_params_body_type(const char *content_type, char *text, size_t size,
                                        const char **detail)
{
    size_t length;

    if (!content_type) {
        *detail = "the request has no Content-Type; send curl -H 'Content-Type: image/jpeg' "
                  "--data-binary @photo.jpg";
        return ADL_BODY_UNSUPPORTED;
    }
    length = media_type_length(content_type);
    if (adl_image_media_type(content_type, length))
        return ADL_BODY_IMAGE;
    if (media_type_is(content_type, length, "application/octet-stream"))
        return ADL_BODY_BYTES;
    if (media_type_is(content_type, length, "multipart/form-data"))
        return ADL_BODY_FORM;
    if (media_type_is(content_type, length, "application/json"))
        return ADL_BODY_JSON;
    if (media_type_is(content_type, length, "application/x-www-form-urlencoded")) {
        *detail = "curl declares every --data-binary as a form; send curl -H 'Content-Type: "
                  "image/jpeg' --data-binary @photo.jpg, or curl -F image=@photo.jpg";
        return ADL_BODY_UNSUPPORTED;
    }
    snprintf(text, size,
             "\"%s\" is not a supported image type; send image/jpeg (or png, "
             "webp, gif, bmp), multipart/form-data or application/json",
             ADL_SHORT(content_type));
    *detail = text;
    return ADL_BODY_UNSUPPORTED;
}

/* --- Accept ------------------------------------------------------------------ */

/* Returns the quality value of one element of an Accept header, such as 0.5 of
 * "type/subtype;a=b;q=0.5": 1 if there is none, 0 if it is malformed. `text` has `length`
 * bytes. */
static double quality(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char number[8], *end;
        double q;
        if (text[i] != ';')
            continue;
        for (i++; i < length && (text[i] == ' ' || text[i] == '\t');)
            i++;
        if (i + 1 >= length || (text[i] != 'q' && text[i] != 'Q') || text[i + 1] != '=') {
            i--;
            continue;
        }
        snprintf(number, sizeof number, "%.*s", (int)ADL_MIN(length - i - 2, 5), text + i + 2);
        if (strspn(number, "01.") == 0)
            return 0;
        q = strtod(number, &end);
        return q >= 0 && q <= 1 ? q : 0;
    }
    return 1;
}

/* Returns how specifically one element of an Accept header matches a media type: 3 exactly, 2
 * by the major type ("image/" and a star), 1 by two stars, 0 not at all. */
static int specificity(const char *text, size_t length, const char *type)
{
    size_t major = strcspn(type, "/") + 1;

    if (media_type_is(text, length, type))
        return 3;
    if (length == major + 1 && !strncasecmp(text, type, major) && text[major] == '*')
        return 2;
    return media_type_is(text, length, "*/*") ? 1 : 0;
}

int adl_params_accept(const char *accept, enum adl_image_type *type)
{
    /* In the order of preference: the first of equally acceptable formats is chosen. */
    static const struct {
        const char *name;
        enum adl_image_type type;
    } offers[] = {{"application/json", ADL_IMAGE_UNKNOWN},
                  {"image/jpeg", ADL_IMAGE_JPEG},
                  {"image/png", ADL_IMAGE_PNG}};
    double best_quality = 0;
    int best_fit = 0;

    *type = ADL_IMAGE_UNKNOWN;
    if (!accept || !accept[strspn(accept, " \t")])
        return 0;
    for (size_t o = 0; o < ADL_COUNT(offers); o++) {
        double q = 0;
        int fit = 0;
        /* The most specific element that matches an offer determines its quality. */
        for (const char *next = accept; *next;) {
            size_t length = strcspn(next, ",");
            size_t skipped = strspn(next, " \t");
            if (skipped < length) {
                const char *element = next + skipped;
                size_t name = ADL_MIN(media_type_length(element), length - skipped);
                int element_fit = specificity(element, name, offers[o].name);
                if (element_fit > fit) {
                    fit = element_fit;
                    q = quality(element, length - skipped);
                }
            }
            next += length + (next[length] == ',');
        }
        if (fit > 0 && q > 0 && (q > best_quality || (q == best_quality && fit > best_fit))) {
            best_quality = q;
            best_fit = fit;
            *type = offers[o].type;
        }
    }
    return best_quality > 0 ? 0 : -1;
}
