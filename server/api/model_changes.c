/* The queue of changes of the models, and how each is made and answered.
 *
 * The thread that loads models takes the changes in their order. A change has copies of its texts,
 * because its request may be answered before it is made: at the end of the server the main thread
 * answers those that wait and the one that is being made, and does not wait for a load that hangs.
 * Whoever takes the request out of the change, under the lock, answers it. */

#include "server/api/model_changes.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/json_text.h"
#include "server/api/loading.h"
#include "server/api/server.h"
#include "server/serving/log.h"

/* Changes that wait: as many as there can be names, once by requests and once noticed. */
#define MOST ((size_t)2 * ADL_LIMIT_MODELS)

struct change {
    enum adl_model_change kind;
    /* "NAME" or, to be deleted, "NAME@VERSION" */
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1 + ADL_MODEL_VERSION_DIGITS + 1];
    char text[ADL_LIMIT_MODEL_FILE_BYTES + 1]; /* the file, or what an alias points to */
    struct adl_exchange *exchange;             /* NULL: noticed, or answered already */
    struct change *next;
};

struct adl_model_changes {
    struct adl_server *server;
    void (*ask)(void);
    pthread_mutex_t lock; /* protects everything below, and `exchange` of all changes */
    pthread_cond_t answered;
    struct change *first, **last;
    struct change *running;
    size_t count;
    bool closed;
    bool answering; /* the thread that loads has taken a request and not resumed it yet */
};

struct adl_model_changes *adl_model_changes_create(struct adl_server *server, void (*ask)(void),
                                                   struct adl_error *err)
{
    struct adl_model_changes *changes = adl_calloc(1, sizeof *changes);

    if (!changes) {
        adl_fail_nomem(err, "changes of models");
        return NULL;
    }
    changes->server = server;
    changes->ask = ask;
    changes->last = &changes->first;
    pthread_mutex_init(&changes->lock, NULL);
    pthread_cond_init(&changes->answered, NULL);
    return changes;
}

void adl_model_changes_free(struct adl_model_changes *changes)
{
    if (!changes)
        return;
    while (changes->first) {
        struct change *change = changes->first;
        changes->first = change->next;
        adl_free(change);
    }
    pthread_cond_destroy(&changes->answered);
    pthread_mutex_destroy(&changes->lock);
    adl_free(changes);
}

/* --- the queue ------------------------------------------------------------------------ */

/* Returns whether two names are those of one model, whatever version they name. */
static bool same_model(const char *a, const char *b)
{
    size_t length = strcspn(a, "@");
    return length == strcspn(b, "@") && !memcmp(a, b, length);
}

/* Returns whether a change of this model waits or is being made. Called under the lock. */
static bool is_changing(const struct adl_model_changes *changes, const char *name)
{
    if (changes->running && same_model(changes->running->name, name))
        return true;
    for (const struct change *change = changes->first; change; change = change->next)
        if (same_model(change->name, name))
            return true;
    return false;
}

static struct change *make_change(enum adl_model_change kind, const char *name, const char *text)
{
    struct change *change = adl_calloc(1, sizeof *change);

    if (!change)
        return NULL;
    change->kind = kind;
    snprintf(change->name, sizeof change->name, "%s", name);
    snprintf(change->text, sizeof change->text, "%s", text);
    return change;
}

/* Called under the lock. */
static void push(struct adl_model_changes *changes, struct change *change)
{
    *changes->last = change;
    changes->last = &change->next;
    changes->count++;
}

void adl_model_changes_submit(struct adl_model_changes *changes, struct adl_exchange *exchange,
                              enum adl_model_change kind, const char *name, const char *text)
{
    struct change *change = make_change(kind, name, text);
    enum adl_problem problem = ADL_PROBLEM_NONE;

    if (!change) {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
        return;
    }
    pthread_mutex_lock(&changes->lock);
    if (changes->closed)
        problem = ADL_PROBLEM_DRAINING;
    else if (is_changing(changes, name))
        problem = ADL_PROBLEM_MODEL_CONFLICT;
    else if (changes->count >= MOST)
        problem = ADL_PROBLEM_QUEUE_FULL;
    if (!problem) {
        /* Suspended under the lock, so that nobody resumes it before. */
        adl_http_suspend(exchange->http);
        change->exchange = exchange;
        push(changes, change);
    }
    pthread_mutex_unlock(&changes->lock);
    if (!problem) {
        changes->ask();
        return;
    }
    adl_free(change);
    if (problem == ADL_PROBLEM_MODEL_CONFLICT)
        adl_answer_problem(exchange, problem, 0, "another change of this model is under way");
    else
        adl_answer_problem(exchange, problem, 1, "%s",
                           problem == ADL_PROBLEM_DRAINING ? "the server is shutting down"
                                                           : "too many changes of models wait");
}

bool adl_model_changes_notice(struct adl_model_changes *changes, enum adl_model_change kind,
                              const char *name, const char *file)
{
    struct change *change = make_change(kind, name, file);

    if (!change)
        return false;
    pthread_mutex_lock(&changes->lock);
    bool taken = !changes->closed && !is_changing(changes, name) && changes->count < MOST;
    if (taken)
        push(changes, change);
    pthread_mutex_unlock(&changes->lock);
    if (taken)
        changes->ask();
    else
        adl_free(change);
    return taken;
}

bool adl_model_changes_wait(struct adl_model_changes *changes)
{
    pthread_mutex_lock(&changes->lock);
    bool waits = changes->first != NULL;
    pthread_mutex_unlock(&changes->lock);
    return waits;
}

static void answer_draining(struct adl_exchange *exchange)
{
    struct adl_http_request *http = exchange->http;

    adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
    adl_http_resume(http);
}

void adl_model_changes_close(struct adl_model_changes *changes)
{
    struct change *waiting, *running;
    struct adl_exchange *exchange = NULL;

    pthread_mutex_lock(&changes->lock);
    changes->closed = true;
    waiting = changes->first;
    changes->first = NULL;
    changes->last = &changes->first;
    running = changes->running;
    if (running) {
        exchange = running->exchange;
        running->exchange = NULL;
    }
    /* After this no request is suspended, so that the daemon can be stopped. */
    while (changes->answering)
        pthread_cond_wait(&changes->answered, &changes->lock);
    pthread_mutex_unlock(&changes->lock);
    if (exchange)
        answer_draining(exchange);
    while (waiting) {
        struct change *change = waiting;
        waiting = change->next;
        if (change->exchange)
            answer_draining(change->exchange);
        adl_free(change);
    }
}

/* --- making a change --------------------------------------------------------------------- */

/* Answers PUT with what the name means now. */
static void answer_put(struct adl_exchange *exchange, const struct change *change, bool added)
{
    struct adl_registry *registry = exchange->server->registry;
    struct adl_error err = {0};
    struct adl_served *served = adl_registry_acquire(registry, change->name, &err);
    struct adl_str text = {0};

    if (!served)
        adl_str_printf(&text, "{\"name\":\"%s\"}", change->name);
    else if (change->kind == ADL_MODEL_ALIAS)
        adl_str_printf(&text, "{\"name\":\"%s\",\"alias_of\":\"%s\",\"version\":\"%s\"}",
                       change->name, change->text, served->version);
    else
        adl_str_puts(&text, served->description);
    adl_str_puts(&text, "\n");
    adl_served_release(served);
    if (added)
        adl_http_add_header(exchange->http, "Location", "/models/%s", change->name);
    adl_answer_text(exchange, added ? 201 : 200, "application/json", &text);
    adl_str_release(&text);
}

static void answer(struct adl_exchange *exchange, const struct change *change,
                   enum adl_problem problem, bool added, const struct adl_error *err)
{
    struct adl_http_request *http = exchange->http;

    if (problem)
        adl_answer_problem(exchange, problem, adl_problem_row(problem)->status == 503, "%s",
                           err->message);
    else if (change->kind == ADL_MODEL_DELETE)
        adl_http_reply(http, 204, NULL, (struct adl_http_body){0});
    else
        answer_put(exchange, change, added);
    adl_http_resume(http);
}

static void log_change(const struct change *change, const char *what)
{
    adl_log(ADL_LOG_INFO, "models", what,
            json_pack("{s:s, s:o*}", "model", change->name,
                      change->kind == ADL_MODEL_ALIAS ? "alias_of" : "file",
                      *change->text ? adl_json_from_text(change->text) : NULL));
}

/* Loads the file of a model that has changed, or a new one. A name that has been given to something
 * else meanwhile stays as it is. */
static enum adl_problem follow_file(struct adl_registry *registry, const struct change *change,
                                    bool *added, bool *loaded, struct adl_error *err)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    const struct adl_registry_entry *entry = adl_registry_find(table, change->name);
    enum adl_problem problem = ADL_PROBLEM_NONE;

    if (!entry) {
        problem = adl_registry_put(registry, change->name, change->text, added, err);
        *loaded = problem == ADL_PROBLEM_NONE;
    } else if (!adl_registry_is_alias(entry) &&
               !strcmp(entry->path ? entry->path : entry->file, change->text)) {
        if (adl_registry_load(registry, change->name, true, loaded, err) < 0)
            problem = ADL_PROBLEM_UNUSABLE_MODEL;
    }
    adl_registry_table_release(table);
    return problem;
}

/* Unloads a model whose file is gone from the folder, where that can be. */
static void follow_end(struct adl_registry *registry, const struct change *change)
{
    struct adl_registry_table *table = adl_registry_table(registry);
    const struct adl_registry_entry *entry = adl_registry_find(table, change->name);
    struct adl_error err = {0};
    bool mine = entry && !adl_registry_is_alias(entry) && !entry->path &&
                !strcmp(entry->file, change->text);

    adl_registry_table_release(table);
    if (!mine)
        return;
    if (adl_registry_remove(registry, change->name, &err) == ADL_PROBLEM_NONE)
        log_change(change, "its file is gone: the model was unloaded");
    else
        adl_log(ADL_LOG_WARN, "models", "the file of a model is gone; it stays in use",
                json_pack("{s:s, s:s}", "model", change->name, "reason", err.message));
}

static void make(struct adl_model_changes *changes, struct change *change)
{
    struct adl_registry *registry = changes->server->registry;
    const uint64_t begin = adl_clock_ns();
    struct adl_error err = {0};
    enum adl_problem problem = ADL_PROBLEM_NONE;
    bool added = false, loaded = false;

    switch (change->kind) {
    case ADL_MODEL_PUT:
        problem = adl_registry_put(registry, change->name, change->text, &added, &err);
        loaded = problem == ADL_PROBLEM_NONE;
        break;
    case ADL_MODEL_ALIAS:
        problem = adl_registry_alias(registry, change->name, change->text, &added, &err);
        break;
    case ADL_MODEL_DELETE: problem = adl_registry_remove(registry, change->name, &err); break;
    case ADL_MODEL_CHANGED: problem = follow_file(registry, change, &added, &loaded, &err); break;
    case ADL_MODEL_GONE: follow_end(registry, change); break;
    }
    if (loaded || (problem && problem != ADL_PROBLEM_MODEL_CONFLICT &&
                   (change->kind == ADL_MODEL_PUT || change->kind == ADL_MODEL_CHANGED)))
        adl_loading_note(changes->server, "models", change->name, !added, begin, &err);
    else if (problem && change->kind == ADL_MODEL_CHANGED)
        adl_log(ADL_LOG_WARN, "models", "a file in the folder of models is left alone",
                json_pack("{s:o, s:s}", "file", adl_json_from_text(change->text), "reason",
                          err.message));
    else if (!problem && change->kind == ADL_MODEL_ALIAS)
        log_change(change, "a name was given to a model");
    else if (!problem && change->kind == ADL_MODEL_DELETE)
        log_change(change, "a model was removed");
    /* The change is over before it is answered: the client may send the next one at once. */
    pthread_mutex_lock(&changes->lock);
    struct adl_exchange *exchange = change->exchange;
    change->exchange = NULL;
    changes->running = NULL;
    changes->answering = exchange != NULL;
    pthread_mutex_unlock(&changes->lock);
    if (!exchange)
        return;
    answer(exchange, change, problem, added, &err);
    pthread_mutex_lock(&changes->lock);
    changes->answering = false;
    pthread_cond_broadcast(&changes->answered);
    pthread_mutex_unlock(&changes->lock);
}

void adl_model_changes_run(struct adl_model_changes *changes)
{
    for (;;) {
        pthread_mutex_lock(&changes->lock);
        struct change *change = changes->first;
        if (change) {
            changes->first = change->next;
            if (!changes->first)
                changes->last = &changes->first;
            changes->count--;
        }
        changes->running = change;
        pthread_mutex_unlock(&changes->lock);
        if (!change)
            return;
        make(changes, change);
        adl_free(change);
    }
}
