/* Options of training methods for tests; see methods.h. */

#include "support/methods.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/test.h"

static void set(union adl_method_value *values, const char *name, double value)
{
    const struct adl_method_option *option;
    size_t i = 0;

    while ((option = adl_method_option_at(i, NULL)) && strcmp(option->name, name) != 0)
        i++;
    CU_ASSERT_PTR_NOT_NULL_FATAL(option);
    if (option->kind == ADL_METHOD_NUMBER)
        values[i].number = value;
    else if (option->kind == ADL_METHOD_FLAG)
        values[i].flag = value > 0;
    else
        values[i].integer = (int)value;
}

const union adl_method_value *test_method_values(const char *name, ...)
{
    static union adl_method_value ring[32][ADL_METHOD_VALUES];
    static size_t next;
    union adl_method_value *values = ring[next++ % 32];
    va_list args;

    adl_method_defaults(values);
    va_start(args, name);
    for (; name; name = va_arg(args, const char *))
        set(values, name, va_arg(args, double));
    va_end(args);
    return values;
}

void test_method_input(const struct adl_method *method, const union adl_method_value *values,
                       uint64_t key, float *images, float *input, struct adl_method_batch *batch)
{
    batch->images = images;
    batch->input = input;
    batch->values = values;
    batch->key = key;
    adl_method_input(adl_method_alone(method), batch);
}

const union adl_method_value *test_adl_values(enum adl_draw draw, double rate, double threshold)
{
    return test_method_values("adl-draw", (double)draw, "adl-drop-rate", rate, "adl-threshold",
                              threshold, NULL);
}

struct adl_method_set test_adl_if(bool adl)
{
    return adl ? adl_method_alone(&adl_method_adl) : (struct adl_method_set){0};
}

int test_adl_layer(struct adl_graph *graph, int input, const char *name)
{
    return adl_method_add_layer(graph, &adl_method_adl, input, name);
}

const char *test_adl_layers(const struct adl_graph *graph, char *text, size_t size)
{
    size_t length = 0;
    text[0] = 0;
    for (int i = 0; i < adl_graph_node_count(graph); i++) {
        const struct adl_node *node = adl_graph_node(graph, i);
        if (node->def == adl_method_adl.layer && length < size)
            length += (size_t)snprintf(text + length, size - length, "%s,",
                                       adl_graph_value(graph, node->inputs[0])->name);
    }
    return text;
}
