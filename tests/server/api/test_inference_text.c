/* server/api/inference_text: the text of tensors, against jansson and against itself cut short. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/api/inference_text.h"
#include "support/formula.h"

/* --- splitting ----------------------------------------------------------------- */

static int split(const char *text, size_t length, struct adl_str *head, struct adl_span *data)
{
    struct adl_error err = {0};
    int result = adl_inference_split(text, length, head, data, &err);
    CU_ASSERT((result < 0) == (err.kind != ADL_ERR_NONE));
    return result;
}

static void takes_data_out(void)
{
    static const struct {
        const char *text, *head, *data[3];
    } cases[] = {
        {"{\"inputs\":[{\"data\":[1,[2],\"]\\\"\"] , \"name\" : \"data\"}]}",
         "{\"inputs\":[{\"data\":null,\"name\":\"data\"}]}",
         {"[1,[2],\"]\\\"\"]"}},
        {"{\"inputs\":[{\"data\":[1]},{\"shape\":[2]},{\"data\" : [3]}]}",
         "{\"inputs\":[{\"data\":null},{\"shape\":[2]},{\"data\":null}]}",
         {"[1]", NULL, "[3]"}},
        /* Only that of an element of "inputs" of the whole. */
        {"{\"data\":[1],\"outputs\":[{\"data\":[2]}]}",
         "{\"data\":[1],\"outputs\":[{\"data\":[2]}]}",
         {NULL}},
        {"{\"inputs\":[{\"parameters\":{\"data\":[1]}}]}",
         "{\"inputs\":[{\"parameters\":{\"data\":[1]}}]}",
         {NULL}},
        {"{\"parameters\":{\"inputs\":[{\"data\":[1]}]}}",
         "{\"parameters\":{\"inputs\":[{\"data\":[1]}]}}",
         {NULL}},
        {"{\"inputs\":[[{\"data\":[1]}]]}", "{\"inputs\":[[{\"data\":[1]}]]}", {NULL}},
        {"{\"inputs\":[{\"data\":1}]}", "{\"inputs\":[{\"data\":1}]}", {NULL}},
        {"[]]]}}{", "[]]]}}{", {NULL}},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_span data[ADL_LIMIT_INFERENCE_INPUTS];
        struct adl_str head = {0};
        if (split(cases[i].text, strlen(cases[i].text), &head, data) < 0 ||
            strcmp(head.data, cases[i].head) != 0)
            TEST_FAIL("%s becomes %s", cases[i].text, head.data ? head.data : "");
        for (size_t k = 0; k < 3; k++) {
            const char *want = cases[i].data[k];
            if ((data[k].data != NULL) != (want != NULL) ||
                (want && (data[k].length != strlen(want) ||
                          memcmp(data[k].data, want, data[k].length) != 0)))
                TEST_FAIL("%s: data %zu", cases[i].text, k);
        }
        adl_str_release(&head);
    }
}

static void bounds_what_it_copies(void)
{
    struct adl_span data[ADL_LIMIT_INFERENCE_INPUTS];
    struct adl_str text = {0}, head = {0};
    struct adl_error err = {0};

    adl_str_puts(&text, "{\"id\":\"");
    for (size_t i = 0; i < ADL_LIMIT_INFERENCE_HEAD_BYTES; i++)
        adl_str_puts(&text, "x");
    adl_str_puts(&text, "\"}");
    CU_ASSERT_EQUAL(adl_inference_split(text.data, text.length, &head, data, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_str_release(&head);
    text.length = 0;
    adl_str_puts(&text, "{\"inputs\":[");
    for (int i = 0; i <= ADL_LIMIT_INFERENCE_INPUTS; i++)
        adl_str_puts(&text, "{\"data\":[]},");
    CU_ASSERT_EQUAL(split(text.data, text.length, &head, data), -1);
    adl_str_release(&head);
    adl_str_release(&text);
}

/* --- numbers --------------------------------------------------------------------------- */

enum { N = 3, C = 2, H = 3, W = 5, COUNT = N * C * H * W };

/* Writes numbers in several notations, flat or nested, with blanks where JSON allows them. */
static void write_numbers(struct adl_str *text, const float *values, bool nested)
{
    static const char *const formats[] = {"%.9g", " %.17g", "%.9e ", "\n%.12E"};
    const size_t blocks[] = {C * H * W, H * W, W, 0};

    adl_str_puts(text, "[");
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t d = 0; nested && d < 3; d++)
            adl_str_puts(text, i % blocks[d] ? "" : "[ ");
        adl_str_printf(text, formats[i % 4], (double)values[i]);
        for (size_t d = 0; nested && d < 3; d++)
            adl_str_puts(text, (i + 1) % blocks[d] ? "" : " ]");
        adl_str_puts(text, i + 1 < COUNT ? "," : "]");
    }
}

static int read_all(const char *text, size_t length, float *nhwc)
{
    struct adl_number_text numbers = {.text = {text, length}, .images = N, .dims = {C, H, W}};
    struct adl_error err = {0};
    size_t starts[N + 1];
    int result = adl_number_text_divide(&numbers, starts, &err);

    for (size_t i = 0; result == 0 && i < N; i++)
        result = adl_number_text_read(&numbers, starts, i, NULL, nhwc + i * C * H * W, &err);
    CU_ASSERT((result < 0) == (err.kind != ADL_ERR_NONE));
    return result;
}

static void reads_numbers_to_the_bit(void)
{
    float values[COUNT], got[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        values[i] = ldexpf((float)formula_u("inference", i), (int)(formula_z("e", i) % 200) - 100);
    for (int nested = 0; nested < 2; nested++) {
        struct adl_str text = {0};
        write_numbers(&text, values, nested);
        CU_ASSERT_EQUAL(read_all(text.data, text.length, got), 0);
        for (size_t n = 0; n < N; n++)
            for (size_t c = 0; c < C; c++)
                for (size_t p = 0; p < H * W; p++)
                    CU_ASSERT_EQUAL(got[(n * H * W + p) * C + c], values[(n * C + c) * H * W + p]);
        /* Everything that is a little shorter is refused, by whoever reads it. */
        for (size_t length = 1; length < text.length; length++)
            if (read_all(text.data, length, got) == 0)
                TEST_FAIL("%zu of %zu bytes are accepted", length, text.length);
        adl_str_release(&text);
    }
}

/* Changes one character of a valid text. What jansson does not take as an array of as many numbers
 * is refused; what it takes is read as it reads it. */
static void agrees_with_jansson_on_changed_texts(void)
{
    static const char letters[] = "0123456789.eE+-,[] \"x\tnull";
    float values[COUNT], got[COUNT];
    struct adl_str text = {0};
    size_t accepted = 0;

    for (size_t i = 0; i < COUNT; i++)
        values[i] = (float)formula_u("changed", i);
    write_numbers(&text, values, false);
    for (uint64_t i = 0; i < 20000; i++) {
        const size_t at = formula_z("at", i) % text.length;
        const char old = text.data[at];
        text.data[at] = letters[formula_z("letter", i) % (sizeof letters - 1)];
        json_t *json = json_loadb(text.data, text.length, JSON_DECODE_INT_AS_REAL, NULL), *element;
        bool valid = json_array_size(json) == COUNT;
        size_t index;
        json_array_foreach(json, index, element) valid =
            valid && json_is_real(element) && fabs(json_real_value(element)) < 1e38;
        const bool taken = text.data[0] == '[' && read_all(text.data, text.length, got) == 0;
        if (taken != valid)
            TEST_FAIL("%s: %s", taken ? "accepted" : "refused", text.data);
        accepted += taken;
        for (size_t p = 0; taken && p < H * W; p++)
            CU_ASSERT_EQUAL(got[p * C], (float)json_real_value(json_array_get(json, p)));
        json_decref(json);
        text.data[at] = old;
    }
    CU_ASSERT(accepted > 1000 && accepted < 19000);
    adl_str_release(&text);
}

static void refuses_other_shapes(void)
{
    static const char *const texts[] = {
        "[]",
        "[1]",
        "[1,2,3]",
        "[1,2,3,4,5]",
        "[[1,2,3,4]]",
        "[[[[1]],[[2]]],[[[3]],[[4]]]]]",
        "[[[[1],[2]]],[[[3],[4]]]]",
        "[[[[1,2]]],[[[3,4]]]]",
        "[1,[2],3,4]",
        "[1,2,3,1e39]",
        "[1,2,3,NaN]",
        "[1,2,3,Infinity]",
        "[1,2,3,true]",
        "[1,2,3,\"4\"]",
        "[1,2,3,0x4]",
        "[1,2,3,04]",
        "[1,2,3,+4]",
        "[1,2,3,.4]",
        "[1,2,3,4.]",
        "[1,2,3,4e]",
        "[1,2,3,-]",
        "[1,2,3,4,]",
        "[1,2,3 4]",
        "[,1,2,3,4]",
    };
    float got[4];

    for (size_t i = 0; i < ADL_COUNT(texts); i++) {
        struct adl_number_text numbers = {
            .text = {texts[i], strlen(texts[i])}, .images = 2, .dims = {2, 1, 1}};
        struct adl_error err = {0};
        size_t starts[3];
        if (adl_number_text_divide(&numbers, starts, &err) == 0 &&
            adl_number_text_read(&numbers, starts, 0, NULL, got, &err) == 0 &&
            adl_number_text_read(&numbers, starts, 1, NULL, got + 2, &err) == 0)
            TEST_FAIL("%s is accepted", texts[i]);
        else
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
}

/* --- base64 --------------------------------------------------------------------------------- */

/* Every length, encoded by nettle. */
static void decodes_base64(void)
{
    unsigned char bytes[67];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)formula_z("base64", i);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        for (int form = 0; form < 3; form++) {
            struct adl_str text = {0}, once = {0};
            struct adl_span items[2];
            struct adl_error err = {0};
            adl_str_base64(&once, bytes, length);
            adl_str_puts(&text, form ? "[[ \"" : "[\"");
            for (size_t i = 0; i < once.length; i++)
                adl_str_printf(&text, form == 2 && once.data[i] == '/' ? "\\%c" : "%c",
                               once.data[i]);
            adl_str_puts(&text, form ? "\"] , [\"\"]]" : "\" , \"\"]");
            TEST_OK(adl_base64_text_read((struct adl_span){text.data, text.length}, 2, items, &err),
                    &err);
            CU_ASSERT(items[0].length == length && !memcmp(items[0].data, bytes, length));
            CU_ASSERT_EQUAL(items[1].length, 0);
            adl_str_release(&text);
            adl_str_release(&once);
        }
    }
}

static void refuses_what_is_not_base64(void)
{
    static const char *const texts[] = {
        "[]",         "[\"AA==\",\"AA==\"]", "[\"A\"]",     "[\"AA\"]",       "[\"AAA\"]",
        "[\"AA=A\"]", "[\"====\"]",          "[\"A===\"]",  "[\"AA==AA==\"]", "[\"AA-_\"]",
        "[\"AA A\"]", "[\"AAA\\n\"]",        "[\"AAAA\"",   "[\"AAAA]",       "[AAAA]",
        "[1]",        "[[\"AAAA\"]",         "[\"AAAA\"]]", "[[[\"AAAA\"]]]", "[\"AAAA\" ,]",
    };
    for (size_t i = 0; i < ADL_COUNT(texts); i++) {
        char text[40];
        struct adl_span item;
        struct adl_error err = {0};
        snprintf(text, sizeof text, "%s", texts[i]);
        if (adl_base64_text_read((struct adl_span){text, strlen(text)}, 1, &item, &err) == 0)
            TEST_FAIL("%s is accepted", texts[i]);
    }
}

TEST_SUITE(inference_text, {"takes the data out of a request", takes_data_out},
           {"bounds what it copies", bounds_what_it_copies},
           {"reads numbers to the bit", reads_numbers_to_the_bit},
           {"agrees with jansson on changed texts", agrees_with_jansson_on_changed_texts},
           {"refuses other shapes", refuses_other_shapes}, {"decodes base64", decodes_base64},
           {"refuses what is not base64", refuses_what_is_not_base64});
