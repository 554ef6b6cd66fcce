/* Each pair of ranks has a box for one message in each direction. The sender waits until it has
 * been taken, as MPI_Ssend does, so an exchange that relies on buffers hangs here. */

#include "support/thread_ranks.h"

#include <pthread.h>
#include <string.h>

struct box {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const void *bytes; /* NULL: empty */
    size_t count;
};

static struct box boxes[THREAD_RANKS][THREAD_RANKS];

void thread_ranks_begin(void)
{
    for (int from = 0; from < THREAD_RANKS; from++) {
        for (int to = 0; to < THREAD_RANKS; to++) {
            boxes[from][to] = (struct box){.bytes = NULL};
            pthread_mutex_init(&boxes[from][to].lock, NULL);
            pthread_cond_init(&boxes[from][to].changed, NULL);
        }
    }
}

static int send_message(void *context, int to, const void *bytes, size_t count,
                        struct adl_error *err)
{
    struct box *box = &boxes[*(const int *)context][to];
    (void)err;
    pthread_mutex_lock(&box->lock);
    box->bytes = bytes;
    box->count = count;
    pthread_cond_broadcast(&box->changed);
    while (box->bytes)
        pthread_cond_wait(&box->changed, &box->lock);
    pthread_mutex_unlock(&box->lock);
    return 0;
}

static int receive_message(void *context, int from, void *bytes, size_t count,
                           struct adl_error *err)
{
    struct box *box = &boxes[from][*(const int *)context];
    int result = 0;
    pthread_mutex_lock(&box->lock);
    while (!box->bytes)
        pthread_cond_wait(&box->changed, &box->lock);
    if (box->count == count)
        memcpy(bytes, box->bytes, count);
    else
        result = adl_fail(err, ADL_ERR_INTERNAL, "%zu bytes, not %zu", box->count, count);
    box->bytes = NULL;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
    return result;
}

struct adl_exchange thread_exchange(int *number, int ranks)
{
    return (struct adl_exchange){.rank = *number,
                                 .ranks = ranks,
                                 .send = send_message,
                                 .receive = receive_message,
                                 .context = number};
}
