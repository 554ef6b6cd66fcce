/* Writes and reads what a model file says about its certainty; see certainty.h. */

#include "models/file/certainty.h"

#include <math.h>
#include <string.h>

#include "base/name.h"
#include "base/size.h"

/* The temperatures of a file: beyond them, probabilities would be those of no class or of one. */
#define TEMPERATURE_MIN 0.01
#define TEMPERATURE_MAX 100.0
/* Weights and biases of a file are log odds, or log odds for each unit of evidence. */
#define ODDS_MAX 1e6

/* --- writing ----------------------------------------------------------------- */

bool adl_certainty_is_known(const struct adl_certainty *certainty)
{
    return certainty->temperature != 1 || certainty->has_presence || certainty->has_confidence;
}

static json_t *confidence_to_json(const struct adl_confidence *c)
{
    json_t *evidence = json_array();

    for (int i = 0; i < ADL_EVIDENCES; i++)
        if (c->weights[i] != 0 &&
            json_array_append_new(
                evidence, json_pack("{s:s, s:f, s:f, s:f}", "name", adl_evidence_names[i], "weight",
                                    c->weights[i], "low", c->low[i], "high", c->high[i])) < 0) {
            json_decref(evidence);
            return NULL;
        }
    return json_pack("{s:f, s:o}", "bias", c->bias, "evidence", evidence);
}

json_t *adl_certainty_to_json(const struct adl_certainty *certainty)
{
    json_t *json = json_pack("{s:f}", "temperature", certainty->temperature);
    int failed = json ? 0 : -1;

    if (certainty->has_presence)
        failed |= json_object_set_new(json, "presence",
                                      json_pack("{s:f, s:f}", "slope", certainty->presence.slope,
                                                "offset", certainty->presence.offset));
    if (certainty->has_confidence)
        failed |=
            json_object_set_new(json, "confidence", confidence_to_json(&certainty->confidence));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* --- reading ----------------------------------------------------------------- */

static int read_number(const json_t *object, const char *where, const char *key, double least,
                       double most, double *out, struct adl_error *err)
{
    const json_t *member = json_object_get(object, key);
    double value = json_number_value(member);

    if (!json_is_number(member) || !(value >= least && value <= most))
        return adl_fail(err, ADL_ERR_FORMAT, "%s.%s is not a number from %g to %g", where, key,
                        least, most);
    *out = value;
    return 0;
}

/* Returns a member that has to be an object; *failed is set if it is something else. */
static const json_t *object_member(const json_t *json, const char *key, bool *failed,
                                   struct adl_error *err)
{
    const json_t *member = json_object_get(json, key);

    *failed = member && !json_is_object(member);
    if (*failed)
        (void)!adl_fail(err, ADL_ERR_FORMAT, "certainty.%s is not a JSON object", key);
    return *failed ? NULL : member;
}

static int read_presence(const json_t *json, struct adl_presence *presence, struct adl_error *err)
{
    static const char where[] = "certainty.presence";

    if (read_number(json, where, "slope", 0, ODDS_MAX, &presence->slope, err) < 0)
        return -1;
    return read_number(json, where, "offset", -ODDS_MAX, ODDS_MAX, &presence->offset, err);
}

/* Reads the weight and the range of one kind of evidence; `seen` are the kinds that came before. */
static int read_evidence(const json_t *json, struct adl_confidence *c, bool seen[ADL_EVIDENCES],
                         struct adl_error *err)
{
    static const char where[] = "certainty.confidence.evidence";
    const char *name = json_string_value(json_object_get(json, "name"));
    int i = 0;

    if (!name)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: an entry has no name", where);
    while (adl_evidence_names[i] && strcmp(adl_evidence_names[i], name))
        i++;
    if (!adl_evidence_names[i])
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "%s: this program does not know \"%s\"", where,
                        ADL_SHORT(name));
    if (seen[i])
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"%s\" occurs twice", where, name);
    seen[i] = true;
    if (read_number(json, where, "weight", -ODDS_MAX, ODDS_MAX, &c->weights[i], err) < 0 ||
        read_number(json, where, "low", -ODDS_MAX, ODDS_MAX, &c->low[i], err) < 0 ||
        read_number(json, where, "high", -ODDS_MAX, ODDS_MAX, &c->high[i], err) < 0)
        return -1;
    if (c->low[i] > c->high[i])
        return adl_fail(err, ADL_ERR_FORMAT, "%s: low of \"%s\" is above high", where, name);
    return 0;
}

static int read_confidence(const json_t *json, struct adl_confidence *c, struct adl_error *err)
{
    const json_t *evidence = json_object_get(json, "evidence");
    bool seen[ADL_EVIDENCES] = {false};

    *c = (struct adl_confidence){0};
    if (read_number(json, "certainty.confidence", "bias", -ODDS_MAX, ODDS_MAX, &c->bias, err) < 0)
        return -1;
    if (!json_is_array(evidence))
        return adl_fail(err, ADL_ERR_FORMAT, "certainty.confidence.evidence is not a list");
    for (size_t i = 0; i < json_array_size(evidence); i++)
        if (read_evidence(json_array_get(evidence, i), c, seen, err) < 0)
            return -1;
    return 0;
}

int adl_certainty_from_json(struct adl_certainty *certainty, const json_t *json,
                            struct adl_error *err)
{
    bool failed;

    if (!json)
        return 0;
    if (!json_is_object(json))
        return adl_fail(err, ADL_ERR_FORMAT, "certainty is not a JSON object");
    if (json_object_get(json, "temperature") &&
        read_number(json, "certainty", "temperature", TEMPERATURE_MIN, TEMPERATURE_MAX,
                    &certainty->temperature, err) < 0)
        return -1;
    const json_t *presence = object_member(json, "presence", &failed, err);
    if (failed || (presence && read_presence(presence, &certainty->presence, err) < 0))
        return -1;
    const json_t *confidence = object_member(json, "confidence", &failed, err);
    if (failed || (confidence && read_confidence(confidence, &certainty->confidence, err) < 0))
        return -1;
    certainty->has_presence = presence;
    certainty->has_confidence = confidence;
    return 0;
}
