/* The list of training methods, made from the rows of ADL_METHODS; sets of them; and what a step
 * of training asks of a set. */

#include "methods/methods.h"

#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/size.h"

#define ADDRESS(name) &adl_method_##name,
const struct adl_method *const adl_methods[] = {ADL_METHODS(ADDRESS) NULL};

const struct adl_method *adl_method_find(const char *name)
{
    for (const struct adl_method *const *method = adl_methods; *method; method++)
        if (strcmp((*method)->name, name) == 0)
            return *method;
    return NULL;
}

/* --- sets ---------------------------------------------------------------------------------- */

static uint32_t bit_of(const struct adl_method *method)
{
    for (uint32_t i = 1; adl_methods[i]; i++)
        if (adl_methods[i] == method)
            return UINT32_C(1) << i;
    return 0;
}

struct adl_method_set adl_method_alone(const struct adl_method *method)
{
    return (struct adl_method_set){bit_of(method)};
}

struct adl_method_set adl_method_with(struct adl_method_set set, const struct adl_method *method)
{
    return (struct adl_method_set){set.bits | bit_of(method)};
}

bool adl_method_set_has(struct adl_method_set set, const struct adl_method *method)
{
    return (set.bits & bit_of(method)) != 0;
}

const struct adl_method *adl_method_next(struct adl_method_set set, const struct adl_method *after)
{
    bool passed = after == NULL;
    for (uint32_t i = 0; adl_methods[i]; i++) {
        if (passed && (set.bits >> i & 1))
            return adl_methods[i];
        passed = passed || adl_methods[i] == after;
    }
    return NULL;
}

/* Calls the statement for each method of the set. */
#define EACH(method, set)                                                                          \
    for (const struct adl_method *method = adl_method_next(set, NULL); method;                     \
         method = adl_method_next(set, method))

int adl_method_set_parse(const char *names, struct adl_method_set *set, struct adl_error *err)
{
    struct adl_method_set result = {0};

    for (const char *name = names;; name++) {
        size_t length = strcspn(name, ",");
        const struct adl_method *const *method = adl_methods;
        while (*method &&
               (strncmp((*method)->name, name, length) != 0 || (*method)->name[length] != '\0'))
            method++;
        if (!*method)
            return adl_fail(err, ADL_ERR_ARG, "no training method is called %s",
                            adl_name_quote(name, length).text);
        result = adl_method_with(result, *method);
        name += length;
        if (!*name)
            break;
    }
    *set = result;
    return adl_method_set_check(result, err);
}

static int refuse(const struct adl_method *a, const struct adl_method *b, const char *why,
                  struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_ARG, "the methods %s and %s cannot be combined: %s", a->name,
                    b->name, why);
}

int adl_method_set_check(struct adl_method_set set, struct adl_error *err)
{
    EACH(a, set)
    {
        for (const struct adl_method *b = adl_method_next(set, a); b; b = adl_method_next(set, b)) {
            if (a->branches && b->branches)
                return refuse(a, b, "each builds the upper end of the network", err);
            if ((a->branches && b->layer) || (a->layer && b->branches))
                return refuse(a, b, "the network of the one has no place for layers of the other",
                              err);
            if ((a->loss && b->mix) || (a->mix && b->loss))
                return refuse(
                    a, b, "the one gives images two labels, and the loss of the other knows one",
                    err);
            if (a->mix && b->mix)
                return refuse(a, b, "each mixes the images of a batch", err);
            if (a->rounds && b->rounds)
                return refuse(a, b, "each trains networks of its own", err);
            if ((a->rounds && (b->layer || b->branches)) ||
                (b->rounds && (a->layer || a->branches)))
                return refuse(a, b,
                              "the one trains several networks as the backbone has them, and "
                              "the other changes them",
                              err);
            if ((a->rounds && b->mix) || (a->mix && b->rounds))
                return refuse(a, b, "the one gives images two labels, and the other goes by one",
                              err);
        }
    }
    return 0;
}

int adl_method_set_check_labels(struct adl_method_set set, struct adl_error *err)
{
    EACH(method, set)
    if (method->loss || method->branches || method->rounds)
        return adl_fail(err, ADL_ERR_ARG,
                        "the method %s goes by the one class of an image, and with --multi-label "
                        "an image may have several; choose another --method",
                        method->name);
    return 0;
}

struct adl_method_text adl_method_set_text(struct adl_method_set set)
{
    struct adl_method_text result;
    size_t length = 0;

    snprintf(result.text, sizeof result.text, "%s", adl_methods[0]->name);
    EACH(method, set)
    {
        int written = snprintf(result.text + length, sizeof result.text - length, "%s%s",
                               length ? "," : "", method->name);
        length = ADL_MIN(length + (size_t)ADL_MAX(written, 0), sizeof result.text - 1);
    }
    return result;
}

bool adl_method_set_has_layers(struct adl_method_set set)
{
    EACH(method, set)
    if (method->layer)
        return true;
    return false;
}

bool adl_method_set_in_sequence(struct adl_method_set set)
{
    return adl_method_set_sequence(set).bits != 0;
}

bool adl_method_set_changes_images(struct adl_method_set set)
{
    EACH(method, set)
    if (method->mix || method->hide)
        return true;
    return false;
}

/* Returns the least of the values above 0; 0 if there is none. */
static double least_above_0(double least, double value)
{
    return value > 0 && (least <= 0 || value < least) ? value : least;
}

double adl_method_set_clip_norm(struct adl_method_set set)
{
    double least = 0;
    EACH(method, set)
    least = least_above_0(least, method->clip_norm);
    return least;
}

double adl_method_set_new_layers_ratio(struct adl_method_set set,
                                       const union adl_method_value *values)
{
    double least = 0;
    EACH(method, set)
    if (method->new_layers_ratio)
        least = least_above_0(least, method->new_layers_ratio(adl_method_values(values, method)));
    return least;
}

bool adl_method_set_follows_progress(struct adl_method_set set)
{
    EACH(method, set)
    if (method->follows_progress)
        return true;
    return false;
}

const struct adl_method *adl_method_set_attention(struct adl_method_set set)
{
    EACH(method, set)
    if (method->attention)
        return method;
    return NULL;
}

const struct adl_method *adl_method_set_branches(struct adl_method_set set)
{
    EACH(method, set)
    if (method->branches)
        return method;
    return NULL;
}

struct adl_method_set adl_method_set_without_branches(struct adl_method_set set)
{
    const struct adl_method *branches = adl_method_set_branches(set);
    return (struct adl_method_set){branches ? set.bits & ~bit_of(branches) : set.bits};
}

const struct adl_method *adl_method_set_rounds(struct adl_method_set set)
{
    EACH(method, set)
    if (method->rounds)
        return method;
    return NULL;
}

bool adl_method_set_alike(struct adl_method_set a, struct adl_method_set b)
{
    return adl_method_set_branches(a) == adl_method_set_branches(b) &&
           adl_method_set_rounds(a) == adl_method_set_rounds(b);
}

struct adl_method_set adl_method_set_network(struct adl_method_set set)
{
    struct adl_method_set network = {0};
    EACH(method, set)
    if (method->layer || method->branches || method->rounds)
        network = adl_method_with(network, method);
    return network;
}

struct adl_method_set adl_method_set_sequence(struct adl_method_set set)
{
    struct adl_method_set sequence = {0};
    EACH(method, set)
    if (method->in_sequence)
        sequence = adl_method_with(sequence, method);
    return sequence;
}

struct adl_method_set adl_method_set_toggle_sequence(struct adl_method_set set)
{
    struct adl_method_set sequence = adl_method_set_sequence(set);
    const struct adl_method_set all = adl_method_set_sequence((struct adl_method_set){UINT32_MAX});
    return (struct adl_method_set){sequence.bits ? set.bits & ~sequence.bits : set.bits | all.bits};
}

/* --- options ------------------------------------------------------------------------------- */

const struct adl_method_option *adl_method_option_at(size_t index, const struct adl_method **method)
{
    for (const struct adl_method *const *m = adl_methods; *m; m++)
        for (const struct adl_method_option *o = (*m)->options; o && o->name; o++)
            if (index-- == 0) {
                if (method)
                    *method = *m;
                return o;
            }
    return NULL;
}

void adl_method_defaults(union adl_method_value *values)
{
    const struct adl_method_option *option;

    memset(values, 0, ADL_METHOD_VALUES * sizeof *values);
    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++) {
        if (option->kind == ADL_METHOD_NUMBER)
            values[i].number = option->value;
        else if (option->kind != ADL_METHOD_FLAG)
            values[i].integer = (int)option->value;
    }
}

/* Returns the index of a method's first option among those of all methods. */
static size_t first_option(const struct adl_method *method)
{
    size_t index = 0;
    for (const struct adl_method *const *m = adl_methods; *m && *m != method; m++)
        for (const struct adl_method_option *o = (*m)->options; o && o->name; o++)
            index++;
    return index;
}

void adl_method_network_values(const union adl_method_value *from, union adl_method_value *to)
{
    const struct adl_method_option *option;
    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++)
        if (option->in_network)
            to[i] = from[i];
}

void adl_method_add_branches(struct adl_graph *graph, const struct adl_method *method,
                             struct adl_method_base base, const union adl_method_value *values)
{
    base.first_value = first_option(method);
    base.values = values + base.first_value;
    method->branches(graph, &base);
}

const union adl_method_value *adl_method_values(const union adl_method_value *values,
                                                const struct adl_method *method)
{
    return values + first_option(method);
}

/* --- a step -------------------------------------------------------------------------------- */

bool adl_method_takes_part(struct adl_method_set set, const union adl_method_value *values,
                           double epochs)
{
    EACH(method, adl_method_set_network(set))
    if (!method->takes_part || method->takes_part(adl_method_values(values, method), epochs))
        return true;
    return false;
}

int adl_method_add_layer(struct adl_graph *graph, const struct adl_method *method, int input,
                         const char *name)
{
    size_t first = first_option(method);
    return adl_graph_add(graph, name, method->layer, &first, sizeof first, &input, 1, NULL, 0);
}

void adl_method_add_rounds(struct adl_graph *graph, const struct adl_method *method,
                           struct adl_method_rounds rounds)
{
    rounds.first_value = first_option(method);
    method->rounds(graph, &rounds);
}

void adl_method_input(struct adl_method_set set, struct adl_method_batch *batch)
{
    const union adl_method_value *values = batch->values;

    batch->share = 0;
    memcpy(batch->input, batch->images,
           batch->count * (size_t)batch->height * (size_t)batch->width * 3 * sizeof(float));
    EACH(method, set)
    if (method->mix) {
        batch->values = adl_method_values(values, method);
        method->mix(batch);
    }
    EACH(method, set)
    if (method->hide) {
        batch->values = adl_method_values(values, method);
        method->hide(batch);
    }
    batch->values = values;
}

static void divide(float *gradient, size_t count, float divisor)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] /= divisor;
}

double adl_method_loss(struct adl_method_set set, struct adl_tape *tape,
                       const struct adl_targets *targets, const struct adl_train_mode *mode,
                       float divisor, size_t *right)
{
    const struct adl_graph *graph = adl_tape_graph(tape);
    const struct adl_method *method = adl_method_set_branches(set);
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
    size_t images = (size_t)adl_tape_batch(tape), unused;
    size_t classes = adl_shape_count(adl_tape_shape(tape, logits));
    bool own = method && method->loss && mode->method_layers;
    double (*plain)(const float *, const struct adl_targets *, size_t, size_t, float *, size_t *) =
        targets->present ? adl_binary_cross_entropy : adl_cross_entropy;
    double loss = own ? method->loss(tape, targets, adl_method_values(mode->method_values, method),
                                     right ? right : &unused)
                      : plain(adl_tape_logits(tape), targets, images, classes,
                              adl_tape_logits_grad(tape), right);

    if (divisor == 1)
        return loss;
    divide(adl_tape_logits_grad(tape), images * classes, divisor);
    for (int i = 0; own && i < adl_graph_tap_count(graph); i++)
        divide(adl_tape_tap_grad(tape, i),
               images * adl_shape_count(adl_tape_shape(tape, adl_graph_tap(graph, i))), divisor);
    return loss;
}
