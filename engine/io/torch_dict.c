/* Finds the state_dict among the dicts in a checkpoint.
 *
 * Training scripts save the state_dict alone, beside the epoch and the optimizer, or some
 * levels deeper: {"ckpt": {"model": {...}, "ema": {...}}, "optimizer": {...}}. So every dict
 * that has tensors is a candidate, except those of optimizers. A single candidate is taken. Of
 * several, those with at most half as many tensors as the largest are dropped (a loss's
 * weights, the best accuracy), then averages of the weights, which are a second copy of a
 * network. If several remain, exactly one of them has to have a usual name: any other choice
 * is left to the user, by --key. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/name.h"
#include "base/size.h"
#include "io/torch_parts.h"

/* Entries under which training scripts keep the state_dict. */
static const char *const usual[] = {"state_dict", "model_state_dict", "model_state", "model", "net",
                                    "network",    "weights",          "params",      "module"};
/* Entries whose names contain one of these hold tensors that are not weights. */
static const char *const not_weights[] = {"optim", "sched", "scaler"};

/* Checkpoints nest three or four levels deep. */
#define DEPTH 8
#define CANDIDATES 16
/* The entries that are visited are limited, since dicts may contain each other. */
#define STEPS (1000 * 1000)

struct candidate {
    const struct adl_pickle_value *dict;
    size_t tensors;
    char path[ADL_TORCH_PATH_BYTES];
};

struct search {
    struct candidate found[CANDIDATES];
    size_t count;
    size_t steps;
};

struct adl_name_quoted adl_torch_callable(const struct adl_pickle_value *value)
{
    char text[200] = "an object";
    if (value->kind == ADL_PICKLE_CALL)
        value = value->items[0];
    if (value->kind == ADL_PICKLE_GLOBAL)
        snprintf(text, sizeof text, "%.*s", (int)ADL_MIN(value->count, 199u), value->text);
    char *line = strchr(text, '\n');
    if (line)
        *line = '.';
    return adl_name_quote(text, strlen(text));
}

static bool is_container(const struct adl_pickle_value *value)
{
    return value->kind == ADL_PICKLE_DICT || value->kind == ADL_PICKLE_LIST ||
           value->kind == ADL_PICKLE_TUPLE;
}

static size_t count_tensors(const struct adl_pickle_value *value)
{
    size_t count = 0;
    if (value->kind == ADL_PICKLE_DICT)
        for (uint32_t i = 1; i < value->count; i += 2)
            count += adl_torch_is_tensor(value->items[i]);
    return count;
}

static struct adl_name_quoted quote(const char *text)
{
    return adl_name_quote(text, strlen(text));
}

/* Lists the keys of a checkpoint, for the message that requires --key. */
static void list_keys(const struct adl_pickle_value *dict, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "none");
    for (uint32_t i = 0; dict->kind == ADL_PICKLE_DICT && i < dict->count && used + 1 < size;
         i += 2) {
        if (dict->items[i]->kind != ADL_PICKLE_TEXT)
            continue;
        int put = snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                           adl_name_quote(dict->items[i]->text, dict->items[i]->count).text);
        used += put > 0 ? (size_t)put : 0;
    }
}

/* --- the search ------------------------------------------------------------ */

static bool contains(const char *text, size_t length, const char *part)
{
    size_t size = strlen(part);
    for (size_t i = 0; i + size <= length; i++)
        if (!strncasecmp(text + i, part, size))
            return true;
    return false;
}

/* Parts of the names of averages of the weights: exponential ones, and those of torch's
 * swa_utils (AveragedModel). */
static const char *const averages[] = {"ema", "swa", "averaged"};

static bool has_part(const char *path, const char *part)
{
    size_t length = strlen(part);
    for (const char *match = path; (match = strcasestr(match, part)); match += length) {
        bool begins = match == path || strchr("._-", match[-1]);
        if (begins && (!match[length] || strchr("._-", match[length])))
            return true;
    }
    return false;
}

/* Returns whether a path has a part "ema", as in "model_ema" and "ema.shadow", but not "schema". */
static bool is_average(const char *path)
{
    for (size_t i = 0; i < ADL_COUNT(averages); i++)
        if (has_part(path, averages[i]))
            return true;
    return false;
}

static bool is_usual(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; i < ADL_COUNT(usual); i++)
        if (!strcmp(dot ? dot + 1 : path, usual[i]))
            return true;
    return false;
}

/* Returns whether both dicts hold equal names and values in equal order, as when a script saves
 * `model.state_dict()` twice. Tensors count as equal if their storages and offsets are. */
static bool same_content(const struct adl_pickle_value *a, const struct adl_pickle_value *b)
{
    if (a == b)
        return true;
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i + 1 < a->count; i += 2) {
        const struct adl_pickle_value *x = a->items[i], *y = b->items[i];
        if (x->kind != ADL_PICKLE_TEXT || y->kind != ADL_PICKLE_TEXT || x->count != y->count ||
            memcmp(x->text, y->text, x->count) != 0 ||
            !adl_torch_same_view(a->items[i + 1], b->items[i + 1]))
            return false;
    }
    return true;
}

static void add(struct search *search, const struct adl_pickle_value *dict, size_t tensors,
                const char *path)
{
    for (size_t i = 0; i < search->count; i++)
        if (same_content(search->found[i].dict, dict))
            return;
    if (search->count == CANDIDATES)
        return;
    struct candidate *new = &search->found[search->count++];
    *new = (struct candidate){.dict = dict, .tensors = tensors};
    snprintf(new->path, sizeof new->path, "%s", path);
}

/* Collects the candidates in `value`, whose path is `path`. Entries whose path would be too long
 * for --key are left out. */
static void collect(struct search *search, const struct adl_pickle_value *value, const char *path,
                    int depth)
{
    char below[ADL_TORCH_PATH_BYTES];
    bool dict = value->kind == ADL_PICKLE_DICT;
    uint32_t step = dict ? 2 : 1;
    if (!is_container(value) || depth > DEPTH || value->count > search->steps)
        return;
    search->steps -= value->count;
    size_t tensors = count_tensors(value);
    if (tensors)
        add(search, value, tensors, path);
    for (uint32_t i = 0; i + step <= value->count; i += step) {
        const struct adl_pickle_value *key = value->items[i], *inner = value->items[i + step - 1];
        int put;
        if (!is_container(inner) || (dict && key->kind != ADL_PICKLE_TEXT))
            continue;
        bool other = false;
        for (size_t k = 0; dict && k < ADL_COUNT(not_weights); k++)
            other |= contains(key->text, key->count, not_weights[k]);
        const char *dot = *path ? "." : "";
        if (dict)
            put = snprintf(below, sizeof below, "%s%s%.*s", path, dot,
                           (int)ADL_MIN(key->count, (uint32_t)ADL_TORCH_PATH_BYTES), key->text);
        else
            put = snprintf(below, sizeof below, "%s%s%u", path, dot, i);
        if (!other && put >= 0 && (size_t)put < sizeof below)
            collect(search, inner, below, depth + 1);
    }
}

/* --- the choice ------------------------------------------------------------ */

typedef bool test(const struct candidate *candidate);

static bool is_weights(const struct candidate *candidate)
{
    return !is_average(candidate->path);
}

static bool is_named(const struct candidate *candidate)
{
    return is_usual(candidate->path);
}

/* Keeps only the candidates that pass the test, or all of them if none passes. */
static void keep(struct candidate *list[], size_t *count, test *passes)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        kept += passes(list[i]);
    if (kept == 0)
        return;
    kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (passes(list[i]))
            list[kept++] = list[i];
    *count = kept;
}

/* Lists the candidates that are large enough to be a network, and returns their number. */
static size_t list_large(struct search *search, struct candidate *list[])
{
    size_t most = 0, count = 0;
    for (size_t i = 0; i < search->count; i++)
        most = ADL_MAX(most, search->found[i].tensors);
    for (size_t i = 0; i < search->count; i++)
        if (2 * search->found[i].tensors > most)
            list[count++] = &search->found[i];
    return count;
}

/* Writes `--key "a" (60 tensors), --key "b" (62 tensors)` for all candidates but `chosen`. */
static void list_candidates(struct candidate *const list[], size_t count,
                            const struct candidate *chosen, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && used + 1 < size; i++) {
        if (list[i] == chosen || !list[i]->path[0])
            continue;
        int put = snprintf(text + used, size - used, "%s--key %s (%zu tensors)", used ? ", " : "",
                           quote(list[i]->path).text, list[i]->tensors);
        used += put > 0 ? (size_t)put : 0;
    }
}

static int choose(struct search *search, struct adl_torch_dict *found, struct adl_error *err)
{
    struct candidate *large[CANDIDATES], *left[CANDIDATES];
    size_t large_count = list_large(search, large), count = large_count;
    char list[400];

    memcpy(left, large, sizeof left);
    keep(left, &count, is_weights);
    if (count > 1)
        keep(left, &count, is_named);
    if (count > 1) {
        list_candidates(left, count, NULL, list, sizeof list);
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the checkpoint has several state_dicts; choose one of them: %s", list);
    }
    found->dict = left[0]->dict;
    if (!left[0]->path[0])
        return 0;
    list_candidates(large, large_count, left[0], list, sizeof list);
    snprintf(found->note, sizeof found->note, "took the weights in entry %s of the checkpoint%s%s",
             quote(left[0]->path).text, list[0] ? "; there are also " : "", list);
    return 0;
}

static int search_below(const struct adl_pickle_value *value, const char *path,
                        struct adl_torch_dict *found, struct adl_error *err)
{
    struct search search = {.steps = STEPS};
    char keys[200];
    collect(&search, value, path, 0);
    if (search.count > 0)
        return choose(&search, found, err);
    list_keys(value, keys, sizeof keys);
    return adl_fail(err, ADL_ERR_UNSUPPORTED,
                    "no state_dict found%s%s; name the entry that holds it with --key (there are "
                    "%s)",
                    *path ? " in entry " : "", *path ? quote(path).text : "", keys);
}

/* --- the entry that the user names ------------------------------------------ */

static const struct adl_pickle_value *entry_of(const struct adl_pickle_value *value,
                                               const char *name)
{
    char digits[16];
    if (value->kind == ADL_PICKLE_DICT)
        return adl_pickle_get(value, name);
    for (uint32_t i = 0; is_container(value) && i < value->count && i < 1000; i++) {
        snprintf(digits, sizeof digits, "%u", i);
        if (!strcmp(digits, name))
            return value->items[i];
    }
    return NULL;
}

static bool has_names_below(const struct adl_pickle_value *dict, const char *prefix)
{
    size_t length = strlen(prefix);
    for (uint32_t i = 0; dict->kind == ADL_PICKLE_DICT && i + 1 < dict->count; i += 2)
        if (dict->items[i]->kind == ADL_PICKLE_TEXT && dict->items[i]->count > length &&
            !memcmp(dict->items[i]->text, prefix, length) &&
            adl_torch_is_tensor(dict->items[i + 1]))
            return true;
    return false;
}

/* Finds "a.b.c": as one name, else as a path, the longest first name first, else as the prefix of
 * the names of tensors (sets `prefix` to "a.b.c."). Returns NULL if it is none of these. */
static const struct adl_pickle_value *resolve(const struct adl_pickle_value *value, const char *key,
                                              char *prefix)
{
    char first[ADL_TORCH_PATH_BYTES];
    const struct adl_pickle_value *found = entry_of(value, key);
    if (found)
        return found;
    for (size_t dot = strlen(key); dot-- > 0;) {
        if (key[dot] != '.')
            continue;
        snprintf(first, sizeof first, "%.*s", (int)dot, key);
        const struct adl_pickle_value *inner = entry_of(value, first);
        found = inner && is_container(inner) ? resolve(inner, key + dot + 1, prefix) : NULL;
        if (found)
            return found;
    }
    snprintf(prefix, ADL_TORCH_PATH_BYTES, "%s.", key);
    if (has_names_below(value, prefix))
        return value;
    prefix[0] = '\0';
    return NULL;
}

int adl_torch_dict_find(struct adl_torch_dict *found, const struct adl_pickle_value *root,
                        const char *key, struct adl_error *err)
{
    char keys[200];
    *found = (struct adl_torch_dict){0};
    if (!is_container(root))
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "the file holds %s, not a state_dict: re-save it in Python with "
                        "torch.save(model.state_dict(), OUT)",
                        adl_torch_callable(root).text);
    if (!key)
        return search_below(root, "", found, err);
    const struct adl_pickle_value *entry =
        strlen(key) < ADL_TORCH_PATH_BYTES - 1 ? resolve(root, key, found->prefix) : NULL;
    list_keys(root, keys, sizeof keys);
    if (!entry)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "the checkpoint has no entry %s; it has %s",
                        quote(key).text, keys);
    if (!is_container(entry))
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "entry %s of the checkpoint is not a state_dict",
                        quote(key).text);
    found->dict = entry;
    return count_tensors(entry) ? 0 : search_below(entry, key, found, err);
}
