/* Reads the names of classes from the data.yaml of YOLO:
 *
 *     path: ../pets
 *     names: [cat, dog]          or a list in lines, or a map from 0, 1, 2, ...
 *
 * LibYAML cuts the text into events (a scalar, the beginning and the end of a list or a map), which
 * are read one by one and only up to the end of the names, so that neither anchors nor depth cost
 * memory. Names in place of which an alias stands are refused. */

#include "data/yaml_names.h"

#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/lines.h"
#include "io/file.h"

struct reader {
    struct adl_draft *draft;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
};

/* Goes to the next event. */
static int advance(struct reader *r, struct adl_error *err)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return 0;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return adl_fail_nomem(err, "the names of classes");
    if (r->parser.error == YAML_READER_ERROR)
        return adl_fail(err, ADL_ERR_FORMAT, "%s byte %zu: is no YAML: %s", r->path,
                        r->parser.problem_offset, r->parser.problem);
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: is no YAML: %s", r->path,
                    r->parser.problem_mark.line + 1,
                    r->parser.problem ? r->parser.problem : "it cannot be read");
}

static int fail_at(const struct reader *r, const char *problem, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: %s", r->path, r->event.start_mark.line + 1,
                    problem);
}

/* Passes over what the current event begins; its end becomes the current event. */
static int pass_over(struct reader *r, struct adl_error *err)
{
    for (size_t depth = 0;;) {
        const yaml_event_type_t type = r->event.type;
        depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
        depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
        if (depth == 0)
            return 0;
        if (advance(r, err) < 0)
            return -1;
    }
}

/* Returns the text of the current event; NULL if it is no text, or has a zero byte. */
static const char *text_of(const struct reader *r)
{
    const char *text = (const char *)r->event.data.scalar.value;

    return r->event.type == YAML_SCALAR_EVENT && strlen(text) == r->event.data.scalar.length ? text
                                                                                             : NULL;
}

/* Returns a copy of the current event's text. */
static const char *take_name(const struct reader *r, struct adl_error *err)
{
    const char *text = text_of(r);

    if (!text)
        fail_at(r, "has something else than a name in the names of classes", err);
    return text ? adl_draft_text(r->draft, err, "%s", text) : NULL;
}

static int read_list(struct reader *r, struct adl_names *names, struct adl_error *err)
{
    while (advance(r, err) == 0) {
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        const char *name = take_name(r, err);
        if (!name || adl_names_add(names, name, err) < 0)
            return -1;
    }
    return -1;
}

static int read_map(struct reader *r, struct adl_names *names, struct adl_error *err)
{
    while (advance(r, err) == 0) {
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        const char *key = text_of(r);
        int id;
        if (!key || !adl_parse_count(key, strlen(key), ADL_LIMIT_CLASSES - 1, &id))
            return fail_at(r, "has something else than the number of a class before its name", err);
        while (names->count <= (size_t)id)
            if (adl_names_add(names, NULL, err) < 0)
                return -1;
        if (names->items[id])
            return fail_at(r, "has two names of one class", err);
        if (advance(r, err) < 0)
            return -1;
        names->items[id] = take_name(r, err);
        if (!names->items[id])
            return -1;
    }
    return -1;
}

/* Reads the names that the current event begins. */
static int read_names(struct reader *r, struct adl_names *names, struct adl_error *err)
{
    const char *text = text_of(r);

    if (r->event.type == YAML_SEQUENCE_START_EVENT)
        return read_list(r, names, err);
    if (text && (!*text || !strcmp(text, "~") || !strcmp(text, "null")))
        return 0;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fail_at(r, "the names of classes are neither a list nor a map from their numbers",
                       err);
    if (read_map(r, names, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++)
        if (!names->items[i])
            return adl_fail(err, ADL_ERR_FORMAT, "%s: names class %zu, but not class %zu", r->path,
                            names->count - 1, i);
    return 0;
}

/* Finds `names` in the map that the file is. */
static int read_file(struct reader *r, struct adl_names *names, struct adl_error *err)
{
    do {
        if (advance(r, err) < 0)
            return -1;
    } while (r->event.type == YAML_STREAM_START_EVENT ||
             r->event.type == YAML_DOCUMENT_START_EVENT);
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return 0;
    while (advance(r, err) == 0) {
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        const char *key = text_of(r);
        const bool found = key && !strcmp(key, "names");
        if (pass_over(r, err) < 0 || advance(r, err) < 0)
            return -1;
        if (found)
            return read_names(r, names, err);
        if (pass_over(r, err) < 0)
            return -1;
    }
    return -1;
}

int adl_yaml_names(struct adl_draft *draft, const char *path, struct adl_names *names,
                   struct adl_error *err)
{
    struct reader r = {.draft = draft, .path = path};
    size_t length;
    char *bytes = adl_file_read(path, ADL_LIMIT_BOX_FILE_BYTES, &length, err);

    if (!bytes)
        return -1;
    if (!yaml_parser_initialize(&r.parser)) {
        adl_free(bytes);
        return adl_fail_nomem(err, "the names of classes");
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes, length);
    int result = read_file(&r, names, err);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    adl_free(bytes);
    return result;
}
