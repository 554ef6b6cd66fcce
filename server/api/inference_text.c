/* Reads the text of tensors; see inference_text.h.
 *
 * A request is read in two steps, because a body may have millions of numbers and only its other
 * members are worth a value in memory. adl_inference_split() runs over the text once and takes the
 * arrays "data" out; jansson then checks and reads the rest. It follows brackets and strings only
 * and skips what has none, at the speed of memory, so an I/O thread may do it. Numbers are
 * converted by workers, one image each: in any form of the array as many commas come before an
 * element as there are elements before it, so counting commas finds where an image begins. The
 * worker checks the rest: it knows from the shape which brackets have to stand before and after
 * each element. */

#include "server/api/inference_text.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/api/json_span.h"

/* --- splitting ------------------------------------------------------------------- */

/* Returns where the next bracket or quote may be: blocks without one are skipped at once. */
static const char *skip_plain(const char *at, const char *end)
{
    enum { BLOCK = 64 };

    while (end - at >= BLOCK) {
        unsigned char found = 0;
        for (size_t i = 0; i < BLOCK; i++)
            found = (unsigned char)(found | (at[i] == '"') | (at[i] == '[') | (at[i] == ']'));
        if (found)
            break;
        at += BLOCK;
    }
    return at;
}

/* Returns the end of the array that begins at `at`; NULL: it has none. */
static const char *array_end(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        const char c = *at;
        if (c == '"') {
            at = adl_json_string_end(at, end);
            if (!at)
                return NULL;
            continue;
        }
        at++;
        if (c == '[')
            depth++;
        else if (c == ']' && --depth == 0)
            return at;
        else if (c == ',')
            at = skip_plain(at, end);
    }
    return NULL;
}

static bool is_key(const char *at, const char *end, const char *name)
{
    const size_t length = strlen(name);
    return (size_t)(end - at) == length + 2 && !memcmp(at + 1, name, length);
}

/* Where the splitting is. */
struct splitter {
    const char *at, *end;
    struct adl_str *head;
    struct adl_span *data;
    size_t depth;
    size_t element; /* of "inputs", counted from 1 */
    bool in_inputs; /* inside the array "inputs" of the outermost object */
    bool in_input;  /* inside an object that is an element of it */
};

static int fail_end(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_ARG, "the JSON of the request ends too early");
}

/* Copies a string, and takes out the array after it if the string is the name of one. */
static int split_string(struct splitter *s, struct adl_error *err)
{
    const char *end = adl_json_string_end(s->at, s->end), *value;

    if (!end)
        return fail_end(err);
    adl_str_append(s->head, s->at, (size_t)(end - s->at));
    value = adl_json_skip_blanks(end, s->end);
    if (value < s->end && *value == ':') {
        value = adl_json_skip_blanks(value + 1, s->end);
        const bool array = value < s->end && *value == '[';
        if (s->depth == 1)
            s->in_inputs = array && is_key(s->at, end, "inputs");
        if (array && s->depth == 3 && s->in_input && is_key(s->at, end, "data")) {
            const char *after = array_end(value, s->end);
            if (!after)
                return fail_end(err);
            s->data[s->element - 1] = (struct adl_span){value, (size_t)(after - value)};
            adl_str_puts(s->head, ":null");
            end = after;
        }
    }
    s->at = end;
    return 0;
}

/* Copies a character that is not part of a string. */
static int split_other(struct splitter *s, struct adl_error *err)
{
    const char c = *s->at;

    if (c == '{' && s->depth == 2 && s->in_inputs) {
        if (s->element == ADL_LIMIT_INFERENCE_INPUTS)
            return adl_fail(err, ADL_ERR_ARG, "\"inputs\" has more than %d elements",
                            ADL_LIMIT_INFERENCE_INPUTS);
        s->element++;
        s->in_input = true;
    }
    if (c == '{' || c == '[')
        s->depth++;
    if ((c == '}' || c == ']') && s->depth > 0) {
        s->depth--;
        s->in_input &= s->depth > 2;
        s->in_inputs &= s->depth > 1;
    }
    if (!adl_json_is_blank(c))
        adl_str_append(s->head, s->at, 1);
    s->at++;
    return 0;
}

int adl_inference_split(const char *text, size_t length, struct adl_str *head,
                        struct adl_span data[ADL_LIMIT_INFERENCE_INPUTS], struct adl_error *err)
{
    struct splitter s = {.at = text, .end = text + length, .head = head, .data = data};

    for (size_t i = 0; i < ADL_LIMIT_INFERENCE_INPUTS; i++)
        data[i] = (struct adl_span){0};
    while (s.at < s.end) {
        if ((*s.at == '"' ? split_string(&s, err) : split_other(&s, err)) < 0)
            return -1;
        if (head->length > ADL_LIMIT_INFERENCE_HEAD_BYTES)
            return adl_fail(err, ADL_ERR_LIMIT,
                            "the request has more than %zu KiB beside the data of its tensors",
                            ADL_LIMIT_INFERENCE_HEAD_BYTES / ADL_KIB);
    }
    return head->failed ? adl_fail_nomem(err, "the request") : 0;
}

/* --- numbers ------------------------------------------------------------------------ */

static size_t numbers_of_image(const struct adl_number_text *numbers)
{
    return numbers->dims[0] * numbers->dims[1] * numbers->dims[2];
}

/* Returns the offset after comma number `wanted`, counted from 1; SIZE_MAX: there are fewer. */
static size_t after_comma(const char *text, size_t from, size_t length, size_t wanted)
{
    enum { BLOCK = 128 }; /* whose count fits into a byte */

    while (from + BLOCK <= length) {
        unsigned char count = 0;
        for (size_t i = 0; i < BLOCK; i++)
            count = (unsigned char)(count + (text[from + i] == ','));
        if (count >= wanted)
            break;
        wanted -= count;
        from += BLOCK;
    }
    for (; from < length; from++)
        if (text[from] == ',' && --wanted == 0)
            return from + 1;
    return SIZE_MAX;
}

int adl_number_text_divide(struct adl_number_text *numbers, size_t *starts, struct adl_error *err)
{
    const char *text = numbers->text.data, *end = text + numbers->text.length;
    const char *first = adl_json_skip_blanks(text + 1, end);

    numbers->nested = first < end && *first == '[';
    starts[0] = 0;
    for (size_t i = 1; i < numbers->images; i++) {
        starts[i] =
            after_comma(text, starts[i - 1], numbers->text.length, numbers_of_image(numbers));
        if (starts[i] == SIZE_MAX)
            return adl_fail(err, ADL_ERR_ARG,
                            "the data has fewer than the %zu numbers of its shape",
                            numbers->images * numbers_of_image(numbers));
    }
    starts[numbers->images] = numbers->text.length;
    return 0;
}

/* The text of one image while it is read. */
struct reader {
    const char *at, *end;
    size_t element; /* of the whole tensor, for messages */
};

static bool take(struct reader *r, char c)
{
    r->at = adl_json_skip_blanks(r->at, r->end);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_brackets(struct reader *r, char c, size_t count)
{
    while (count > 0 && take(r, c))
        count--;
    return count == 0;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Returns the end of the number of JSON at `at` (RFC 8259, section 6); NULL: there is none. */
static const char *number_end(const char *at, const char *end)
{
    const char *digits;

    if (at < end && *at == '-')
        at++;
    digits = at;
    at = skip_digits(at, end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return NULL;
    if (at < end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, end);
        if (at == digits)
            return NULL;
    }
    return at;
}

static int read_number(struct reader *r, float *out, struct adl_error *err)
{
    const char *end;

    r->at = adl_json_skip_blanks(r->at, r->end);
    end = number_end(r->at, r->end);
    /* strtof() stops at the character after the number, which is there: a bracket ends the text. */
    if (!end || end == r->end)
        return adl_fail(err, ADL_ERR_ARG, "element %zu of the data is not a number", r->element);
    *out = strtof(r->at, NULL);
    if (!isfinite(*out))
        return adl_fail(err, ADL_ERR_ARG, "element %zu of the data is beyond the range of FP32",
                        r->element);
    r->at = end;
    return 0;
}

static int fail_shape(const struct reader *r, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_ARG,
                    "the brackets and commas of the data do not follow its shape at element %zu",
                    r->element);
}

/* Returns how many arrays of the inner dimensions end before number i > 0 of an image. */
static size_t wraps_before(const struct adl_number_text *numbers, size_t i)
{
    if (!numbers->nested || i % numbers->dims[2])
        return 0;
    return i % (numbers->dims[1] * numbers->dims[2]) ? 1 : 2;
}

int adl_number_text_read(const struct adl_number_text *numbers, const size_t *starts, size_t index,
                         const struct adl_pause *pause, float *nhwc, struct adl_error *err)
{
    const size_t count = numbers_of_image(numbers), plane = numbers->dims[1] * numbers->dims[2];
    const size_t inner = numbers->nested ? 3 : 0;
    const bool first = index == 0, last = index + 1 == numbers->images;
    struct reader r = {.at = numbers->text.data + starts[index],
                       .end = numbers->text.data + starts[index + 1],
                       .element = index * count};
    size_t done = 0;

    if (!take_brackets(&r, '[', inner + first))
        return fail_shape(&r, err);
    for (size_t c = 0; c < numbers->dims[0]; c++)
        for (size_t p = 0; p < plane; p++, r.element++) {
            const size_t i = c * plane + p, wraps = i > 0 ? wraps_before(numbers, i) : 0;
            if (i > 0 && (!take_brackets(&r, ']', wraps) || !take(&r, ',') ||
                          !take_brackets(&r, '[', wraps)))
                return fail_shape(&r, err);
            if (read_number(&r, &nhwc[p * numbers->dims[0] + c], err) < 0 ||
                adl_pause_after(pause, &done, 4, err) < 0)
                return -1;
        }
    if (!take_brackets(&r, ']', inner + last) || (!last && !take(&r, ',')) ||
        adl_json_skip_blanks(r.at, r.end) != r.end)
        return fail_shape(&r, err);
    return 0;
}

/* --- base64 ---------------------------------------------------------------------- */

/* Reads one string and decodes it. */
static bool take_base64(struct reader *r, struct adl_span *item)
{
    const char *end;

    r->at = adl_json_skip_blanks(r->at, r->end);
    end = r->at < r->end && *r->at == '"' ? adl_json_string_end(r->at, r->end) : NULL;
    if (!end)
        return false;
    char *text = (char *)r->at + 1; /* of the body of the request, which may be changed */
    const size_t bytes = adl_json_decode_base64(text, (size_t)(end - r->at) - 2);
    if (bytes == SIZE_MAX)
        return false;
    *item = (struct adl_span){text, bytes};
    r->at = end;
    return true;
}

int adl_base64_text_read(struct adl_span text, size_t count, struct adl_span *items,
                         struct adl_error *err)
{
    struct reader r = {.at = text.data, .end = text.data + text.length};
    size_t inner;

    if (!take(&r, '['))
        return fail_shape(&r, err);
    r.at = adl_json_skip_blanks(r.at, r.end);
    inner = r.at < r.end && *r.at == '[';
    for (; r.element < count; r.element++) {
        if ((r.element > 0 && !take(&r, ',')) || !take_brackets(&r, '[', inner))
            return fail_shape(&r, err);
        if (!take_base64(&r, &items[r.element]))
            return adl_fail(err, ADL_ERR_ARG,
                            "element %zu of the data is not a string of base64 (RFC 4648, section "
                            "4, with padding)",
                            r.element);
        if (!take_brackets(&r, ']', inner))
            return fail_shape(&r, err);
    }
    if (!take(&r, ']') || adl_json_skip_blanks(r.at, r.end) != r.end)
        return fail_shape(&r, err);
    return 0;
}
