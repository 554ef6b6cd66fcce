/* Removes prefixes of parameter names.
 *
 * If a network is a member of another module, the names of all its parameters have the member's
 * name as a prefix: "model." in a LightningModule, "encoder." in MoCo, "backbone." in a detector.
 * There is no list of these prefixes. Candidates are the texts before the names of a few of the
 * network's parameters, and the one with which the most parameters are found is taken. */

#include "models/file/prefix.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "models/file/match.h"

/* Number of parameters whose names are looked for at the end of the names in the file. They are
 * spread over the network, because a file may lack any of them. */
#define ANCHORS 5
#define CANDIDATES 16

struct prefixes {
    char text[CANDIDATES][ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    size_t count;
};

static void add(struct prefixes *list, const char *name, size_t length)
{
    for (size_t i = 0; i < list->count; i++)
        if (strlen(list->text[i]) == length && !strncmp(list->text[i], name, length))
            return;
    if (list->count < CANDIDATES)
        snprintf(list->text[list->count++], sizeof list->text[0], "%.*s", (int)length, name);
}

/* Collects the candidates for the prefix. */
static void collect(struct prefixes *list, const struct adl_tensors *tensors,
                    const struct adl_arch *arch, const struct adl_graph *graph)
{
    char numbered[ADL_LIMIT_TENSOR_NAME_BYTES + 1];
    int params = adl_graph_param_count(graph);
    for (int anchor = 0; anchor < ANCHORS * ADL_MATCH_VARIANTS; anchor++) {
        int id = anchor / ADL_MATCH_VARIANTS * (params - 1) / (ANCHORS - 1);
        const char *end =
            adl_match_numbered(arch, anchor % ADL_MATCH_VARIANTS, adl_graph_param(graph, id)->name,
                               numbered, sizeof numbered);
        size_t length = strlen(end);
        for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
            const char *name = adl_tensors_at(tensors, i)->name;
            size_t size = strlen(name);
            if (size > length + 1 && name[size - length - 1] == '.' &&
                !strcmp(name + size - length, end))
                add(list, name, size - length);
        }
    }
}

/* A file may have one of several whole networks, so only the first one's parameters count. */
static bool counts(const struct adl_graph *graph, int param)
{
    return adl_graph_param(graph, param)->part <= 1;
}

/* Returns for how many parameters there is a tensor called `prefix` and their name, in the
 * numbering (models/file/match.h) with the most of them. */
static size_t score(const struct adl_tensors *tensors, const struct adl_arch *arch,
                    const struct adl_graph *graph, const char *prefix)
{
    char numbered[ADL_LIMIT_TENSOR_NAME_BYTES + 1], name[2 * ADL_LIMIT_TENSOR_NAME_BYTES + 2];
    size_t most = 0;
    for (int variant = 0; variant < ADL_MATCH_VARIANTS; variant++) {
        size_t found = 0;
        for (int i = 0; i < adl_graph_param_count(graph); i++) {
            if (!counts(graph, i))
                continue;
            snprintf(name, sizeof name, "%s%s", prefix,
                     adl_match_numbered(arch, variant, adl_graph_param(graph, i)->name, numbered,
                                        sizeof numbered));
            found += adl_tensors_find(tensors, name) != NULL;
        }
        most = ADL_MAX(most, found);
    }
    return most;
}

static bool is_param(const struct adl_graph *graph, const char *name)
{
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        if (!strcmp(adl_graph_param(graph, i)->name, name))
            return true;
    return false;
}

/* Removes the prefix from names unless another tensor has the remaining name; if `graph` is given,
 * only if the remaining name is that of a parameter. */
static int strip(struct adl_tensors *tensors, const char *prefix, size_t length,
                 const struct adl_graph *graph, struct adl_error *err)
{
    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const char *name = adl_tensors_at(tensors, i)->name;
        if (strncmp(name, prefix, length) != 0 || !name[length] ||
            adl_tensors_find(tensors, name + length) || (graph && !is_param(graph, name + length)))
            continue;
        if (adl_tensors_rename(tensors, i, name + length, err) < 0)
            return -1;
    }
    return 0;
}

/* Moves a tensor to another set under another name. */
static int move(struct adl_tensors *from, const struct adl_tensor *tensor, const char *name,
                struct adl_tensors *to, struct adl_error *err)
{
    const struct adl_tensor t = *tensor;
    void *data = adl_tensors_take_data(from, tensor->name);
    if (adl_tensors_add_data(to, name, t.dtype, t.rank, t.shape, data, err))
        return 0;
    adl_free(data);
    return -1;
}

struct adl_tensors *adl_prefix_select(struct adl_tensors *tensors, const char *prefix,
                                      struct adl_error *err)
{
    size_t length = strlen(prefix);
    struct adl_tensors *chosen = adl_tensors_create(err);
    int result = chosen ? 0 : -1;

    length -= length > 0 && prefix[length - 1] == '.';
    for (size_t i = 0; result == 0 && i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        const char *name = tensor->name;
        if (strncmp(name, prefix, length) == 0 && name[length] == '.' && name[length + 1])
            result = move(tensors, tensor, name + length + 1, chosen, err);
    }
    for (size_t i = 0; result == 0 && i < adl_tensors_meta_count(tensors); i++) {
        const char *key, *value;
        adl_tensors_meta_at(tensors, i, &key, &value);
        result = adl_tensors_set_meta(chosen, key, value, err);
    }
    if (result == 0 && adl_tensors_note(tensors))
        result = adl_tensors_set_note(chosen, adl_tensors_note(tensors), err);
    if (result == 0 && adl_tensors_count(chosen) == 0) {
        const char *first =
            adl_tensors_count(tensors) ? adl_tensors_at(tensors, 0)->name : "no name at all";
        result = adl_fail(err, ADL_ERR_NOT_FOUND,
                          "--prefix %s: no tensor's name begins so; the first is called %s",
                          adl_name_quote(prefix, length).text,
                          adl_name_quote(first, strlen(first)).text);
    }
    if (result < 0) {
        adl_tensors_free(chosen);
        chosen = NULL;
    }
    return chosen;
}

int adl_prefix_strip(struct adl_tensors *tensors, const struct adl_arch *arch,
                     const struct adl_graph *graph, struct adl_error *err)
{
    struct prefixes list = {.count = 0};
    size_t params = 0, most = score(tensors, arch, graph, "");
    const char *best = NULL, *second = NULL;

    for (int i = 0; i < adl_graph_param_count(graph); i++)
        params += counts(graph, i);

    if (most == params)
        return 0;
    collect(&list, tensors, arch, graph);
    for (size_t i = 0; i < list.count; i++) {
        size_t points = score(tensors, arch, graph, list.text[i]);
        if (points > most) {
            most = points;
            best = list.text[i];
            second = NULL;
        } else if (points == most && best) {
            second = list.text[i];
        }
    }
    if (!best || 2 * most < params)
        return 0;
    size_t length = strlen(best);
    if (second)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "holds two networks of this kind, under %s and %s; choose one by "
                        "--prefix with that name, which convert and train take",
                        adl_name_quote(best, length - 1).text,
                        adl_name_quote(second, strlen(second) - 1).text);
    if (strip(tensors, best, length, NULL, err) < 0)
        return -1;
    for (size_t part = length - 1; part > 0; part--)
        if (best[part - 1] == '.' && strip(tensors, best, part, graph, err) < 0)
            return -1;
    return 0;
}
