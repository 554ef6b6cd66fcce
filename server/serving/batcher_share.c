/* Work of one large job on several workers: the pictures of its answer, the boxes of its classes.
 *
 * DESIGN
 *
 * The worker that has the job (the owner) puts a description of the pieces, which lies on its
 * stack, into a list, begins with the first piece, and goes on as long as there are some. Workers
 * of the same lane that look for a task take single pieces in between: the next piece of a list is
 * a candidate like the next job of a queue, and goes first unless another sender has used less
 * time. So nobody waits for a thread that only waits itself, no thread is started, and a worker is
 * kept from other senders' jobs for one piece, not for an answer. At the end the owner waits for
 * the pieces that others have begun.
 *
 * Only large work is shared. Small jobs have pieces of less than a millisecond, and workers of
 * their own that would have to leave others' jobs waiting.
 *
 * Whether the answer is still wanted is asked by the owner alone, so that an abandoned job is
 * counted once; it asks while it waits, too. Pieces of others learn it from `err`. */

#include "base/wait.h"
#include "server/serving/batcher_parts.h"

/* How often an owner that waits for others' pieces asks whether the answer is still wanted. */
#define ASK_NS 20000000

/* Pieces of a job that do not depend on each other; protected by the lock of the batcher. */
struct adl_pieces {
    const struct adl_job *job;
    adl_pause_body *body;
    void *of_body;
    size_t n, begun;
    size_t running;       /* on other workers than the owner */
    struct adl_error err; /* of the first piece that failed */
    struct adl_pieces *next;
};

/* Takes pieces of which all have begun out of the list. */
static void pieces_unlink(struct adl_batcher *b, const struct adl_pieces *pieces)
{
    struct adl_pieces **link = &b->pieces;

    while (*link && *link != pieces)
        link = &(*link)->next;
    if (*link)
        *link = pieces->next;
}

/* Returns the index of the next piece. There is one. */
static size_t pieces_begin(struct adl_batcher *b, struct adl_pieces *pieces)
{
    size_t i = pieces->begun++;

    if (pieces->begun == pieces->n)
        pieces_unlink(b, pieces);
    return i;
}

/* Notes that a piece has failed: the others need not be begun. */
static void pieces_fail(struct adl_batcher *b, struct adl_pieces *pieces,
                        const struct adl_error *err)
{
    if (pieces->err.kind == ADL_ERR_NONE)
        pieces->err = *err;
    pieces->begun = pieces->n;
    pieces_unlink(b, pieces);
}

int adl_pieces_check(const struct adl_pieces *pieces, struct adl_error *err)
{
    if (pieces->err.kind == ADL_ERR_NONE)
        return 0;
    *err = pieces->err;
    return -1;
}

/* --- the owner ------------------------------------------------------------------- */

/* Waits for the pieces that other workers have begun. While it waits, the worker does nothing that
 * a watchdog should look at. Called under the lock. */
static void owner_wait(struct worker *worker, struct adl_pieces *pieces)
{
    struct adl_batcher *b = worker->batcher;

    worker->since_ns = 0;
    while (pieces->running > 0) {
        struct adl_error err = {0};
        bool aborted = b->aborted;
        adl_cond_wait_until(&b->pieces_done, &b->lock, adl_clock_ns() + ASK_NS);
        if (pieces->running == 0 || pieces->err.kind)
            continue;
        pthread_mutex_unlock(&b->lock);
        int wanted = adl_batcher_wanted(b, pieces->job, aborted, &err);
        pthread_mutex_lock(&b->lock);
        if (wanted < 0)
            pieces_fail(b, pieces, &err);
    }
    worker->since_ns = adl_clock_ns();
}

int adl_batcher_share(void *context, size_t n, adl_pause_body *body, void *of_body,
                      struct adl_error *err)
{
    struct worker *worker = context;
    struct adl_batcher *b = worker->batcher;
    struct adl_pieces pieces = {.job = worker->job, .body = body, .of_body = of_body, .n = n};
    struct adl_pieces **tail = &b->pieces;

    pthread_mutex_lock(&b->lock);
    while (*tail)
        tail = &(*tail)->next;
    *tail = &pieces;
    pthread_cond_broadcast(&b->wake[worker->lane]);
    while (pieces.begun < n) {
        struct adl_error failed = {0};
        size_t i = pieces_begin(b, &pieces);
        pthread_mutex_unlock(&b->lock);
        int result = adl_pause(&worker->pause, &failed);
        if (result == 0)
            result = body(of_body, i, &worker->pause, &failed);
        pthread_mutex_lock(&b->lock);
        if (result < 0)
            pieces_fail(b, &pieces, &failed);
    }
    owner_wait(worker, &pieces);
    pthread_mutex_unlock(&b->lock);
    return adl_pieces_check(&pieces, err);
}

/* --- the others ------------------------------------------------------------------ */

struct adl_pieces *adl_batcher_first_pieces(const struct adl_batcher *b, struct adl_job **first,
                                            struct adl_job **second)
{
    struct adl_pieces *best = b->pieces;

    for (struct adl_pieces *pieces = best; pieces; pieces = pieces->next)
        if (adl_fair_before(b->fair, &pieces->job->place, &best->job->place))
            best = pieces;
    if (!best || (first && adl_fair_before(b->fair, &(*first)->place, &best->job->place)) ||
        (second && adl_fair_before(b->fair, &(*second)->place, &best->job->place)))
        return NULL;
    return best;
}

void adl_batcher_do_piece(struct worker *worker, struct adl_pieces *pieces)
{
    struct adl_batcher *b = worker->batcher;
    struct adl_error err = {0};
    size_t i = pieces_begin(b, pieces);

    pieces->running++;
    adl_fair_begin(b->fair, &pieces->job->place);
    adl_batcher_worker_begin(worker, pieces->job, pieces);
    pthread_mutex_unlock(&b->lock);
    int result = adl_pause(&worker->pause, &err);
    if (result == 0)
        result = pieces->body(pieces->of_body, i, &worker->pause, &err);
    pthread_mutex_lock(&b->lock);
    adl_batcher_worker_charge(worker, &pieces->job->place);
    worker->since_ns = 0;
    worker->pieces = NULL;
    if (result < 0)
        pieces_fail(b, pieces, &err);
    /* The pieces are their owner's again. */
    if (--pieces->running == 0)
        pthread_cond_broadcast(&b->pieces_done);
}
