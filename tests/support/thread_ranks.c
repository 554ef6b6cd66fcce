/* Each pair of ranks has in each direction a list of messages that were sent and one of those that
 * are waited for; the n-th of one is the n-th of the other. A message is sent once it has been
 * received, as with MPI_Ssend, so an exchange that relies on buffers hangs here. */

#include "support/thread_ranks.h"

#include <pthread.h>
#include <string.h>

enum { MANY = 256 }; /* messages of a pair that are not done */

struct half {
    void *bytes; /* of a receiver; a sender's are only read */
    size_t count;
    int wait; /* tests before it is done */
};

struct list {
    struct half of[MANY]; /* number n at n % MANY */
    int begun;
};

struct pair {
    struct list sent, received;
    int copied; /* messages */
    bool wrong; /* some had different sizes */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct pair pairs[THREAD_RANKS][THREAD_RANKS];
static bool delays, broken;

void thread_ranks_begin(void)
{
    memset(pairs, 0, sizeof pairs);
    delays = broken = false;
}

void thread_ranks_delay(void)
{
    delays = true;
}

void thread_ranks_break(void)
{
    pthread_mutex_lock(&lock);
    broken = true;
    pthread_mutex_unlock(&lock);
}

/* A message names its pair, its side and its number. */
static int code_of(int from, int to, bool sends, int number)
{
    return ((number * 2 + sends) * THREAD_RANKS + from) * THREAD_RANKS + to;
}

/* Copies what both sides have begun. */
static void match(struct pair *pair)
{
    while (pair->copied < pair->sent.begun && pair->copied < pair->received.begun) {
        const struct half *from = &pair->sent.of[pair->copied % MANY];
        const struct half *to = &pair->received.of[pair->copied % MANY];
        pair->wrong |= from->count != to->count;
        if (!pair->wrong)
            memcpy(to->bytes, from->bytes, from->count);
        pair->copied++;
    }
    pthread_cond_broadcast(&changed);
}

static int begin(int from, int to, bool sends, const void *bytes, size_t count,
                 struct adl_message *message)
{
    struct pair *pair = &pairs[from][to];
    struct list *list = sends ? &pair->sent : &pair->received;
    struct half half = {.count = count};
    memcpy(&half.bytes, &bytes, sizeof bytes);

    pthread_mutex_lock(&lock);
    /* 0 to 12 looks, in no order. */
    half.wait = delays ? (list->begun * 7 + from * 5 + to * 3 + sends) % 13 : 0;
    message->request.number = code_of(from, to, sends, list->begun);
    list->of[list->begun++ % MANY] = half;
    match(pair);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int begin_send(void *context, int to, const void *bytes, size_t count,
                      struct adl_message *message, struct adl_error *err)
{
    (void)err;
    return begin(*(const int *)context, to, true, bytes, count, message);
}

static int begin_receive(void *context, int from, void *bytes, size_t count,
                         struct adl_message *message, struct adl_error *err)
{
    (void)err;
    return begin(from, *(const int *)context, false, bytes, count, message);
}

/* Looks at a message with the lock held. */
static int look(const struct adl_message *message, struct adl_error *err)
{
    int code = message->request.number, to = code % THREAD_RANKS;
    int from = code / THREAD_RANKS % THREAD_RANKS;
    int number = code / THREAD_RANKS / THREAD_RANKS / 2;
    bool sends = code / THREAD_RANKS / THREAD_RANKS % 2;
    struct pair *pair = &pairs[from][to];
    struct half *half = &(sends ? &pair->sent : &pair->received)->of[number % MANY];

    if (broken || pair->wrong)
        return adl_fail(err, ADL_ERR_IO, broken ? "broken" : "messages of different sizes");
    if (number >= pair->copied)
        return 0;
    return half->wait-- <= 0;
}

static int test(void *context, struct adl_message *message, struct adl_error *err)
{
    (void)context;
    pthread_mutex_lock(&lock);
    int result = look(message, err);
    pthread_mutex_unlock(&lock);
    return result;
}

static int wait_for(const struct adl_message *message, struct adl_error *err)
{
    int result;
    pthread_mutex_lock(&lock);
    while ((result = look(message, err)) == 0)
        if (!delays)
            pthread_cond_wait(&changed, &lock);
        else {
            pthread_mutex_unlock(&lock);
            pthread_mutex_lock(&lock);
        }
    pthread_mutex_unlock(&lock);
    return result < 0 ? -1 : 0;
}

static int send_message(void *context, int to, const void *bytes, size_t count,
                        struct adl_error *err)
{
    struct adl_message message;
    (void)begin_send(context, to, bytes, count, &message, err);
    return wait_for(&message, err);
}

static int receive_message(void *context, int from, void *bytes, size_t count,
                           struct adl_error *err)
{
    struct adl_message message;
    (void)begin_receive(context, from, bytes, count, &message, err);
    return wait_for(&message, err);
}

struct adl_exchange thread_exchange(int *number, int ranks)
{
    return (struct adl_exchange){.rank = *number,
                                 .ranks = ranks,
                                 .threads = true,
                                 .send = send_message,
                                 .receive = receive_message,
                                 .begin_send = begin_send,
                                 .begin_receive = begin_receive,
                                 .test = test,
                                 .context = number};
}
