/* Walks the parameters backwards and closes a bucket as soon as it has its least size, and once
 * where little is left; see train/buckets.h. A parameter that would make a bucket too large is cut.
 */

#include "train/buckets.h"

#include <limits.h>

#include "base/mem.h"
#include "base/size.h"

/* Sets first[id] to the first node that adds to the gradient of a parameter; INT_MAX: none does. */
static void find_nodes(const struct adl_graph *graph, int *first)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        first[i] = INT_MAX;
    for (int i = adl_graph_node_count(graph) - 1; i >= 0; i--) {
        const struct adl_node *node = adl_graph_node(graph, i);
        for (int j = 0; !node->copy && j < node->param_count; j++)
            if (node->params[j] >= 0)
                first[node->params[j]] = i;
    }
}

/* Adds the last `count` floats before `end` to the bucket that is open. A bucket waits for those
 * before it as well: they are exchanged in this order. */
static void extend(struct adl_buckets *buckets, size_t end, size_t count, int node)
{
    struct adl_bucket *bucket = &buckets->of[buckets->count];
    bucket->first = end - count;
    bucket->count += count;
    bucket->node = ADL_MIN(bucket->node, node);
}

static void close_bucket(struct adl_buckets *buckets)
{
    const struct adl_bucket *closed = &buckets->of[buckets->count++];
    buckets->of[buckets->count] = (struct adl_bucket){.first = closed->first, .node = closed->node};
}

int adl_buckets_make(struct adl_buckets *buckets, const struct adl_graph *graph, size_t least,
                     size_t most, struct adl_error *err)
{
    int params = adl_graph_param_count(graph), *first = adl_calloc((size_t)params, sizeof *first);
    size_t end = 0;

    for (int i = 0; i < params; i++)
        end +=
            adl_param_is_trained(adl_graph_param(graph, i)) ? adl_graph_param(graph, i)->count : 0;
    *buckets = (struct adl_buckets){.of = adl_calloc(end / least + 3, sizeof *buckets->of)};
    if (!first || !buckets->of) {
        adl_free(first);
        return adl_fail_nomem(err, "the buckets of gradients");
    }
    find_nodes(graph, first);
    buckets->of[0].node = INT_MAX;
    size_t before = end + 1; /* floats that were left at the parameter before */
    for (int i = params - 1; i >= 0; i--) {
        const struct adl_param *param = adl_graph_param(graph, i);
        size_t tail = least / ADL_BUCKET_TAIL;
        if (end <= tail && before > tail && end > 0 && buckets->of[buckets->count].count > 0)
            close_bucket(buckets);
        before = end;
        for (size_t rest = adl_param_is_trained(param) ? param->count : 0; rest > 0;) {
            size_t count = ADL_MIN(rest, most - buckets->of[buckets->count].count);
            extend(buckets, end, count, first[i]);
            end -= count;
            rest -= count;
            if (buckets->of[buckets->count].count >= least)
                close_bucket(buckets);
        }
    }
    if (buckets->of[buckets->count].count > 0)
        buckets->count++;
    adl_free(first);
    return 0;
}

void adl_buckets_release(struct adl_buckets *buckets)
{
    adl_free(buckets->of);
    *buckets = (struct adl_buckets){0};
}
