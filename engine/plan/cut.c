/* Finds a minimum cut; see cut.h. Things on side `true` are those that flow from the source can
 * still reach in the end. The graphs have some hundred nodes, so the simple method suffices. */

#include "plan/cut.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

/* An edge with its opposite, which are at 2 i and 2 i + 1. */
struct cut_edge {
    int to, next; /* of the same node; -1: the last one */
    int64_t room; /* what may still flow */
};

struct plan_cut {
    int count; /* things; then the source and the sink */
    struct cut_edge *edges;
    int edge_count;
    int *first, *came, *queue; /* by node; `came`: the edge on which it was reached, -1: not yet */
    int64_t (*costs)[2];       /* of each thing on side false, true */
    bool *sides;
};

struct plan_cut *plan_cut_create(int count, int pairs, struct adl_error *err)
{
    struct plan_cut *cut = adl_calloc(1, sizeof *cut);
    size_t nodes = (size_t)count + 2, edges = 2 * ((size_t)pairs + 2 * (size_t)count);

    if (!cut)
        goto failed;
    cut->count = count;
    cut->edges = adl_malloc(edges, sizeof *cut->edges);
    cut->first = adl_malloc(nodes, sizeof *cut->first);
    cut->came = adl_malloc(nodes, sizeof *cut->came);
    cut->queue = adl_malloc(nodes, sizeof *cut->queue);
    cut->costs = adl_calloc(nodes, sizeof *cut->costs);
    cut->sides = adl_calloc(nodes, sizeof *cut->sides);
    if (!cut->edges || !cut->first || !cut->came || !cut->queue || !cut->costs || !cut->sides)
        goto failed;
    for (size_t i = 0; i < nodes; i++)
        cut->first[i] = -1;
    return cut;
failed:
    adl_fail_nomem(err, "the plan");
    plan_cut_free(cut);
    return NULL;
}

void plan_cut_free(struct plan_cut *cut)
{
    if (!cut)
        return;
    adl_free(cut->edges);
    adl_free(cut->first);
    adl_free(cut->came);
    adl_free(cut->queue);
    adl_free(cut->costs);
    adl_free(cut->sides);
    adl_free(cut);
}

static void cut_add_edge(struct plan_cut *cut, int from, int to, int64_t room)
{
    cut->edges[cut->edge_count] = (struct cut_edge){to, cut->first[from], room};
    cut->first[from] = cut->edge_count++;
    cut->edges[cut->edge_count] = (struct cut_edge){from, cut->first[to], 0};
    cut->first[to] = cut->edge_count++;
}

void plan_cut_add(struct plan_cut *cut, int thing, int64_t on_false, int64_t on_true)
{
    int64_t *costs = cut->costs[thing];
    costs[0] = ADL_MIN(costs[0] + on_false, ADL_CUT_NEVER);
    costs[1] = ADL_MIN(costs[1] + on_true, ADL_CUT_NEVER);
}

void plan_cut_add_pair(struct plan_cut *cut, int a, int b, int64_t cost)
{
    cut_add_edge(cut, a, b, cost);
}

/* Marks all nodes that can be reached from the source, on shortest paths. */
static void cut_reach(struct plan_cut *cut, int source)
{
    int length = 0;

    for (int i = 0; i < cut->count + 2; i++)
        cut->came[i] = -1;
    cut->queue[length++] = source;
    for (int at = 0; at < length; at++)
        for (int e = cut->first[cut->queue[at]]; e >= 0; e = cut->edges[e].next) {
            int to = cut->edges[e].to;
            if (cut->edges[e].room == 0 || to == source || cut->came[to] >= 0)
                continue;
            cut->came[to] = e;
            cut->queue[length++] = to;
        }
}

/* Lets as much flow as the path to the sink has room for. */
static void cut_augment(struct plan_cut *cut, int source, int sink)
{
    int64_t room = INT64_MAX;

    for (int node = sink; node != source; node = cut->edges[cut->came[node] ^ 1].to)
        room = ADL_MIN(room, cut->edges[cut->came[node]].room);
    for (int node = sink; node != source; node = cut->edges[cut->came[node] ^ 1].to) {
        cut->edges[cut->came[node]].room -= room;
        cut->edges[cut->came[node] ^ 1].room += room;
    }
}

void plan_cut_run(struct plan_cut *cut)
{
    int source = cut->count, sink = cut->count + 1;

    for (int i = 0; i < cut->count; i++) {
        cut_add_edge(cut, source, i, cut->costs[i][0]);
        cut_add_edge(cut, i, sink, cut->costs[i][1]);
    }
    for (;;) {
        cut_reach(cut, source);
        if (cut->came[sink] < 0)
            break;
        cut_augment(cut, source, sink);
    }
    for (int i = 0; i < cut->count; i++)
        cut->sides[i] = cut->came[i] >= 0;
}

bool plan_cut_side(const struct plan_cut *cut, int thing)
{
    return cut->sides[thing];
}
