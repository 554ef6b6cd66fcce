/* methods/methods: the list, sets of methods, and the options of all of them. */

#include "methods/methods.h"

#include <string.h>

#include "support/test.h"

/* The room for values is enough, option names begin with the method's name, and defaults are in
 * range. */
static void options_are_well_formed(void)
{
    const struct adl_method_option *option;
    const struct adl_method *method;
    union adl_method_value values[ADL_METHOD_VALUES];
    size_t i = 0;

    adl_method_defaults(values);
    for (; (option = adl_method_option_at(i, &method)); i++) {
        size_t length = strlen(method->name);
        CU_ASSERT_FATAL(i < ADL_METHOD_VALUES);
        for (size_t c = 0; c < length; c++)
            CU_ASSERT_EQUAL(option->name[c], method->name[c] == '_' ? '-' : method->name[c]);
        CU_ASSERT_EQUAL(option->name[length], '-');
        CU_ASSERT_EQUAL(option->kind == ADL_METHOD_CHOICE, option->choices != NULL);
        CU_ASSERT(option->min >= option->max ||
                  (option->value >= option->min && option->value <= option->max));
        CU_ASSERT(option->kind != ADL_METHOD_NUMBER || values[i].number == option->value);
    }
    CU_ASSERT(i > 0);
    for (size_t m = 0; adl_methods[m]; m++) {
        CU_ASSERT(m < 32);
        CU_ASSERT_PTR_EQUAL(adl_method_find(adl_methods[m]->name), adl_methods[m]);
    }
}

/* The first method changes nothing. */
static void the_first_is_plain(void)
{
    const struct adl_method *plain = adl_methods[0];
    CU_ASSERT(!plain->layer && !plain->mix && !plain->hide && !plain->branches && !plain->loss &&
              !plain->rounds);
    CU_ASSERT_EQUAL(adl_method_alone(plain).bits, 0);
}

/* A set is read from names and written in the order of the list, and what cannot be combined is
 * refused in words. */
static void sets_are_read_and_written(void)
{
    static const struct {
        const char *names, *text, *refused;
    } cases[] = {
        {"cam", "cam", NULL},
        {"adl", "adl", NULL},
        {"cutmix,adl", "adl,cutmix", NULL},
        {"adl,cam", "adl", NULL},
        {"adl,adl", "adl", NULL},
        {"bas", "bas", NULL},
        {"bas,adl", NULL, "the methods adl and bas cannot be combined: "},
        {"cutmix,bas", NULL, "the methods cutmix and bas cannot be combined: "},
        {"adl,cutmixer", NULL, "no training method is called \"cutmixer\""},
        {"ad", NULL, "no training method is called \"ad\""},
        {"adl,", NULL, "no training method is called \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_method_set set = {0};
        struct adl_error err = {0};
        int result = adl_method_set_parse(cases[i].names, &set, &err);
        CU_ASSERT_EQUAL(result == 0, cases[i].text != NULL);
        const char *said = result == 0 ? adl_method_set_text(set).text : err.message;
        const char *meant = result == 0 ? cases[i].text : cases[i].refused;
        CU_ASSERT(meant && strncmp(said, meant, strlen(meant)) == 0);
    }
}

/* The names of all methods fit. */
static void all_names_fit(void)
{
    struct adl_method_set all = {UINT32_MAX - 1};
    struct adl_method_text text = adl_method_set_text(all);
    const char *last = NULL;
    for (size_t i = 0; adl_methods[i]; i++)
        last = adl_methods[i]->name;
    CU_ASSERT(strlen(text.text) > strlen(last) &&
              strcmp(text.text + strlen(text.text) - strlen(last), last) == 0);
}

TEST_SUITE(methods, {"options are well formed", options_are_well_formed},
           {"the first is plain", the_first_is_plain},
           {"sets are read and written", sets_are_read_and_written},
           {"all names fit", all_names_fit});
