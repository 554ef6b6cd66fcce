/* The option table: conversion, bounds, layers, suggestions, --help. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/options/option_strangers.h"
#include "server/options/options.h"
#include "support/test.h"

struct settings {
    bool loud;
    int threads;
    double rate;
    size_t body;
    const char *model;
    const char *config;
    int padding;
    struct adl_option_list names;
    int unused_choice;
    const char *logs;
};

static const char *const paddings[] = {"symmetric", "tf_same", NULL};

static const struct adl_option table[] = {
    {"loud", ADL_FLAG(struct settings, loud), .letter = 'l', .help = "say more"},
    {"threads", ADL_INT(struct settings, threads), .letter = 't', .value = "4", .min = 1, .max = 64,
     .metavar = "N", .help = "threads"},
    {"rate", ADL_DOUBLE(struct settings, rate), .value = "0.5", .min = 0, .max = 1, .metavar = "R",
     .help = "a rate"},
    {"max-body", ADL_SIZE(struct settings, body), .value = "16M", .min = 1, .max = 1e9,
     .metavar = "BYTES", .help = "largest body"},
    {"model", ADL_STRING(struct settings, model), .letter = 'm', .metavar = "FILE", .help = "file"},
    {"config", ADL_STRING(struct settings, config), .metavar = "FILE",
     .help = "options from a file"},
    {"padding", ADL_CHOICE(struct settings, padding), .choices = paddings, .value = "symmetric",
     .metavar = "NAME", .help = "padding"},
    {"name", ADL_LIST(struct settings, names), .metavar = "NAME", .help = "names"},
    {"other", ADL_CHOICE(struct settings, unused_choice), .choices = paddings, .metavar = "NAME",
     .help = "no default"},
    {"logs", ADL_STRING(struct settings, logs), .metavar = "[DIR]", .bare = "", .help = "logs"},
    {0},
};

static const struct adl_command command = {
    .name = "try",
    .summary = "Try options",
    .usage = "[options] [IN [OUT]]",
    .options = table,
    .max_operands = 2,
    .layered = true,
    .settings_bytes = sizeof(struct settings),
};

struct parsed {
    struct settings settings;
    struct adl_options options;
    struct adl_error err;
    int result;
};

#define PARSE(...) parse((char *[]){"try", __VA_ARGS__, NULL})

static struct parsed *parse(char **argv)
{
    static struct parsed p;
    int argc = 0;

    adl_options_release(&p.options);
    p = (struct parsed){0};
    while (argv[argc])
        argc++;
    p.result = adl_options_parse(&p.options, &command, argc, argv, &p.settings, &p.err);
    p.options.settings = &p.settings;
    return &p;
}

static void refuses(struct parsed *p, const char *message)
{
    CU_ASSERT_EQUAL(p->result, -1);
    CU_ASSERT_EQUAL(p->err.kind, ADL_ERR_ARG);
    if (strcmp(p->err.message, message) != 0)
        TEST_FAIL("said \"%s\" instead of \"%s\"", p->err.message, message);
}

static void takes_every_type(void)
{
    struct parsed *p = PARSE("--loud", "-t", "7", "--rate=0.25", "--max-body", "3K", "-mx.bin",
                             "--padding", "tf_same", "--name", "a", "in", "--name=b,c");
    TEST_OK(p->result, &p->err);
    CU_ASSERT_TRUE(p->settings.loud);
    CU_ASSERT_EQUAL(p->settings.threads, 7);
    CU_ASSERT_EQUAL(p->settings.rate, 0.25);
    CU_ASSERT_EQUAL(p->settings.body, 3072);
    CU_ASSERT_STRING_EQUAL(p->settings.model, "x.bin");
    CU_ASSERT_EQUAL(p->settings.padding, 1);
    CU_ASSERT_EQUAL(p->settings.unused_choice, -1);
    CU_ASSERT_EQUAL_FATAL(p->settings.names.count, 2);
    CU_ASSERT_STRING_EQUAL(p->settings.names.items[1], "b,c");
    CU_ASSERT_EQUAL(p->options.operand_count, 1);
    CU_ASSERT_STRING_EQUAL(p->options.operands[0], "in");
    CU_ASSERT_TRUE(adl_options_given(&p->options, "rate"));
    CU_ASSERT_FALSE(adl_options_given(&p->options, "other"));
}

/* A value that may be missing is the next word, or follows an equals sign. */
static void takes_values_that_may_be_missing(void)
{
    struct parsed *p = PARSE("--logs");
    TEST_OK(p->result, &p->err);
    CU_ASSERT_STRING_EQUAL(p->settings.logs, "");
    p = PARSE("--logs", "--loud");
    TEST_OK(p->result, &p->err);
    CU_ASSERT(p->settings.loud && !strcmp(p->settings.logs, ""));
    p = PARSE("--logs", "a", "--threads", "3", "in");
    TEST_OK(p->result, &p->err);
    CU_ASSERT(p->settings.threads == 3 && !strcmp(p->settings.logs, "a"));
    CU_ASSERT_EQUAL_FATAL(p->options.operand_count, 1);
    CU_ASSERT_STRING_EQUAL(p->options.operands[0], "in");
    p = PARSE("--logs=-b", "--loud");
    TEST_OK(p->result, &p->err);
    CU_ASSERT(p->settings.loud && !strcmp(p->settings.logs, "-b"));
    refuses(PARSE("--log", "a"), "unknown option --log; did you mean --logs?");
}

static void has_defaults(void)
{
    struct parsed *p = PARSE("-");
    TEST_OK(p->result, &p->err);
    CU_ASSERT_FALSE(p->settings.loud);
    CU_ASSERT_EQUAL(p->settings.threads, 4);
    CU_ASSERT_EQUAL(p->settings.body, 16 * 1024 * 1024);
    CU_ASSERT_PTR_NULL(p->settings.model);
    CU_ASSERT_EQUAL(p->settings.names.count, 0);
    CU_ASSERT_EQUAL(p->options.operand_count, 1);
}

static void ends_options_at_dashes(void)
{
    struct parsed *p = PARSE("--loud", "--", "--threads", "-x");
    TEST_OK(p->result, &p->err);
    CU_ASSERT_EQUAL(p->options.operand_count, 2);
    CU_ASSERT_STRING_EQUAL(p->options.operands[0], "--threads");
}

static void suggests_the_nearest(void)
{
    refuses(PARSE("--thread", "3"), "unknown option --thread; did you mean --threads?");
    refuses(PARSE("--thread=3"), "unknown option --thread; did you mean --threads?");
    refuses(PARSE("--max_body=3"), "unknown option --max_body; did you mean --max-body?");
    refuses(PARSE("--hlep"), "unknown option --hlep; did you mean --help?");
    refuses(PARSE("--zzzzzz"), "unknown option --zzzzzz; see adl-server try --help");
    refuses(PARSE("--out", "x"), "unknown option --out; the file to write is an argument: "
                                 "adl-server try [options] [IN [OUT]]");
    refuses(PARSE("-z"), "unknown option -z; see adl-server try --help");
    refuses(PARSE("-\xc3\xa9"), "unknown option -?; see adl-server try --help");
    refuses(PARSE("--padding", "tfsame"),
            "--padding: unknown value \"tfsame\"; did you mean tf_same?");
    refuses(PARSE("--padding", "whatever"),
            "--padding: unknown value \"whatever\"; it is one of symmetric, tf_same");
}

static void refuses_bad_values(void)
{
    refuses(PARSE("--threads", "0"), "--threads: 0 is outside 1 to 64");
    refuses(PARSE("--threads", "65"), "--threads: 65 is outside 1 to 64");
    refuses(PARSE("--threads", "4x"), "--threads: \"4x\" is not an integer");
    refuses(PARSE("--threads", ""), "--threads: \"\" is not an integer");
    refuses(PARSE("--threads", "99999999999999999999"),
            "--threads: 99999999999999999999 is too large");
    refuses(PARSE("--rate", "nan"), "--rate: \"nan\" is not a number");
    refuses(PARSE("--rate", "1.5"), "--rate: 1.5 is outside 0 to 1");
    refuses(
        PARSE("--max-body", "-1"),
        "--max-body: \"-1\" is not a size; write a number of bytes, or a number with K, M or G");
    refuses(PARSE("--max-body", "99999999999999999G"),
            "--max-body: \"99999999999999999G\" is not a size; write a number of bytes, or a "
            "number with K, M or G");
    refuses(PARSE("--max-body", "2G"), "--max-body: 2G is outside 1 to 1000000000");
    refuses(PARSE("--loud=maybe"), "--loud: \"maybe\" is neither true nor false");
    refuses(PARSE("--model="), "--model: is empty; it takes a FILE");
    refuses(PARSE("--model"), "--model needs a value: FILE");
    refuses(PARSE("-t"), "--threads needs a value: N");
    refuses(PARSE("a", "b", "c"),
            "unexpected argument \"c\"; usage: adl-server try [options] [IN [OUT]]");
}

static const char *write_config(const char *text)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/options.json", test_tmp_dir());
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        TEST_FAIL("cannot write %s", path);
    return path;
}

static void layers_override(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s",
             write_config("{\"threads\": 9, \"rate\": 0.75, \"max-body\": \"1K\", \"loud\": true,"
                          " \"name\": [\"f\", \"g\"], \"padding\": \"tf_same\"}"));
    setenv("ADL_SERVER_RATE", "0.125", 1);
    setenv("ADL_SERVER_MAX_BODY", "2K", 1);
    setenv("ADL_SERVER_NAME", "e,h,i", 1);
    setenv("ADL_SERVER_PORT", "tcp://10.0.0.1:80", 1); /* not an option of the server */
    struct parsed *p = PARSE("--config", path, "--max-body", "3K", "--loud=no");
    TEST_OK(p->result, &p->err);
    CU_ASSERT_EQUAL(p->settings.threads, 9);
    CU_ASSERT_EQUAL(p->settings.rate, 0.125);
    CU_ASSERT_EQUAL(p->settings.body, 3072);
    CU_ASSERT_FALSE(p->settings.loud);
    CU_ASSERT_EQUAL(p->settings.names.count, 3);
    CU_ASSERT_EQUAL(p->settings.padding, 1);
    CU_ASSERT_EQUAL(adl_options_source(&p->options, "threads"), ADL_SOURCE_CONFIG);
    CU_ASSERT_EQUAL(adl_options_source(&p->options, "rate"), ADL_SOURCE_ENVIRONMENT);
    CU_ASSERT_EQUAL(adl_options_source(&p->options, "max-body"), ADL_SOURCE_COMMAND_LINE);
    CU_ASSERT_EQUAL(adl_options_source(&p->options, "model"), ADL_SOURCE_DEFAULT);

    struct adl_str text = {0};
    adl_options_print(&p->options, &text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "ADL_SERVER_RATE"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, path));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "3K"));
    adl_str_release(&text);

    unsetenv("ADL_SERVER_MAX_BODY");
    unsetenv("ADL_SERVER_NAME");
    p = PARSE("--config", path, "--name", "z");
    CU_ASSERT_EQUAL(p->settings.names.count, 1);
    p = PARSE("--config", path);
    CU_ASSERT_EQUAL(p->settings.names.count, 2);
    setenv("ADL_SERVER_RATE", "7", 1);
    refuses(PARSE("x"), "ADL_SERVER_RATE: 7 is outside 0 to 1");
    unsetenv("ADL_SERVER_RATE");
    unsetenv("ADL_SERVER_PORT");
}

static void collect(void *context, const char *sentence)
{
    adl_str_printf(context, "%s\n", sentence);
}

/* Empty variables are unset ones. Others with the prefix that set no option are reported,
 * except what Kubernetes and Docker set for a service of this name. */
static void knows_its_variables(void)
{
    static const struct {
        const char *name, *value, *word; /* of the report; NULL: none */
    } cases[] = {
        {"ADL_SERVER_RATE", "", NULL},
        {"ADL_SERVER_RAET", "0.5", "did you mean ADL_SERVER_RATE?"},
        {"ADL_SERVER_MAX_BODI", "1K", "did you mean ADL_SERVER_MAX_BODY?"},
        {"ADL_SERVER_rate", "0.5", "did you mean ADL_SERVER_RATE?"},
        {"ADL_SERVER_SOMETHING_ELSE", "1", "\"ADL_SERVER_SOMETHING_ELSE\" has no effect"},
        {"ADL_SERVER_RAET", "", NULL},
        {"ADL_SERVER_SERVICE_HOST", "10.0.0.1", NULL},
        {"ADL_SERVER_SERVICE_PORT_HTTP", "80", NULL},
        {"ADL_SERVER_PORT", "tcp://10.0.0.1:80", NULL},
        {"ADL_SERVER_PORT", "8080", "\"ADL_SERVER_PORT\" has no effect"},
        {"ADL_SERVER_PORT_80_TCP_ADDR", "10.0.0.1", NULL},
        {"ADL_SERVERS", "1", NULL},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_str text = {0};
        setenv(cases[i].name, cases[i].value, 1);
        struct parsed *p = PARSE("--loud");
        TEST_OK(p->result, &p->err);
        CU_ASSERT_EQUAL(adl_options_source(&p->options, "rate"), ADL_SOURCE_DEFAULT);
        adl_option_strangers(p->options.command->options, collect, &text);
        if (cases[i].word ? !text.data || !strstr(text.data, cases[i].word) : text.length > 0)
            TEST_FAIL("%s=%s: %s", cases[i].name, cases[i].value, text.data ? text.data : "");
        adl_str_release(&text);
        unsetenv(cases[i].name);
    }
}

static void refuses_bad_config(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"thread\": 1}", "thread: unknown option; did you mean threads?"},
        {"{\"qqqqq\": 1}", "qqqqq: unknown option"},
        {"{\"threads\": 100}", "threads: 100 is outside 1 to 64"},
        {"{\"threads\": 1.5}", "threads: \"1.5\" is not an integer"},
        {"{\"threads\": null}", "threads: has to be a string, a number, true or false"},
        {"{\"config\": \"x\"}", "config: is accepted on the command line only"},
        {"{\"name\": [[\"a\"]]}", "name: takes strings only"},
        {"[]", "a configuration file is one JSON object"},
        {"{\"threads\": 1, \"threads\": 2}", "line 1: duplicate object key near '\"threads\"'"},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char path[300], message[600];
        snprintf(path, sizeof path, "%s", write_config(cases[i].text));
        snprintf(message, sizeof message, "%s: %s", path, cases[i].message);
        refuses(PARSE("--config", path), message);
    }
    struct parsed *p = PARSE("--config", "/nonexistent/adl.json");
    CU_ASSERT_EQUAL(p->err.kind, ADL_ERR_NOT_FOUND);
}

static void help_names_everything(void)
{
    struct adl_str text = {0};
    adl_options_help(&command, &text);
    for (const struct adl_option *option = table; option->name; option++) {
        char name[50];
        snprintf(name, sizeof name, "--%s", option->name);
        CU_ASSERT_PTR_NOT_NULL(strstr(text.data, name));
        CU_ASSERT_PTR_NOT_NULL(strstr(text.data, option->help));
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "(1 to 64; default: 4)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "symmetric, tf_same"));
    for (const char *line = text.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        CU_ASSERT_TRUE(strcspn(line, "\n") <= 100);
        if (!*line)
            break;
    }
    adl_str_release(&text);

    struct parsed *p = PARSE("--help", "--nonsense");
    CU_ASSERT_EQUAL(p->result, 0);
    CU_ASSERT_TRUE(p->options.help);
}

static void survives_out_of_memory(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s", write_config("{\"name\": [\"f\", \"g\"], \"threads\": 3}"));
    adl_options_release(&PARSE("x")->options);
    struct adl_mem_stats before = adl_mem_stats();
    for (uint64_t nth = 1;; nth++) {
        adl_mem_fail_nth(nth);
        struct parsed *p = PARSE("--config", path, "--name", "a", "--name", "b", "c");
        adl_mem_fail_nth(0);
        int result = p->result;
        enum adl_error_kind kind = p->err.kind;
        adl_options_release(&p->options);
        CU_ASSERT_EQUAL_FATAL(adl_mem_stats().live_blocks, before.live_blocks);
        if (result == 0)
            break;
        CU_ASSERT_EQUAL_FATAL(kind, ADL_ERR_NOMEM);
    }
}

TEST_SUITE(options, {"takes every type", takes_every_type},
           {"takes values that may be missing", takes_values_that_may_be_missing},
           {"has defaults", has_defaults}, {"ends options at --", ends_options_at_dashes},
           {"suggests the nearest name", suggests_the_nearest},
           {"refuses bad values", refuses_bad_values},
           {"lets the stronger source win", layers_override},
           {"knows its variables", knows_its_variables},
           {"refuses bad configuration", refuses_bad_config},
           {"helps with every option", help_names_everything},
           {"survives running out of memory", survives_out_of_memory});
