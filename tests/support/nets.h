#ifndef ADL_TESTS_SUPPORT_NETS_H
#define ADL_TESTS_SUPPORT_NETS_H

/* Builds the networks of tests/golden/backbones as graphs with formula weights. */

#include <jansson.h>

#include "models/arch.h"

struct test_net {
    json_t *golden; /* the case's file */
    struct adl_arch arch;
    struct adl_graph *graph; /* at the golden input's size */
    float **params;          /* by parameter id; NULL entries until test_net_fill */
};

/* The names of the golden cases, such as "vgg16_adl"; NULL-terminated. */
extern const char *const test_net_cases[];

/* Reads the case's file and builds its graph. On failure fails the running test and returns
 * -1. */
int test_net_open(struct test_net *net, const char *case_name);
/* Computes the values of all parameters from their names (support/formula.h). */
int test_net_fill(struct test_net *net);
void test_net_close(struct test_net *net);

/* Sets *arch to the architecture that the name of a case describes, such as
 * "mobilenet_v1_100_relu6_cam", "resnet50_se_adl" or "vgg16_cam_lfm". */
int test_net_arch(struct adl_arch *arch, const char *case_name, int num_classes);

/* Builds the graph of `arch` at 64x64 with every `step`-th allocation made to fail in turn:
 * each failure has to be ADL_ERR_NOMEM and to leak nothing, until the graph is built. */
void test_net_starve(const struct adl_arch *arch, uint64_t step);

/* Returns the golden record of a parameter, or NULL. */
json_t *test_net_golden_param(const struct test_net *net, const char *name);

#endif
