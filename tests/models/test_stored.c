/* models/backbones/stored: a network's description that is damaged or hostile is refused in words,
 * and one that is whole builds the network with any number of classes. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/arch.h"
#include "models/backbones/stored.h"
#include "support/hostile.h"

static const char whole[] =
    "{\"source\":\"a test\",\"nodes\":["
    "{\"op\":\"conv\",\"name\":\"c\",\"in\":[\"input\"],\"params\":[\"w\",\"b\"],\"k\":8,\"r\":3,"
    "\"s\":3,\"top\":1,\"left\":1,\"bottom\":1,\"right\":1},"
    "{\"op\":\"relu\",\"name\":\"r\",\"in\":[\"c\"]},"
    "{\"op\":\"global_avgpool\",\"name\":\"p\",\"in\":[\"r\"]},"
    "{\"op\":\"linear\",\"name\":\"l\",\"in\":[\"p\"],\"params\":[\"fc\"],\"k\":5}],"
    "\"features\":\"r\",\"logits\":\"l\",\"classifier\":\"fc\"}";

static int read_and_build(const void *bytes, size_t length, struct adl_error *err)
{
    json_t *json = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL);
    struct adl_stored *stored = json ? adl_stored_from_json(json, err) : NULL;
    struct adl_arch arch;
    struct adl_graph *graph = NULL;

    if (!json)
        adl_fail(err, ADL_ERR_FORMAT, "no JSON");
    adl_arch_init(&arch, &adl_backbone_onnx);
    arch.num_classes = 5;
    arch.stored = stored;
    if (stored)
        graph = adl_arch_build(&arch, 16, 16, err);
    int result = graph ? 0 : -1;
    adl_graph_free(graph);
    adl_stored_free(stored);
    json_decref(json);
    return result;
}

/* Refuses the description in which the first `from` is replaced by `to`. */
static void refused(const char *from, const char *to, enum adl_error_kind kind, const char *part)
{
    char text[2048];
    const char *at = strstr(whole, from);
    CU_ASSERT_FATAL(at != NULL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    hostile_refused(read_and_build, text, strlen(text), kind, part);
}

static void refuses_in_words(void)
{
    refused("\"relu\"", "\"reluu\"", ADL_ERR_UNSUPPORTED, "node 1: no op is called \"reluu\"");
    refused("\"in\":[\"c\"]", "\"in\":[\"p\"]", ADL_ERR_FORMAT,
            "node 1: it reads a value that no earlier node computes");
    refused("\"in\":[\"c\"]", "\"in\":[]", ADL_ERR_FORMAT, "too few");
    refused("\"name\":\"r\"", "\"name\":\"c\"", ADL_ERR_FORMAT, "that of another node");
    refused("\"k\":8", "\"k\":0", ADL_ERR_FORMAT, "\"k\" is not a whole number from 1 to");
    refused("\"k\":8", "\"k\":2000000000", ADL_ERR_FORMAT, "\"k\" is not a whole number");
    refused("\"k\":8", "\"k\":8.5", ADL_ERR_FORMAT, "\"k\" is not a whole number");
    refused("\"top\":1", "\"top\":-1", ADL_ERR_FORMAT, "\"top\" is not a whole number");
    refused("[\"w\",\"b\"]", "[null,\"b\"]", ADL_ERR_FORMAT, "a parameter is missing");
    refused("[\"w\",\"b\"]", "[\"w\",\"b\",\"c\"]", ADL_ERR_FORMAT, "too many parameters");
    refused("\"features\":\"r\"", "\"features\":\"x\"", ADL_ERR_FORMAT, "names no node's value");
    refused(",\"classifier\":\"fc\"", "", ADL_ERR_FORMAT, "how class maps are made");
    refused("\"classifier\":\"fc\"", "\"classifier\":\"zz\"", ADL_ERR_ARG, "no node has");
    refused("\"classifier\":\"fc\"", "\"classifier\":\"b\"", ADL_ERR_ARG,
            "the classifier does not");
    refused("\"logits\":\"l\"", "\"logits\":\"p\"", ADL_ERR_ARG, "the logits are 1x1x8, not 5");
    refused("\"r\":3", "\"r\":30", ADL_ERR_ARG, "kernel does not fit");
    hostile_refused(read_and_build, "{}", 2, ADL_ERR_FORMAT, "\"nodes\" is not a list");
}

/* As many classes as are asked for: the classifier's layer follows. */
static void follows_the_number_of_classes(void)
{
    struct adl_error err = {0};
    json_t *json = json_loads(whole, 0, NULL);
    struct adl_stored *stored = adl_stored_from_json(json, &err);
    struct adl_arch arch;
    CU_ASSERT_FATAL(stored != NULL);
    adl_arch_init(&arch, &adl_backbone_onnx);
    arch.num_classes = 9;
    arch.stored = stored;
    struct adl_graph *graph = adl_arch_build(&arch, 16, 16, &err);
    if (!graph)
        TEST_FAIL("%s", err.message);
    else
        CU_ASSERT_EQUAL(adl_graph_value(graph, adl_graph_output(graph, ADL_OUTPUT_LOGITS))->shape.c,
                        9);
    CU_ASSERT_TRUE(adl_stored_is_classifier(stored, "fc"));
    CU_ASSERT_FALSE(adl_stored_is_classifier(stored, "w"));
    json_t *again = adl_stored_to_json(stored, true);
    CU_ASSERT_TRUE(json_equal(json, again));
    json_decref(again);
    json_decref(json);
    adl_graph_free(graph);
    adl_stored_free(stored);
}

static void survives_damage(void)
{
    hostile_truncate(read_and_build, whole, strlen(whole));
    hostile_mutate(read_and_build, whole, strlen(whole));
}

TEST_SUITE(stored, {"refuses in words", refuses_in_words},
           {"follows the number of classes", follows_the_number_of_classes},
           {"survives damage", survives_damage});
