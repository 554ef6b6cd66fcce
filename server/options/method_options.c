/* Converts the options of a training step into the structs of the engine, and makes rows of an
 * option table from the options of the methods. */

#include "server/options/method_options.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* --- rows ---------------------------------------------------------------------------------- */

static const enum adl_option_type types[] = {[ADL_METHOD_NUMBER] = ADL_OPTION_DOUBLE,
                                             [ADL_METHOD_INTEGER] = ADL_OPTION_INT,
                                             [ADL_METHOD_FLAG] = ADL_OPTION_FLAG,
                                             [ADL_METHOD_CHOICE] = ADL_OPTION_CHOICE};

/* Writes the default as a user would. */
static const char *default_text(const struct adl_method_option *option, char *text, size_t size)
{
    if (option->kind == ADL_METHOD_FLAG)
        return NULL;
    if (option->kind == ADL_METHOD_CHOICE)
        return option->choices[(size_t)option->value];
    snprintf(text, size, "%.10g", option->value);
    return text;
}

const struct adl_option *adl_method_table_fill(struct adl_method_table *table,
                                               const struct adl_option *own, size_t offset)
{
    const struct adl_method_option *option;
    size_t count = adl_option_count(own);

    if (table->rows[0].name)
        return table->rows;
    memcpy(table->rows, own, count * sizeof *own);
    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++)
        table->rows[count++] = (struct adl_option){
            .name = option->name,
            .type = types[option->kind],
            .offset = offset + offsetof(struct adl_method_settings, values) +
                      i * sizeof(union adl_method_value),
            .value = default_text(option, table->defaults[i], sizeof table->defaults[i]),
            .min = option->min,
            .max = option->max,
            .choices = option->choices,
            .metavar = option->metavar,
            .help = option->help};
    return table->rows;
}

/* --- structs of the engine ----------------------------------------------------------------- */

struct adl_train_mode adl_method_mode(const struct adl_method_settings *s,
                                      struct adl_method_set methods)
{
    return (struct adl_train_mode){
        .frozen_batchnorm = s->frozen_batchnorm,
        .bn_momentum = 0.1,
        .dropout = !s->no_dropout,
        .method_layers = adl_method_takes_part(methods, s->values, INFINITY),
        .method_values = s->values,
        .progress = 1,
    };
}

/* --- the record of a run ------------------------------------------------------------------- */

/* Writes the name of a method's object in the record: NAME, or NAME_method where a setting of the
 * run is called NAME. */
static void object_name(const json_t *config, const struct adl_method *method, char *name,
                        size_t size)
{
    const json_t *member = json_object_get(config, method->name);
    snprintf(name, size, "%s%s", method->name, member && !json_is_object(member) ? "_method" : "");
}

/* Writes the name of an option in the record; returns whether it is that of the opposite flag. */
static bool record_name(const struct adl_method *method, const struct adl_method_option *option,
                        char *name, size_t size)
{
    const char *rest = option->name + strlen(method->name) + 1;
    bool opposite = option->kind == ADL_METHOD_FLAG && strncmp(rest, "no-", 3) == 0;

    snprintf(name, size, "%s", opposite ? rest + 3 : rest);
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c;
    return opposite;
}

static json_t *value_to_json(const struct adl_method_option *option, union adl_method_value value,
                             bool opposite)
{
    switch (option->kind) {
    case ADL_METHOD_NUMBER: return json_real(value.number);
    case ADL_METHOD_INTEGER: return json_integer(value.integer);
    case ADL_METHOD_FLAG: return json_boolean(value.flag != opposite);
    case ADL_METHOD_CHOICE: return json_string(option->choices[value.integer]);
    }
    return NULL;
}

int adl_method_record(json_t *config, struct adl_method_set methods,
                      const union adl_method_value *values)
{
    const struct adl_method_option *option;
    const struct adl_method *method;
    char name[80], key[80];

    for (size_t i = 0; (option = adl_method_option_at(i, &method)); i++) {
        if (!adl_method_set_has(methods, method))
            continue;
        object_name(config, method, key, sizeof key);
        json_t *object = json_object_get(config, key);
        if (!object) {
            object = json_object();
            if (json_object_set_new(config, key, object) < 0)
                return -1;
        }
        bool opposite = record_name(method, option, name, sizeof name);
        if (json_object_set_new(object, name, value_to_json(option, values[i], opposite)) < 0)
            return -1;
    }
    return 0;
}

/* Sets a value from JSON of the right type. */
static void value_from_json(const struct adl_method_option *option, const json_t *json,
                            bool opposite, union adl_method_value *value)
{
    if (option->kind == ADL_METHOD_NUMBER && json_is_number(json))
        value->number = json_number_value(json);
    else if (option->kind == ADL_METHOD_INTEGER && json_is_integer(json))
        value->integer = (int)json_integer_value(json);
    else if (option->kind == ADL_METHOD_FLAG && json_is_boolean(json))
        value->flag = json_is_true(json) != opposite;
    for (int i = 0; option->kind == ADL_METHOD_CHOICE && option->choices[i]; i++)
        if (json_is_string(json) && strcmp(json_string_value(json), option->choices[i]) == 0)
            value->integer = i;
}

void adl_method_recall(const json_t *config, union adl_method_value *values)
{
    const struct adl_method_option *option;
    const struct adl_method *method;
    char name[80], key[80];

    adl_method_defaults(values);
    for (size_t i = 0; (option = adl_method_option_at(i, &method)); i++) {
        bool opposite = record_name(method, option, name, sizeof name);
        object_name(config, method, key, sizeof key);
        const json_t *object = json_object_get(config, key);
        value_from_json(option, json_object_get(object, name), opposite, &values[i]);
    }
}

/* --- precision ----------------------------------------------------------------------------- */

const char *const adl_train_precision_names[] = {"fp32", "bf16", NULL};

enum adl_tape_memory adl_method_memory(const struct adl_method_settings *settings)
{
    return settings->precision == 1 ? ADL_TAPE_BF16 : ADL_TAPE_SHARED;
}
